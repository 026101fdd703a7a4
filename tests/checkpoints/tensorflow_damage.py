"""TensorFlow pickles for the tests of their families, and what must be said of damaged ones."""

import pytest

from higan_fast.checkpoints import load_generator
from tests.checkpoints.tensorflow_writer import tensorflow_pickle


def written(folder, variables, settings=None):
    return tensorflow_pickle(folder / "a.pkl", variables, folder / "mark", settings)


def check_damage_is_told(folder, variables, where, damage):
    """Replaces a variable, or takes it out, and expects an error that names the file.

    Args:
        where: its component ("" for the network itself) and its name.
        damage: the new value, None to take it out; and what the error must say.
    """
    (component, name), (value, message) = where, damage
    variables[component].pop(name, None)
    if value is not None:
        variables[component][name] = value
    with pytest.raises(ValueError, match=message) as raised:
        load_generator(written(folder, variables))
    assert "a.pkl" in str(raised.value)

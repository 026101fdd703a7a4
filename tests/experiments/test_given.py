"""What experiments are given of a wrong type is refused at once, in one line that says what to give."""

import inspect

import numpy as np
import pytest

from higan_fast import experiments
from higan_fast.experiments import Subject
from higan_fast.experiments.compare import Probe
from higan_fast.experiments.given import EXPECTED

CALLS = {  # with what a probe has, in order
    "hierarchy": ("subject", "boundaries", "verification"),
    "transition": ("subject", "boundaries", "verification"),
    "mix": ("subject", "boundaries"),
    "ablate_layers": ("subject", "boundaries", "verification"),
    "ablate_ranking": ("subject", "samples", "boundaries"),
    "ablate_samples": ("subject", "samples", "boundaries"),
    "ablate_space": ("subject", "samples", "boundaries"),
    "correlate": ("subject", "samples", "boundaries", "verification"),
    "falsify": ("subject", "samples", "boundaries", "verification"),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_argument_is_named_where_it_is_something_else(name, probed):
    given = {each: getattr(probed, each) for each in CALLS[name]}
    for each in given:
        for wrong in (probed.generator, None, 3, np.zeros(2)):
            with pytest.raises(TypeError, match=f"^{each}: got .*, expected ") as raised:
                getattr(experiments, name)(**given | {each: wrong})
            assert "\n" not in str(raised.value)


def test_all_experiments_are_checked():
    kinds = set(EXPECTED)
    for name in experiments.ORDER:
        experiment = getattr(experiments, name.replace("-", "_"))
        asked = {str(each.annotation) for each in inspect.signature(experiment).parameters.values()}
        assert hasattr(experiment, "__wrapped__") == bool(asked & kinds), name


def test_a_subject_and_a_probe_say_what_they_are_made_of(probed):
    with pytest.raises(TypeError, match="generator: got a ToyPredictor, expected a Generator; use load_gen"):
        Subject(probed.predictor, probed.generator)
    with pytest.raises(
        TypeError, match=r"predictor: got 'color'; write higan_fast.load_predictor\('color'\)"
    ):
        Subject(probed.generator, "color")
    with pytest.raises(TypeError, match="predictor: got a function, expected what load_predictor gives"):
        Subject(probed.generator, lambda images: images)
    with pytest.raises(TypeError, match=r"^subject: got a ToyGenerator, expected higan_fast.experiments.Sub"):
        Probe("first", probed.generator, probed.boundaries, probed.verification)
    with pytest.raises(TypeError, match=r"^probes: got a Verification, expected a list of compare.Probe"):
        experiments.compare([probed.verification, probed.verification])
    with pytest.raises(TypeError, match=r"^results: got a Verification, expected a list of what verify_dir"):
        experiments.directions([probed.verification])
    with pytest.raises(TypeError, match=r"^boundaries: got 3, expected what fit_boundaries gives"):
        experiments.mix(probed.subject, {"bed": 3})

from dataclasses import replace

import pytest
import torch

from higan_fast.checkpoints import load_generator, loading
from higan_fast.refusing import refusing
from higan_fast.wording import LONGEST_MESSAGE
from tests.checkpoints.samples import SAMPLES

ERRORS = {
    "says the file": (ValueError("PATH: is empty"), "PATH: is empty"),
    "does not say it": (ValueError("config: got 3"), "PATH: config: got 3"),
    "two lines": (ValueError("PATH: x\nError: all is well\x1b[2J"), r"PATH: x\nError: all is well\x1b[2J"),
    "surrogate": (ValueError("PATH: a\ud800"), r"PATH: a\ud800"),
    "type": (TypeError("'dict' object"), "PATH: is damaged; reading it failed: TypeError: 'dict' object"),
    "key": (KeyError("fc0"), "PATH: is damaged; reading it failed: KeyError: 'fc0'"),
    "long": (KeyError("x" * 10**6), "PATH: is damaged; reading it failed: KeyError: 'xxx"),
    "memory": (MemoryError(), "PATH: reading it takes more memory than there is"),
    "torch's memory": (
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 99"),
        "PATH: reading it takes more memory than there is",
    ),
    "depth": (RecursionError("maximum"), "PATH: reading it failed: it is nested too deeply"),
    "another": (Exception("?"), "PATH: is damaged; reading it failed: Exception: ?"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_becomes_a_line_that_names_the_file(tmp_path, name):
    error, expected = ERRORS[name]
    path = tmp_path / "a.pkl"
    error.args = tuple(str(part).replace("PATH", str(path)) for part in error.args)
    with pytest.raises(ValueError) as raised, refusing(path):
        raise error
    message = str(raised.value)
    assert message.startswith(expected.replace("PATH", str(path)))
    assert message.isprintable() and len(message) <= LONGEST_MESSAGE + len(str(path))


def test_what_is_not_the_files_fault_keeps_its_class(tmp_path):
    with pytest.raises(PermissionError, match=r"^.*a\.pkl: may not be read$"), refusing(tmp_path / "a.pkl"):
        raise PermissionError(f"{tmp_path / 'a.pkl'}: may not be read")
    for error in (torch.OutOfMemoryError("CUDA out of memory"), ImportError("old"), KeyboardInterrupt()):
        with pytest.raises(type(error)), refusing(tmp_path):
            raise error


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """A file whose generator can be spoilt by a function of it, once it is read."""
    path, _ = SAMPLES["native"](tmp_path / "a", tmp_path / "mark")
    read = loading.native.read

    def spoil(change):
        def spoilt(*args):
            change(generator := read(*args))
            return generator

        monkeypatch.setattr(loading.native, "read", spoilt)
        return path

    return spoil


def spoil_values(generator):
    generator.synthesis.convs[0].bias.data[0] = torch.inf


def spoil_shape(generator):
    generator.config = replace(generator.config, start_size=(8, 8))


def spoil_a_layer(generator):
    generator.synthesis.convs[0].weight.data = torch.zeros(3, 3, 3, 3)


@pytest.mark.parametrize(
    "change, message",
    [
        (spoil_values, r"makes images of which \d+% of the values are not finite"),
        (spoil_shape, r"makes an image of shape \[1, 3, 8, 8\], expected \[1, 3, 16, 16\]"),
        (spoil_a_layer, "is damaged; no image can be drawn with it: weight_square: got shape "),
    ],
)
def test_a_generator_draws_an_image_before_it_is_given(broken, change, message):
    path = broken(change)
    for use in (load_generator, loading.describe, lambda path: loading.convert(path, f"{path}.safetensors")):
        with pytest.raises(ValueError, match=message) as raised:
            use(path)
        assert str(path) in str(raised.value)


def test_random_numbers_of_the_user_are_left_alone(tmp_path):
    path, _ = SAMPLES["native"](tmp_path / "a", tmp_path / "mark")
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_generator(path)
    assert torch.equal(torch.rand(2), expected)

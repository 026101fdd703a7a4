from pathlib import Path

import numpy as np
import pytest
import torch

from higan_fast.checkpoints import load_generator
from higan_fast.checkpoints.contents import Record, is_state_dict, shown
from higan_fast.checkpoints.conversion import as_tensor, assemble, configured, numbered, size_of, taken
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from tests.checkpoints.writers import random_stylegan2, rosinality_state

CONFIG = StyleGAN2Config({4: 5, 8: 3}, latent_dim=4, code_dim=4, mapping_depth=1)
CONST = "synthesis.const"


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "a.pkl"
    file.write_bytes(bytes(10_000))
    return file


def parts():
    """A generator's tensors under other names, and where each of ours comes from."""
    state = random_stylegan2(CONFIG).state_dict()
    return {f"their.{name}": tensor for name, tensor in state.items()}, {
        name: f"their.{name}" for name in state
    }


def test_tensors_come_from_where_they_are_said_to_come(path):
    tensors, sources = parts()
    average = "mapping_network.w_avg"
    sources[average] = taken("one", "two", change=lambda one, two: one + 2 * two)
    tensors |= {"one": torch.ones(4).half(), "two": np.arange(4.0), "counter": torch.tensor(3)}
    del tensors[f"their.{average}"]
    sources["synthesis.rgbs.0.bias"] = torch.full([3], 0.5, dtype=torch.float64)
    del tensors["their.synthesis.rgbs.0.bias"]
    tensors["their.synthesis.convs.0.noise_strength"] = np.float64(0.25)
    tensors["their.synthesis.convs.0.bias"] = tensors["their.synthesis.convs.0.bias"].double()[
        None, :, None, None
    ]
    found = assemble(StyleGAN2, CONFIG, path, tensors, sources, unused=["count.*"]).state_dict()
    assert found[average].tolist() == [1, 3, 5, 7]
    assert found["synthesis.rgbs.0.bias"].tolist() == [0.5] * 3
    assert found["synthesis.convs.0.noise_strength"].item() == 0.25
    assert found["synthesis.convs.0.bias"].shape == (5,)
    assert all(tensor.dtype == torch.float32 and not tensor.is_meta for tensor in found.values())
    assert torch.equal(found[CONST], tensors[f"their.{CONST}"])
    tensors[f"their.{CONST}"].add_(1)
    assert not torch.equal(found[CONST], tensors[f"their.{CONST}"]), "nothing of the file's memory is kept"


def test_complaints_name_the_tensors_of_the_file(path):
    def refused(message, **changes):
        tensors, sources = parts()
        for name, value in changes.items():
            name = name.replace("__", ".")
            if value is None:
                del tensors[name]
            else:
                tensors[name] = value
        with pytest.raises(ValueError, match=message) as raised:
            assemble(StyleGAN2, CONFIG, path, tensors, sources)
        assert str(path) in str(raised.value)

    const = "their__synthesis__const"
    refused("lacks their.synthesis.const; the file is damaged", **{const: None})
    refused("holds a, b, c and 2 more, for which", **dict.fromkeys("abcde", torch.ones(1)))
    refused(r"holds a\\x1b\[31m, for which", **{"a\x1b[31m": torch.ones(1)})
    refused(r"const has shape \[1, 5, 4\], expected \[1, 5, 4, 4\]", **{const: torch.ones(1, 5, 4)})
    refused(r"const has shape \[5, 1, 4, 4, 2\], expected", **{const: torch.ones(5, 1, 4, 4, 2)})
    refused("const has values that are not finite", **{const: torch.full([1, 5, 4, 4], torch.inf)})
    refused("const is a str, expected a tensor", **{const: "text"})
    refused("const holds bool, expected floating-point numbers", **{const: np.ones([1, 5, 4, 4], bool)})
    for numbers in (np.ones([1, 5, 4, 4], int), torch.ones(1, 5, 4, 4, dtype=torch.int8)):
        refused("const holds int(64|8), expected floating-point numbers", **{const: numbers})
    for dtype in (torch.complex64, torch.float8_e4m3fn, torch.bool):
        name = str(dtype).removeprefix("torch.")
        refused(f"const holds {name}, expected", **{const: torch.ones(1, 5, 4, 4).to(dtype)})
    refused(
        "const has values that are not finite",
        **{const: torch.full([1, 5, 4, 4], 1e300, dtype=torch.float64)},
    )


def test_a_change_that_does_not_fit_is_damage(path):
    tensors, sources = parts()
    for change in (
        lambda const: const.permute(0, 1),
        lambda const: const @ torch.ones(9, 9),
        lambda const: const[:, 9],
    ):
        sources[CONST] = taken(f"their.{CONST}", change=change)
        with pytest.raises(
            ValueError, match=r"their.synthesis.const has shape \[1, 5, 4, 4\], which does not fit"
        ):
            assemble(StyleGAN2, CONFIG, path, tensors, sources)
    sources[CONST] = taken(f"their.{CONST}", change=lambda const: const[0])
    with pytest.raises(
        ValueError, match=r"has shape \[1, 5, 4, 4\] \(ours: \[5, 4, 4\]\), expected \[1, 5, 4, 4\]"
    ):
        assemble(StyleGAN2, CONFIG, path, tensors, sources)


def test_a_small_file_does_not_become_a_huge_generator(tmp_path):
    """Every tensor may name the same storage, so that the sum of them exceeds the file a hundred times."""
    channels = {2**power: 48 for power in range(2, 10)}
    state = rosinality_state(random_stylegan2(StyleGAN2Config(channels, 48, 48, 1)))
    shared = torch.randn(48 * 48 * 9 + 1)
    views = {
        name: shared[: tensor.numel()].view(tensor.shape)
        for name, tensor in state.items()
        if "noises" not in name
    }
    for claimed, message in (
        (views, r"has \d+ bytes, and would become \d+ values"),
        (
            state_of_resolution(2048),
            r"has \d+ bytes, and claims images of 2048² pixels, with up to 12582912 ",
        ),
        (state_of_resolution(2**20), r"got the resolution 4096, expected 4, 8, 16 and so on up to 2048"),
    ):
        torch.save(claimed, tmp_path / "a.pt")
        with pytest.raises(ValueError, match=message) as raised:
            load_generator(tmp_path / "a.pt")
        assert str(tmp_path / "a.pt") in str(raised.value)


def state_of_resolution(resolution):
    """As many layers as that takes, of one channel, without noise images: those would be made anew."""
    state = rosinality_state(random_stylegan2(StyleGAN2Config({4: 1, 8: 1}, 1, 1, 1)))
    state = {name: tensor for name, tensor in state.items() if "noises" not in name}
    for block in range(1, resolution.bit_length() - 3):
        for name, tensor in list(state.items()):
            for first, module in ((f"convs.{i}.", f"convs.{2 * block + i}.") for i in (0, 1)):
                if name.startswith(first):
                    state[name.replace(first, module)] = tensor
            if name.startswith("to_rgbs.0."):
                state[name.replace("to_rgbs.0.", f"to_rgbs.{block}.")] = tensor
    return state


def test_small_helpers(path):
    assert size_of(path, {"a": torch.ones(2, 3)}, "a", 1, 2) == 3
    with pytest.raises(ValueError, match=r"a has shape \[2, 0\], expected 2 axes"):
        size_of(path, {"a": torch.ones(2, 0)}, "a", 1, 2)
    with pytest.raises(ValueError, match="b is missing"):
        size_of(path, {}, "b", 0, 1)
    with pytest.raises(ValueError, match=r"a\\n has shape of 9 axes, expected 2 axes"):
        size_of(path, {"a\n": torch.ones([1] * 9)}, "a\n", 1, 2)
    names = {f"layer{index}.bias" for index in (0, 1, 2, 4, *range(10, 211))}
    assert numbered(path, names, "layer{}.bias") == 3 and numbered(path, names, "other{}") == 0
    with pytest.raises(ValueError, match=r"has more than 200 layers such as layer10\.bias"):
        numbered(path, names, "layer{}.bias", first=10)
    with pytest.raises(ValueError, match=r"a\.pkl: latent_dim: got 0, expected at least 1"):
        configured(path, StyleGAN2Config, latent_dim=0)
    assert as_tensor(Path("a"), "a", 3).item() == 3 and as_tensor(Path("a"), "a", np.float32(2)).shape == ()
    with pytest.raises(ValueError, match="a is a bool, expected a tensor"):
        as_tensor(Path("a"), "a", True)


def test_what_is_a_state_dict():
    assert is_state_dict({"a": torch.ones(1), "steps": 3, "none": None})
    for other in ({}, {"a": 1}, {1: torch.ones(1)}, {"a": torch.ones(1), "b": []}, [torch.ones(1)], None):
        assert not is_state_dict(other)


def test_what_messages_say_of_values():
    endless = []
    for _ in range(100):
        endless = [endless, endless]
    assert shown(endless) == "a list" and shown({"a": endless}) == "a dict"
    assert shown("a\x1b" * 100).startswith(r"'a\x1ba\x1b") and len(shown("a\x1b" * 100)) <= 200
    assert shown(3.5) == "3.5" and shown(None) == "None"
    assert (
        shown(Record("a.b", "C", (endless,))) == "a a.b.C" and len(repr(Record("a", "b", (endless,)))) < 200
    )

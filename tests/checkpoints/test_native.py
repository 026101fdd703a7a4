import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from higan_fast.checkpoints import describe, load_generator, read_header, save_generator
from higan_fast.checkpoints.formats.native import KEY
from higan_fast.generators import FAMILIES
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from tests.bounds import seconds_below
from tests.checkpoints.samples import SAMPLES

# Of each family what its configuration has no default for, or has a large one.
SMALL = {
    "stylegan2": {"channels": {4: 8, 8: 6}, "architecture": "resnet", "label_dim": 3},
    "stylegan3": {
        "resolution": 16, "channels": (9, 8, 7), "latent_dim": 6, "code_dim": 7, "margin": 3,
        "image_channels": 4, "kernel": 1, "radial": True,
    },
    "stylegan": {"channels": {4: 8, 8: 6}},
    "pggan": {"channels": {4: 8, 8: 6}},
    "biggan": {"channels": (16, 16, 8), "latent_dim": 6, "label_dim": 3, "embed_dim": 4, "attention": (1,)},
    "biggan-deep": {
        "channels": (16, 16, 8), "up": (False, True), "latent_dim": 6, "label_dim": 3, "embed_dim": 4,
    },
}  # fmt: skip
CONFIG = StyleGAN2Config(channels={4: 8, 8: 6}, latent_dim=5, code_dim=7, mapping_depth=1)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    generator = StyleGAN2(CONFIG).eval()
    path = tmp_path / "generator.safetensors"
    save_generator(generator, path, {"images": 12})
    return generator, path


def test_comes_back_as_it_went(saved):
    generator, path = saved
    loaded = load_generator(path)
    codes = torch.randn(2, 4, 7)
    with torch.no_grad():  # where a gradient is needed, the reference runs
        assert torch.equal(loaded.synthesize(codes), generator.synthesize(codes))
    assert loaded.config == CONFIG
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    assert read_header(path).about == {"images": 12}


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family_comes_back(tmp_path, name):
    torch.manual_seed(0)
    family, config = FAMILIES[name]
    generator = family(config(**SMALL[name])).eval().requires_grad_(False)
    save_generator(generator, tmp_path / "a.safetensors", {})
    loaded = load_generator(tmp_path / "a.safetensors")
    assert type(loaded) is family and loaded.config == generator.config
    state = loaded.state_dict()
    assert all(torch.equal(state[key], tensor) for key, tensor in generator.state_dict().items())


def test_the_weights_stay_in_the_file_until_they_are_written_to(saved):
    _, path = saved
    loaded = load_generator(path)
    before = path.read_bytes()
    with torch.no_grad():
        loaded.synthesis.const.add_(1)
    assert path.read_bytes() == before
    assert not torch.equal(loaded.synthesis.const, load_generator(path).synthesis.const)


def test_other_files_are_refused(saved, tmp_path):
    _, path = saved
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(
        ValueError, match="holds the names x, which is no generator of a format that can be read"
    ):
        load_generator(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="not a generator that higan_fast has saved"):
        read_header(tmp_path / "other.safetensors")
    (tmp_path / "half").write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="begins as a safetensors file but is truncated"):
        load_generator(tmp_path / "half")


def test_wrong_and_broken_tensors_are_named(saved, tmp_path):
    _, path = saved
    with safe_open(path, framework="pt") as file:
        metadata = {KEY: file.metadata()[KEY]}
    tensors, name = load_file(path), "synthesis.convs.0.weight"
    save_file({**tensors, name: tensors[name][:2].clone()}, tmp_path / "shape.safetensors", metadata)
    with pytest.raises(ValueError, match=rf"{name} has shape \[2, 8, 3, 3\], expected \[8, 8, 3, 3\]"):
        load_generator(tmp_path / "shape.safetensors")
    broken = torch.full_like(tensors[name], torch.nan)
    save_file({**tensors, name: broken}, tmp_path / "nan.safetensors", metadata)
    with pytest.raises(ValueError, match=f"{name} has values that are not finite"):
        load_generator(tmp_path / "nan.safetensors")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32(saved, tmp_path, dtype):
    """They loaded, and failed when the first latents were mapped."""
    generator, path = saved
    with safe_open(path, framework="pt") as file:
        metadata = {KEY: file.metadata()[KEY]}
    tensors = {name: tensor.to(dtype) for name, tensor in load_file(path).items()}
    save_file(tensors, tmp_path / "a.safetensors", metadata)
    loaded = load_generator(tmp_path / "a.safetensors")
    rounded = {name: tensor.float() for name, tensor in tensors.items()}
    assert all(tensor.dtype == torch.float32 for tensor in loaded.state_dict().values())
    assert all(torch.equal(tensor, rounded[name]) for name, tensor in loaded.state_dict().items())
    generator.load_state_dict(rounded)
    z = torch.randn(2, 5)
    assert torch.equal(loaded(z), generator.requires_grad_(False)(z))


@pytest.mark.parametrize(
    "dtype", [torch.int32, torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2]
)
def test_other_numbers_are_refused(saved, tmp_path, dtype):
    _, path = saved
    with safe_open(path, framework="pt") as file:
        metadata = {KEY: file.metadata()[KEY]}
    tensors, name = load_file(path), "synthesis.convs.0.weight"
    save_file({**tensors, name: tensors[name].to(dtype)}, tmp_path / "a.safetensors", metadata)
    kind = str(dtype).removeprefix("torch.")
    with pytest.raises(ValueError, match=f"a.safetensors: {name} holds {kind}, expected floating-point"):
        load_generator(tmp_path / "a.safetensors")


HEADERS = {
    "text": ("[", "in its header is damaged"),
    "list": ("[1]", "in its header is damaged"),
    "fields": ('{"family": "stylegan2"}', "in its header is damaged"),
    "family": ('{"family": "vae", "config": {}, "about": {}}', "family 'vae', expected one of stylegan2, "),
    "family's type": ('{"family": [], "config": {}, "about": {}}', "in its header is damaged"),
    "config": ('{"family": "stylegan2", "config": {}, "about": {}}', "architecture in its header is damaged"),
    "depth": ({"mapping_depth": 10**12}, "the architecture in its header is damaged"),
    "depth's type": ({"mapping_depth": "1"}, "the architecture in its header is damaged"),
    "channels": ({"channels": {"4": "many"}}, "the architecture in its header is damaged"),
    "many channels": ({"channels": {"4": 10**12}}, "resolution 4: got 1000000000000, expected 1 to 65536"),
    "no channels": ({"channels": {}}, "the architecture in its header is damaged"),
    "unknown": ({"flavour\n": 3}, r"in its header is damaged \(it has no setting flavour\\n\)"),
    "NaN": ({"mapping_lr_multiplier": float("nan")}, "lr_multiplier: got nan, expected a number above 0"),
    "infinite": ({"conv_clamp": float("inf")}, "conv_clamp: got inf, expected a number above 0"),
    "resolution": ({"channels": {"4": 8, "100": 6}}, "the resolution '100', expected 4, 8, 16 and so on"),
    "whole": ({"code_dim": 7.0}, "code_dim: got 7.0, expected a whole number"),
    "long": ({"latent_dim": 10**4_000}, "latent_dim: got a number of 13288 bits, expected 1 to 65536"),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_broken_headers_are_told(saved, tmp_path, name):
    _, path = saved
    change, message = HEADERS[name]
    if isinstance(change, dict):
        header = read_header(path)
        change = json.dumps({"family": header.family, "config": {**header.config, **change}, "about": {}})
    save_file(load_file(path), tmp_path / "a.safetensors", {KEY: change})
    with seconds_below(10), pytest.raises(ValueError, match=message):
        load_generator(tmp_path / "a.safetensors")


def test_a_header_that_nobody_can_print_is_refused(tmp_path):
    """What it says of its source, nested 900 levels deep, ended ``inspect --json`` with a RecursionError."""
    generator = SAMPLES["native"](tmp_path / "intact", tmp_path / "mark")[0]
    about = {"source": "nowhere", "steps": [{"a": [1]}]}
    save_generator(load_generator(generator), tmp_path / "a", about)
    assert describe(tmp_path / "a").source == about
    for _ in range(40):
        about = {"a": about}
    save_generator(load_generator(generator), tmp_path / "a", about)
    with pytest.raises(ValueError, match=r"/a: the 'higan_fast_generator' in its header is damaged"):
        describe(tmp_path / "a")

import pytest
import torch
from safetensors.torch import load_file, save_file

from higan_fast.checkpoints import load_generator, read_header, save_generator
from higan_fast.checkpoints.native import KEY
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config

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


def test_other_files_are_refused(saved, tmp_path):
    _, path = saved
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load_generator(tmp_path / "missing.safetensors")
    (tmp_path / "text").write_text("no tensors here")
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_generator(tmp_path / "text")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="not a generator of higan_fast"):
        load_generator(tmp_path / "other.safetensors")
    (tmp_path / "half").write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_generator(tmp_path / "half")


def test_wrong_and_broken_tensors_are_named(saved, tmp_path):
    _, path = saved
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = {KEY: file.metadata()[KEY]}
    tensors = load_file(path)
    name = "synthesis.convs.0.weight"
    save_file({**tensors, name: tensors[name][:2].clone()}, tmp_path / "shape.safetensors", metadata)
    with pytest.raises(ValueError, match=f"do not fit the architecture.*{name}"):
        load_generator(tmp_path / "shape.safetensors")
    save_file(
        {**tensors, name: torch.full_like(tensors[name], torch.nan)}, tmp_path / "nan.safetensors", metadata
    )
    with pytest.raises(ValueError, match=f"{name} has values that are not finite"):
        load_generator(tmp_path / "nan.safetensors")

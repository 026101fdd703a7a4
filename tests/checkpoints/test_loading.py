import hashlib
import json
import pickle

import pytest
import torch
from safetensors import safe_open

from higan_fast import Boundaries
from higan_fast.checkpoints import convert, describe, load_generator, loading, read_header
from higan_fast.checkpoints.formats import FORMATS
from tests.checkpoints.samples import SAMPLES


def sample(name, tmp_path):
    """A file of a format, and its configuration."""
    return SAMPLES[name](tmp_path / "source.pkl", tmp_path / "mark")


def codes_of(generator):
    z = torch.randn(2, generator.latent_dim, generator=torch.Generator().manual_seed(0))
    return generator.map(z, torch.tensor([0, 1]) if generator.label_dim else None)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_converted_file_makes_the_same_images(tmp_path, name):
    path, config = sample(name, tmp_path)
    out = tmp_path / "deep" / "out.safetensors"
    convert(path, out, config)
    one, two = load_generator(path, config=config), load_generator(out)
    assert type(one) is type(two) and one.config == two.config
    codes = codes_of(one)
    assert torch.equal(codes, codes_of(two)) and torch.equal(one.synthesize(codes), two.synthesize(codes))
    about = read_header(out).about
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    assert about == {"source": path.name, "format": describe(path, config).format, "sha256": digest}
    assert describe(out).source == about and describe(out).format == "higan_fast safetensors"
    assert not (tmp_path / "mark").exists()


def test_every_format_has_a_sample(tmp_path):
    found = set()
    for index, name in enumerate(SAMPLES):
        folder = tmp_path / str(index)
        folder.mkdir()
        path, config = sample(name, folder)
        found.add(describe(path, config).format)
    assert found == {kind.NAME for kind in FORMATS}


def test_what_is_described(tmp_path):
    path, _ = sample("native", tmp_path)
    found, generator = describe(path), load_generator(path)
    assert (found.family, found.resolution, found.latent_dim, found.code_dim) == ("stylegan2", 8, 6, 6)
    assert found.layers == generator.layers and found.label_dim == 0
    assert found.parameters == sum(parameter.numel() for parameter in generator.parameters())
    assert found.config["channels"] == {4: 5, 8: 4} and found.source == {"source": "nowhere"}
    assert describe("scenes").resolution == 64


def test_a_file_is_not_converted_onto_itself_or_under_another_suffix(tmp_path):
    path, _ = sample("native", tmp_path)
    moved = path.rename(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="would overwrite its own source; choose another name"):
        convert(moved, moved)
    with pytest.raises(ValueError, match=r"b\.pkl: converted files are named \.safetensors"):
        convert(moved, tmp_path / "b.pkl")
    with pytest.raises(FileNotFoundError):
        convert(tmp_path / "missing", tmp_path / "c.safetensors")
    assert not (tmp_path / "c.safetensors").exists()


def test_settings_come_as_a_file_or_not_at_all(tmp_path):
    path, _ = sample("native", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"a": 1}))
    for config in ({"a": 1}, tmp_path / "config.json", str(tmp_path / "config.json")):
        with pytest.raises(ValueError, match=r"says its own architecture; give no config"):
            load_generator(path, config=config)
    with pytest.raises(FileNotFoundError, match=r"none\.json: there is no such file"):
        load_generator(path, config=tmp_path / "none.json")
    with pytest.raises(FileNotFoundError, match=r"^scenez: .* the embedded network is called 'scenes'"):
        load_generator("scenez")


VALUES = {
    "list": ([1, 2], "holds a list of 2, which is no generator of a format that can be read; these are: "),
    "number": ((3), "holds a int, which"),
    "names": ({f"key{index}": index for index in range(10)}, "holds the names key0, key1, .* and 2 more"),
    "strange names": ({"\x1b[31m": 1, 5: 2}, r"holds the names \\x1b\[31m, 5, which"),
    "empty": ({}, "holds nothing, which"),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_what_no_format_recognises_is_told(tmp_path, name):
    value, message = VALUES[name]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([value] if name == "number" else value))
    torch.save(value, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=message) as raised:
        load_generator(tmp_path / "a.pth")
    assert all(kind.NAME in str(raised.value) for kind in FORMATS)
    with pytest.raises(ValueError, match="no generator of a format"):
        load_generator(tmp_path / "a.pkl")


def test_a_file_of_boundaries_is_called_so(tmp_path):
    Boundaries((), {}, {}).save(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"a\.safetensors: holds boundaries, and no generator"):
        load_generator(tmp_path / "a.safetensors")


def test_a_reader_that_stumbles_is_a_damaged_file(tmp_path, monkeypatch):
    path, _ = sample("native", tmp_path)

    def stumble(content, config):
        raise KeyError("fc0")

    monkeypatch.setattr(loading.native, "read", stumble)
    with pytest.raises(ValueError, match=r"is damaged; reading it as .* failed: KeyError: 'fc0'"):
        load_generator(path)


def test_a_device_that_is_not_there_is_told(tmp_path):
    path, _ = sample("native", tmp_path)
    with pytest.raises(ValueError, match="device"):
        load_generator(path, device="nowhere")


def test_the_header_can_be_read_by_others(tmp_path):
    path, config = sample("stylegan2-ada", tmp_path)
    convert(path, tmp_path / "a.safetensors", config)
    with safe_open(tmp_path / "a.safetensors", framework="np") as file:
        header = json.loads(file.metadata()["higan_fast_generator"])
    assert header["family"] == "stylegan2" and header["about"]["source"] == "source.pkl"

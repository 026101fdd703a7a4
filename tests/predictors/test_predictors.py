import pytest
import torch

from higan_fast.predictors import ModulePredictor, Semantic, load_predictor
from higan_fast.predictors.scenes import ScenePredictor, load_scene_predictor, save_scene_predictor


def flat(red, green, blue):
    return torch.tensor([red, green, blue])[None, :, None, None].expand(1, 3, 8, 8) * 2 - 1


def test_color_reads_plain_colours():
    color = load_predictor("color")
    assert color.names == ("brightness", "saturation", "warmth")
    torch.testing.assert_close(color(flat(1.0, 1.0, 1.0))[0], torch.tensor([1.0, 0.0, 0.5]))
    torch.testing.assert_close(color(flat(1.0, 0.0, 0.0))[0], torch.tensor([0.2126, 1.0, 1.0]))
    torch.testing.assert_close(color(flat(0.0, 0.25, 0.5))[0], torch.tensor([0.2149, 1.0, 0.25]))


def test_a_module_with_names():
    class Mean(torch.nn.Module):
        def forward(self, images):
            return images.mean([2, 3])

    predictor = load_predictor(Mean(), ["red", "green", Semantic("blue", "color")])
    assert [semantic.level for semantic in predictor.semantics] == ["attribute", "attribute", "color"]
    assert predictor(flat(1.0, 0.5, 0.0)).tolist() == [[1, 0, -1]]
    with pytest.raises(ValueError, match=r"shape \(1, 3\) for 1 images, expected \[1, 2\]"):
        load_predictor(Mean(), ["red", "green"])(flat(1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="semantics: got None"):
        load_predictor(Mean())
    with pytest.raises(ValueError, match="names must differ"):
        ModulePredictor(Mean(), ["red", "red", "blue"])


def test_scene_predictor_comes_back_as_it_went(tmp_path):
    torch.manual_seed(0)
    semantics = [Semantic("bed", "object"), Semantic("depth", "layout")]
    predictor = ScenePredictor(semantics, ["depth"]).eval()
    save_scene_predictor(predictor, tmp_path / "predictor.safetensors", {"renders": 3})
    loaded = load_scene_predictor(tmp_path / "predictor.safetensors")
    images = torch.rand(2, 3, 48, 48) * 2 - 1
    assert torch.equal(loaded(images), predictor(images))
    assert loaded.semantics == tuple(semantics)
    logits, scores = loaded.logits(images), loaded(images)
    assert torch.equal(scores[:, 0], logits[:, 0].sigmoid()) and torch.equal(scores[:, 1], logits[:, 1])


def test_an_unknown_predictor_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"got 'places', expected 'scenes', 'color' or a \.safetensors"
    ):
        load_predictor("places")
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="no scene predictor"):
        load_predictor(tmp_path / "other.safetensors")

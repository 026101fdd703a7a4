import json

import pytest
import torch
from safetensors.torch import save_file

from higan_fast.predictors import ModulePredictor, Semantic, load_predictor
from higan_fast.predictors.scenes import ScenePredictor, load_scene_predictor, save_scene_predictor


def flat(red, green, blue):
    return torch.tensor([red, green, blue])[None, :, None, None].expand(1, 3, 8, 8) * 2 - 1


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
        FileNotFoundError, match=r"got 'places', expected .*'color', .*'scenes'.*, or a .*\.safetensors"
    ):
        load_predictor("places")
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="no scene predictor"):
        load_predictor(tmp_path / "other.safetensors")


SEMANTICS = [["wood", "attribute"], ["view", "layout"]]
ODD_HEADERS = {
    "no object": ([1], "does not list names and levels"),
    "no rows": ({"semantics": "wood", "continuous": []}, "does not list names and levels"),
    "short rows": ({"semantics": [["wood"]] * 2, "continuous": []}, "does not list names and levels"),
    "a level of another": ({"semantics": [["a", "b"]] * 2, "continuous": []}, "level of 'a': got 'b'"),
    "a name twice": ({"semantics": SEMANTICS[:1] * 2, "continuous": []}, "names a semantic twice"),
    "a million": ({"semantics": SEMANTICS * 500_000, "continuous": []}, "lists 1000000 semantics, .* of 2"),
    "nothing": ({"semantics": [], "continuous": []}, "lists 0 semantics"),
    "continuous as a text": ({"semantics": SEMANTICS, "continuous": "wood"}, "which .* are continuous"),
}


def written(path, header, **changed):
    tensors = ScenePredictor([Semantic(*row) for row in SEMANTICS], []).state_dict() | changed
    save_file(tensors, path, {"scene_predictor": json.dumps(header)})
    return path


@pytest.mark.parametrize("name", ODD_HEADERS)
def test_a_header_of_another_kind_is_refused(tmp_path, name):
    header, expected = ODD_HEADERS[name]
    with pytest.raises(ValueError, match=rf"^{tmp_path}/p: .*{expected}") as raised:
        load_predictor(written(tmp_path / "p", header))
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("value", [float("nan"), 3e38])
def test_scores_that_are_not_finite_are_refused(tmp_path, value):
    header = {"semantics": SEMANTICS, "continuous": ["view", "wood"]}
    assert load_predictor(written(tmp_path / "p", header)).names == ("wood", "view")
    path = written(tmp_path / "p", header, **{"head.weight": torch.full((2, 128), value)})
    with pytest.raises(ValueError, match=r"/p: gives scores that are not finite"):
        load_predictor(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"extra": torch.zeros(1)},
        {"body.0.weight": torch.zeros(0, 3, 3, 3)},
        {"body.5.conv0.weight": torch.zeros(10**6)},  # channels that would take terabytes
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_tensors_of_something_else_are_refused(tmp_path, changed):
    header = {"semantics": SEMANTICS, "continuous": []}
    with pytest.raises(ValueError, match=r"/p: holds other tensors than a scene predictor"):
        load_predictor(written(tmp_path / "p", header, **changed))


def test_complex_numbers_are_refused(tmp_path):
    header = {"semantics": SEMANTICS, "continuous": []}
    changed = {"head.bias": torch.zeros(2, dtype=torch.complex64)}
    with pytest.raises(ValueError, match=r"/p: holds complex numbers, expected real ones"):
        load_predictor(written(tmp_path / "p", header, **changed))


def test_other_numbers_of_channels_are_read_from_the_file(tmp_path):
    predictor = ScenePredictor([Semantic(*row) for row in SEMANTICS], [], widths=(4, 6, 8, 10)).eval()
    save_scene_predictor(predictor, tmp_path / "p", {})
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(load_predictor(tmp_path / "p")(images), predictor(images))


def test_what_is_no_file_is_named(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match=r"is a link to .*gone, where nothing is"):
        load_predictor(tmp_path / "link")
    with pytest.raises(ValueError, match="is a folder, expected a file"):
        load_predictor(tmp_path)
    for path in ("a\0b", "x" * 300):
        with pytest.raises(
            FileNotFoundError, match=r"expected .*'color', .*\.safetensors.* file; higan-fast"
        ):
            load_predictor(path)

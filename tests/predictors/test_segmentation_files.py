"""``segmentation:…``: the embedded head, and networks with maps in every form of file."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from higan_fast.predictors import Source, load_predictor
from higan_fast.predictors.segmenter import RoomSegmenter, save_room_segmenter
from higan_fast.weights import embedded
from tests.predictors.exported import to_onnx
from tests.test_cli import run
from tests.test_run_folder import refused

CLASSES = ["wall", "bed", "lamp"]
MY_CODE = """
import torch
from higan_fast.predictors.segmentation import SegmentationPredictor

torch.manual_seed(0)
maps = torch.nn.Conv2d(3, 3, 3, stride=2)


def as_torchvision(images):
    return {"out": maps(images), "aux": None}


def whole():
    return SegmentationPredictor(maps, ["wall", "bed", "lamp"], chosen="bed")


def broken(images):
    return maps(images).sum(1)
"""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 3, 3, stride=2).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network in every form."""
    path = tmp_path_factory.mktemp("maps")
    with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated, and lies on people's disks
        torch.jit.script(network()).save(path / "net.ts")
    to_onnx(path / "net.onnx", model=network())
    to_onnx(path / "fixed.onnx", size=32, batch=1, model=network())
    (path / "my.py").write_text(MY_CODE)
    torch.manual_seed(0)
    save_room_segmenter(RoomSegmenter(CLASSES), path / "rooms.safetensors", {})
    return path


def test_the_embedded_head_scores_rooms():
    predictor = load_predictor("segmentation:scenes")
    assert predictor.num_semantics == 3 + 8 * 3
    assert {"sofa_presence", "picture_share", "clutter_position", "floor_share"} <= set(predictor.names)
    chosen = load_predictor("segmentation:scenes", classes=["sofa", "clutter"], measures=["presence"])
    assert chosen.names == ("sofa_presence", "clutter_presence")
    images = torch.rand(2, 3, 128, 128, requires_grad=True) * 2 - 1
    both, alone = predictor(images), chosen(images)
    assert torch.equal(both[:, predictor.names.index("sofa_presence")], alone[:, 0])
    (gradient,) = torch.autograd.grad(both.sum(), images)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0


@pytest.mark.parametrize("name", ["net.ts", "net.onnx", "fixed.onnx", "my.py:as_torchvision"])
def test_a_network_of_a_file_is_read_by_its_kind(name, folder):
    options = {"mean": [0.4, 0.5, 0.6], "std": 0.5, "input_size": 32}
    if name == "fixed.onnx":
        del options["input_size"]  # it says so itself
    predictor = load_predictor(f"segmentation:{folder / name}", CLASSES, **options)
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    mean = torch.tensor([0.4, 0.5, 0.6])[:, None, None]
    with torch.no_grad():
        p = network()(((images + 1) / 2 - mean) / 0.5).softmax(1)
        scores = predictor(images)
    shares = [predictor.names.index(f"{name}_share") for name in CLASSES]
    # ONNX Runtime and torch add up 27 products in different orders
    torch.testing.assert_close(scores[:, shares], p.mean([2, 3]), rtol=1e-5, atol=1e-6)


def test_a_file_of_the_trainer_has_its_own_classes(folder):
    path = folder / "rooms.safetensors"
    predictor = load_predictor(f"segmentation:{path}", classes="bed")
    assert predictor.names == ("bed_share", "bed_presence", "bed_position")
    for argument in (path, "scenes"):
        with pytest.raises(ValueError, match=r"input_size \(--input-size\): segmentation:.* has its own"):
            load_predictor(f"segmentation:{argument}", input_size=32)


def test_what_a_run_keeps_is_of_the_network_and_its_kind(folder):
    def moved(text):
        return text.replace(str(folder), "/elsewhere")

    for name, runs_code in (("net.ts", True), ("my.py:as_torchvision", True), ("net.onnx", False)):
        source = Source(predictor=f"segmentation:{folder / name}")
        assert source.paths() == [folder / name.partition(":")[0]]
        assert source.runs_code is runs_code
        assert source.moved(moved).predictor == f"segmentation:/elsewhere/{name}"
    rooms = Source(predictor=f"segmentation:{folder / 'rooms.safetensors'}")
    assert rooms.paths() == [folder / "rooms.safetensors"] and not rooms.runs_code
    assert rooms.moved(moved).predictor == "segmentation:/elsewhere/rooms.safetensors"
    head = Source(predictor="segmentation:scenes")
    assert head.paths() == [] and not head.runs_code and head.moved(str.upper) == head


def test_what_is_no_network_with_maps_is_one_line(folder):
    for argument in ("", ":", ":color", ":scenes:1", ":segmentation:scenes"):
        with pytest.raises(
            (ValueError, FileNotFoundError), match=r"^predictor \(--predictor\): got 'segm"
        ) as caught:
            load_predictor(f"segmentation{argument}")
        assert "expected segmentation:scenes, or segmentation:FILE" in str(caught.value)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_predictor("segmentation:nowhere.ts", CLASSES)
    images = torch.zeros(2, 3, 32, 32)
    of_ade20k = load_predictor(f"segmentation:{folder / 'net.ts'}")
    with pytest.raises(ValueError, match=r"net\.ts gave maps of shape \[2, 3, 15, 15\] .* 150 names"):
        of_ade20k(images)
    with pytest.raises(ValueError, match=r"my\.py:broken gave maps of shape \[2, 15, 15\]"):
        load_predictor(f"segmentation:{folder / 'my.py'}:broken", CLASSES)(images)
    with pytest.raises(ValueError, match="whole is a Predictor and has its own; give it by itself"):
        load_predictor(f"segmentation:{folder / 'my.py'}:whole")
    assert load_predictor(f"{folder / 'my.py'}:whole").names[0] == "bed_share"


@pytest.mark.parametrize("option", ["classes", "measures"])
@pytest.mark.parametrize("wrong", [3, [3], str, {"bed": 1}.values()])
def test_options_of_another_type_are_one_line(option, wrong):
    with pytest.raises(TypeError, match=rf"^{option} \(--{option}\): got .*, expected a list of names, such"):
        load_predictor("segmentation:scenes", **{option: wrong})


def test_options_of_modules_and_clip_too():
    mean = lambda images: images.mean((2, 3))  # noqa: E731
    with pytest.raises(TypeError, match=r"^semantics \(--names\): got 3, expected a name, or a list of"):
        load_predictor(mean, 3)
    with pytest.raises(TypeError, match=r"^score_range: got 3, expected \(low, high\)"):
        load_predictor(mean, ["r", "g", "b"], score_range=3)
    for name, wrong in {"templates": "a photo of {}", "clip_model": 3, "clip_weights": ["a"]}.items():
        with pytest.raises(TypeError, match=f"^{name} "):
            load_predictor("clip:cosy=a cosy room", **{name: wrong})


def test_from_the_shell(folder, tmp_path):
    out = tmp_path / "run"
    run(
        "sample", "--network", "scenes", "--predictor", "segmentation:scenes", "--out", out, "--num", 64,
        "--classes", "sofa,picture", "--measures", "share,presence", "--device", "cpu",
    )  # fmt: skip
    (kept,) = json.loads((out / "run.json").read_text())["settings"]["predictor"]
    assert kept == {
        "predictor": "segmentation:scenes",
        "options": {"classes": ["sofa", "picture"], "measures": ["share", "presence"]},
        "files": {},
    }
    found = json.loads(run("inspect", out, "--json").stdout)
    assert found["predictor"]["semantics"] == [
        *("sofa_share", "sofa_presence", "picture_share", "picture_presence")
    ]
    line = refused(
        "sample", "--network", "scenes", "--predictor", "segmentation:scenes", "--out", tmp_path / "other",
        "--classes", "sofa,kite",
    )  # fmt: skip
    assert "classes (--classes): got 'kite', expected some of wall, floor" in line
    assert embedded("segmenter").stat().st_size < 1.5e6

"""The network of Places365 with random weights in its four files, beside another computation of scores."""

import io
import json
import pickletools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import higan_fast as hf
from higan_fast.engine.scoring import score
from higan_fast.fingerprint import fingerprint
from higan_fast.ops import image_to_input
from higan_fast.predictors.kinds import places365
from higan_fast.predictors.places365 import WideResNet18
from tests.test_cli import run

CATEGORIES = ["/a/airfield 0", "/a/apartment_building/outdoor 1", "/b/bedroom 2", "/o/ocean 3"]
ATTRIBUTES = ["wood", "waiting in line", "ocean", "no horizon", "glossy"]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def as_python_2(value):
    """What torch 0.2 under Python 2 wrote: its form before zip archives, with texts that are bytes."""
    file = io.BytesIO()
    torch.save(value, file, pickle_protocol=2, _use_new_zipfile_serialization=False)
    data, position = bytearray(file.getvalue()), 0
    for _ in range(5):  # magic, version, system, value, keys of the storages
        ops = list(pickletools.genops(io.BytesIO(bytes(data[position:]))))
        for op, _, at in ops:
            if op.name == "BINUNICODE":
                data[position + at] = ord("T")  # BINSTRING, whose length has four bytes too
        position += ops[-1][2] + 1
    return bytes(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("places")
    random = torch.Generator().manual_seed(0)
    state = {}
    for name, tensor in WideResNet18(len(CATEGORIES)).state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue  # torch 0.2 did not count
        scale = (2 / tensor[0].numel()) ** 0.5 if tensor.ndim > 1 else 0.2
        value = scale * torch.randn(tensor.shape, generator=random)
        if name.endswith("running_var") or (name.endswith("weight") and tensor.ndim == 1):
            value = 0.5 + value.abs()
        state[f"module.{name}"] = value
    checkpoint = {"epoch": 90, "arch": "wideresnet18", "best_prec1": 54.6, "state_dict": state}
    (made / places365.WEIGHTS).write_bytes(as_python_2(checkpoint))
    rows = np.random.default_rng(0).normal(size=(len(ATTRIBUTES), 512)).astype(np.float32)
    np.save(made / places365.ATTRIBUTE_WEIGHTS, rows)
    (made / places365.CATEGORIES).write_text("\n".join(CATEGORIES) + "\n")
    (made / places365.ATTRIBUTES).write_text("\n".join(ATTRIBUTES) + "\n")
    return made


def images(num=2, size=96):
    smooth = torch.rand(num, 3, size // 8, size // 8, generator=torch.Generator().manual_seed(1))
    return F.interpolate(smooth, size, mode="bilinear") * 2.4 - 1.2


def pictures(tensor):
    levels = (tensor.clamp(-1, 1).double() + 1) * 127.5 + 0.5
    return levels.floor().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def by_the_names_of_the_file(folder, x):
    """Features ``[N, 512]`` and logits, by the file's tensors one after another."""
    state = torch.load(folder / places365.WEIGHTS, encoding="latin1", weights_only=False)["state_dict"]
    state = {name.removeprefix("module."): tensor.double() for name, tensor in state.items()}

    def normalised(x, name):
        parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts)

    x = F.relu(normalised(F.conv2d(x, state["conv1.weight"], stride=2, padding=3), "bn1"))
    for layer in range(1, 5):
        for index in range(2):
            name = f"layer{layer}.{index}"
            stride = 2 if layer > 1 and index == 0 else 1
            inner = F.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1)
            inner = F.relu(normalised(inner, f"{name}.bn1"))
            inner = normalised(F.conv2d(inner, state[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
            if f"{name}.downsample.0.weight" in state:
                x = F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride)
                x = normalised(x, f"{name}.downsample.1")
            x = F.relu(inner + x)
    assert x.shape[2:] == (14, 14)
    features = F.avg_pool2d(x, 14).flatten(1)
    return features, F.linear(features, state["fc.weight"], state["fc.bias"])


@torch.no_grad()
def test_scores_are_those_of_the_authors_steps(folder):
    names = ["ocean", "bedroom", "wood", "ocean scene", "apartment_building/outdoor", "no horizon"]
    predictor = hf.load_predictor(f"places365:{folder}", names)
    assert predictor.names == tuple(names)
    levels = [semantic.level for semantic in predictor.semantics]
    assert levels == ["attribute", "object", "attribute", "object", "object", "layout"]
    resized = [Image.fromarray(p).resize((224, 224), Image.Resampling.BILINEAR) for p in pictures(images())]
    x = (np.stack([np.asarray(picture) for picture in resized]) / 255 - MEAN) / STD
    features, logits = by_the_names_of_the_file(folder, torch.from_numpy(x).permute(0, 3, 1, 2))
    rows = torch.from_numpy(np.load(folder / places365.ATTRIBUTE_WEIGHTS)).double()
    attributes, categories = features @ rows.T, logits.softmax(dim=1)
    expected = torch.stack(
        [
            attributes[:, 2],
            categories[:, 2],
            attributes[:, 0],
            categories[:, 3],
            categories[:, 1],
            attributes[:, 3],
        ],
        dim=1,
    )
    # Pillow rounds each pixel once more, by at most one of 255 levels.
    scale = expected.abs().amax(dim=0)
    found = score(predictor, images()).double()
    assert ((found - expected).abs() <= 5e-3 * scale).all()
    assert predictor.score_ranges == (None, (0, 1), None, (0, 1), (0, 1), None)
    assert predictor.has_logits == (False, True, False, True, True, False)
    torch.testing.assert_close(
        predictor.logits(images())[:, 1].sigmoid().double(), found[:, 1], rtol=1e-5, atol=0
    )
    alone = hf.load_predictor(f"places365:{folder}")
    assert alone.names == tuple(ATTRIBUTES) and alone.score_ranges == (None,) * 5
    torch.testing.assert_close(score(alone, images())[:, 2].double(), found[:, 0], rtol=1e-5, atol=1e-5)
    assert (
        fingerprint(alone) == fingerprint(hf.load_predictor(f"places365:{folder}")) != fingerprint(predictor)
    )


@pytest.mark.parametrize("size", [64, 256, 1024])
def test_pixels_are_pillows_to_one_level(size):
    random = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(2)) * 2 - 1
    ours = image_to_input(random, 224, round_to_uint8=True)[0].permute(1, 2, 0).numpy() * 255
    picture = Image.fromarray(pictures(random)[0]).resize((224, 224), Image.Resampling.BILINEAR)
    assert (np.abs(ours - np.asarray(picture)) <= 1).mean() >= 0.999


def test_gradients_are_those_of_images_that_are_not_rounded(folder):
    predictor = hf.load_predictor(f"places365:{folder}", ["glossy"]).double()
    leaf = (images(1, 64).double() * 0.75).requires_grad_()
    (gradient,) = torch.autograd.grad(predictor(leaf).sum(), leaf)
    step = 1e-5 * gradient / gradient.abs().max()  # far less than one level
    ends = [predictor(leaf + sign * step).item() for sign in (1, -1)]
    assert (ends[0] - ends[1]) / 2 == pytest.approx((gradient * step).sum().item(), rel=1e-3)


def test_a_run_keeps_the_four_files(folder, tmp_path):
    arguments = ("--predictor", f"places365:{folder}", "--names", "wood,bedroom", "--num", 2, "--quiet")
    run("sample", "--network", "scenes", *arguments, "--device", "cpu", "--out", tmp_path / "run")
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    (kept,) = settings["predictor"]
    assert sorted(kept["files"]) == sorted(str(folder / name) for name in places365.FILES)
    assert kept["options"] == {"names": ["wood", "bedroom"]}


def test_what_is_missing_or_of_another_kind_is_named(folder, tmp_path):
    with pytest.raises(ValueError, match=r"got 'places365' alone, expected the folder, places365:DIR"):
        hf.load_predictor("places365")
    with pytest.raises(FileNotFoundError, match=rf"{places365.WEIGHTS} is not there; places365:DIR wants"):
        hf.load_predictor(f"places365:{tmp_path}")
    with pytest.raises(
        ValueError, match=r"^semantics \(--names\): got 'sofa', expected different names of SUN"
    ):
        hf.load_predictor(f"places365:{folder}", ["wood", "sofa"])
    for name in places365.FILES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    cases = {
        places365.CATEGORIES: (b"bedroom 0\n", "has 'bedroom 0', expected lines such as '/b/bedroom 52'"),
        places365.ATTRIBUTES: (
            b"wood\n",
            r"has an array of \[5, 512\], expected 512 weights for each of the 1",
        ),
        places365.ATTRIBUTE_WEIGHTS: (b"no array", "not a .npy file that can be read"),
        places365.WEIGHTS: (as_python_2({"state_dict": {"module.fc.weight": torch.zeros(4, 512)}}), "lacks "),
    }
    for name, (wrong, message) in cases.items():
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(wrong)
        with pytest.raises(ValueError, match=message) as raised:
            hf.load_predictor(f"places365:{tmp_path}")
        assert name in str(raised.value) and "\n" not in str(raised.value)
        (tmp_path / name).write_bytes(whole)

"""Words as semantics, by a small random CLIP network in open_clip itself."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import higan_fast as hf
from higan_fast.cli.predictor_options import in_clip
from higan_fast.engine.scoring import score
from higan_fast.predictors.kinds.clip import parse_words
from tests.test_cli import files as networks
from tests.test_cli import run

__all__ = ["networks"]

WORDS = "cosy=a cosy room|an empty room; bright=a bright room"
TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module")
def open_clip():
    """The library. Beside a torch without CUDA the ops that torchvision's import asks for are declared."""
    try:
        import torchvision  # noqa: F401
    except ImportError:
        pytest.skip("needs open_clip: pip install 'higan_fast[clip]'")
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return pytest.importorskip("open_clip")


@pytest.fixture(scope="module")
def files(open_clip, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    (folder / "tiny.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(folder / "tiny.json")
    torch.manual_seed(0)
    torch.save(open_clip.create_model("tiny").state_dict(), folder / "tiny.pt")
    return {"clip_model": str(folder / "tiny.json"), "clip_weights": str(folder / "tiny.pt")}


def images(num=3, size=32):
    levels = torch.randint(256, (num, 3, size, size), generator=torch.Generator().manual_seed(1))
    return levels.float() / 127.5 - 1


@torch.no_grad()
def test_scores_are_open_clips_own(open_clip, files):
    predictor = hf.load_predictor(f"clip:{WORDS}", templates=["{}", "a photo of {}"], **files)
    assert predictor.names == ("cosy", "bright")
    assert predictor.score_ranges == ((-2, 2), (-1, 1)) and predictor.has_logits == (False, False)
    model, _, transform = open_clip.create_model_and_transforms("tiny", pretrained=files["clip_weights"])
    tokenizer = open_clip.get_tokenizer("tiny")
    model.eval()

    def embedded(text):
        each = model.encode_text(tokenizer([text, f"a photo of {text}"]), normalize=True)
        return F.normalize(each.mean(dim=0), dim=0)

    for size, tolerance in ((32, 1e-4), (96, 2e-2)):  # a resized picture is rounded to 8 bits by Pillow
        levels = ((images(size=size) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        prepared = torch.stack([transform(Image.fromarray(picture)) for picture in levels])
        seen = model.encode_image(prepared, normalize=True)
        cosy, empty, bright = map(embedded, ("a cosy room", "an empty room", "a bright room"))
        expected = torch.stack([seen @ cosy - seen @ empty, seen @ bright], dim=1)
        found = score(predictor, images(size=size))
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
    assert found.std(dim=0).min() > 0
    assert predictor(images()[:0]).shape == (0, 2)


def test_gradients_reach_the_images(files):
    predictor = hf.load_predictor(f"clip:{WORDS}", **files)
    leaf = (images(1, 48) * 0.9).requires_grad_()
    (gradient,) = torch.autograd.grad(predictor(leaf)[:, 0].sum(), leaf)
    assert gradient.isfinite().all() and gradient.abs().max() > 0
    assert not any(parameter.requires_grad for parameter in predictor.parameters())


def test_words_from_the_command_line(files, networks, tmp_path):
    out = tmp_path / "run"
    words = (
        "--semantic",
        "cosy",
        "--versus",
        "an empty room",
        "--semantic",
        "bright",
        "--versus",
        "a dark room",
    )
    arguments = (*words, "--clip-model", files["clip_model"])
    arguments += ("--clip-weights", files["clip_weights"], "--levels", "bright=color", "--out", out)
    run("sample", "--network", networks[0], *arguments, "--num", 128, "--device", "cpu", "--quiet")
    run("fit", out, "--chosen-num", 50, "--boundary", "gradient", "--quiet")
    samples = hf.Samples.open(out)
    (kept,) = json.loads((out / "run.json").read_text())["settings"]["predictor"]
    assert sorted(kept["files"]) == sorted(kept["options"].values()) == sorted(files.values())
    assert [semantic.level for semantic in samples.semantics] == ["attribute", "color"]
    assert np.isfinite(samples.scores).all()
    assert set(hf.Boundaries.load(out / "boundaries.safetensors")) == {"cosy", "bright"}


def test_semantics_and_what_they_are_compared_with_make_a_clip():
    assert in_clip((), ()) == ()
    assert in_clip(("cosy", "bright"), ()) == ("clip:cosy;bright",)
    assert in_clip(("cosy", "bright"), ("empty", "dark")) == ("clip:cosy|empty;bright|dark",)
    with pytest.raises(
        ValueError, match=r"versus \(--versus\): got 1 for 2 of --semantic; give one for each"
    ):
        in_clip(("cosy", "bright"), ("empty",))
    with pytest.raises(ValueError, match=r"semantic \(--semantic\): got 'a\|b', expected words without"):
        in_clip(("a|b",), ())


@pytest.mark.parametrize(
    ("argument", "options", "message"),
    [
        ("clip", {}, "got 'clip' without words, expected them, as in clip:"),
        ("clip:a|b|c", {}, "got 'a|b|c', expected words and perhaps, behind |"),
        ("clip:a|", {}, "got 'a|', expected words"),
        ("clip:x=a;x=b", {}, "predictor (--predictor): got 'x' twice, expected names that differ"),
        ("clip:a", {"templates": 3}, "templates (--templates): got 3, expected a list of prompts"),
        (
            "clip:a",
            {"clip_model": "ViT-Z"},
            "clip_model (--clip-model): got 'ViT-Z', expected one of open_clip",
        ),
        (
            "clip:a",
            {"clip_model": "no.json"},
            "clip_model (--clip-model): no.json cannot be read as JSON ([Errno 2] No such",
        ),
        ("clip:a", {"templates": ["a photo"]}, "templates (--templates): got ['a photo'], expected prompts"),
        (
            "clip:a",
            {"clip_weights": "nowhere.pt"},
            "clip_weights (--clip-weights): weights 'nowhere.pt' of tiny",
        ),
    ],
)
def test_what_cannot_be_is_named(files, argument, options, message):
    with pytest.raises((TypeError, ValueError)) as raised:
        hf.load_predictor(argument, **files | options)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_words_are_read_with_and_without_names():
    cosy, bright = parse_words(" cosy = a cosy room | an empty room ;a bright room; ")
    assert (cosy.name, cosy.positive, cosy.negative) == ("cosy", "a cosy room", "an empty room")
    assert (bright.name, bright.positive, bright.negative) == ("a bright room", "a bright room", "")

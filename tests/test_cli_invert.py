"""``higan-fast invert``, and ``manipulate --codes``."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from higan_fast.checkpoints import load_generator
from higan_fast.pictures import to_uint8
from tests.test_cli import files, run

__all__ = ["files"]

QUICK = ("--steps", 8, "--samples", 8, "--starts", 2, "--quiet")


@pytest.fixture(scope="module")
def fitted(files, tmp_path_factory):
    """A run of 64 samples, with boundaries, and pictures that its network drew."""
    out = tmp_path_factory.mktemp("runs") / "fitted"
    networks = ("--network", files[0], "--predictor", "color", "--out", out)
    run("sample", *networks, "--num", 128, "--seed", 3, "--quiet")
    run("fit", out, "--chosen-num", 0.4, "--boundary", "svm", "--quiet")
    generator = load_generator(files[0])
    images = to_uint8(generator.synthesize(generator.map(torch.randn(3, 8))))
    (out / "pictures").mkdir()
    for name, image in zip("abc", images, strict=True):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(out / "pictures" / f"{name}.png")
    return out


def test_pictures_are_inverted_tuned_and_moved(fitted):
    found = run("invert", fitted / "pictures", "--out", fitted, *QUICK, "--tune", 2)
    assert found.stdout.startswith("3 images inverted in W+") and "b.png" in found.stdout
    again = json.loads(run("invert", fitted / "pictures", "--out", fitted, *QUICK, "--json").stdout)
    assert [row["image"] for row in again["images"]] == ["a.png", "b.png", "c.png"]
    assert (fitted / "invert" / "progress.png").is_file()
    moving = ("manipulate", fitted, "--semantic", "warmth", "--codes", fitted, "--quiet")
    drawn = run(*moving, "--samples", "0,2", "--steps=-2,0,2")
    path, *lines = drawn.stdout.splitlines()
    assert path.endswith(f"_steps=-2,0,2_samples=0,2_codes={fitted.name}.png")
    assert [line.partition(": warmth ")[0] for line in lines[:2]] == ["a.png", "c.png"]
    assert "at +2, " in lines[0] and lines[2].startswith(
        "warmth: moved 0.25 SD or more the way of the step in "
    )
    with Image.open(path) as picture:  # the tuned network draws it
        still = np.asarray(picture)[-64 - 12 : -12, -2 * 64 - 14 : -64 - 14]
    codes = torch.from_numpy(np.load(fitted / "invert" / "codes.npz")["w"][2:])
    tuned = load_generator(fitted / "invert" / "tuned.safetensors")
    image = to_uint8(tuned.synthesize(codes))[0].permute(1, 2, 0).numpy()
    assert np.array_equal(still[::4, ::4], image) and still.std() > 0


def test_codes_of_others_move_too(fitted, tmp_path):
    np.savez(tmp_path / "projected_w.npz", w=np.random.default_rng(0).standard_normal((1, 6, 8)).astype("f"))
    moving = (
        "manipulate",
        fitted,
        "--codes",
        tmp_path / "projected_w.npz",
        "--quiet",
        "--out",
        tmp_path / "a.gif",
    )
    drawn = run(*moving, "--semantic", "warmth", "--semantic", "brightness", "--frames", 3)
    line = drawn.stdout.splitlines()[1]
    assert line.startswith("0") and ": warmth " in line and "; brightness " in line
    far = " (its codes lie farther out than 99 % of samples')"
    for size, marked in ((0.0, False), (1000.0, True)):
        np.savez(tmp_path / "projected_w.npz", w=np.full((1, 6, 8), size, np.float32))
        drawn = run(*moving, "--semantic", "warmth", "--frames", 2)
        assert drawn.stdout.splitlines()[1].startswith(f"0{far if marked else ''}: warmth ")
    jitter = run(*moving[:-1], tmp_path / "b.png", "--semantic", "warmth", "--jitter", 2)
    assert jitter.stdout.splitlines() == [str(tmp_path / "b.png")]


def test_what_cannot_be_inverted_or_moved_is_said_in_one_line(fitted, files, tmp_path):
    wide = tmp_path / "wide.png"
    Image.new("RGB", (20, 16)).save(wide)
    np.save(tmp_path / "codes.npy", np.zeros((1, 4, 8), np.float32))
    moving = ("manipulate", fitted, "--semantic", "warmth", "--codes")
    picture = fitted / "pictures" / "a.png"
    for arguments, code, message in (
        (
            ("invert", wide, "--out", fitted),
            1,
            "wide.png: has 20 by 16 pixels, and the generator draws 16 by 16",
        ),
        (("invert", picture, "--out", tmp_path / "none"), 2, "--network': no probe was begun in "),
        (("invert", picture, "--out", fitted, "--steps", 1), 1, "steps (--steps): got 1, expected"),
        (("invert", picture, "--out", fitted, "--tune", -1), 2, "--tune: takes a number of steps"),
        (("invert", picture, "--out", fitted, "--distance", "a.onnx"), 1, "runs outside of torch"),
        (
            (*moving, tmp_path / "codes.npy"),
            1,
            "codes.npy: holds codes [1, 4, 8], and the generator has 6 layers",
        ),
        (
            (*moving, picture),
            1,
            f"a picture; run higan-fast invert {picture} --out RUN first, and give that RUN or its codes.npz",
        ),
        ((*moving, tmp_path / "none.npz"), 1, "none.npz: there is no such file"),
        ((*moving, tmp_path, "--seed", 3), 2, "--codes moves codes of a file, --seed draws fresh samples"),
    ):
        said = run(*arguments, code=code).output
        assert message in said and len(said.strip().splitlines()) == (1 if code == 1 else 4), said

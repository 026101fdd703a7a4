"""``higan-fast manipulate``: which samples, how the picture is named, and what is refused before any work."""

import numpy as np
import pytest
from PIL import Image

from higan_fast.cli.options import indices
from tests.test_cli import files, run

__all__ = ["files"]


@pytest.fixture(scope="module")
def fitted(files, tmp_path_factory):
    """128 samples of seed 3, and boundaries."""
    out = tmp_path_factory.mktemp("runs") / "fitted"
    networks = ("--network", files[0], "--predictor", "color", "--out", out)
    run("sample", *networks, "--num", 128, "--seed", 3, "--trunc", 0.8, "--quiet")
    run("fit", out, "--chosen-num", 0.4, "--quiet")
    return out


def draw(fitted, *options):
    found = run("manipulate", fitted, "--semantic", "warmth", *options, "--quiet")
    assert found.stderr == ""
    path = found.stdout.strip()
    with Image.open(path) as picture:
        return path.rpartition("/")[2], np.asarray(picture)


def test_the_name_says_how_it_was_made(fitted):
    names = [
        draw(fitted, "--num", 2)[0],
        draw(fitted, "--layers", "2, 4-5", "--steps=-1.5,0", "--samples", "17,3")[0],
        draw(fitted, "--jitter", 3, "--scale", 0.5, "--seed", 9, "--num", 1)[0],
    ]
    assert names == [
        "manipulate-warmth_layers=all_steps=-3,0,3_samples=0-1.png",
        "manipulate-warmth_layers=2,4-5_steps=-1.5,0_samples=3,17.png",
        "manipulate-warmth_layers=all_jitter=3_scale=0.5_samples=0_seed=9.png",
    ]
    long, other = (
        draw(fitted, f"--steps={steps}", "--num", 1)[0] for steps in ("0," * 99 + "0", "0," * 99 + "1")
    )
    assert long != other and len(long.encode()) < 200


def test_the_samples_that_are_named_are_drawn(fitted):
    _, some = draw(fitted, "--samples", "5-6", "--steps=0")
    _, first = draw(fitted, "--num", 7, "--steps=0")
    tiles = [picture[-64 - 12 : -12, -64 - 12 : -12] for picture in (some, first)]  # the last: sample 6
    assert np.array_equal(*tiles) and tiles[0].std() > 0


def test_a_seed_draws_the_samples_that_sampling_would(fitted):
    options = ("--samples", "5,100", "--steps=0,0,0,0")  # wider than the title
    of_run = draw(fitted, *options)[1][-136:, -76:]
    same, fresh = (draw(fitted, *options, "--seed", seed)[1][-136:, -76:] for seed in (3, 4))
    assert np.array_equal(same, of_run) and not np.array_equal(fresh, of_run)


def test_what_cannot_be_drawn_is_refused(fitted, tmp_path):
    beyond = run("manipulate", fitted, "--semantic", "warmth", "--samples", "3,128", code=1).output
    assert (
        beyond.startswith("Error: --samples: got 128, and")
        and "the samples 0 to 127; --seed N draws" in beyond
    )
    wrong = run("manipulate", tmp_path / "none", "--semantic", "warmth", "--out", tmp_path / "a.tiff", code=1)
    assert "a.tiff: pictures end in .png" in wrong.output, "before the run folder is even looked at"
    both = run("manipulate", fitted, "--semantic", "warmth", "--samples", "3", "--num", 2, code=2).output
    assert "--num takes the first samples" in both


def test_indices_are_read():
    assert indices("--samples", "3, 17,0-2,1") == [3, 17, 0, 1, 2], "in the order given"
    for text in (
        "",
        "a",
        "-3",
        "3,",
        "5-3",
        "1.5",
        "0-99999999999",
        "1-10000000000000000000000",
        "0-1000000",
    ):
        with pytest.raises(Exception, match="--samples: got"):
            indices("--samples", text)


def test_the_modes_are_those_of_the_paper(fitted, tmp_path):
    both = ("manipulate", fitted, "--semantic", "warmth", "--semantic", "brightness", "--num", 1, "--quiet")
    names = [run(*both, "--mode", mode).stdout.strip() for mode in ("independent", "joint")]
    assert (
        "warmth,brightness_layers=all_mode=independent_steps" in names[0] and "warmth+brightness" in names[1]
    )
    with Image.open(names[0]) as alone, Image.open(names[1]) as together:
        assert alone.height > 1.5 * together.height, "a row for each semantic"
    one, _ = draw(fitted, "--mode", "jitter", "--num", 1)
    assert one == "manipulate-warmth_layers=all_jitter=4_scale=1_samples=0.png"
    assert "are a mode of their own" in run(*both, "--mode", "joint", "--jitter", 2, code=2).output


def test_animations_go_forth_and_back_along_the_steps(fitted, tmp_path):
    av = pytest.importorskip("av")
    for ending in (".mp4", ".gif", ".webp"):
        path = tmp_path / f"a{ending}"
        options = ("--num", 2, "--frames", 4, "--steps=-9,9", "--out", path, "--quiet")
        run("manipulate", fitted, "--semantic", "warmth", *options)
        if ending == ".mp4":
            with av.open(str(path)) as container:
                frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
                assert container.streams.video[0].average_rate == 12.5
        else:
            with Image.open(path) as pictures:
                frames = [(pictures.seek(place), np.asarray(pictures.convert("RGB")))[1] for place in
                          range(pictures.n_frames)]  # fmt: skip
                assert pictures.info["duration"] == 80
        assert len(frames) == 6
        apart = [[np.abs(one.astype(float) - other).mean() for one in frames] for other in frames]
        forth, back = min(apart[0][1], apart[1][2], apart[2][3]), max(apart[1][5], apart[2][4])
        assert forth > 3 * back, "each step is another picture, and the way back is that forth"
    still = run(
        "manipulate", fitted, "--semantic", "warmth", "--frames", 3, "--out", tmp_path / "a.png", code=1
    )
    assert "a.png: animations end in .mp4, .gif, .webp" in still.output
    nowhere = ("manipulate", fitted, "--semantic", "warmth", "--frames", 3, "--steps=2")
    assert "an animation goes from one to another" in run(*nowhere, code=1).output


def test_an_effect_that_nothing_shows_is_said_beside_the_drawing(fitted, tmp_path):
    moving = (
        "manipulate",
        fitted,
        "--semantic",
        "warmth",
        "--num",
        1,
        "--steps=2",
        "--out",
        tmp_path / "a.png",
    )
    assert f"warmth: its effect was not verified (higan-fast verify {fitted})\n" in run(*moving).stderr
    few = ("--exhaustive", "--max-samples", 4, "--num-null", 2, "--null", "isotropic", "--quiet")
    run("verify", fitted, "--semantic", "warmth", *few)
    assert f"warmth: its effect was not shown (higan-fast show {fitted})\n" in run(*moving).stderr
    assert run(*moving, "--quiet").stderr == ""

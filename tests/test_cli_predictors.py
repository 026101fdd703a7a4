"""``--predictor``, several times, with levels: what a run keeps of it, and every later stage finds again."""

import json

import pytest

from tests.test_cli import files, run
from tests.test_run_folder import edit, refused

__all__ = ["files"]
LITTLE = ("--exhaustive", "--max-samples", 2, "--num-null", 2, "--quiet")


@pytest.fixture(scope="module")
def made(files, tmp_path_factory):
    """A run by two predictors of two semantics with the same names, with every stage."""
    out = tmp_path_factory.mktemp("several") / "run"
    run(
        "probe", "--network", files[0], "--predictor", "color", "--predictor", files[1], "--out", out,
        "--num", 192, "--levels", "brightness=layout", "--device", "cpu", "--chosen-num", 60,
        "--boundary", "difference", *LITTLE, "--layer-samples", 4, "--dose-samples", 2, "--dose-steps=-1,1",
    )  # fmt: skip
    return out


def test_every_stage_finds_them_again(files, made):
    settings = json.loads((made / "run.json").read_text())["settings"]
    color, trained = settings["predictor"]
    assert color == {"predictor": "color", "options": {}, "files": {}}
    assert trained["predictor"] == str(files[1]) and list(trained["files"]) == [str(files[1])]
    assert settings["levels"] == {"brightness": "layout"}
    for stage in (("layers", "--num", 4), ("manipulate", "--semantic", "brightness"), ("report",)):
        run(stage[0], made, *stage[1:])
    shown = json.loads(run("verify", made, *LITTLE, "--json").stdout)["semantics"]
    assert {row["name"]: row["level"] for row in shown}["brightness"] == "layout"
    found = json.loads(run("inspect", made, "--json").stdout)
    assert found["predictor"]["state"] == "complete" and len(found["predictor"]["semantics"]) == 7
    text = run("inspect", made).stdout
    assert f"by color, {files[1]}" in text and "levels brightness=layout" in text
    page = (made / "report.html").read_text()
    assert f"--predictor color --predictor {files[1]} --levels brightness=layout" in page


def test_places_of_all_are_given_in_their_order(files, made):
    line = refused("verify", made, "--predictor", files[1], *LITTLE)
    assert "got 1, and the run was begun with 2 of them; give the place of each, in their order" in line
    run("verify", made, "--predictor", "color", "--predictor", files[1], *LITTLE)
    line = refused("verify", made, "--predictor", files[1], "--predictor", "color", *LITTLE)
    assert "is not the predictor of" in line


def test_a_run_of_an_older_version_opens(files, tmp_path):
    out = tmp_path / "run"
    run("sample", "--network", files[0], "--predictor", "color", "--out", out, "--num", 64)
    edit(tmp_path, predictor="color")
    begun = json.loads((out / "run.json").read_text())
    del begun["settings"]["levels"]
    (out / "run.json").write_text(json.dumps(begun))
    assert "by color" in run("inspect", out).stdout
    run("layers", out, "--num", 4, "--quiet")


def test_a_file_that_has_changed_or_is_gone_is_named(files, tmp_path):
    mine, out = tmp_path / "run" / "mine.safetensors", tmp_path / "run"
    out.mkdir()
    mine.write_bytes(files[1].read_bytes())
    run(
        "sample",
        "--network",
        files[0],
        "--predictor",
        mine,
        "--predictor",
        "color",
        "--out",
        out,
        "--num",
        64,
    )
    kept = json.loads((out / "run.json").read_text())["settings"]["predictor"][0]
    assert kept["predictor"] == "mine.safetensors" and list(kept["files"]) == ["mine.safetensors"]
    moved = tmp_path / "moved"
    out.rename(moved)
    run("layers", moved, "--num", 4, "--quiet")
    from higan_fast.predictors.scenes import load_scene_predictor, save_scene_predictor

    predictor = load_scene_predictor(moved / "mine.safetensors")
    predictor.head.bias.data += 1
    save_scene_predictor(predictor, moved / "mine.safetensors", {})
    line = refused("layers", moved, "--num", 4, "--quiet")
    assert f"{moved / 'mine.safetensors'} has changed" in line and "put that back" in line
    (moved / "mine.safetensors").unlink()
    line = refused("layers", moved, "--num", 4, "--quiet")
    assert "mine.safetensors: there is no such file; if it is elsewhere now, give its place with" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--levels", "brightness=mood"), "levels (--levels): got 'mood' for 'brightness', expected one of"),
        (("--levels", "levels.txt"), "levels.txt: there is no such file"),
        (("--level", "mood=color"), "levels (--levels): got one for 'mood', expected names of its semantics"),
        (("--names", "a,b"), "semantics (--names): none of color takes it"),
    ],
)
def test_what_does_not_fit_is_one_line(files, tmp_path, options, message):
    out = tmp_path / "run"
    line = refused("sample", "--network", files[0], "--predictor", "color", "--out", out, *options)
    assert line.startswith(f"Error: {message}") and not out.exists()


def test_the_kinds_are_listed_with_an_example_each():
    text = run("predictors").stdout
    kinds = json.loads(run("predictors", "--json").stdout)
    assert {"color", "scenes", "trained"} <= {kind["name"] for kind in kinds}
    for kind in kinds:
        assert f"--predictor {kind['example']}" in text and kind["scores"] in text

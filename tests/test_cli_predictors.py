"""``--predictor``, several times, with levels: what a run keeps of it, and every later stage finds again."""

import json
import shlex
import shutil

import pytest
import torch

from higan_fast.cli.commandlines import sampling_command
from higan_fast.cli.predictor_options import levels_in
from higan_fast.predictors.color import ColorPredictor
from higan_fast.probing import Samples
from higan_fast.run_folder import RunFolder
from tests.predictors.exported import to_onnx, to_python, to_torchscript
from tests.test_cli import files, run
from tests.test_run_folder import edit, refused

__all__ = ["files"]
LITTLE = ("--exhaustive", "--max-samples", 2, "--num-null", 2, "--semantic", "brightness", "--quiet")

pytestmark = pytest.mark.usefixtures("quick_choice")


@pytest.fixture(scope="module")
def made(files, tmp_path_factory):
    """A run by two predictors of two semantics with the same names, with every stage."""
    out = tmp_path_factory.mktemp("several") / "run"
    networks = ("--network", files[0], "--predictor", "color", "--predictor", files[1])
    run("sample", *networks, "--levels", "brightness=layout", "--out", out, "--num", 128, "--device", "cpu")
    run("fit", out, "--chosen-num", 50, "--boundary", "difference", "--quiet")
    run("verify", out, *LITTLE)
    run("layers", out, "--num", 2, "--quiet")
    run("dose", out, "--num", 2, "--steps=-1,1", "--semantic", "brightness", "--quiet")
    run("report", out, "--quiet")
    return out


def test_every_stage_finds_them_again(files, made):
    settings = json.loads((made / "run.json").read_text())["settings"]
    color, trained = settings["predictor"]
    assert color == {"predictor": "color", "options": {}, "files": {}}
    assert trained["predictor"] == str(files[1]) and list(trained["files"]) == [str(files[1])]
    assert settings["levels"] == {"brightness": "layout"}
    run("manipulate", made, "--semantic", "brightness", "--num", 1)
    shown = json.loads(run("verify", made, *LITTLE, "--json").stdout)["semantics"]
    assert {row["name"]: row["level"] for row in shown}["brightness"] == "layout"
    found = json.loads(run("inspect", made, "--json").stdout)
    assert found["predictor"]["state"] == "complete" and len(found["predictor"]["semantics"]) == 13
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


def test_a_predictor_that_a_version_defines_otherwise_is_another(files, tmp_path, monkeypatch):
    out = tmp_path / "run"
    networks = ("--network", files[0], "--predictor", "color", "--predictor", "layout", "--out", out)
    run("sample", *networks, "--num", 64)
    line = refused("layers", out, "--predictor", "color", "--predictor", "layout:60")
    assert "color, layout:60: is not the predictor of" in line and "name it with --predictor" in line
    made_now = ColorPredictor.__init__

    def made_before(self):
        made_now(self)
        self.definition -= 1

    monkeypatch.setattr(ColorPredictor, "__init__", made_before)
    line = refused("layers", out)
    assert "color, layout: is not the predictor of" in line
    assert "or this version of higan_fast scores otherwise" in line and "sample into another folder" in line


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
        (
            ("--levels", "brightness=layout,mood"),
            "levels (--levels): got 'mood' without a level, expected NAME=LEVEL,…",
        ),
        (("--levels", "levels.txt"), "levels.txt: there is no such file"),
        (("--level", "mood=color"), "levels (--levels): got one for 'mood', expected names of its semantics"),
        (("--names", "a,b"), "semantics (--names): none of color takes it"),
    ],
)
def test_what_does_not_fit_is_one_line(files, tmp_path, options, message):
    out = tmp_path / "run"
    line = refused("sample", "--network", files[0], "--predictor", "color", "--out", out, *options)
    assert line.startswith(f"Error: {message}") and not out.exists()


@pytest.fixture(scope="module")
def of_files(tmp_path_factory):
    """A run of the embedded generator by a network in ONNX, TorchScript and Python, each with its options."""
    folder = tmp_path_factory.mktemp("networks")
    network = to_onnx(folder / "net.onnx"), to_torchscript(folder / "net.ts"), f"{to_python(folder)}:Net"
    (folder / "labels.txt").write_text("first\nsecond\n\nthird, of three\n")
    several = [word for path in network for word in ("--predictor", path)]
    run(
        "sample", "--network", "scenes", *several, "--out", folder / "run", "--num", 128, "--device", "cpu",
        "--names", "a,b,c", "--names", folder / "labels.txt", "--names", "-", "--input-size", 32,
        "--activation", "softmax", "--activation", "sigmoid", "--activation", "-", "--mean", "0.4,0.5,0.6",
        "--mean", "-", "--mean", "-", "--std", "0.5",
    )  # fmt: skip
    return folder


def test_files_of_networks_run_with_their_options(of_files):
    found = json.loads((of_files / "run" / "run.json").read_text())["settings"]["predictor"]
    assert found[0]["options"] == {
        "names": ["a", "b", "c"],
        "input_size": 32,
        "mean": [0.4, 0.5, 0.6],
        "std": [0.5],
        "activation": "softmax",
    }
    assert found[1]["options"]["names"] == ["first", "second", "third, of three"]
    assert "names" not in found[2]["options"] and found[2]["options"]["input_size"] == 32
    samples = Samples.open(of_files / "run")
    names = [semantic.name for semantic in samples.semantics]
    assert names[3:] == ["first", "second", "third, of three", "wood", "light"]
    torch.testing.assert_close(samples.scores[:, :3].sum(1), torch.ones(128).numpy())
    assert "third, of three" in run("layers", of_files / "run", "--num", 2).output
    repeated = sampling_command(RunFolder.open(of_files / "run"), 128)
    assert (
        "--names=a,b,c '--names=" in repeated and "--names=- --input-size=32 --mean=0.4,0.5,0.6" in repeated
    )
    assert "--activation=softmax --activation=sigmoid --activation=-" in repeated
    run(*shlex.split(repeated)[1:])


def described(folder):
    return json.loads(run("inspect", folder / "run", "--json").stdout)


def test_looking_at_a_run_runs_no_code_and_sees_what_has_changed(of_files, tmp_path):
    shutil.copytree(of_files, tmp_path / "copy")
    mine = tmp_path / "copy" / "mine.py"
    stored = json.loads((tmp_path / "copy" / "run" / "run.json").read_text())
    for source in stored["settings"]["predictor"]:
        source["predictor"] = source["predictor"].replace(str(of_files), str(tmp_path / "copy"))
        source["files"] = {
            path.replace(str(of_files), str(tmp_path / "copy")): digest
            for path, digest in source["files"].items()
        }
    (tmp_path / "copy" / "run" / "run.json").write_text(json.dumps(stored))
    assert described(tmp_path / "copy")["predictor"]["state"] == "complete"
    mine.write_text(mine.read_text() + "\n# a comment\n")
    said = run("layers", tmp_path / "copy" / "run", "--num", 4).stderr
    assert f"{mine}: has changed since the run was begun, but what can be seen of its code has not" in said
    mine.write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
        + mine.read_text().replace("2.0", "3.0")
    )
    part = described(tmp_path / "copy")["predictor"]
    assert part["state"] == "stale" and f"{mine}: has changed since the run was begun" in part["problem"]
    assert not (tmp_path / "ran").exists()
    line = refused("layers", tmp_path / "copy" / "run", "--num", 4)
    assert f"{mine} has changed" in line and (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        ("net.onnx", ("--names", "a,b"), "semantics (--names): got 2, and "),
        (
            "net.ts",
            ("--names", "a,b"),
            "{folder}/net.ts: the predictor gave scores of shape (1, 3)",
        ),
        ("net.ts", ("--names", "a,b,c", "--mean", "x"), "--mean: got 'x', expected numbers with commas"),
        ("net.ts", ("--names", "none.txt"), "none.txt: there is no such file"),
        ("net.ts", ("--names", "[1]"), "--names: got [1], expected a list of names"),
        ("net.ts", ("--names", "a,b,c", "--input-size", "1.5"), "--input-size: got '1.5', expected a whole"),
        (
            "net.ts",
            ("--names", "a", "--names", "b"),
            "semantics (--names): got 2 of them for 1 predictors",
        ),
        ("gone.ts", ("--names", "a"), "{folder}/gone.ts: there is no such file"),
    ],
)
def test_a_network_that_does_not_fit_is_one_line(of_files, tmp_path, file, options, message):
    out = tmp_path / "run"
    line = refused("sample", "--network", "scenes", "--predictor", of_files / file, "--out", out, *options)
    assert line.startswith(f"Error: {message.format(folder=of_files)}") and not out.exists()


def test_gradients_of_onnx_are_refused_in_one_line(of_files):
    line = refused("fit", of_files / "run", "--boundary", "gradient", "--chosen-num", 50, "--quiet")
    assert "score of 'a' carries no gradient" in line and "--boundary logistic" in line


def test_the_kinds_are_listed_with_an_example_each():
    text = run("predictors").stdout
    kinds = json.loads(run("predictors", "--json").stdout)
    assert {"color", "scenes", "trained", "onnx", "python", "torchscript"} <= {kind["name"] for kind in kinds}
    for kind in kinds:
        assert f"--predictor {kind['example']}" in text and kind["scores"] in text


def test_levels_take_commas_as_names_do():
    expected = {"view": "layout", "depth": "layout"}
    assert levels_in(["view=layout, depth=layout"]) == levels_in(["view=layout", "depth=layout"]) == expected
    assert levels_in(["red, white=color"]) == {"red, white": "color"}

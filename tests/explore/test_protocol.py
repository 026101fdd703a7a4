"""What the page asks over HTTP and its WebSocket, and what it is told."""

import io
import json
import shutil
import time

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.explore import _dragged
from higan_fast import probing
from higan_fast.explore import app as application
from higan_fast.explore import serving
from higan_fast.explore.drawing import Drawing
from higan_fast.explore.sources import OfRun
from higan_fast.pictures import image_grid
from higan_fast.run_folder import RunFolder
from tests.explore.conftest import serving_in_a_thread

STATE = {"sample": 5, "moves": [{"semantic": "warmth", "step": 1.5, "layers": [3, 4]}]}


def answer(socket):
    """The next answer, with its picture where it has one."""
    about = json.loads(socket.recv(timeout=30))
    if "error" in about:
        return about, None
    with Image.open(io.BytesIO(socket.recv(timeout=30))) as picture:
        assert picture.format.lower() == about["format"] and picture.size == (about["width"], about["height"])
        return about, np.asarray(picture)


def ask(socket, state, number=1, view="a", moving=False):
    socket.send(json.dumps({"id": number, "view": view, "moving": moving, "state": state}))


def manipulated(explored, **options):
    """The picture that ``manipulate`` draws of sample 5."""
    run = RunFolder.open(explored)
    boundaries = [run.boundaries[name] for name in options.pop("names", ["warmth"])]
    codes = options.pop("codes", run.samples.codes[5:6])
    images = probing.manipulate(run.generator, codes, boundaries, **options, **run.settings.truncation)
    return image_grid(images[0][None])


def test_what_was_found_is_told(served, explored):
    found, run = served.json("api/run"), RunFolder.open(explored)
    assert found["network"]["image"] == [3, 16, 16] and len(found["network"]["layers"]) == 6
    assert found["samples"] == {"num": 128, "kind": "samples", "names": None} and found["unit"] == "norm"
    semantics = {each["name"]: each for each in found["semantics"]}
    assert {*semantics} == {*run.boundaries, *(each.name for each in run.samples.semantics)}
    for name in ("warmth", "brightness"):
        assert (
            semantics[name]["status"] == run.verification.status(name)
            and semantics[name]["effect"]["at"] == 6
        )
        acting = np.flatnonzero(run.verification.layer_beats_null[run.verification.row(name)]).tolist()
        assert semantics[name]["layers"] == (acting or [*range(6)])
    assert semantics["warmth"]["status"] == semantics["brightness"]["status"] == "shown"
    others = [each for name, each in semantics.items() if name not in run.verification.boundary_names]
    assert others and {each["status"] for each in others} <= {"not verified", "no boundary"}
    assert all(each["effect"] is None for each in others)
    effects, shares = found["heats"]
    assert {*effects["rows"]} == {"warmth", "brightness", "dominant_red_green"} and len(
        effects["values"][0]
    ) == 6
    row = effects["rows"].index("warmth")
    names = [semantic.name for semantic in run.verification.semantics]
    in_deviations = run.verification.in_deviations()[
        run.verification.row("warmth"), 1:, names.index("warmth")
    ]
    np.testing.assert_allclose(effects["values"][row], in_deviations)
    np.testing.assert_allclose(np.array(shares["values"], float), run.attribution.index)
    scores = {each["name"]: each for each in found["scores"]}
    assert scores["warmth"]["low"] < scores["warmth"]["mean"] < scores["warmth"]["high"]


def test_a_picture_is_that_of_manipulate(served, explored):
    with served.page() as socket:
        ask(socket, STATE)
        about, picture = answer(socket)
        assert np.array_equal(picture, manipulated(explored, layers="3-4", steps=[1.5]))
        ask(socket, {**STATE, "all_layers": True}, 2, "b")
        assert np.array_equal(answer(socket)[1], manipulated(explored, layers="all", steps=[1.5]))
        both = [{"semantic": name, "step": -2.0, "layers": [0, 5]} for name in ("warmth", "brightness")]
        ask(socket, {"sample": 5, "moves": both}, 3)
        joint = manipulated(explored, names=["warmth", "brightness"], layers="0,5", steps=[-2.0])
        assert np.abs(answer(socket)[1].astype(int) - joint).max() <= 1  # sums of two moves round otherwise
        codes = RunFolder.open(explored).samples.codes[5:6].copy()
        codes[:, :2] = RunFolder.open(explored).samples.codes[9, :2]
        ask(socket, {**STATE, "mix": [{"sample": 9, "layers": [0, 1]}]}, 4)
        mixed = manipulated(explored, codes=codes, layers="3-4", steps=[1.5])
        assert np.abs(answer(socket)[1].astype(int) - mixed).max() <= 1
    assert about["scores"].keys() == about["base"].keys() and about["id"] == 1


def test_scores_stand_beside_what_is_expected(served, explored):
    run = RunFolder.open(explored)
    names = [semantic.name for semantic in run.samples.semantics]
    everywhere = {"sample": 5, "moves": [{"semantic": "warmth", "step": 1.0, "layers": [*range(6)]}]}
    with served.page() as socket:
        ask(socket, everywhere, moving=True)
        about, _ = answer(socket)
        assert about["format"] == "jpeg" and about["moving"]
        np.testing.assert_allclose([about["base"][name] for name in names], run.samples.scores[5], atol=1e-5)
        sweep = run.sweep
        part = sweep.change[sweep.curve("warmth"), list(sweep.steps).index(6)] / 6  # of the way from 0 to 6
        expected = about["expected"]
        np.testing.assert_allclose([expected[name]["mean"] for name in names], part, rtol=1e-6)
        assert expected["warmth"]["from"] == "dose" and expected["warmth"]["interpolated"]
        one = {"semantic": "brightness", "step": -2.0, "layers": [4]}
        ask(socket, {"sample": 5, "moves": [one]}, 2)
        about, _ = answer(socket)
        row, column = run.verification.row("brightness"), names.index("brightness")
        found = about["expected"]["brightness"]
        assert found["mean"] == pytest.approx(-run.verification.effect[row, 5, column] / 3)
        assert found["low"] <= found["mean"] <= found["high"] and found["from"] == "verify"
        ask(socket, {"sample": 5, "moves": [{**one, "step": -6.5}]}, 2)
        assert answer(socket)[0]["expected"] == {}, "no step as long was measured"
        ask(socket, {"sample": 5, "moves": [*everywhere["moves"], {**one, "layers": [3, 4]}]}, 3)
        assert [*answer(socket)[0]["expected"]] == ["warmth"], "the other's layers were not measured together"


def test_a_slider_of_late_layers_runs_these_alone(served):
    with served.page() as socket:
        took = []
        for number in range(6):
            move = {"semantic": "warmth", "step": 0.1 * number, "layers": [4, 5]}
            ask(socket, {"sample": 7, "moves": [move]}, number, moving=True)
            took.append(answer(socket)[0]["layers_run"])
    assert took == [6, 6, 2, 2, 2, 2]


def test_the_benchmark_times_a_dragged_slider(served):
    took = _dragged(served.url, "warmth", [3], views=2, seconds=0.2)
    assert 0 < len(took) <= 20 and min(took) > 0


def test_the_latest_value_wins(explored, monkeypatch):
    drawn = []
    inner = Drawing.draw

    def slowly(self, state, canvas, moving):
        drawn.append(state)
        time.sleep(0.05)
        return inner(self, state, canvas, moving)

    monkeypatch.setattr(Drawing, "draw", slowly)
    with serving_in_a_thread(serving.explorer(RunFolder.open(explored))) as served, served.page() as socket:
        for number in range(60):
            move = {"semantic": "warmth", "step": number / 60, "layers": [3]}
            for view in ("a", "b"):
                ask(socket, {"sample": 1, "moves": [move]}, number, view, moving=number < 59)
        begin = time.perf_counter()
        assert served.ask("api/run")[0] == 200 and time.perf_counter() - begin < 1, "others do not wait"
        last: dict = {}
        while min(last.get("a", -1), last.get("b", -1)) < 59:
            about, _ = answer(socket)
            assert about["id"] > last.get(about["view"], -1), "in their order"
            last[about["view"]] = about["id"]
        assert about["format"] == "png" and len(drawn) < 20, "what was overtaken is not drawn"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"sample": 128}, "sample: got 128, and there are 0 to 127"),
        ({"sample": -1}, "state.sample: Input should be greater than or equal to 0"),
        (
            {"sample": 1, "moves": [{"semantic": "x\n", "step": 1, "layers": [0]}]},
            r"no boundary of 'x\n' moves",
        ),
        (
            {"sample": 1, "moves": [{"semantic": "warmth", "step": 1, "layers": [6]}]},
            "layers: got 6, and there",
        ),
        (
            {"sample": 1, "moves": [{"semantic": "warmth", "step": 1e9, "layers": []}]},
            "less than or equal to 1000",
        ),
        (
            {"sample": 1, "moves": [{"semantic": "warmth", "step": 1, "layers": []}] * 129},
            "at most 128 items",
        ),
        ({"sample": 1, "mix": [{"sample": 500, "layers": [0]}]}, "sample: got 500"),
        ({"sample": 1, "path": "/etc/passwd"}, "state.path: unknown key"),
        ({"sample": "1"}, "state.sample: Input should be a valid integer"),
        ({}, "state.sample: Field required"),
    ],
)
def test_a_bad_state_gets_one_line(served, state, said):
    with served.page() as socket:
        ask(socket, state, 7, "v")
        about, _ = answer(socket)
        assert (
            (about["id"], about["view"]) == (7, "v") and said in about["error"] and "\n" not in about["error"]
        )
        status, content, _ = served.ask("api/png", state)
        assert status == 400 and said.removeprefix("state.") in json.loads(content)["error"]
        ask(socket, STATE, 8)
        assert answer(socket)[0]["id"] == 8, "the connection goes on"


def test_a_bad_message_gets_one_line(served):
    with served.page() as socket:
        for message in (
            "",
            "[",
            "[]",
            "[" * 60_000,
            b"\0",
            '{"id": NaN}',
            "\ud800".encode("utf-8", "replace").decode(),
        ):
            socket.send(message)
            assert answer(socket)[0].keys() == {"id", "view", "error"}
        for number in range(9):
            ask(socket, STATE, number, f"view{number}")
        errors = [found for found in (answer(socket)[0] for _ in range(9)) if "error" in found]
        assert [found["id"] for found in errors] == [8] and "there may be 8" in errors[0]["error"]


def test_samples_come_in_the_order_of_a_score(served, explored):
    status, content, _ = served.ask("api/order/0")
    order, scores = np.frombuffer(content, "<u4", 128), np.frombuffer(content, "<f4", offset=4 * 128)
    assert status == 200 and sorted(order) == [*range(128)] and (np.diff(scores) >= 0).all()
    np.testing.assert_array_equal(RunFolder.open(explored).samples.scores[order, 0], scores)
    status, content, _ = served.ask("api/order/99")
    assert status == 400 and "got score 99, and there are 0 to " in json.loads(content)["error"]


def test_an_order_of_scores_that_are_gone_is_refused(explored, tmp_path):
    gone = shutil.copytree(explored, tmp_path / "gone")
    drawing = Drawing(RunFolder.open(gone), OfRun(RunFolder.open(gone).samples), ["warmth"], "norm")
    shutil.rmtree(gone)
    with pytest.raises(ValueError, match="order: scores of samples are missing; was the run's folder moved"):
        drawing.order(0)


def test_what_is_saved(served, explored):
    status, content, headers = served.ask("api/png", STATE)
    assert status == 200 and "explore_sample=5_warmth=+1.5@3-4.png" in headers["Content-Disposition"]
    with Image.open(io.BytesIO(content)) as picture:
        assert np.array_equal(np.asarray(picture), manipulated(explored, layers="3-4", steps=[1.5]))
    _, content, _ = served.ask("api/codes", STATE)
    saved = np.load(io.BytesIO(content), allow_pickle=False)
    assert saved["w"].shape == (1, 6, 32) and json.loads(str(saved["state"]))["sample"] == 5
    images = RunFolder.open(explored).generator.synthesize(torch.tensor(saved["w"]))
    drawn = manipulated(explored, layers="3-4", steps=[1.5])
    assert np.abs(image_grid(images[None]).astype(int) - drawn).max() <= 1
    _, content, _ = served.ask("api/thumb/5.jpg")
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.size == (16, 16)


@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_an_animation_is_saved(served, ending):
    asked = {"state": STATE, "semantic": "warmth", "from": -2, "to": 2, "frames": 4, "format": ending}
    status, content, headers = served.ask("api/video", asked)
    assert status == 200 and f"warmth=-2..2.{ending}" in headers["Content-Disposition"]
    if ending == "gif":
        with Image.open(io.BytesIO(content)) as picture:
            assert picture.size == (256, 256) and picture.n_frames == 6
        return
    import av

    with av.open(io.BytesIO(content)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 6 and frames[0].shape == (256, 256, 3) and (frames[0] != frames[3]).any()


def test_a_bad_animation_gets_one_line(served):
    asked = {"state": STATE, "semantic": "warmth", "from": -2, "to": 2, "frames": 4}
    for change, said in (
        ({"semantic": "x"}, "no boundary of 'x'"),
        ({"frames": 1_000}, "frames: Input should be less than or equal to 240"),
        ({"format": "exe"}, "format: Input should be 'mp4' or 'gif'"),
        ({"state": {"sample": 128}}, "sample: got 128"),
    ):
        status, content, _ = served.ask("api/video", asked | change)
        assert status == 400 and said in json.loads(content)["error"]


def test_an_animation_without_pyav_says_what_to_install(served, monkeypatch):
    monkeypatch.setattr(application, "why_no_mp4", lambda: "install PyAV")
    asked = {"state": STATE, "semantic": "warmth", "from": -2, "to": 2}
    assert served.ask("api/video", asked)[:2] == (501, b'{"error":"install PyAV"}')

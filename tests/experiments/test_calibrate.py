"""Whether claims are true: how they are counted, and that simulated probes are kept."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from higan_fast.cli import main
from higan_fast.experiments import calibrate, simulated_probe
from higan_fast.experiments.calibrate import CLAIMS, counted
from higan_fast.scenes.simulated import NAMES

SMALL = {"num": 400, "chosen_num": 100, "max_samples": 16, "num_null": 8, "confidence": 0.99}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(simulated_probe, "SIZE", SMALL)


def boundary(name, **changes):
    nothing = [0] * len(NAMES)
    values = {
        "name": name, "kind": "moved", "status": "shown", "top": 1, "true_top": 1, "layers": [0, 1, 0, 0],
        "effect": [0.5, None, None, None, None], "low": [0.4, None, None, None, None],
        "high": [0.6, None, None, None, None], "true": [0.5, 0.0, 0.4, 0.1, 0.0],
        "moves": nothing, "true_others": [0.0] * len(NAMES), "even": nothing, "true_even": [0.0] * len(NAMES),
    }  # fmt: skip
    return values | changes


def record(*boundaries, ordered=True, trend=None):
    return {
        "number": 0, "scorer": "labels", "ordered": ordered, "images": 5, "trend": trend,
        "boundaries": boundaries,
    }  # fmt: skip


def row(claim, *records):
    finding = counted({"labels": records})
    return next(row for row in finding.rows if row["claim"] == claim and row["true_effect"] is None)


def at(name, value):
    return [value if other == name else 0 for other in NAMES]


@pytest.mark.parametrize(
    ("claim", "right", "wrong"),
    [
        ("effect shown", {}, {"true": [-0.1, 0.0, -0.1, 0.0, 0.0]}),
        ("effect shown", {}, {"kind": "shuffled"}),
        ("top layer", {}, {"true_top": 2}),
        ("top layer", {}, {"true": [0.0] * 5}),
        ("a layer alone moves it", {}, {"layers": [1, 0, 0, 0]}),
        ("a layer alone moves it", {}, {"layers": [0, -1, 0, 0]}),
        ("side effect", {"moves": at("lamp", -1), "true_others": at("lamp", -0.3)}, {"moves": at("lamp", 1)}),
        ("even part", {"even": at("sofa", -1), "true_even": at("sofa", -0.4)}, {"even": at("sofa", 1)}),
        ("interval", {}, {"low": [0.51, None, None, None, None]}),
    ],
)
def test_a_claim_is_false_where_the_truth_is_another(claim, right, wrong):
    true, false = record(boundary("view", **right)), record(boundary("view", **right | wrong))
    found = row(claim, true, true, false)
    assert (found["probes"], found["false"], found["erring_probes"]) == (3, 1, 1)
    assert found["claims"] == 3 and found["erring_low"] < 1 / 3 < found["erring_high"]
    assert row(claim, true)["power"] == (None if claim == "interval" else 1)


def test_what_is_missed_costs_power_and_is_no_error():
    missed = boundary("view", status="undecided", top=-1, layers=[0] * 4)
    for claim in ("effect shown", "top layer", "a layer alone moves it"):
        found = row(claim, record(boundary("view")), record(missed))
        assert (found["power"], found["false"]) == (0.5, 0)
    ordered, not_ordered = record(boundary("view"), trend=0.001), record(boundary("view"), ordered=False)
    found = row("order of levels", ordered, not_ordered, not_ordered | {"trend": 0.002})
    assert (found["claims"], found["false"], found["power"]) == (2, 1, 1)


def test_probes_are_kept_and_more_are_added(small, tmp_path, monkeypatch):
    first = calibrate(probes=2, pictures=1, out=tmp_path, progress=False)
    kept = {path.name: path.read_bytes() for path in tmp_path.glob("*.json")}
    assert sorted(kept) == ["labels-00000.json", "labels-00001.json", "pictures-00000.json"]
    (tmp_path / "labels-00001.json").write_text("damaged")
    probed, probe = [], simulated_probe.probe
    monkeypatch.setattr(
        simulated_probe, "probe", lambda number, scorer: probed.append(number) or probe(number, scorer)
    )
    again = calibrate(probes=2, pictures=1, out=tmp_path, progress=False)
    assert probed == [1] and again.to_json() == first.to_json()
    assert kept == {path.name: path.read_bytes() for path in tmp_path.glob("*.json")}
    each = json.loads(kept["labels-00000.json"])["record"]["boundaries"]
    assert [boundary["name"] for boundary in each] == list(NAMES)
    kinds = [boundary["kind"] for boundary in each]
    assert kinds.count("shuffled") == kinds.count("blind") == 2 and kinds.count("sofa") == 1
    for claim in CLAIMS:
        assert claim in first.table.text()
    left, right = first.draw().axes
    assert left.lines and right.get_yticklabels()[0].get_text() == "effect shown"


def test_the_command_writes_a_finding_and_refuses_in_one_line(small, tmp_path):
    done = CliRunner().invoke(main, ["calibrate", str(tmp_path), "--probes", "1", "--pictures", "0"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "calibrate.csv").is_file() and "boundaries of nothing" in done.output
    refused = CliRunner().invoke(main, ["calibrate", str(tmp_path), "--probes", "0"])
    assert refused.exit_code == 1 and "probes (--probes): got 0, expected a whole number" in refused.output
    assert refused.output.count("\n") == 1


def test_the_committed_table_keeps_the_level():
    table = Path(__file__).parent.parent.parent / "docs" / "experiments" / "calibrate.csv"
    rows = list(csv.DictReader(table.read_text().splitlines()))
    promised = [
        row for row in rows if row["scorer"] == "labels" and row["claim"] in ("effect shown", "top layer")
    ]
    whole = [row for row in promised if not row["true_effect"]]
    assert [row["probes"] for row in whole] == ["1000", "1000"]
    assert all(float(row["erring_high"]) < 0.01 for row in whole)
    assert list(rows[0]) == list(counted({"labels": [record(boundary("view"))]}).rows[0])

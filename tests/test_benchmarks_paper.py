"""The paper's study at a two-thousandth: it runs, checks itself, goes on, and says what it stands for."""

import csv
import json
import time

import pytest
from click.testing import CliRunner

from benchmarks import run
from benchmarks.paper import watch
from benchmarks.paper.command import Log
from benchmarks.paper.pilot import STAGES
from benchmarks.paper.stages import Outcome, Stages
from benchmarks.paper.study import Study
from benchmarks.paper.watch import Growth, Watch

MIB = 2**20


def invoke(folder):
    arguments = ("paper", "--scale", 0.0005, "--threads", 1, "--out", folder)
    return CliRunner().invoke(run.main, [str(argument) for argument in arguments])


def rows_in(folder):
    (file,) = folder.glob("*.csv")
    return list(csv.DictReader(file.read_text().splitlines()))


def test_all_of_it_runs_and_only_what_was_not_interrupted_has_rows(tmp_path):
    done = invoke(tmp_path)
    assert done.exit_code == 0, done.output
    found = rows_in(tmp_path)
    assert [row["backend"] for row in found] == [*STAGES, "whole study"]
    assert {row["case"] for row in found} == {"paper ×0.0005: 512 samples, 8² of base 256"}
    assert all(float(row["images_per_s"]) > 0 and row["max_error"] and row["commit"] for row in found)
    *stages, whole = (float(row["ms"]) for row in found)
    assert whole == pytest.approx(sum(stages), rel=1e-3)
    for said in (
        "512 (of 500,000) samples", "104.0)", "estimate, from a few batches", "32 of them, made again alone",
        "2 of 2 proven to be near", "measured again on 32 other samples", "estimate → outcome",
        "projected at --scale 1, not measured",
    ):  # fmt: skip
        assert said in done.output, said
    file = tmp_path / "paper-0.0005" / "study.json"
    kept = json.loads(file.read_text())
    kept["stages"] |= {"fit": {}, "verify": {}}  # as an interruption leaves them
    file.write_text(json.dumps(kept))
    again = invoke(tmp_path)
    assert again.exit_code == 0 and "sample: done before: " in again.output
    assert again.output.count("so that its time is no measurement: no row") == 2
    assert "projected" not in again.output and rows_in(tmp_path) == found


def test_a_wrong_result_has_no_row(tmp_path, monkeypatch):
    monkeypatch.setattr(Stages, "run", lambda self, stage: None)
    monkeypatch.setattr(Stages, "outcome", lambda self, stage: Outcome(1, "images", 0.2, 0.1, "checked"))
    monkeypatch.setattr("benchmarks.paper.command.pilot", lambda *_: dict.fromkeys(STAGES, (1.0, "a guess")))
    done = invoke(tmp_path)
    assert done.exit_code == 1 and done.output.count("error 2.0e-01 of at most 1.0e-01") == 6
    assert not list(tmp_path.glob("*.csv"))


def test_what_is_scaled_to_what():
    whole, small = Study.of(1.0), Study.of(0.01)
    assert (whole.samples, whole.attributes, whole.learnt_from, whole.code_dim) == (500_000, 102, 14_000, 512)
    assert (whole.null, whole.most_samples, whole.num_layers) == (32, 2000, 14)
    assert whole.flops == pytest.approx(90.2e9 + 13.8e9, rel=2e-3)  # config-f, and WRN-18 on 224²
    assert (small.samples, small.attributes, small.per_side, small.resolution) == (5000, 10, 1000, 64)
    assert (small.null, Study.of(0.0005).null) == (16, 4)
    assert not any("(of" in line for line in whole.lines())
    assert "5,000 (of 500,000) samples" in "\n".join(small.lines())


def test_another_machine_or_precision_is_refused_and_lost_notes_count_as_an_interruption(tmp_path):
    file = tmp_path / "study.json"
    log = Log(file, {"precision": "fast"})
    assert not log.begin("sample")
    with pytest.raises(Exception, match="was begun with precision = 'fast', and this run has 'exact'"):
        Log(file, {"precision": "exact"})
    assert Log(file, {"precision": "fast"}).begin("sample")
    file.unlink()
    (tmp_path / "samples.zarr").mkdir()
    assert Log(file, {"precision": "fast"}).begin("verify")


def test_memory_that_grows_is_told_from_memory_that_does_not():
    assert Growth(500 * MIB, 560 * MIB, 100.0).flat and Growth(4000 * MIB, 4180 * MIB, 100.0).flat
    leak = Growth(500 * MIB, 600 * MIB, 2000.0)
    assert leak.said(1000, "samples") == "500 → 600 MiB, +50.0 MiB per 1,000 samples: GROWS"


def test_memory_is_read_beside_the_work(monkeypatch):
    readings = []

    def resident(name):
        readings.append(name)
        return len(readings) * MIB

    monkeypatch.setattr(watch, "EVERY", 0.0)
    monkeypatch.setattr(watch, "forget_peak", lambda: None)
    monkeypatch.setattr(watch, "resident", resident)
    with Watch("cpu", lambda: len(readings)) as watched:
        begin = time.monotonic()
        while len(readings) < 200 and time.monotonic() - begin < 5:
            time.sleep(1e-3)
    found = watched.growth()["host"]
    assert not found.flat and (found.late - found.early) / found.work == pytest.approx(MIB, rel=0.01)
    monkeypatch.setattr(watch, "EVERY", 10.0)
    with Watch("cpu") as short:
        pass
    assert short.growth() == {"host": None} and short.seconds > 0

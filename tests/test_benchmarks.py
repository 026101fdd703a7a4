"""The benchmarks run and check themselves; what they measure is for a quiet machine to say."""

import csv

import pytest
import torch
from click.testing import CliRunner

from benchmarks import cases, run
from benchmarks.timing import in_turn


def test_rows_are_appended(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    for _ in range(2):
        result = CliRunner().invoke(run.main, ["render", "--repeats", "1", "--threads", "1"])
        assert result.exit_code == 0, result.output
    (file,) = tmp_path.iterdir()
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [row["backend"] for row in rows] == ["one by one", "batched"] * 2
    assert all(float(row["images_per_s"]) > 0 and row["threads"] == "1" for row in rows)


def test_backends_that_differ_leave_no_row(tmp_path, monkeypatch):
    wrong = cases.Case("wrong", 1, {"a": lambda: torch.zeros(1), "b": lambda: torch.ones(1)}, 0.5, "a test")
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    monkeypatch.setitem(run.CASES, "render", lambda: wrong)
    result = CliRunner().invoke(run.main, ["render"])
    assert "backends differ by 1, more than 0.5" in result.output and result.exit_code == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", cases.CASES)
def test_backends_agree(name):
    case = cases.CASES[name]()
    reference, *others = [backend() for backend in case.backends.values()]
    for other in others:
        assert (other.double() - reference.double()).abs().max() <= case.tolerance


def test_backends_take_turns():
    calls = []
    in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b"] * 3

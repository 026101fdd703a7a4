"""Progress: plain lines in a log, a bar on a terminal, and silence when it is not wanted."""

import io
import sys
from contextlib import contextmanager

import pytest

import higan_fast.progress as module
from higan_fast.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@contextmanager
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    yield now


def test_a_log_gets_a_line_every_few_seconds_and_one_at_the_end(monkeypatch, capsys):
    with clock(monkeypatch) as now, progress("sampling", 1000) as advance:
        for _ in range(10):
            now[0] += 2.0
            advance(100)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "sampling: 300 of 1,000 images, 50.0 images/s, 0:14 left",
        "sampling: 600 of 1,000 images, 50.0 images/s, 0:08 left",
        "sampling: 900 of 1,000 images, 50.0 images/s, 0:02 left",
        "sampling: 1,000 of 1,000 images, 50.0 images/s, took 0:20",
    ]


def test_what_an_earlier_run_did_does_not_count_for_the_rate(monkeypatch, capsys):
    with clock(monkeypatch) as now, progress("fitting", 20_000, unit="steps", done=10_000) as advance:
        now[0] += 6.0
        advance(6)
    first, *_ = capsys.readouterr().err.splitlines()
    assert first == "fitting: 10,006 of 20,000 steps, 1.0 steps/s, 2:46:34 left"


def test_an_interrupted_job_says_how_far_it_came(capsys):
    with pytest.raises(KeyboardInterrupt), progress("sampling", 10):
        raise KeyboardInterrupt
    assert capsys.readouterr().err.startswith("sampling: 0 of 10 images")


@pytest.mark.parametrize("options", [{"enabled": False}, {"done": 5}])
def test_nothing_is_shown_when_unwanted_or_done(capsys, options):
    with progress("sampling", 5, **options) as advance:
        advance(5)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress("sampling", 40, done=10) as advance:
        advance(30)
    assert "sampling" in terminal.getvalue()
    assert "40/40" in terminal.getvalue()
    assert "images/s" in terminal.getvalue()

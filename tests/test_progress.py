"""Progress: plain lines in a log, a bar on a terminal, and silence when it is not wanted."""

import io
import sys
from contextlib import contextmanager

import pytest

import higan_fast.progress as module
from higan_fast.progress import duration, overall, progress, say, stage


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


def test_the_last_line_is_said_once(monkeypatch, capsys):
    with clock(monkeypatch) as now, progress("sampling", 100) as advance:
        now[0] += 10.0
        advance(100)
    assert capsys.readouterr().err == "sampling: 100 of 100 images, 10.0 images/s, took 0:10\n"


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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 s"), (45.4, "45 s"), (150, "2 min"), (25_269, "7 h"), (250_000, "3 days"), (5e8, "5,787 days")],
)
def test_times_are_in_the_unit_that_people_use(seconds, text):
    assert duration(seconds) == text


def test_the_stage_stands_before_all_that_is_shown(capsys):
    with stage(1, of=4):
        say("sampling on cpu")
        with progress("sampling", 10) as advance:
            advance(10)
    with stage(2, of=4), overall("fitting", 3, "fitted") as report:
        report(3, "done")
    say("over")
    starts = [line.split(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert starts == ["1/4 sampling on cpu", "1/4 sampling", "2/4 fitting", "over"]


def rounds(now):
    """A job of two rounds of ten images; the first takes eight seconds and the second two."""
    with overall("verifying", 14, "boundaries decided") as report:
        for decided, seconds, stop in ((5, 8.0, 32), (14, 2.0, 48)):
            with progress(f"verifying samples to {stop - 1}", 10) as advance:
                now[0] += seconds
                advance(10)
            report(decided, f"{stop} of at most 1,000 samples")


def test_a_log_gets_lines_of_the_whole(monkeypatch, capsys):
    with clock(monkeypatch) as now:
        rounds(now)
    assert capsys.readouterr().err.splitlines() == [
        "verifying samples to 31: 10 of 10 images, 1.2 images/s, took 0:08",
        "verifying: 5 of 14 boundaries decided; 32 of at most 1,000 samples, 0:08 so far",
        "verifying: 14 of 14 boundaries decided, took 0:10",
    ]


def test_a_terminal_has_the_whole_above_the_rounds(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    with overall("verifying", 14, "boundaries decided") as report:
        report(5, "32 of at most 1,000 samples")
        with progress("round", 10) as advance:
            advance(10)
            module._overall.get().refresh()
        before = terminal.getvalue()
    assert before.index("verifying") < before.index("round") and "10/10" in before
    assert "5/14" in before and "boundaries decided; 32 of at most 1,000 samples" in before
    last = terminal.getvalue()[len(before) :]
    assert "verifying" in last and "round" not in last, "rounds leave, and the whole stays"


def test_nothing_overall_is_shown_when_unwanted(capsys):
    with overall("verifying", 14, "decided", enabled=False) as report:
        report(3, "some")
    assert capsys.readouterr() == ("", "")

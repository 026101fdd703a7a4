"""The benchmarks' code for CUDA, run on the CPU: events, streams, graphs, and rows within seconds."""

import csv
import time
from functools import partial

import pytest
import torch
from click.testing import CliRunner

from benchmarks import roofline, rows, run, timing
from benchmarks.cases import convolutions, generator, ops
from benchmarks.cases.case import Backend, Case
from benchmarks.roofline import MIB
from higan_fast.ops import convolution_choice as choice
from tests.cuda_on_cpu import NAME, Event, cuda_on_cpu


@pytest.fixture(autouse=True)
def on_cuda(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "SECONDS", 0.0)
    monkeypatch.setattr(timing, "FLUSHED", MIB)
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "results")
    timing._larger_than_l2.cache_clear()
    with cuda_on_cpu():
        yield
    timing._larger_than_l2.cache_clear()


def small(monkeypatch):
    """Networks and ceilings of a size for tests."""
    monkeypatch.setattr(run, "measure", partial(roofline.measure, sizes=(MIB,), shape=(1, 8, 8)))
    monkeypatch.setitem(generator.BATCHES, "cuda", (1,))
    monkeypatch.setitem(generator.DTYPES, "cuda", ("float32", "float16"))
    monkeypatch.setitem(ops.BATCH, "cuda", 1)
    monkeypatch.setitem(ops.CHANNEL_BASES, "cuda", (64,))
    monkeypatch.setitem(ops.DTYPES, "cuda", ("float16",))
    monkeypatch.setattr(ops, "biggan", lambda: [(16, 4, 1), (16, 4, 2)])
    cases = partial(generator.generator_cases, channel_bases=(64,), resolution=8)
    monkeypatch.setitem(run.CASES, "generator", cases)
    monkeypatch.setitem(
        run.CASES, "ops", lambda device, peers, quick: ops.op_cases(device, quick, resolution=8)
    )


def invoke(*arguments):
    result = CliRunner().invoke(run.main, [*arguments, "--device", "cuda", "--repeats", "1"])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def read(folder):
    (file,) = folder.iterdir()
    assert file.stem == rows._file_name(NAME)
    return list(csv.DictReader(file.read_text().splitlines()))


def test_what_is_timed_may_change_its_mode():
    """What is overwritten before each call is used in and out of inference mode."""
    calls = []
    for mode in (True, False, True):
        with torch.inference_mode(mode):
            assert timing.seconds_of(lambda: calls.append(1), "cuda") >= 0
    assert len(calls) == 3


def test_events_must_be_recorded_and_timed():
    first, second = Event(enable_timing=True), Event()
    with pytest.raises(ValueError, match="enable_timing"):
        first.elapsed_time(second)
    with pytest.raises(ValueError, match="recorded"):
        first.elapsed_time(Event(enable_timing=True))


def test_generators_and_their_graphs_run_and_agree(monkeypatch, tmp_path):
    small(monkeypatch)
    output = invoke("generator")
    found = read(tmp_path / "results")
    assert {row["dtype"] for row in found} == {"float32", "float16"}
    assert [row["backend"] for row in found[:3]] == ["reference", "native", "native, CUDA graph"]
    assert all(float(row["ms"]) > 0 and row["roofline_share"] for row in found) and "copy" in output


def test_quick_rows_of_ops_and_generators(monkeypatch, tmp_path):
    small(monkeypatch)
    invoke("ops", "generator", "--quick", "--out", str(tmp_path / "quick"))
    found = read(tmp_path / "quick")
    assert {row["dtype"] for row in found} == {"float16", "float32"}
    assert {"reference", "native", "native, fused"} <= {row["backend"] for row in found}
    whole = [row["backend"] for row in found if row["case"].startswith("StyleGAN2")]
    assert whole == ["native", "native, CUDA graph"] and not rows.RESULTS.exists()


def test_quick_leaves_out_what_would_begin_too_late(monkeypatch, tmp_path):
    def slow():
        time.sleep(0.2)
        return torch.ones(1)

    monkeypatch.setattr(run, "SECONDS", 0.3)
    backends = Backend("a", slow), Backend("b", slow)
    monkeypatch.setitem(run.CASES, "fit", lambda *given: [Case("slow", backends, "a test")])
    output = invoke("fit", "--quick", "--out", str(tmp_path))
    assert "slow: b float32: left out, for the case took 0.3 s before it" in output
    assert [row["backend"] for row in read(tmp_path)] == ["a"]


def test_convolutions_leave_rows_by_which_they_are_chosen(monkeypatch, tmp_path):
    small(monkeypatch)
    cases = partial(convolutions.convolution_cases, batches=(1,), resolution=8)
    monkeypatch.setitem(run.CASES, "convolutions", lambda device, peers, quick: cases(device, quick))
    output = invoke("convolutions", "--quick", "--out", str(tmp_path / "rows"))
    assert "faster (convolution_times.csv)" in output
    table = choice.read_rows(tmp_path / "rows" / "convolution_times.csv")
    layers = [(row.layer.pixels, row.layer.up) for row in table]
    assert layers == [(16, 1), (64, 1), (64, 2)] * 2 and {row.capability for row in table} == {(9, 0)}
    assert [row.dtype for row in table] == [torch.float16] * 3 + [torch.float32] * 3
    timed = (tmp_path / "rows" / f"{rows._file_name(NAME)}.csv").read_text().splitlines()
    assert [row["backend"] for row in csv.DictReader(timed)][:2] == ["native", "native, fused"]


def test_convolutions_need_a_gpu():
    result = CliRunner().invoke(run.main, ["convolutions"])
    assert result.exit_code == 2 and "--device cpu: convolutions takes --device cuda" in result.output

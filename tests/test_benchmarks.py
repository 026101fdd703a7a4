"""The benchmarks run and check themselves; what they measure is for a quiet machine to say."""

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import higan_fast as hf
from benchmarks import decisions, peers, roofline, rows, run, timing, workers
from benchmarks.cases import generator, ops, shapes, stylegan3, verification
from benchmarks.cases.case import Backend, Case, error, exact_result
from benchmarks.cases.rendering import render_rooms
from benchmarks.peers import higan, stylegan2_ada
from benchmarks.peers import stylegan3 as stylegan3_peer
from benchmarks.roofline import MIB, Ceilings, Work
from benchmarks.timing import in_turn
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.generators.stylegan3 import StyleGAN3
from higan_fast.generators.stylegan3_config import StyleGAN3Config
from higan_fast.ops import implementation

ROOT = Path(__file__).parent.parent
CEILINGS = Ceilings({MIB: 4e9, 64 * MIB: 1e9}, {"float32": 1e11, "bfloat16": 4e11})


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """No more rounds than a test asks for."""
    monkeypatch.setattr(timing, "SECONDS", 0.0)


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    return tmp_path


def made(name, *backends, **options):
    return Case(name, tuple(Backend(*backend) for backend in backends), "a test", **options)


def invoke(monkeypatch, *cases):
    monkeypatch.setitem(run.CASES, "render", lambda device, peers, quick: cases)
    return CliRunner().invoke(run.main, ["render", "--repeats", "1", "--threads", "1"])


def test_rows_are_appended(results, monkeypatch):
    case = made("plain", ("a", lambda: torch.ones(3)), ("b", lambda: torch.ones(3)), images=4)
    for _ in range(2):
        result = invoke(monkeypatch, case)
        assert result.exit_code == 0, result.output
    (file,) = results.iterdir()
    found = list(csv.DictReader(file.read_text().splitlines()))
    assert [row["backend"] for row in found] == ["a", "b"] * 2
    assert all(float(row["images_per_s"]) > 0 and row["threads"] == "1" for row in found)
    assert all(row["roofline_share"] == "" for row in found)


def test_rows_of_several_processes(results, capsys):
    table = workers.Rows(None)
    for count, whole in ((1, (30.0, 25.0, "")), (2, (33.0, 15.0, "shard 2/2: did 1,234 units; …"))):
        table.add("sample", count, workers.Cost(*whole), workers.Cost(5.0 * count, 5.0, ""), 2000)
    (file,) = results.iterdir()
    found = [
        (row["case"].removeprefix("workers sample 2,000 images, "), row["backend"], row["ms"], row["ratio"])
        for row in csv.DictReader(file.read_text().splitlines())
    ]
    assert found == [
        ("wall", "1 process", "20000", "1.00"),
        ("processor", "1 process", "25000", "1.00"),
        ("processor of starts", "1 process", "5000", "1.00"),
        ("wall", "2 processes", "10000", "2.00"),
        ("processor", "2 processes", "23000", "1.09"),
        ("processor of starts", "2 processes", "10000", "0.50"),
    ]
    assert "units of helpers: 1,234" in capsys.readouterr().out


def test_rows_of_several_kinds_share_one_file(results, monkeypatch):
    def ones():
        return torch.ones(3)

    plain = made("plain", ("a", ones), ("b", ones), images=4)
    counted = made("counted", ("c", ones, "bfloat16", 0.0, (Work(MIB, 10**6),)))
    monkeypatch.setattr(run, "_prepare", lambda device, names: CEILINGS)
    result = invoke(monkeypatch, plain, counted)
    assert result.exit_code == 0, result.output
    (file,) = results.iterdir()
    first, second, third = csv.DictReader(file.read_text().splitlines())
    assert first["images_per_s"] and second["ratio"] and not first["gflop_per_s"]
    assert third["dtype"] == "bfloat16" and third["gflop_per_s"] and not third["images_per_s"]
    limit = MIB / 4e9
    assert float(third["roofline_share"]) == pytest.approx(limit / (float(third["ms"]) / 1e3), abs=0.006)


def test_backends_that_differ_or_fail_leave_no_row_and_stop_nothing(results, monkeypatch):
    def fail():
        raise RuntimeError("kernel: no such device")

    one = ("a", lambda: torch.ones(1))
    wrong = made("wrong", one, ("b", lambda: 2 * torch.ones(1), "float32", 0.5), ("c", fail))
    off = made("off", ("first", lambda: torch.zeros(1)), one, exact=lambda: torch.ones(1))
    result = invoke(monkeypatch, wrong, off)
    assert result.exit_code == 1
    assert result.output.count("wrong: b float32 differs by 1 of the largest magnitude, tolerated 0.5") == 2
    assert "wrong: c float32: kernel: no such device" in result.output
    (file,) = results.iterdir()
    found = list(csv.DictReader(file.read_text().splitlines()))
    assert [(row["case"], row["backend"], row["ratio"]) for row in found] == [
        ("wrong", "a", "1.00"),
        ("off", "a", ""),
    ]


def test_a_file_with_other_columns_is_left_alone(results):
    (results / "there.csv").write_text("date,case\n")
    with pytest.raises(ValueError, match=r"there\.csv: got the columns"):
        rows.append({"case": "a"}, "there")
    assert (results / "there.csv").read_text() == "date,case\n"


def test_committed_rows_have_the_columns():
    for path in (ROOT / "benchmarks" / "results").glob("*.csv"):
        header, *lines = csv.reader(path.read_text().splitlines())
        assert header == list(rows.COLUMNS), path
        assert lines and all(len(line) == len(header) for line in lines), path


def test_wrong_decisions_are_counted(monkeypatch):
    found = SimpleNamespace(
        beats_null=np.array([True, True, False, True]), top_layer=np.array([1, 0, -1, 2]), images=7
    )
    monkeypatch.setattr(decisions.hf, "verify", lambda *_, **options: found)
    effects = np.array([[3.0, 1, 2.9, 3], [2, 1, 4, 0], [0, 5, 0, 0], [-1, 0, 0, 3]])  # on all, on each
    problems, claimed, images = decisions._run(None, None, dict.fromkeys("abcd"), effects, seed=1)
    assert problems == ["b is moved more by layer 1 than by 0", "d has no effect"]
    assert claimed == ["a", "b", "d"] and images == 7


def test_rooms_do_not_depend_on_their_batch():
    case = render_rooms()
    found, problems = run._checked(case, {})
    assert len(found) == len(case.backends) and not problems


def test_the_published_loop_and_the_engine_agree():
    world = verification.at_256("cpu", {}, resolution=32, base=512)
    case = verification.verify_layers(world, num=2, num_null=2, reference_num=2)
    *measured, decided, own = case.backends
    assert [b.name for b in measured] == [
        "HiGAN's loop, plain StyleGAN2", "full forwards", "engine, exact", "engine, fast",
    ]  # fmt: skip
    assert case.images == 2 * 2 * (1 + 1 + 8) and decided.images == 2 * 2000 * 10
    assert decided.once and own.once
    found, problems = run._checked(replace(case, backends=tuple(measured)), {})
    assert len(found) == len(measured) and not problems


def test_decisions_are_judged_by_what_they_fall_short_of(monkeypatch):
    world = verification.at_256("cpu", {}, resolution=8, base=64)
    effects = verification._layer_effects(world, 5)
    expected = hf.verify(world.generator, world.predictor, world.boundaries, num=5, progress=False).effect
    np.testing.assert_allclose(effects, expected[range(2), 1:, range(2)], atol=1e-5)
    tops = np.array([1, 1])
    verified = SimpleNamespace(top_layer=tops, images=77)
    monkeypatch.setattr(verification.hf, "verify", lambda *_, **options: verified)
    effects = torch.tensor([[1.0, -4, 2, 3], [4, 3, 2, 1]])
    monkeypatch.setattr(verification, "_layer_effects", lambda world, num: effects)
    backend, own = verification._until_decided(world, "bfloat16", 2, 5)
    assert backend.judge(backend.run()) == 0.25  # the second has the layer with 3 of 4
    tops[0] = -1
    assert backend.judge(backend.run()) == 1.0
    assert own.judge(own.run()) == 1.0 and own.images() == 77


def test_what_runs_for_minutes_runs_once_and_has_work_of_its_own(results, monkeypatch):
    calls = []
    often = Backend("often", lambda: torch.ones(1))
    once = Backend(
        "once", lambda: calls.append(1) or torch.ones(1), images=40, judge=lambda x: 0.5, once=True
    )
    result = invoke(monkeypatch, Case("two", (often, replace(once, tolerance=1.0)), "a test", images=4))
    assert result.exit_code == 0, result.output
    (file,) = results.iterdir()
    first, second = csv.DictReader(file.read_text().splitlines())
    assert calls == [1] and second["max_error"] == "5.0e-01"
    rates = float(second["images_per_s"]) / float(first["images_per_s"])
    assert float(second["ratio"]) == pytest.approx(rates, rel=0.05, abs=0.01)
    result = invoke(monkeypatch, Case("two", (often, once), "a test", images=4))
    assert "once bfloat16" not in result.output and "differs by 0.5" in result.output


def test_what_nobody_writes_shows():
    good = torch.ones(1000)

    def half():
        out = torch.empty(1000)
        out[:500] = 1
        return out

    for _ in range(3):  # whatever lies in reused memory
        case = made("half", ("a", lambda: good.clone()), ("b", half))
        assert not error(case, case.backends[1], exact_result(case)) <= 1e9


def test_backends_take_turns():
    calls = []
    in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b"] * 3


def test_short_jobs_take_more_rounds(monkeypatch):
    monkeypatch.setattr(timing, "SECONDS", 1e9)
    calls = []
    in_turn({"a": lambda: calls.append("a")}, 2)
    assert len(calls) == 1 + timing.MOST * 2


def test_the_limit_is_the_larger_of_bytes_and_products():
    assert CEILINGS.limit((Work(2 * MIB),), "float32") == pytest.approx(2 * MIB / 4e9)
    assert CEILINGS.limit((Work(2 * MIB, 10**9),), "float32") == pytest.approx(1e9 / 1e11)
    assert CEILINGS.limit((Work(2 * MIB, 10**9),), "bfloat16") == pytest.approx(1e9 / 4e11)
    assert CEILINGS.limit((Work(2 * MIB), Work(0, 10**9)), "float32") == pytest.approx(2 * MIB / 4e9 + 0.01)


def test_a_copy_of_the_nearest_size_counts():
    assert CEILINGS.bandwidth(7 * MIB) == CEILINGS.bandwidth(0) == 4e9
    assert CEILINGS.bandwidth(9 * MIB) == CEILINGS.bandwidth(10**12) == 1e9


def test_ceilings_are_measured():
    found = roofline.measure("cpu", ("float32", "bfloat16"), sizes=(MIB,), shape=(1, 8, 8))
    assert set(found.bandwidths) == {MIB} and set(found.peaks) == {"float32", "bfloat16"}
    assert min(*found.bandwidths.values(), *found.peaks.values()) > 0
    assert "copy" in str(found)


def test_layers_of_a_256_generator():
    small, large = (shapes.stylegan2(shapes.widths(base)) for base in (16384, 32768))
    # shared/facts: 29.7 GFLOP an image in the convolutions, 90.2 for config-f with its RGB
    convs = sum(layer.flop(1) for layer in small if isinstance(layer, shapes.Conv))
    assert convs == pytest.approx(29.75e9, rel=1e-3)
    assert sum(layer.flop(1) for layer in large) == pytest.approx(90.2e9, rel=1e-3)
    assert str(small[-3]) == "256² 128→64 up" and str(small[-1]) == "256² 64→3"
    assert len(small) == 13 + 7


def test_work_of_layers_by_hand():
    up = shapes.Conv(8, inputs=2, outputs=3, up=2)
    # multiplications and additions: 5 samples × 4×4 pixels × 3·2 channels × 9 taps
    assert up.flop(5) == 2 * 5 * 16 * 6 * 9
    # read: 5 × 2 channels × 4×4, 54 weights; written: 5 × 3 channels × 8×8; noise 8×8 in float32
    assert up.work(5, 2).bytes == 2 * (160 + 54 + 960) + 4 * 64
    rgb = shapes.Rgb(8, inputs=2)
    assert rgb.flop(5) == 2 * 5 * 64 * 2 * 3
    assert rgb.work(5, 2).bytes == 2 * 5 * 2 * 64 + 4 * 3 * 5 * (64 + 16)
    assert shapes.Rgb(4, inputs=2).work(1, 4).bytes == 4 * (2 * 16 + 3 * 16)


def test_an_ops_bytes_are_counted_from_its_tensors():
    layer = shapes.Conv(8, inputs=16, outputs=24)
    (work,) = ops.convolution(ops.Maker("cpu", "bfloat16"), layer, 2).backends[0].work
    smaller = 4 * (2 * 16 + 24 * 16 + 24)  # styles, weight_square, bias
    assert work == Work(layer.work(2, 2).bytes + smaller, layer.flop(2))


def test_biggan_layers():
    found = shapes.biggan()
    assert (1536, 4, 2) in found and (96, 128, 1) in found and (96, 256, 1) in found
    assert (192, 128, 2) in found and len(found) == len(set(found))


def test_every_op_runs_and_agrees(results):
    names = set()
    for case in ops.op_cases("cpu", batch=2, resolution=8):
        assert run._run(case, CEILINGS, 1, "cpu") == []
        names.add(case.name.split()[0])
    assert names == {
        "modulated_conv2d", "fused_epilogue", "block_end", "to_rgb", "modulate", "bias_act", "adain",
        "conditional_batch_norm_act", "upfirdn2d", "image_to_input",
        "layer_styles", "perturb_styles", "filtered_lrelu",
    }  # fmt: skip
    (file,) = results.iterdir()
    found = list(csv.DictReader(file.read_text().splitlines()))
    assert {row["dtype"] for row in found} == {"float32", "bfloat16"}
    assert all(row["roofline_share"] for row in found)


def test_a_whole_generator_runs_and_agrees(results, monkeypatch):
    monkeypatch.setitem(generator.BATCHES, "cpu", (2,))
    (case,) = generator.generator_cases("cpu", {}, channel_bases=(128,), resolution=8)
    assert run._run(case, CEILINGS, 1, "cpu") == []
    (file,) = results.iterdir()
    found = list(csv.DictReader(file.read_text().splitlines()))
    assert [(row["backend"], row["dtype"]) for row in found] == [
        ("reference", "float32"),
        ("native", "float32"),
        ("reference", "bfloat16"),
        ("native", "bfloat16"),
    ]
    assert all(row["gflop_per_s"] and row["images_per_s"] and row["roofline_share"] for row in found)


def test_a_whole_stylegan3_runs_and_agrees(results, monkeypatch):
    monkeypatch.setitem(stylegan3.BATCHES, "cpu", (1,))
    cases = stylegan3.stylegan3_cases("cpu", {}, resolution=16, base=64)
    for case, kind in zip(cases, "TR", strict=True):
        assert run._run(case, CEILINGS, 1, "cpu") == []
        assert case.name == f"StyleGAN3-{kind} 16² of base {64 if kind == 'T' else 128}, batch 1"
    (file,) = results.iterdir()
    found = list(csv.DictReader(file.read_text().splitlines()))
    backends = [("reference", "float32"), ("native", "float32"), ("native", "bfloat16")]
    assert [(row["backend"], row["dtype"]) for row in found] == 2 * backends
    assert all(row["gflop_per_s"] and row["images_per_s"] and row["roofline_share"] for row in found)


def test_weights_under_the_names_of_stylegan3():
    net = StyleGAN3(StyleGAN3Config(16, (6, 5, 5, 4)))
    state = stylegan3_peer.peer_state(net)
    assert torch.equal(state["input.freqs"], net.synthesis.input.freqs)
    assert torch.equal(state["L1_36_5.weight"], net.synthesis.convs[1].weight)
    assert torch.equal(state["L4_16_3.magnitude_ema"], net.synthesis.rgb.magnitude_ema)
    assert len(state) == len(net.synthesis.state_dict())


def test_only_reference_reaches_every_op(monkeypatch):
    monkeypatch.setattr(implementation, "why_not_native", lambda op, device, dtype: "")
    x = torch.ones(1, 2, 4, 4)
    with implementation.only_reference():
        assert not implementation.use_native("bias_act", "auto", x)
        with pytest.raises(RuntimeError), implementation.only_reference():
            raise RuntimeError
        assert not implementation.use_native("bias_act", "auto", x)
    assert implementation.use_native("bias_act", "auto", x)


def test_weights_under_the_peers_names():
    net = StyleGAN2(StyleGAN2Config({4: 6, 8: 5, 16: 4}))
    state = stylegan2_ada.peer_state(net)
    assert state["b4.const"].shape == (6, 4, 4)
    assert torch.equal(state["b4.conv1.weight"], net.synthesis.convs[0].weight)
    assert torch.equal(state["b16.conv0.weight"], net.synthesis.convs[3].weight)
    assert torch.equal(state["b16.conv1.noise_const"], net.synthesis.convs[4].noise_const)
    assert torch.equal(state["b8.torgb.affine.bias"], net.synthesis.rgbs[1].affine.bias)
    parts = {name.split(".", 2)[2] for name in state if ".conv0." in name}
    assert parts == {"affine.weight", "affine.bias", "weight", "bias", "noise_strength", "noise_const"}
    assert len(state) == 1 + 5 * 6 + 3 * 4


def test_weights_under_the_names_of_higan_are_read_back(tmp_path):
    net = StyleGAN2(StyleGAN2Config({4: 6, 8: 5, 16: 4}))
    state = {f"synthesis.{name}": value for name, value in higan.peer_state(net).items()}
    for name, value in net.mapping_network.state_dict().items():
        theirs = name.replace("fc.", "mapping.dense").replace("weight", "fc.weight")
        state["truncation.w_avg" if name == "w_avg" else theirs] = value
    torch.save(state, tmp_path / "network.pth")
    read = hf.load_generator(tmp_path / "network.pth")
    for name, value in net.synthesis.state_dict().items():
        torch.testing.assert_close(read.synthesis.state_dict()[name], value, msg=name)


def test_checkouts_of_peers_are_told_apart(tmp_path):
    for name, mark in peers.MARKS.items():
        (tmp_path / name / mark).parent.mkdir(parents=True)
        (tmp_path / name / mark).touch()
    found = peers.peers_in([tmp_path / name for name in reversed(peers.MARKS)])
    assert found == {name: tmp_path / name for name in peers.MARKS}
    done = CliRunner().invoke(run.main, ["render", "--peer", str(tmp_path)])
    assert done.exit_code == 2 and "not a known checkout; expected one of stylegan2" in done.output


def test_a_device_that_is_missing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = CliRunner().invoke(run.main, ["ops", "--device", "cuda"])
    assert result.exit_code == 2 and "sees no CUDA device" in result.output

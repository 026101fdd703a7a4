"""The dose-response: every step on the same fresh samples, and claims that follow from what was measured."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import higan_fast as hf
from higan_fast.boundaries.boundary import Boundaries
from higan_fast.files import DamagedError, read_arrays, write_arrays
from higan_fast.probing import Sweep, sweep_steps
from higan_fast.sampling.latents import DOSE, SAMPLING, VERIFICATION, make_codes
from tests.probing.same import same
from tests.probing.test_kept_parts import counted
from tests.toy import LAYER_OF, NUM_LAYERS, ToyPredictor, of_anyone, toy, toy_by_name
from tests.toy_families import conditional_toy

STEPS = (2, -2, -1, 1)
SMALL = {"num": 40, "progress": False}


@pytest.fixture(scope="module")
def found(boundaries, verification):
    return sweep_steps(*toy(), boundaries, num=64, verification=verification, progress=False)


def test_the_toys_curves_are_as_it_was_built(found):
    assert found.steps.tolist() == list(range(-6, 7)) and hf.sweep_steps is sweep_steps
    names = found.boundary_names
    assert names[: len(LAYER_OF)] == tuple(LAYER_OF) and set(names[len(LAYER_OF) :]) == set(LAYER_OF)
    assert found.rises[found.curves()].all() and found.curves() == [0, 1, 2, 3]
    for name, layer in LAYER_OF.items():
        curve = found.curve(name, acting=True)
        assert np.flatnonzero(found.moved[curve]).tolist() == [layer]
        assert (
            found.layers_in_words(curve) == str(layer) and found.layers_in_words(found.curve(name)) == "all"
        )
        linear = name != "bed"  # which is a sigmoid
        assert np.isnan(found.saturates[curve]).all() == linear
        assert found.suggested_step(curve) == 6 if linear else found.suggested_step(curve) < 4
    assert not np.isfinite(found.exceeds[found.curves(acting=True)]).any()
    constant = [semantic.name for semantic in found.semantics].index("constant")
    assert (found.change[..., constant] == 0).all() and np.isnan(found.in_deviations()[..., constant]).all()
    assert found.images == 64 * (1 + len(names) * 12) and found.samples == 64


@pytest.mark.parametrize("networks", [toy, conditional_toy], ids=lambda made: made.__name__)
def test_a_change_is_what_the_networks_say_on_samples_of_its_own(boundaries, networks):
    generator, predictor = (network.double() for network in networks())
    of_files = of_anyone(boundaries)
    options = {"seed": 5, "truncation_psi": 0.7, "truncation_layers": 3, "batch_size": 9}
    found = sweep_steps(generator, predictor, of_files, STEPS, num=70, **options, progress=False)
    with torch.no_grad():
        codes, *others = (
            make_codes(generator, 5, 0, 70, 0.7, 3, stream) for stream in (DOSE, SAMPLING, VERIFICATION)
        )
        assert all((other.z != codes.z).all() for other in others)
        scores = predictor(generator.synthesize(codes.codes).clamp(-1, 1))
        for curve, name in enumerate(found.boundary_names):
            moves = generator.layer_moves(torch.tensor(of_files[name].normal)[None], 0.7, 3)
            for place, step in enumerate(found.steps):
                moved = predictor(generator.synthesize(codes.codes + step * moves).clamp(-1, 1))
                expected = (moved - scores).mean(dim=0).numpy()
                np.testing.assert_allclose(found.change[curve, place], expected, atol=1e-9)
    inside = (found.low <= found.change) & (found.change <= found.high)
    assert inside.all() and (found.low[:, 2] == 0).all() and found.steps[2] == 0


def test_it_goes_on_where_it_was_and_a_larger_number_adds(boundaries, tmp_path):
    whole = sweep_steps(*toy_by_name(), of_anyone(boundaries), STEPS, num=80, progress=False)
    each = 1 + len(boundaries) * len(STEPS)
    *networks, seen = counted(0.8 * 80 * each)
    options = {"num": 80, "out": tmp_path, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        sweep_steps(*networks, of_anyone(boundaries), STEPS, **options)
    *networks, seen = counted()
    same(sweep_steps(*networks, of_anyone(boundaries), STEPS, **options), whole)
    assert sum(seen) == (80 - 64) * each  # two parts of 32 samples are kept
    *networks, seen = counted()
    same(sweep_steps(*networks, of_anyone(boundaries), STEPS, **options), whole)
    same(Sweep.load(tmp_path / "sweep.npz"), whole)
    assert sum(seen) == 0
    more = sweep_steps(*networks, of_anyone(boundaries), STEPS, **options | {"num": 96, "confidence": 0.9})
    assert sum(seen) == 32 * each and more.samples == 96
    part = sorted((tmp_path / "sweep").iterdir())[0]
    for path in (part, tmp_path / "sweep.npz"):
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DamagedError, match=r"sweep.npz: not a file of a sweep.*run higan-fast dose again"):
        Sweep.load(tmp_path / "sweep.npz")
    same(
        sweep_steps(*networks, of_anyone(boundaries), STEPS, **options | {"num": 96, "confidence": 0.9}), more
    )


def test_a_result_of_another_version_is_computed_anew(boundaries, tmp_path, capfd):
    first = sweep_steps(*toy_by_name(), boundaries, STEPS, out=tmp_path, **SMALL)
    arrays = read_arrays(tmp_path / "sweep.npz")
    write_arrays(tmp_path / "sweep.npz", arrays | {"older": np.zeros(3)})
    *networks, seen = counted()
    same(sweep_steps(*networks, boundaries, STEPS, out=tmp_path, **SMALL), first)
    capfd.readouterr()
    fewer = SMALL | {"num": SMALL["num"] // 2}
    same(sweep_steps(*toy_by_name(), boundaries, STEPS, out=tmp_path, **fewer), first)
    assert (
        f"is from {SMALL['num']} samples, and {fewer['num']} were asked for; it is" in capfd.readouterr().err
    )
    other = sweep_steps(*toy_by_name(), boundaries, STEPS[:3], out=tmp_path, **fewer)
    assert other.samples == fewer["num"]
    told = f"it replaces one of {first.images:,} images, and has {other.images:,}, without step 1; what those"
    assert told in capfd.readouterr().err
    assert sum(seen) == 0


def test_what_fewer_boundaries_replace_is_said_and_comes_back(boundaries, tmp_path, capfd):
    few = {"num": 8, "out": tmp_path, "progress": False}
    whole = sweep_steps(*toy_by_name(), boundaries, STEPS, **few)
    assert "replaces" not in capfd.readouterr().err
    view = sweep_steps(*toy_by_name(), boundaries, STEPS, semantics="view", **few | {"num": 64})
    assert view.images > whole.images, "fewer boundaries, and more images"
    assert ", without bed, wood and hue; what those gave is kept" in capfd.readouterr().err
    *networks, seen = counted()
    same(sweep_steps(*networks, boundaries, STEPS, **few), whole)
    assert sum(seen) == 0 and "it replaces one of" in capfd.readouterr().err


def test_text_html_json_and_csv_say_the_same(found, tmp_path):
    text = repr(found)
    assert text.startswith("Dose-response of 4 boundaries at 0.99 (64 samples, ")
    assert (
        "On all layers, all 4 curves surely rise throughout the 13 steps that were "
        "measured. (No step back between two of them takes more than 25 %" in text
    )
    assert (
        "On the layers that act alone" in text
        and "The estimates suggest, and do not claim, a step of" in text
    )
    assert found._repr_html_().count("<tr>") == 1 + len(found.boundary_names)
    as_json = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [entry["rises"] for entry in as_json["curves"]] == found.rises.tolist()
    assert as_json["suggested_step"] == found.suggested() and "\n".join(as_json["sentences"]) in text
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert len(rows) == found.change.size
    values = [float(row["change"]) for row in rows]
    np.testing.assert_array_equal(values, found.change.ravel())
    assert {row["layers"] for row in rows} == {"all", *map(str, LAYER_OF.values())}
    found.save(tmp_path / "found.npz")
    same(Sweep.load(tmp_path / "found.npz"), found)
    with pytest.raises(KeyError, match="'sofa' was not swept; there are view, bed"):
        found.curve("sofa")


def test_words_follow_the_claims(found):
    nothing = np.full_like(found.turns, np.nan)
    exceeds, reverses = np.full_like(found.exceeds, np.nan), np.full_like(found.reverses, np.nan)
    exceeds[0, 1, 1], exceeds[0, 2, 0], reverses[1, 0] = 2.0, -3.0, (4.0, -4.0)
    turns, rises = nothing.copy(), np.zeros_like(found.rises)
    turns[2] = (3.0, 6.0)
    changed = replace(found, rises=rises, turns=turns, saturates=nothing, exceeds=exceeds, reverses=reverses)
    text = repr(changed)
    assert (
        "On all layers, none of 4 curves surely rises throughout the 13 steps that were measured. "
        "More than 25 % is surely lost by wood "
        "(+3 to +6). Undecided: view, bed and hue." in text
    )
    assert "in standard deviations, from: view −3 (wood), +2 (bed)." in text
    assert "surely changes: bed moves view along with it at +4 and against it at −4." in text


def test_boundaries_in_z_move_all_layers(boundaries):
    generator, predictor = toy()
    normal = np.zeros(generator.latent_dim)
    normal[0] = 1
    in_z = Boundaries(
        (replace(of_anyone(boundaries)["view"], space="z", normal=normal, code_deviations=None),)
    )
    found = sweep_steps(generator, predictor, in_z, STEPS, **SMALL)
    assert found.layers == () and found.moved.shape == (1, 0) and found.layers_in_words(0) == "all"
    assert found.curves() == [0] and np.abs(found.change).max() > 0


def test_a_verification_of_something_else_is_refused(boundaries, verification):
    other = replace(verification, settings=verification.settings | {"boundaries": "0" * 32})
    with pytest.raises(ValueError, match=r"^verification: is of other boundaries; verify these"):
        sweep_steps(*toy(), boundaries, verification=other, **SMALL)
    other = replace(verification, settings=verification.settings | {"generator": "0" * 32})
    with pytest.raises(ValueError, match=r"^verification: is of another generator; "):
        sweep_steps(*toy(), boundaries, verification=other, **SMALL)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": ()}, "steps (--steps): got none; expected different steps, one of them other than 0"),
        ({"steps": (0,)}, "steps (--steps): got 0; expected different steps"),
        ({"steps": "-3..3"}, "steps (--steps): got '-3..3', expected several numbers"),
        ({"steps": (1, 2, 1)}, "steps (--steps): got 1, 2, 1; expected different steps"),
        ({"steps": (1, float("nan"))}, "steps (--steps): got nan, expected finite numbers"),
        ({"num": 1}, "num (--num): got 1, expected a whole number of at least 2"),
        ({"part": 1}, "part (--part): got 1, expected a number between 0 and 1"),
        ({"part": float("nan")}, "part (--part): got nan, expected a number between 0 and 1"),
        ({"confidence": 99}, "did you mean 0.99?"),
        ({"step_unit": "cm"}, "step_unit (--step-unit): got 'cm', expected one of norm, sd"),
        (
            {"semantics": "sofa"},
            "semantics (--semantic): 'sofa' is not one that this set of boundaries knows",
        ),
        ({"precision": "half"}, "precision (--precision): got 'half'"),
        ({"batch_size": 0}, "batch_size (--batch): got 0"),
        ({"out": ""}, "out (--out): got an empty path"),
    ],
)
def test_bad_arguments_are_named(boundaries, options, message):
    with pytest.raises(ValueError) as raised:
        sweep_steps(*toy(), boundaries, **SMALL | options)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_what_is_no_verification_or_boundary_is_named(boundaries):
    with pytest.raises(TypeError, match=r"^verification: got 'runs/demo', expected what verify gives"):
        sweep_steps(*toy(), boundaries, verification="runs/demo", **SMALL)
    with pytest.raises(TypeError, match=r"^boundaries: got 'view', expected what fit_boundaries gives"):
        sweep_steps(*toy(), "view", **SMALL)


class Ranged(ToyPredictor):
    """Says of its scores what is not so."""

    @property
    def score_ranges(self):
        return ((0.0, 0.1),) * len(self.semantics)


def test_a_score_that_is_not_finite_or_out_of_its_range_is_named(boundaries):
    generator, predictor = toy_by_name()
    forward, seen = predictor.forward, []

    def broken(images):
        scores = forward(images)
        if sum(seen) == 32:  # after the first samples as they are
            scores[0, 1] = torch.nan
        seen.append(len(images))
        return scores

    predictor.forward = broken
    with pytest.raises(ValueError, match=r"'bed' at sample 0, moved by -2 along view; what was measured"):
        sweep_steps(generator, predictor, of_anyone(boundaries), STEPS, **SMALL)
    with pytest.raises(ValueError, match=r"is said to lie between 0 and 0.1; give the true range"):
        sweep_steps(generator, Ranged(generator), of_anyone(boundaries), STEPS, **SMALL)


def test_only_some_and_steps_in_standard_deviations(boundaries, verification):
    found = sweep_steps(
        *toy(), boundaries, STEPS, semantics="wood", step_unit="sd", verification=verification, **SMALL
    )
    assert found.boundary_names == ("wood", "wood") and found.settings["step_unit"] == "sd"
    assert found.settings["acting"] == {"wood": str(LAYER_OF["wood"])} and found.moved.shape[1] == NUM_LAYERS

"""What a verification says: status and reason of each effect, matrix, JSON, and files."""

import json
from dataclasses import replace

import numpy as np
import pytest

from higan_fast.files import read_arrays, write_arrays
from higan_fast.probing import Verification
from higan_fast.probing.claims import reasons_of
from higan_fast.statistics.corrections import holm
from tests.toy import LAYER_OF, NUM_LAYERS, SEMANTICS

NAMES = [semantic.name for semantic in SEMANTICS]


def test_what_is_claimed_of_an_effect_is_said_with_its_reason(verification):
    row = verification.row("view")

    figures = "(p = 0.001 after Holm, 0.05 required, on 64 samples)"

    def claim(p=0.001, required=0.05, sign=1, undecided=False, decide=None, shown=False):
        changed = {
            name: np.full_like(getattr(verification, name), value)
            for name, value in (("p_adjusted", p), ("p_required", required), ("sign", sign))
        }
        changed |= {"undecided": np.full(4, undecided), "beats_null": np.full(4, shown)}
        changed["settings"] = verification.settings | {"decide": decide}
        found = replace(verification, **changed)
        assert found.status("view") == found.to_json()["semantics"][row]["status"]
        return found.status("view"), found.reason("view")

    assert claim(shown=True) == ("shown", f"above 0, and beyond random directions {figures}")
    assert claim(p=0.06) == (
        "not shown",
        "not beyond random directions (p = 0.06 after Holm, 0.05 required, on 64 samples)",
    )
    status, reason = claim(sign=0)
    assert status == "not shown" and reason.startswith(
        f"beyond random directions {figures}, but not surely above 0"
    )
    below = "its effect is below 0: a step along the boundary lowers the score"
    assert claim(sign=-1) == claim(sign=-1, p=0.5) == ("not shown", below)
    # What a look requires is less than the level of all together.
    assert claim(p=0.0049, required=0.00062, undecided=True, decide="top-layer") == (
        "undecided",
        "still open at the last comparison with random directions (p = 0.0049 after Holm, 0.00062 required, "
        "on 64 samples); a larger max_samples (--max-samples 128) allows another",
    )
    alike = claim(p=0.000163, required=0.000156, undecided=True)[1]
    assert "p = 0.000163 after Holm, 0.000156 required" in alike
    assert claim(sign=0, undecided=True, decide="effect")[1].startswith("ran out of samples: beyond random")
    for decide, what in (("top-layer", "best layer"), ("ranking", "place in the ranking")):
        status, reason = claim(shown=True, undecided=True, decide=decide)
        assert status == "shown"
        assert reason.endswith(f"; its {what} is undecided: ran out of samples, on 64")


def test_those_that_have_the_same_reason_share_a_line(verification):
    """Each has a p-value of its own, which the tables have; a reason that is nobody else's says it."""
    alike = {"beats_null": np.zeros(4, bool), "undecided": np.ones(4, bool), "sign": np.full(4, 1)}
    p = np.array([0.02, 0.03, 0.04, 1e-9])
    found = replace(verification, p_adjusted=p, p_required=np.full(4, 0.01), **alike)
    last = found.boundary_names[3]
    (names, status, reason), own = sorted(reasons_of(found), key=lambda group: -len(group[0]))
    assert names == [name for name in found.rank() if name != last] and status == "undecided"
    assert reason == (
        "still open at the last comparison with random directions (on 64 samples); a larger max_samples "
        "(--max-samples 128) allows another"
    )
    assert own == ([last], "undecided", found.reason(last)) and "p = 1e-09" in own[2]


def test_an_interval_above_0_beside_not_surely_says_both_levels(verification):
    name = verification.boundary_names[0]
    unsure = replace(
        verification, beats_null=verification.beats_null & False, sign=np.zeros_like(verification.sign)
    )
    assert unsure.low[0, 0, [semantic.name for semantic in SEMANTICS].index(name)] > 0
    reason = unsure.reason(name)
    assert "not surely above 0 with 90 % confidence for all 4 boundaries together" in reason
    assert reason.endswith("the interval, which lies above 0, has 90 % for this one alone")


def test_what_stands_below_the_ranking_is_said(verification):
    shown = np.array([True, False, True, True])
    assert "stand last (1), and have no rank" in repr(replace(verification, beats_null=shown))
    assert "stand last" not in repr(replace(verification, beats_null=shown | True))


def test_a_profile_that_was_not_measured_says_what_to_run(verification):
    effect = verification.effect.copy()
    effect[:, 1:] = np.nan
    settings = verification.settings | {"decide": "effect"}
    name = verification.boundary_names[0]
    with pytest.raises(ValueError, match=r"moved on no layer alone.*'effect'.*--decide top-layer"):
        replace(verification, effect=effect, settings=settings).layer_profile(name)
    with pytest.raises(ValueError, match=r"its effect was not shown.*--exhaustive"):
        replace(verification, effect=effect, settings=settings | {"decide": "top-layer"}).layer_profile(name)


def test_the_figures_that_are_printed_are_those_that_were_compared(verification):
    passed = (verification.p_adjusted <= verification.p_required) & (verification.sign == 1)
    np.testing.assert_array_equal(passed, verification.beats_null)
    # Half of the level is for the layers, and half of the rest for the signs.
    assert (verification.p_required == (1 - verification.settings["confidence"]) / 4).all()
    np.testing.assert_array_equal(verification.p_adjusted, holm(verification.p_values))
    own = range(4), 0, [NAMES.index(name) for name in verification.boundary_names]
    assert (verification.low[own][verification.sign > 0] > 0).all()


def test_entanglement_is_the_effect_of_all_layers_on_every_semantic(verification):
    matrix = verification.entanglement()
    assert matrix.shape == (4, 5)
    np.testing.assert_array_equal(matrix, verification.effect[:, 0])
    assert (matrix[:, NAMES.index("constant")] == 0).all()


def test_json_is_what_the_design_says(verification, boundaries):
    found = json.loads(json.dumps(verification.to_json(), allow_nan=False))
    tables = {"semantics", "entanglement", "freed", "mean_layer_by_level", "hierarchy"}
    assert set(found) == tables | {"images", "images_fixed", "settings"}
    assert (
        found["images"]
        == found["images_fixed"]
        == 64 + (4 + 32) * 2 * 64 * (1 + NUM_LAYERS) + (2 * 64 * len(found["freed"]))
    )
    assert [entry["name"] for entry in found["semantics"]] == verification.rank()
    figures = {"effect", "standard_error", "low", "high", "higan_delta"}
    figures |= {"even", "even_error", "even_low", "even_high"}
    figures |= {"logit_effect", "logit_error", "logit_low", "logit_high"}
    keys = {"name", "level", "null_low", "null_high", "beats_null", "best_layer", "profile"} | figures
    keys |= {"effect_in_deviations", "deviation", "step_in_sd", "mean_layer", "mean_layer_error"}
    keys |= {"samples", "screening_correlation", "p_adjusted", "p_required", "p_samples"}
    keys |= {"asymptotic", "status", "reason", "undecided", "accuracy", "remaining_accuracy"}
    layer_keys = {"layer", "screened", "beats_null", "samples"} | figures
    for entry in found["semantics"]:
        assert set(entry) == keys
        assert [layer["layer"] for layer in entry["profile"]] == list(range(NUM_LAYERS))
        assert all(set(layer) == layer_keys for layer in entry["profile"])
        beating = [layer["layer"] for layer in entry["profile"] if layer["beats_null"]]
        assert beating == [LAYER_OF[entry["name"]]]
        assert {layer["samples"] for layer in entry["profile"]} == {64}
        assert (entry["status"], entry["undecided"]) == ("shown", False)
        assert entry["accuracy"] == boundaries[entry["name"]].accuracy
        assert entry["remaining_accuracy"] == boundaries[entry["name"]].remaining_accuracy
        assert entry["low"] < entry["effect"] < entry["high"]
        assert entry["null_low"] < 0 < entry["null_high"]
        assert entry["p_adjusted"] <= entry["p_required"] == pytest.approx(0.025)
    matrix = found["entanglement"]
    assert (matrix["rows"], matrix["columns"]) == (list(verification.boundary_names), NAMES)
    assert matrix["samples"] == [64] * 4 and matrix["deviation"] == verification.deviation.tolist()
    others = {"rows", "columns", "samples", "even_sure", "moves", "asymptotic", "deviation"}
    assert set(matrix) - others == figures
    for name in figures:
        expected = getattr(verification, name)[:, 0]  # infinite: a score that never changes has no interval
        plain = np.where(np.isfinite(expected), expected, None)
        np.testing.assert_array_equal(matrix[name], plain)
    settings = {"num": 64, "step": 2.0, "seed": 1, "num_null": 32, "confidence": 0.9, "space": "w"}
    assert found["settings"].items() >= settings.items()


def test_saving_and_loading_keep_everything(verification, tmp_path):
    verification.save(tmp_path / "verification.npz")
    loaded = Verification.load(tmp_path / "verification.npz")
    for name, value in vars(verification).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(loaded, name), value)
            assert getattr(loaded, name).dtype == value.dtype
        else:
            assert getattr(loaded, name) == value
    assert loaded.to_json() == verification.to_json()
    older = read_arrays(tmp_path / "verification.npz")
    del older["even"]
    write_arrays(tmp_path / "older.npz", older)
    with pytest.raises(
        ValueError, match=r"not a file of a verification of this version \(even\); verify again"
    ):
        Verification.load(tmp_path / "older.npz")
    (tmp_path / "broken.npz").write_bytes(b"no")
    with pytest.raises(ValueError, match="not a file of a verification"):
        Verification.load(tmp_path / "broken.npz")

"""Two probes of the toy world side by side: of one, a boundary is turned away and another is left out."""

from dataclasses import replace

import numpy as np
import pytest

from higan_fast.boundaries.boundary import Boundaries
from higan_fast.experiments import Subject, compare
from higan_fast.experiments.compare import Own, Probe, _difference
from higan_fast.probing import verify


@pytest.fixture(scope="module")
def probes(probed):
    """In the second, "wood" is turned to "hue", which another layer paints, and "view" is missing."""
    wood, hue = probed.boundaries["wood"], probed.boundaries["hue"]
    normal = wood.normal + 2 * hue.normal
    turned = replace(wood, normal=normal / np.linalg.norm(normal))
    kept = [each for name, each in probed.boundaries.items() if name not in ("wood", "view")]
    boundaries = Boundaries((*kept, turned))
    verification = verify(
        probed.generator, probed.predictor, boundaries, num=64, null="isotropic", num_null=48,
        confidence=0.95, progress=False,
    )  # fmt: skip
    first = Probe("first", probed.subject, probed.boundaries, probed.verification)
    return first, Probe("other", probed.subject, boundaries, verification)


@pytest.fixture(scope="module")
def finding(probes):
    return compare(probes, num=64)


def test_what_was_changed_surely_differs_and_nothing_else_does(finding):
    found = {row["semantic"]: row for row in finding.rows if row["run"] == "other"}
    assert "view" not in found and {"wood", "hue", "bed"} <= set(found)
    assert found["wood"]["effect_high"] < 0 and found["wood"]["rank"] == len(found)
    for name in set(found) - {"wood"}:
        low, high = (found[name][f"effect_{end}"] for end in ("low", "high"))
        assert low is None or low <= 0 <= high
        assert found[name]["effect_difference"] == pytest.approx(0, abs=1e-6), "the same samples: paired"
    assert found["hue"]["depth_difference"] == pytest.approx(0, abs=0.05)
    first = {row["semantic"]: row for row in finding.rows if row["run"] == "first"}
    assert first["hue"]["relative_depth"] == pytest.approx(1, abs=0.01) and first["hue"]["effect_low"] is None
    assert "surely less far: wood (−" in finding.sentences[0]
    assert finding.sentences[-1] == "Only first has view."
    assert finding.images == 2 * 64 * (1 + 2 * len(found))


def test_samples_of_another_seed_are_not_paired(probes):
    networks = probes[1].subject.generator, probes[1].subject.predictor
    other = replace(probes[1], subject=Subject(*networks, seed=5, progress=False))
    found = {
        row["semantic"]: row for row in compare([probes[0], other], num=64).rows if row["run"] == "other"
    }
    assert found["hue"]["effect_difference"] != 0
    assert found["hue"]["effect_low"] < 0 < found["hue"]["effect_high"]


def test_differences_of_two_samples_hold_even_where_they_mirror_each_other():
    """What would be too narrow if they were taken as independent."""
    random = np.random.default_rng(3)
    missed = 0
    for _ in range(200):
        values = random.uniform(-1, 1, (64, 1))
        first, other = (
            Own(effect, np.ones(1), (name,), 0) for effect, name in ((values, "a"), (-values, "b"))
        )
        found = _difference(first, other, 0.05)
        missed += not found.low[0, 0] <= 0 <= found.high[0, 0]
    assert missed <= 20


def test_probes_with_nothing_in_common_are_refused(probes):
    with pytest.raises(ValueError, match="no semantic is verified in all runs"):
        none = replace(probes[1].verification, boundary_names=("sea", "sky", "sand"))
        compare([probes[0], replace(probes[1], verification=none)])
    with pytest.raises(ValueError, match="got 1 run, expected at least two"):
        compare(probes[:1])


def test_the_figure_has_both_profiles(finding):
    panels = finding.draw().axes
    assert [axes.get_title("left") for axes in panels[2:]] == [f"{name}: effect of each layer" for name in
                                                         ("first", "other")]  # fmt: skip

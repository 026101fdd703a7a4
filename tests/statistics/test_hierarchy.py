"""An order of levels is claimed where there is one, and in at most 1 % of probes where there is none."""

import math
from itertools import permutations

import numpy as np
import pytest

from benchmarks.hierarchy import WITHOUT_ORDER, _in_order, claim_rates, coverage
from higan_fast.statistics import hierarchy as rules
from higan_fast.statistics.hierarchy import Member, hierarchy, judge_pairs

# Mean layers of the demo, as they were measured once.
DEMO = {
    "layout": {"view": 0.736, "pitch": 0.847, "depth": 1.226},
    "object": {"bed": 1.0, "table": 1.134, "window": 1.192, "lamp": 0.971},
    "attribute": {"lighting": 3.770, "wood_floor": 0.825},
    "color": {"warmth": 4.809},
}


def judged(layers, error=0.05, last_layer=9):
    members = {
        level: {name: Member(mean, error) for name, mean in of_it.items()} for level, of_it in layers.items()
    }
    return hierarchy(members, last_layer, 0.99)


def numbered(**layers):
    return {level: {str(i): float(mean) for i, mean in enumerate(of_it)} for level, of_it in layers.items()}


def test_the_demo_establishes_nothing():
    found = judged(DEMO)
    assert (found.trend.p, found.without_single.p) == pytest.approx((0.0957, 0.2937), abs=1e-4)
    assert found.trend.exact and found.trend.labelings == math.factorial(10) // (6 * 24 * 2)
    assert found.single == ("color",) and found.without_single.levels == ("layout", "object", "attribute")
    assert {pair.claim for pair in found.pairs} == {"not established"}
    first, second, last = found.pairs
    assert (first.before, first.after) == ("layout", "object")
    assert first.p == pytest.approx(0.237, abs=1e-3)  # Welch's; permutations alone give 6 of 35
    assert rules._shift(*(np.array(list(DEMO[level].values())) for level in ("layout", "object"))) == 6 / 35
    assert first.p_adjusted == second.p_adjusted == pytest.approx(2 * first.p)
    assert (last.before, last.after, last.p, last.p_adjusted) == ("attribute", "color", None, None)


def test_p_values_equal_a_plain_loop_over_all_labelings():
    values = [0.5, 2.0, 2.0, 1.0, 3.0, 4.0]
    levels = [0, 0, 1, 1, 1, 2]

    def steps(dealt):
        members = list(zip(values, dealt, strict=True))
        return sum(np.sign(b - a) for a, i in members for b, j in members if i < j)

    dealt = set(permutations(levels))
    expected = np.mean([steps(each) >= steps(levels) for each in dealt])
    found = judged(numbered(a=values[:2], b=values[2:5], c=values[5:]))
    assert found.trend.p == pytest.approx(expected) and found.trend.labelings == len(dealt) == 60


def test_many_labelings_are_drawn_and_the_one_that_is_counts(monkeypatch):
    layers = numbered(a=range(5), b=range(5, 10))
    exact = judged(layers).trend
    assert exact.exact and exact.p == 1 / 252
    monkeypatch.setattr(rules, "EXACT_LABELINGS", 100)
    drawn = judged(layers).trend
    assert not drawn.exact and drawn.labelings == rules.DRAWS
    assert drawn.p == pytest.approx(exact.p, abs=4 * np.sqrt(exact.p / rules.DRAWS))
    far = judged(numbered(a=range(40), b=range(100, 140)), last_layer=139).trend
    assert far.p == 1 / (1 + rules.DRAWS), "never 0"
    assert judged(layers).trend == drawn, "the same draws"


def test_a_clear_order_is_established_and_what_it_takes():
    def claims(*sizes):
        levels = {"abc"[i]: 3 * i + np.linspace(0, 1, num) for i, num in enumerate(sizes)}
        return [pair.claim for pair in judge_pairs(levels)]

    assert claims(6, 6, 6) == ["established"] * 2
    assert claims(5, 5, 5) == ["established"] * 2
    assert claims(4, 4, 4) == ["suggested"] * 2  # 2 of 70 labelings, after Holm
    assert claims(3, 3, 3) == ["suggested"] * 2  # 2 of 20
    assert claims(4, 20, 20) == ["suggested", "established"]  # four establish nothing
    assert claims(2, 2, 2) == ["not established"] * 2


def test_a_level_of_one_establishes_nothing_and_its_neighbours_are_compared_without_it():
    levels = {"a": np.arange(8.0), "b": np.array([50.0]), "c": 90 + np.arange(8.0)}
    found = {(pair.before, pair.after): pair for pair in judge_pairs(levels)}
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found["a", "c"].claim == "established"
    for pair in (("a", "b"), ("b", "c")):
        assert (found[pair].claim, found[pair].p) == ("not established", None)


def test_against_the_order_nothing_is_claimed():
    levels = {"a": 9 - np.linspace(0, 1, 20), "b": np.linspace(0, 1, 20)}
    (pair,) = judge_pairs(levels)
    assert pair.claim == "not established" and pair.p > 0.99
    same = {"a": np.full(6, 1.0), "b": np.full(6, 1.0)}
    assert judge_pairs(same)[0].p == 1


@pytest.mark.parametrize(("sizes", "runs"), [((3, 3, 2, 1), 200), ((6, 6, 6, 6), 500)])
def test_where_there_is_no_order_at_most_one_percent_is_established(sizes, runs):
    # The random numbers are always the same; python -m benchmarks.hierarchy has more sizes and runs.
    for name, world in WITHOUT_ORDER.items():
        established, suggested = claim_rates(world, sizes, runs)
        assert established <= 0.01, name
        assert suggested <= 0.1, name


def test_an_order_that_is_there_is_found():
    found, at_least_suggested = claim_rates(_in_order, (12, 12, 12, 12), 50, every=True)
    assert found > 0.8 and at_least_suggested > 0.9


def test_intervals_hold_what_few_members_can_say():
    for world in ("anywhere", "spread, close, spread, close"):
        assert coverage(WITHOUT_ORDER[world], 3, 100) > 0.93
        assert coverage(WITHOUT_ORDER[world], 8, 100) > 0.95
    found = judged(DEMO)
    by_name = {level.name: level for level in found.levels}
    assert by_name["color"].low is None and by_name["color"].high is None
    assert (by_name["attribute"].low, by_name["attribute"].high) == (0, 9), "two members say next to nothing"
    assert 0 < by_name["object"].low < 0.971 and 1.192 < by_name["object"].high < 2
    alike = judged(numbered(a=[2, 2, 2]), error=0.3).levels[0]
    assert alike.low < 2 - 0.3 and alike.high > 2 + 0.3, "their own errors count"


def test_without_two_levels_there_is_no_order():
    nothing = judged({"a": {}, "b": {}})
    assert (nothing.levels, nothing.trend, nothing.without_single, nothing.pairs) == ((), None, None, ())
    one_layer = judged(numbered(a=[0, 0], b=[0, 0]), last_layer=0)
    assert len(one_layer.levels) == 2 and one_layer.trend is None and one_layer.pairs == ()
    one = judged(numbered(a=[1, 2], b=[]))
    assert [level.name for level in one.levels] == ["a"] and one.trend is None and one.pairs == ()

"""Stop rules: right at the stated confidence, on few samples, and what is decided is not measured again."""

import numpy as np
import pytest
import scipy.special

import higan_fast.statistics.decisions as rules
from higan_fast.statistics.confidence import StudentSequence, confidence_sequence
from higan_fast.statistics.decisions import Decisions, rounds
from higan_fast.statistics.effect_test import GIVING_UP_FROM, EffectTest, null_looks
from higan_fast.statistics.nulls import NullGeometry
from tests.statistics.world import PROFILES, World

RUNS = 1000


@pytest.mark.parametrize("reach", [None, [1.0] * 5])
def test_effects_are_found_and_the_null_is_not(reach):
    decisions = World(PROFILES).decide("effect", reach=reach)
    verdict = decisions.verdict()
    assert verdict.has_effect.tolist() == [True, True, True, False, False]
    assert not verdict.undecided.any()
    assert (verdict.top_layer == -1).all()
    assert verdict.order[:3] == (0, 1, 2)
    assert (verdict.samples[:, 1:] == 0).all()
    assert verdict.samples[3, 0] == GIVING_UP_FROM
    assert verdict.null_samples == GIVING_UP_FROM
    assert verdict.sign[:3].tolist() == [1, 1, 1] and verdict.sign[4] == -1
    passed = verdict.p_adjusted <= verdict.p_required
    assert passed[:3].all() and not passed[3]
    assert verdict.tested_on[3] == GIVING_UP_FROM and verdict.p_values[3] > 0.01
    assert (verdict.samples[[0, 1], 0] <= 64).all()
    assert verdict.images == 2 * (verdict.samples.sum() + 16 * 256)
    assert verdict.images_fixed == 2 * (5 + 16) * 2000


@pytest.mark.parametrize("reach", [None, 1.0])
def test_the_top_layer_is_found_with_either_sign(reach):
    verdict = World(PROFILES).decide("top-layer", reach=reach).verdict()
    assert verdict.top_layer.tolist() == [1, 0, 2, -1, -1]
    assert verdict.candidates[range(3), [1, 0, 2]].all()
    assert (verdict.samples[3:, 1:] == 0).all()  # no effect, no layers
    assert verdict.images_fixed == 2 * (5 * 4 + 16) * 2000
    assert verdict.images < verdict.images_fixed / (9 if reach is None else 6)


def test_layers_that_are_out_are_not_measured_again():
    world = World([[0.3, 0.24, 0.2, 0.15, 0.0]])
    verdict = world.decide("top-layer", margin=0.0).verdict()
    first, layers = world.measured[0], [entry for entry in world.measured if entry[1][:, 1:].any()]
    assert first[1].tolist() == [[True, False, False, False, False]]
    assert first[2]
    assert layers[0][0].start == 0  # the layers begin with the first sample
    assert not any(null or active[0, 0] for _, active, null in layers)
    lasting = [int(active[0, 1:].sum()) for _, active, _ in layers]
    assert lasting == sorted(lasting, reverse=True)
    assert verdict.samples[0, 4] < verdict.samples[0, 3] < verdict.samples[0, 2] == verdict.samples[0, 1]
    assert verdict.candidates.tolist() == [[True, False, False, False]]


@pytest.mark.parametrize("reach", [None, 1.0])
def test_the_ranking_is_found_and_pairs_within_the_margin_are_let_be(reach):
    world = World([[0.10], [0.30], [0.31], [0.20], [0.0]], spread=0.05)
    verdict = world.decide("ranking", margin=0.2, reach=reach).verdict()
    assert set(verdict.order[:2]) == {1, 2}
    assert verdict.order[2:] == (3, 0, 4)
    assert verdict.ordered[:4, :4].all()
    assert verdict.samples.max() < 2000
    strict = world.decide("ranking", margin=0.0, max_samples=512, reach=reach).verdict()
    assert not strict.ordered[1, 2]
    assert strict.ordered[[0, 0, 0, 1, 2], [1, 2, 3, 3, 3]].all()
    assert strict.samples[:, 0].tolist() == [strict.samples[0, 0], 512, 512, strict.samples[3, 0], 256]


def test_the_margin_ends_the_search_between_layers_that_are_alike():
    world = World([[0.3, 0.20, 0.20, 0.05]])
    verdict = world.decide("top-layer", margin=0.2).verdict()
    assert verdict.top_layer[0] in (0, 1)
    assert verdict.candidates.tolist() == [[True, True, False]]
    assert 100 < verdict.samples.max() < 1000  # a margin of 0.6 would take 32
    without = world.decide("top-layer", margin=0.0, max_samples=1000).verdict()
    assert without.top_layer[0] == -1
    assert without.candidates.tolist() == [[True, True, False]]
    assert without.samples[0].tolist()[1:3] == [1000, 1000]


def test_pairs_are_alike_only_within_the_margin():
    # Of two that differ by more, the order is known only where they are separated; seen often enough, and
    # early enough, to tell from a rule that lets them be.
    random = np.random.default_rng(0)
    profile, separated, alike, decided = np.array([0.30, 0.255, 0.295]), 0, 0, 0
    for _ in range(200):
        order = rules._Order(3, 1, 0.1, 0.05, np.full(3, np.inf))
        for _ in range(8):
            order.update(profile + random.normal(0, 0.1, (64, 3)), np.ones(3, bool), np.ones(3, bool))
            assert np.array_equal(order.decided, order.decided.T)
            alike += (order.decided & ~order.separated & ~order.separated.T)[0, 1]
        separated += order.separated[0, 1]
        decided += order.decided[0, 2]
        assert not order.separated[1, 0]
    assert alike <= 0.05 * 200
    assert separated > 0.9 * 200
    assert decided > 0.5 * 200


def test_what_is_known_stays_known():
    comparison = rules._Comparisons(np.array([0, 0]), np.array([1, 2]), -1.0, 0.01, np.full(3, np.inf))
    random = np.random.default_rng(0)
    high = np.array([1.0, 0.0, 1.0]) + random.normal(0, 0.1, (32, 3))
    everything = np.ones(3, bool)
    comparison.update(high, everything, np.zeros(3, bool))
    assert comparison.known.tolist() == [0, 0]  # too little was seen of them
    comparison.update(high, everything, everything)
    assert comparison.known.tolist() == [1, 0]
    comparison.update(-20 * high, everything, everything)
    assert comparison.known.tolist() == [1, 0]
    assert comparison.sequence.count.tolist() == [64, 96]


def test_running_out_of_samples_is_said():
    # Far beyond the null, and yet not surely above 0.
    world = World([[0.05], [0.5]], spread=0.02, null=1e-4)
    world.own[:, 0] += np.random.default_rng(1).normal(0, 0.4, (2000, 1))
    world.own[:, 0] += 0.05 - world.own[:256, 0].mean()
    verdict = world.decide("effect", max_samples=256).verdict()
    assert verdict.undecided.tolist() == [True, False]
    assert verdict.has_effect.tolist() == [False, True]
    assert verdict.order == (1, 0)


def search(profile, level, margin, values, reach=None, num=768):
    """Top layers of many runs at once, each a boundary of its own at the level of a single one."""
    sets = 1 + len(profile)
    reaches = np.full(RUNS * sets, np.inf if reach is None else reach)
    search = rules._TopLayer(RUNS, sets, margin, level * RUNS, reaches)
    effects = confidence_sequence(RUNS * sets, None)
    active = np.zeros((RUNS, sets), bool)
    active[:, 1:] = True
    start = 0
    for stop in rounds(num):
        shape = (stop - start, RUNS, len(profile))
        block = np.concatenate([np.full((*shape[:2], 1), np.nan), values(shape) + profile], axis=2)
        flat, entries = block.reshape(len(block), -1), np.flatnonzero(active)
        effects.update(flat[:, entries], entries)
        search.update(flat, active.ravel(), effects)
        active[:, 1:] = search.candidates & (search.layer < 0)[:, None]
        start = stop
    return search


def noise(name, random):
    """Draws values of mean 0 and standard deviation 0.2; all but "normal" and "t" stay within 0.9."""
    if name == "normal":
        return lambda shape: 0.2 * random.normal(size=shape)
    if name == "t":
        return lambda shape: 0.2 / np.sqrt(3) * random.standard_t(3, shape)
    if name == "clipped":  # heavy tails within a range
        return lambda shape: (0.1 * random.standard_t(1.5, shape)).clip(-0.9, 0.9)
    # Rare large jumps, which most runs' first samples do not show.
    return lambda shape: np.where(random.random(shape) < 0.05, 0.85, -0.05 * 0.85 / 0.95)


@pytest.mark.parametrize(
    ("name", "reach"), [("normal", None), ("t", None), ("normal", 2.0), ("clipped", 1.3), ("jumps", 1.3)]
)
@pytest.mark.parametrize(
    ("profile", "margin", "top"),
    [
        ([0.30, 0.24, 0.0], 0.1, {0}),  # the second would be wrong
        ([0.20, -0.30, 0.24], 0.1, {1}),
        ([0.30, 0.29, 0.0], 0.1, {0, 1}),  # the second is within the margin, and yet the first is no loser
        ([0.30, 0.29, 0.0], 0.3, {0, 1}),
        ([0.02, 0.0, -0.01], 0.0, {0}),  # small effects
    ],
)
def test_the_top_layer_is_wrong_no_more_often_than_stated(name, reach, profile, margin, top):
    if reach == 2.0:
        draw = noise(name, np.random.default_rng(0))
        found = search(profile, 0.05, margin, lambda shape: draw(shape).clip(-1.5, 1.5), reach)
    else:
        found = search(profile, 0.05, margin, noise(name, np.random.default_rng(0)), reach, num=384)
    best = int(np.abs(profile).argmax())
    lost = ~found.candidates[:, best]
    wrong = (found.layer >= 0) & ~np.isin(found.layer, list(top))
    assert (lost | wrong).mean() <= 0.05
    if name == "normal" and reach is None and top == {0} and margin:
        assert (found.layer == 0).mean() > 0.95


def test_without_a_reach_rare_jumps_can_mislead_the_search():
    # What the asymptotic bounds do not promise: from 32 samples on, one in five of which shows no jump.
    draw = noise("jumps", np.random.default_rng(0))

    def one_jumps(shape):
        return draw(shape) * np.array([1.0, 0.0]) + 1e-3 * np.random.default_rng(1).normal(size=shape)

    fooled = search([0.05, 0.03], 0.05, 0.0, one_jumps)
    assert (~fooled.candidates[:, 0]).mean() > 0.05
    right = search([0.05, 0.03], 0.05, 0.0, one_jumps, reach=1.0)
    assert (~right.candidates[:, 0]).mean() <= 0.05


@pytest.mark.parametrize("two_sided", [False, True])
def test_a_random_direction_has_an_effect_no_more_often_than_stated(two_sided):
    # The score's gradient has a mean and differs from sample to sample; boundaries are random directions.
    random = np.random.default_rng(0)
    num_null, dim, level, has_effect, beyond, late = 16, 32, 0.2, 0, 0, 0
    looks, runs = list(null_looks(512)), RUNS // 4 if two_sided else RUNS
    for _ in range(runs):
        directions = random.normal(size=(num_null + 1, dim))
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        gradient = random.normal(size=dim)
        geometry = NullGeometry.of(directions, 1, 1)
        test = EffectTest(1, 1, geometry, 512, level, level, two_sided=two_sided)
        effects, start = confidence_sequence(1), 0
        for stop in looks:
            if not test.open[0]:
                break
            samples = gradient + 0.5 * random.normal(size=(stop - start, dim))
            values = samples @ directions.T  # [n, R + 1]
            effects.update(values[:, :1])
            test.update(effects, stop, values[:, 1:, None])
            start = stop
        assert test.beyond[0] == (test.p_adjusted[0] <= test.p_required[0])
        assert test.beyond[0] or not test.open[0]
        has_effect += test.has_effect[0]
        beyond += test.beyond[0]
        late += test.tested_on[0] > GIVING_UP_FROM
    # Half of the level is the null's.
    assert beyond / runs <= level / 2 + 3 * np.sqrt(level / 2 / runs)
    assert has_effect <= beyond
    assert has_effect / runs > 0.005  # and it is no test that never rejects
    assert 0.01 < late / runs < 2 * level  # what lies within the band is not looked at again


def test_all_that_is_said_is_right_together():
    confidence, runs, errors, found = 0.9, 50, 0, 0
    for seed in range(runs):
        random = np.random.default_rng(seed)
        profiles = np.zeros((6, 4))
        profiles[:3, 1:] = random.uniform(-0.3, 0.3, (3, 3))
        profiles[:3, 0] = [0.4, 0.3, 0.25]
        profiles[3:5] = 0.01 * random.normal(size=(2, 4))  # random directions themselves
        for goal in ("top-layer", "ranking"):
            world = World(profiles, spread=0.3, num=512, seed=seed)
            verdict = world.decide(goal, confidence=confidence, max_samples=512).verdict()
            wrong = verdict.has_effect[3:].any()
            size = np.abs(profiles[:, 1:])
            for row in range(3):
                top = verdict.top_layer[row]
                wrong |= top >= 0 and size[row, top] < 0.9 * size[row].max()
                wrong |= not verdict.candidates[row, size[row].argmax()]
            place = np.argsort(verdict.order)
            for first, second in ((0, 1), (1, 2), (0, 2)):
                wrong |= bool(verdict.ordered[first, second]) and place[first] > place[second]
            errors += wrong
            found += verdict.has_effect[:3].sum()
    assert errors <= (1 - confidence) * 2 * runs
    assert found > 0.99 * 2 * 3 * runs


def test_what_a_sequence_saves_against_a_fixed_number():
    # A fixed number must be chosen for the smallest gap that matters. At z = 3.3 a gap of 0.2 σ needs 272
    # samples to be found every second time, and 791 to be found 99 times of 100.
    z, smallest = 3.3, 0.2
    fixed = ((z + scipy.special.ndtri(0.99)) / smallest) ** 2
    assert round((z / smallest) ** 2) == 272
    assert round(fixed) == 791
    mean = {}
    for gap in (0.2, 0.5, 1.0):
        values = np.random.default_rng(0).normal(gap, 1, (2000, RUNS))
        sequence, stops, start = StudentSequence(RUNS), np.zeros(RUNS), 0
        for stop in rounds(2000):
            sequence.update(values[start:stop])
            stops[(stops == 0) & (sequence.signs(scipy.special.ndtr(-z)) > 0)] = start = stop
        assert (stops > 0).mean() > 0.99
        mean[gap] = stops.mean()
    assert mean[0.2] < 0.7 * fixed
    assert mean[0.5] < fixed / 8
    assert mean[1.0] < fixed / 19


def test_rounds_pass_by_every_look_at_the_null():
    assert rounds(2000)[:4] == (32, 48, 64, 80)
    assert rounds(2000)[-1] == 2000
    assert rounds(40) == (32, 40)
    assert rounds(5) == (5,)
    assert all(0 < b - a <= max(16, a / 4) for a, b in zip(rounds(5000), rounds(5000)[1:], strict=False))
    for num in (5, 32, 100, 300, 2000, 50_000):
        assert set(null_looks(num)) <= set(rounds(num))


def test_the_order_never_contradicts_what_is_separated():
    group = np.array([0, 0, 0, 1])
    separated = np.zeros((4, 4), bool)
    separated[2, 0] = separated[3, 1] = True
    assert rules._sort(group, np.array([0.3, 0.1, 0.2, 9.0]), separated) == (2, 0, 1, 3)
    separated[0, 2] = True  # a contradiction, which the guarantee leaves a small probability
    assert rules._sort(group, np.array([0.3, 0.1, 0.2, 9.0]), separated) == (1, 0, 2, 3)


def test_boundaries_in_z_have_effects_and_an_order():
    world = World([[0.3], [0.1], [0.0]])
    assert world.decide("effect").verdict().has_effect.tolist() == [True, True, False]
    verdict = world.decide("ranking").verdict()
    assert verdict.order == (0, 1, 2)
    assert verdict.candidates.shape == (3, 0)


def test_bounds_of_everything_measured_are_at_hand():
    world = World(PROFILES)
    decisions = world.decide("top-layer")
    low, high = (bound.reshape(5, 4) for bound in decisions.effects.bounds(0.005))
    measured = decisions.verdict().samples > 0
    assert ((low < PROFILES) & (high > PROFILES))[measured].all()
    assert np.isinf(high[~measured]).all()
    assert decisions.effects.mean.reshape(5, 4)[0, 0] == pytest.approx(
        world.own[: decisions.verdict().samples[0, 0], 0, 0].mean()
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"goal": "layers"}, "goal: got 'layers', expected one of effect, top-layer, ranking"),
        ({"num_layers": 0}, "a boundary in z moves all layers"),
        ({"num_boundaries": 0}, "num_boundaries: got 0"),
        ({"num_null": 1}, "num_null: got 1, expected a whole number of at least 2"),
        ({"max_samples": 1}, "max_samples: got 1"),
        ({"confidence": 99}, r"confidence \(--confidence\): got 99"),
        ({"margin": 1.0}, "margin: got 1.0"),
        ({"reach": -1.0}, "reach: got"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    good = {"goal": "top-layer", "num_boundaries": 2, "num_layers": 3, "num_null": 4}
    with pytest.raises(ValueError, match=message):
        Decisions(**good | arguments)


def test_effects_of_another_shape_are_refused():
    decisions = Decisions("effect", 2, 3, 4)
    own, null = np.zeros((32, 2, 4)), np.zeros((32, 4, 2))
    with pytest.raises(ValueError, match=r"own: got shape \[31, 2, 4\], expected \[32, 2, 4\]"):
        decisions.update(own[1:], null)
    with pytest.raises(ValueError, match=r"null: got shape \[32, 2, 4\], expected \[32, 4, 2\]"):
        Decisions("effect", 2, 3, 4).update(own, own)
    with pytest.raises(ValueError, match=r"null: got shape \[\], expected \[32, 4, 2\]"):
        Decisions("effect", 2, 3, 4).update(own)
    with pytest.raises(ValueError, match="values: got NaN or infinity"):
        decisions.update(np.full_like(own, np.nan), null)
    with pytest.raises(ValueError, match="null: got NaN or infinity"):
        Decisions("effect", 2, 3, 4).update(own, np.full_like(null, np.nan))

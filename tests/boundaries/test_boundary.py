"""Boundaries: conditional normals, and their files."""

import numpy as np
import pytest

from higan_fast.probing import Boundaries, Boundary


def unit(random, *shape):
    normal = random.normal(size=shape)
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def boundary(name, normal, space="w", **rest):
    return Boundary(name, "attribute", space, normal, **rest)


@pytest.mark.parametrize(("space", "shape"), [("w", (24,)), ("z", (24,)), ("layers", (3, 24))])
def test_a_conditional_boundary_is_orthogonal_to_all_conditions(space, shape):
    random = np.random.default_rng(0)
    own, *others = (boundary(name, unit(random, *shape), space) for name in "abcde")
    # A condition that repeats two others must not disturb the span.
    mixed = others[0].normal + others[1].normal
    others.append(boundary("f", mixed / np.linalg.norm(mixed, axis=-1, keepdims=True), space))
    freed = own.conditional_on(*others)
    for other in others:
        assert np.abs((freed.normal * other.normal).sum(axis=-1)).max() < 1e-12
    np.testing.assert_allclose(np.linalg.norm(freed.normal, axis=-1), 1)
    assert freed.conditions == ("b", "c", "d", "e", "f")
    # Of all directions that are, it is the one nearest to the boundary: what was taken lies in the span.
    rows = own.normal.reshape(-1, 24), freed.normal.reshape(-1, 24)
    for layer, (before, after) in enumerate(zip(*rows, strict=True)):
        span = np.stack([other.normal.reshape(-1, 24)[layer] for other in others])
        taken = before - after * (before @ after)
        assert np.linalg.norm(taken - np.linalg.lstsq(span.T, taken)[0] @ span) < 1e-9


def test_two_conditions_agree_with_higans_formula():
    random = np.random.default_rng(1)
    n, a, b = (boundary(name, unit(random, 16)) for name in "nab")
    dots = {x.name + y.name: x.normal @ y.normal for x in (n, a, b) for y in (n, a, b)}
    alpha = (dots["na"] - dots["nb"] * dots["ab"]) / (1 - dots["ab"] ** 2)
    beta = (dots["nb"] - dots["na"] * dots["ab"]) / (1 - dots["ab"] ** 2)
    expected = n.normal - alpha * a.normal - beta * b.normal
    np.testing.assert_allclose(n.conditional_on(a, b).normal, expected / np.linalg.norm(expected))


def test_conditions_that_leave_nothing_or_do_not_fit_are_refused():
    random = np.random.default_rng(0)
    own, other = boundary("a", unit(random, 8)), boundary("b", unit(random, 8))
    with pytest.raises(ValueError, match="nothing is left of 'a' without b"):
        own.conditional_on(boundary("b", -own.normal))
    with pytest.raises(ValueError, match="same space"):
        own.conditional_on(boundary("b", unit(random, 8), "z"))
    with pytest.raises(ValueError, match="already freed from b"):
        own.conditional_on(other).conditional_on(other)
    assert own.conditional_on() is own


def through_layers(random, strengths):
    """A W+ direction: one vector through all layer codes, here with these lengths on each layer."""
    return unit(random, len(strengths), 24) * (np.array(strengths) / np.linalg.norm(strengths))[:, None]


def test_a_direction_in_wp_has_length_1_as_a_whole():
    random = np.random.default_rng(0)
    strengths = np.array([0.96, 0.28, 0.0])
    direction = boundary("a", through_layers(random, strengths), "layers")
    np.testing.assert_allclose(direction.layer_lengths, strengths)
    np.testing.assert_array_equal(boundary("a", unit(random, 3, 24), "layers").layer_lengths, [1, 1, 1])
    np.testing.assert_array_equal(boundary("a", unit(random, 24), "layers").layer_lengths, [1])
    np.testing.assert_array_equal(
        boundary("a", np.eye(3)[[0, 1]] * [[1], [0]], "layers").layer_lengths, [1, 0]
    )
    with pytest.raises(ValueError, match="its length is not 1"):
        boundary("a", 2 * direction.normal, "layers")


def test_a_conditional_direction_in_wp_keeps_its_profile_and_leaves_every_layer_of_the_others_alone():
    random = np.random.default_rng(0)
    own = boundary("a", through_layers(random, [0.9, 0.1, 0.0, 0.4]), "layers")
    other = boundary("b", through_layers(random, [0.1, 0.9, 0.5, 0.0]), "layers")
    freed = own.conditional_on(other)
    assert np.abs((freed.normal * other.normal).sum(axis=-1)).max() < 1e-15
    assert np.linalg.norm(freed.normal) == pytest.approx(1)
    kept = own.normal[[0, 3]] - freed.normal[[0, 3]] * (own.layer_lengths[3] / freed.layer_lengths[3])
    np.testing.assert_allclose(kept[1], 0, atol=1e-12)  # the other leaves layer 3 alone
    assert freed.layer_lengths[2] == 0 and 0.05 < freed.layer_lengths[1] < 0.15
    # A layer that the two share altogether is left alone; only when nothing is left there is no boundary.
    normal = own.normal.copy()
    normal[[1, 2, 3]] = 0
    alone = own.conditional_on(boundary("c", normal / np.linalg.norm(normal), "layers"))
    assert alone.layer_lengths[0] == 0 and alone.layer_lengths[3] > 0.9
    with pytest.raises(ValueError, match="nothing is left of 'a' without d"):
        own.conditional_on(boundary("d", own.normal, "layers"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"normal": np.ones(4)}, "its length is not 1"),
        ({"normal": np.full(4, np.nan)}, "its length is not 1"),
        ({"normal": np.zeros(4)}, "its length is not 1"),
        ({"normal": np.zeros((2, 4)), "space": "layers"}, "its length is not 1"),
        ({"normal": np.eye(4)}, r"got shape \[4, 4\], expected \[D\]"),
        ({"level": "mood"}, "level: got 'mood'"),
        ({"space": "s"}, "space: got 's'"),
    ],
)
def test_a_boundary_that_is_none_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Boundary(**{"name": "a", "level": "object", "space": "w", "normal": np.eye(4)[0]} | change)


def test_saving_and_loading_keep_everything(tmp_path):
    random = np.random.default_rng(0)
    saved = Boundaries(
        (
            boundary("wood / floor", unit(random, 8), accuracy=0.9, num_per_side=50, converged=True),
            boundary("ärger", unit(random, 8), layers="6-11", conditions=("x", "y")),
        ),
        {"lamp": "too few"},
        {"C": 1.0, "chosen_num": 0.1},
    )
    saved.save(tmp_path / "boundaries.safetensors")
    loaded = Boundaries.load(tmp_path / "boundaries.safetensors")
    assert list(loaded) == ["wood / floor", "ärger"]
    assert loaded.skipped == saved.skipped
    assert loaded.settings == saved.settings
    for name in saved:
        before, after = vars(saved[name]), vars(loaded[name])
        np.testing.assert_array_equal(after["normal"], before["normal"])
        assert {k: v for k, v in after.items() if k != "normal"} == {
            k: v for k, v in before.items() if k != "normal"
        }


def test_a_file_that_is_none_of_ours_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"not a safetensors file")
    with pytest.raises(ValueError, match="not a file of boundaries"):
        Boundaries.load(tmp_path / "x")


def test_boundaries_are_a_mapping_that_explains_what_is_missing():
    both = Boundaries((boundary("a", np.eye(3)[0]), boundary("b", np.eye(3)[1])), {"c": "one class only"})
    assert list(both) == ["a", "b"]
    assert len(both) == 2
    assert "a" in both
    assert "c" not in both
    with pytest.raises(KeyError, match="one class only"):
        both["c"]
    with pytest.raises(KeyError, match="there are a, b"):
        both["d"]
    with pytest.raises(ValueError, match="names must differ"):
        Boundaries((both["a"], both["a"]))

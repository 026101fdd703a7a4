"""From one category of the toy world to another, whose layers and thresholds are known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from higan_fast.boundaries.boundary import Boundaries, Boundary
from higan_fast.experiments import transition
from higan_fast.experiments.transition_walk import Rule, _passing, between, majority
from higan_fast.experiments.transition_words import _extremes
from higan_fast.predictors.base import Semantic
from higan_fast.probing.sweep_scores import Curve
from higan_fast.sampling.latents import EXPERIMENT, codes_of
from tests.toy import LAYER_OF

WAY = {"source": "bed", "target": "wood", "threshold": 0.5, "num": 32, "steps": (3, 1, 6)}


def rows_of(finding, along="boundaries", pair=("bed", "wood")):
    return [row for row in finding.rows if row["along"] == along and (row["from"], row["to"]) == pair]


@pytest.fixture(scope="module")
def finding(probed):
    return transition(probed.subject, probed.boundaries, probed.verification, **WAY)


def test_shares_are_what_the_networks_say_of_samples_that_fit(finding, probed):
    generator, predictor = probed.generator, probed.predictor
    bed, wood = (probed.predictor.names.index(name) for name in ("bed", "wood"))
    way = between(probed.boundaries["bed"], probed.boundaries["wood"])
    with torch.no_grad():
        codes = codes_of(generator, 1, range(500), stream=EXPERIMENT).codes
        base = predictor(generator.synthesize(codes).clamp(-1, 1))
        chosen = codes[(base[:, bed] >= 0.5) & (base[:, wood] < 0.5)][:32]
        for row in rows_of(finding):
            moves = generator.layer_moves(row["step"] * torch.tensor(way.normal)[None], 1.0, None)
            has = predictor(generator.synthesize(chosen + moves.float()).clamp(-1, 1)) >= 0.5
            assert row["from_share"] == has[:, bed].double().mean() and row["samples"] == 32
            assert row["to_share"] == has[:, wood].double().mean()
            assert row["flipped_share"] == (has[:, wood] & ~has[:, bed]).double().mean()
    assert [row["step"] for row in rows_of(finding)] == [0, 1, 3, 6]
    assert rows_of(finding)[0]["flipped_share"] == 0 and rows_of(finding)[-1]["flipped_share"] == 1
    for row in finding.rows:
        for end in ("from", "to", "flipped"):
            assert 0 <= row[f"{end}_low"] <= row[f"{end}_share"] <= row[f"{end}_high"] <= 1


def test_it_says_what_is_sure(finding):
    text = " ".join(finding.sentences)
    assert "After 6 steps 100 % [85, 100] of 32 samples have wood and no longer bed, surely more than" in text
    assert (
        "wood overtakes: from then on more samples" in text
        and "drawn. One has a class where its score is at" in text
    )
    assert finding.of == "bed-to-wood" and finding.stem == "transition.bed-to-wood"
    random = rows_of(finding, "random directions")
    assert random[-1]["flipped_share"] < 0.5
    left, right = finding.draw().axes
    assert "From bed to wood on all layers" in left.get_title(loc="left") and right.get_legend()


@pytest.mark.parametrize(("layers", "lost", "come"), [("3", 0, 1), ("1", 1, 0), ("own", 0, 1), ("2", 0, 0)])
def test_a_class_changes_on_its_own_layer(probed, layers, lost, come):
    assert LAYER_OF["bed"] == 1 and LAYER_OF["wood"] == 3
    some = WAY | {"layers": layers, "steps": (6,), "num": 16}
    finding = transition(probed.subject, probed.boundaries, probed.verification, **some)
    last = rows_of(finding)[-1]
    assert (last["from_share"], last["to_share"]) == pytest.approx((1 - lost, come), abs=0.25)
    if not (lost and come):
        assert "To the last step no more samples have wood alone than bed alone" in " ".join(
            finding.sentences
        )


def test_own_layers_are_named(probed):
    some = {"layers": "own", "steps": (6,), "num": 16, "threshold": 0.5}
    of_probe = probed.subject, probed.boundaries, probed.verification
    one = transition(*of_probe, "bed", "wood", **some)
    assert one.title == "From bed to wood, layer 3, where wood acts alone"
    assert "on layer 3, where wood acts alone" in one.table.caption
    pairs = transition(*of_probe, semantics=["wood", "hue"], **some)
    assert "the layers where the second acts alone (hue: layer 4; wood: layer 3)" in pairs.title


def test_an_order_of_pairs_is_said_where_it_is_sure(probed):
    def seen(*shares):
        return {
            (f"a{place}", "b"): SimpleNamespace(flipped=np.arange(64)[:, None] < 64 * share)
            for place, share in enumerate(shares)
        }

    (unsure,) = _extremes(seen(0.6, 0.5, 0.55), 0.99)
    assert unsure.startswith("Along which pairs most samples flip is undecided") and "from a1 to b" in unsure
    (sure,) = _extremes(seen(0.1, 0.9, 0.8), 0.99)
    assert sure.startswith("Surely more flip from a1 to b (91 % [")
    assert "than along 1 of the other 2 pairs, and surely fewer from a0 to b" in sure
    assert _extremes(seen(0.5), 0.99) == []


def test_all_pairs_are_a_matrix_and_pictures(probed, tmp_path):
    subject = replace(probed.subject, out=tmp_path / "transition")
    options = {"semantics": ["bed", "wood", "hue"], "threshold": 0.5, "num": 40, "steps": (6,)}
    finding = transition(subject, probed.boundaries, probed.verification, **options)
    assert finding.stem == "transition" and len(finding.table.rows) == 6
    assert "For 6 of 6 ordered pairs surely more samples flip" in finding.sentences[0]
    (picture,) = finding.pictures
    assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    left, _ = finding.draw().axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["bed", "wood", "hue"]


def test_steps_are_as_long_in_deviations_and_in_z(probed):
    generator = probed.generator
    normals = np.linalg.qr(np.random.default_rng(0).normal(size=(generator.latent_dim, 2))).Q.T
    in_z = Boundaries(
        tuple(
            Boundary(name, level, "z", normal)
            for name, level, normal in zip(
                ("bed", "wood"), ("object", "attribute"), normals.copy(), strict=True
            )
        )
    )
    some = WAY | {"num": 16, "steps": (2,)}
    finding = transition(probed.subject, in_z, probed.verification, **some)
    assert rows_of(finding)[0]["from_share"] == 1 and len(rows_of(finding, "random directions")) == 2
    with pytest.raises(ValueError, match=r"layers \(--layers\): got '1', and boundaries in z move all"):
        transition(probed.subject, in_z, probed.verification, **some, layers="1")
    settings = probed.verification.settings | {"step_unit": "sd"}
    in_sd = transition(
        probed.subject, probed.boundaries, replace(probed.verification, settings=settings), **some
    )
    assert in_sd.settings["step_unit"] == "sd" and rows_of(in_sd)[-1]["flipped_share"] > 0


def test_the_way_is_as_long_as_a_boundary():
    boundary = lambda name, normal: Boundary(name, "object", "layers", np.array(normal))  # noqa: E731
    one, other = boundary("a", [[1.0, 0], [0, 1]]), boundary("b", [[0, 1.0], [0, 1]])
    way = between(one, other)  # on the second layer they are the same, and nothing moves
    np.testing.assert_allclose(way.normal, [[-(0.5**0.5), 0.5**0.5], [0, 0]])
    assert way.name == "a to b"
    whole = between(boundary("a", [[0.6, 0], [0.8, 0]]), boundary("b", [[0.8, 0], [-0.6, 0]]))
    assert np.linalg.norm(whole.normal) == pytest.approx(1)
    with pytest.raises(ValueError, match="boundaries of 'a' and 'a' are the same"):
        between(one, one)
    with pytest.raises(ValueError, match=r"in layers with a normal \[2, 2\], and 'c' in w with \[2\]"):
        between(one, Boundary("c", "object", "w", np.array([1.0, 0])))


def test_the_majority_changes_where_the_second_class_leads_throughout():
    steps = np.arange(5.0)
    turn = np.repeat([3, 2, 1], [4, 20, 4])  # the step from which on a sample has the second class
    second = steps >= turn[:, None]
    change = majority(steps, ~second, second, 0.01)
    assert (change.before, change.after) == (1, 2)
    assert (change.surely_after, change.surely_by) == (1, 2)
    few = majority(steps, ~second[:4], second[:4], 0.01)
    assert (few.after, few.surely_after, few.surely_by) == (3, 0, None)
    never = majority(steps, second * 0 == 0, second & False, 0.01)
    assert (never.before, never.after, never.surely_after) == (None, None, 4)


def test_the_way_may_lead_by_a_third_class(probed):
    walk = probed.subject.walk([Curve(probed.boundaries["bed"])], (1, 2), num=64, doing="moving")
    semantics = tuple(Semantic(s.name, "object") for s in walk.semantics)
    base, moved = np.zeros_like(walk.base), np.zeros_like(walk.moved)
    moved[:40, 0, 0, 0] = 1.0
    walk = replace(
        walk, semantics=semantics, base=base, moved=moved, ranges=np.tile([0.0, 1.0], (len(semantics), 1))
    )
    rule = Rule(("bed", "wood"), (1, 2), (0.5, 0.5))
    found = _passing(walk, ("bed", "wood"), "object", rule, 0.01)
    assert (found.name, found.step) == ("view", 1.0) and found.has[:, 1].sum() == 40
    walk.moved[6:, 0, 0, 0] = 0.0
    assert _passing(walk, ("bed", "wood"), "object", rule, 0.01) is None, "six of 64 may be none"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": None}, "score of 'bed' lies is not known; say from which score"),
        ({"target": None}, "--from: got it alone"),
        ({"target": "bed"}, "got 'bed' twice"),
        ({"semantics": ["hue"]}, "leave out --from, --to"),
        ({"source": None, "target": None}, "effect of 1 object is shown, and a transition has two"),
        ({"source": None, "target": None, "semantics": ["bed"]}, "and a transition has two"),
        ({"steps": (0,)}, "got 0, expected steps above 0"),
        ({"steps": (-1, 2)}, "got -1, 2, expected steps above 0"),
        ({"num": 3}, r"num \(--num\): got 3"),
        ({"largest": True}, "of the largest score none is asked"),
        ({"threshold": 1.5}, "fewer than 16 of the first 2,048 samples have 'bed' and not 'wood'"),
        ({"layers": "9"}, "there is no layer 9"),
        ({"confidence": 1.0}, "confidence"),
    ],
)
def test_bad_input_is_one_clear_line(probed, change, message):
    with pytest.raises(ValueError, match=message) as raised:
        transition(probed.subject, probed.boundaries, probed.verification, **WAY | change)
    assert "\n" not in str(raised.value)


def test_the_largest_score_decides_where_it_is_asked_for(probed):
    some = WAY | {"threshold": None, "largest": True, "num": 16, "steps": (6,)}
    finding = transition(probed.subject, probed.boundaries, probed.verification, **some)
    for row in rows_of(finding):
        assert row["from_share"] + row["to_share"] == 1
    assert "its score is the largest of bed and wood" in " ".join(finding.sentences)

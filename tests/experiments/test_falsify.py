"""Sabotage of the toy world, where layer l paints what semantic l reads: what is broken must be gone."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from higan_fast.engine.engine import Engine
from higan_fast.engine.plan import Plan
from higan_fast.experiments import falsify
from higan_fast.experiments.falsify import _of_it, _sentences
from higan_fast.experiments.sabotage import Sabotaged
from higan_fast.fingerprint import fingerprint
from tests.toy import LAYER_OF, toy


@pytest.fixture(scope="module")
def finding(probed):
    return falsify(
        probed.subject, probed.samples, probed.boundaries, probed.verification,
        num=48, max_samples=64, num_null=8,
    )  # fmt: skip


def test_claims_go_where_they_must_and_follow_their_code(finding):
    for row in finding.rows:
        if row["expected"] != "may stay":
            assert row["survived"] == (row["expected"] == "must stay"), row
    kinds = Counter((row["sabotage"], row["expected"]) for row in finding.rows)
    shown = len(LAYER_OF)
    assert kinds["top layer permuted", "must go"] == kinds["codes swapped", "must stay"] == shown
    assert kinds["channels permuted", "must go"] == shown - 1, "hue lives in the last layer"
    assert kinds["nothing", "must stay"] == 2 * shown and kinds["scores shuffled", "must go"] >= shown
    assert "0 survived" in finding.sentences[0]
    assert f"{shown} of {shown} effects followed" in finding.sentences[2]
    assert len(finding.draw().axes[0].get_yticklabels()) == len(finding.figures["counts"])


def test_what_survives_is_named(finding):
    rows = [dict(row) for row in finding.rows]
    traded = [row for row in rows if row["sabotage"] == "codes swapped" and row["expected"] == "must go"]
    traded[0]["survived"] = True
    said = _sentences(rows, "svm", 48, 0.99)[0]
    assert "1 survived" in said and f"{traded[0]['boundary']} (codes swapped)" in said


def test_the_networks_stay_as_they_are(finding, probed):
    generator, predictor = toy()
    for ours, theirs in ((probed.generator, generator), (probed.predictor, predictor)):
        assert fingerprint(ours) == fingerprint(theirs)


@torch.inference_mode()
def test_a_sabotaged_generator_draws_the_same_from_every_layer():
    """Forks in the engine, and whole images of the moved codes, above a layer with another's code too."""
    generator, predictor = toy()
    codes = generator.map(torch.randn(5, generator.latent_dim, generator=torch.Generator().manual_seed(3)))
    codes = codes + 0.1 * torch.arange(generator.num_layers)[:, None]  # each layer its own
    moves = torch.ones(1, generator.num_layers, generator.code_dim, dtype=torch.float64)
    sets = tuple((layer,) for layer in range(generator.num_layers))
    for broken in (
        Sabotaged.swapped(generator, 1, 3),
        Sabotaged.swapped(generator, 4, 0),
        Sabotaged.permuted(generator, 2),
        Sabotaged.scrambled(generator, 2),
    ):
        engine = Engine(broken, predictor)
        plan = Plan(moves, sets, torch.tensor([0.5], dtype=torch.float64))
        for found in engine.perturbed_scores(codes, plan):
            moved = codes.clone()
            moved[:, sets[found.layer_set]] += 0.5
            read = moved[:, broken.reads].gather(2, broken.order.expand(5, -1, -1))
            expected = predictor(plain(broken, read))
            torch.testing.assert_close(found.values[:, 0, 0], expected, rtol=1e-5, atol=1e-5)


def plain(broken, read):
    """Images layer by layer, with the channels of one in another order."""
    activation = broken.network.start(len(read))
    for index in range(broken.num_layers):
        activation = broken.network.layer(index, activation, read[:, index])
        if index == broken.after:
            assert not torch.equal(broken.channels, torch.arange(3)), "no channel stays"
            activation = activation._replace(features=activation.features[:, broken.channels])
    return broken.network.image(activation)


def test_the_last_layer_has_no_channels_that_anything_reads():
    with pytest.raises(ValueError, match="got 4, expected one of 0 to 3"):
        Sabotaged.scrambled(toy()[0], 4)


def test_a_boundary_with_normals_of_its_own_follows_its_layers(probed):
    boundary = replace(
        probed.boundaries["bed"],
        space="layers",
        normal=np.eye(5, 32),
        code_deviations=(1.0, 2.0, 3.0, 4.0, 5.0),
    )
    moved = _of_it(Sabotaged.swapped(probed.generator, 1, 3), boundary)
    assert moved.normal.argmax(axis=1).tolist() == [0, 3, 2, 1, 4]
    assert moved.code_deviations == (1.0, 4.0, 3.0, 2.0, 5.0) and moved.origin is None
    assert _of_it(probed.generator, boundary) is boundary


def test_without_a_shown_effect_there_is_nothing_to_break(probed):
    nothing = replace(probed.verification, beats_null=np.zeros_like(probed.verification.beats_null))
    with pytest.raises(ValueError, match="no effect is shown"):
        falsify(probed.subject, probed.samples, probed.boundaries, nothing)

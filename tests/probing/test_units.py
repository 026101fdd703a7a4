"""What is said of a semantic does not depend on the unit of its score."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from higan_fast.boundaries.boundary import Boundaries, Boundary
from higan_fast.cli.printing import print_ranking
from higan_fast.probing import fit_boundaries, sample, verify
from higan_fast.report.entanglement import entanglement, large_even_parts
from higan_fast.report.findings import finding, order
from higan_fast.report.ranking import ranking
from tests.toy import SEMANTICS, ToyPredictor, of_anyone, toy

NAMES = [semantic.name for semantic in SEMANTICS]


class InOtherUnits(ToyPredictor):
    """Scores as the toy's predictor does, some of them times a number."""

    def __init__(self, generator, **factors):
        super().__init__(generator)
        self.register_buffer("factors", torch.tensor([factors.get(name, 1.0) for name in NAMES]))

    def forward(self, images):
        return super().forward(images) * self.factors


@pytest.fixture(scope="module")
def probes():
    """Two probes of the toy: the second scores "bed", whose effect is the smallest, ten times as high."""

    def probe(**factors):
        generator, _ = toy()
        predictor = InOtherUnits(generator, **factors)
        samples = sample(generator, predictor, 1500, progress=False)
        fitted = fit_boundaries(samples, chosen_num=400, progress=False)
        return generator, predictor, samples, fitted

    return probe(), probe(bed=10.0)


def said(verification, boundaries, capsys):
    """What is said of a verification without a figure in a unit of its own."""
    print_ranking(verification)
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    chart = ranking(verification, boundaries)
    matrix = entanglement(verification)
    return {
        "ranked": verification.rank(),
        "status": [(verification.status(name), verification.reason(name)) for name in verification.rank()],
        "printed": [(words[0], *words[2:3]) for words in printed[:5]],  # semantic, SD
        "sentences": (finding(verification), order(verification)),
        "chart": [
            (row.name, row.relative, row.relative_interval, row.p, row.best_layer) for row in chart.rows
        ],
        "matrix": [[(cell.text, beside) for cell, beside in cells] for _, _, cells in matrix.rows],
        "even": [(part.boundary, part.semantic) for part in large_even_parts(verification)],
        "levels": [f"{mean:.3f}" for mean in verification.mean_layer_by_level().values() if mean is not None],
    }


@pytest.mark.parametrize("goal", [None, "top-layer", "ranking"])
def test_ten_times_the_score_is_the_same_finding(probes, goal, capsys):
    (_, _, _, plain_boundaries), _ = probes
    number = {"num": 24} if goal is None else {"decide": goal, "max_samples": 256}
    plain, scaled = (
        verify(generator, predictor, fitted, **number, confidence=0.95, num_null=32, progress=False)
        for generator, predictor, _, fitted in probes
    )
    column, row = NAMES.index("bed"), plain.row("bed")
    assert scaled.effect[row, 0, column] == pytest.approx(10 * plain.effect[row, 0, column], rel=1e-4)
    own = [scaled.effect[scaled.row(name), 0, NAMES.index(name)] for name in scaled.rank()]
    assert own != sorted(own, reverse=True), "in the scores' own units the order is another"
    assert said(scaled, plain_boundaries, capsys) == said(plain, plain_boundaries, capsys)


def test_the_unit_is_that_of_the_samples_and_of_base_samples_where_no_boundary_knows_it(probes):
    generator, predictor, samples, fitted = probes[0]
    np.testing.assert_allclose(samples.deviation, samples.scores.std(axis=0, dtype=float))
    options = {"num_null": 2, "confidence": 0.9, "progress": False}
    found = verify(generator, predictor, fitted, num=4, **options)
    assert {name: boundary.deviation for name, boundary in fitted.items()} == dict(
        zip([name for name in NAMES if name != "constant"], np.delete(found.deviation, 3), strict=True)
    )
    assert found.deviation[3] == 0, "a score that is the same for all samples"
    foreign = Boundaries(tuple(replace(b, deviation=None) for b in of_anyone(fitted).values()))
    measured = verify(generator, predictor, foreign, decide="effect", max_samples=400, **options)
    np.testing.assert_allclose(measured.deviation, found.deviation, rtol=0.15)  # 256 samples
    assert measured.images - 2 * int(measured.samples.sum()) >= 256, "they count as images"


def test_an_effect_on_a_constant_score_has_no_unit_and_comes_last(probes, capsys):
    generator, predictor, _, fitted = probes[0]
    flat = Boundary("constant", "attribute", "w", np.eye(32)[0])
    found = verify(
        generator, predictor, Boundaries((flat, *fitted.values())), num=8, num_null=2, progress=False
    )
    assert found.rank()[-1] == "constant"
    moved = replace(found, effect=found.effect + 1.0, beats_null=np.ones(5, np.bool_))
    assert moved.rank()[-1] == "constant" and np.isnan(moved.in_deviations()[0, 0, 3])
    entry = moved.to_json()["semantics"][-1]
    assert (entry["effect"], entry["effect_in_deviations"], entry["deviation"]) == (1.0, None, 0.0)
    (row,) = [row for row in ranking(moved, fitted).rows if row.name == "constant"]
    assert row.at is None and row.relative == "–" and row.effect == "+1.00"
    print_ranking(moved)
    assert "constant" in capsys.readouterr().out and "constant" in repr(moved)

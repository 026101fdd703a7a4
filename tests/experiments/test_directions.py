"""What directions move, as a finding: planted ones in the toy world, and channels beside them."""

import dataclasses

import numpy as np
import pytest

from higan_fast.boundaries.boundary import Boundary
from higan_fast.experiments import Finding, directions
from higan_fast.experiments.directions import MOST_COLUMNS, MOST_ROWS, PALER
from higan_fast.predictors.base import Semantic
from higan_fast.probing import verify_directions
from higan_fast.probing.directions_results import STYLE_LAYERS
from tests.toy import LAYER_OF, toy

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def found():
    generator, predictor = toy()
    normals = generator.directions.double().numpy()
    chosen = [Boundary(f"to {name}", "attribute", "w", normals[layer]) for name, layer in LAYER_OF.items()]
    chosen.append(Boundary("cost $2 or $3", "attribute", "w", normals[2]))
    return verify_directions(generator, predictor, chosen, num=64, confidence=0.95, **QUIET)


@pytest.fixture(scope="module")
def of_styles(found):
    """As if the same had been found of styles, and nothing were sure."""
    settings = found.settings | {"space": "styles", "step_unit": "sd", "null": "isotropic"}
    return dataclasses.replace(found, sign=np.zeros_like(found.sign), settings=settings)


def test_it_says_what_moves_what_and_on_which_layer(found):
    finding = directions([found])
    first, still, how = finding.sentences
    assert first.startswith(
        "4 of 5 directions surely move a semantic, by so many SD of its score: to view (view "
    )
    for name, layer in LAYER_OF.items():
        assert f"most on layer {layer}" in first.split(f"to {name} (")[1].split(");")[0]
    assert still == (
        "It is not shown that any of these 5 directions (5 from elsewhere) moves constant: "
        "that is no proof that none does."
    )
    assert "One step is 2 in length, forth and back, on 64 fresh samples" in how
    assert "32 random directions drawn evenly" in how and "95 % confidence, over 5 × 5 pairs" in how
    assert finding.images == found.images and len(finding.rows) == 5 * 6 * 5
    moved = [row for row in finding.rows if row["moves"]]
    assert len(finding.table.rows) == len(moved) >= 4
    assert any(row[-1] == "3 paint3" for row in finding.table.rows)
    assert "moved by cost $2 or $3" in finding.table.notes[0]


def test_what_is_open_is_said(found):
    undecided = np.zeros_like(found.undecided)
    undecided[0, :2] = True
    (first, *_) = directions([dataclasses.replace(found, undecided=undecided)]).sentences
    assert first.endswith("; 2 pairs left open, which more samples may decide.")


def test_of_which_directions_nothing_is_shown(found, of_styles):
    names = ("sefa 1", "sefa 2", "pca 1", "layer 3 pca 1", "smile")
    (_, still, _) = directions([dataclasses.replace(found, boundary_names=names)]).sentences
    assert "any of these 5 directions (2 of SeFa, 1 of the PCA of w, " in still
    assert "1 of the PCA of activations, 1 other) moves constant" in still
    assert "any of these 5 single channels of styles moves" in directions([of_styles]).sentences[1]


def test_numbers_of_style_layers_are_not_those_of_codes(found, of_styles):
    assert of_styles.table().head[-1] == "on style layer" and STYLE_LAYERS in of_styles.table().notes
    assert not any("tyle layers" in limit for limit in directions([found]).limits)
    assert directions([found, of_styles]).limits[-1].startswith("Style layers are numbered through all")


def test_codes_and_styles_stand_side_by_side(found, of_styles, tmp_path):
    finding = directions([found, of_styles])
    assert {row["in"] for row in finding.rows} == {"codes", "styles"}
    assert "0 of 5 channels surely move a semantic." in finding.sentences
    assert "standard deviations of the channel over the samples" in finding.sentences[-1]
    assert "in the style of the same layer" in finding.sentences[-1]
    finding.save(tmp_path)
    assert Finding.load(tmp_path / "directions.json").to_json() == finding.to_json()
    with pytest.raises(ValueError, match="results: got none"):
        directions([])


def test_the_figure_has_a_matrix_for_each(found, of_styles):
    figure = directions([found, of_styles]).draw()
    figure.canvas.draw()  # names with a $ are no formulas
    one, other = figure.axes
    assert [label.get_text() for label in one.get_xticklabels()] == [s.name for s in found.semantics]
    texts = [text.get_text() for text in one.texts]
    assert sum("layer" in text for text in texts) == int((found.sign != 0).sum())
    assert not any("layer" in text.get_text() for text in other.texts)
    column = [semantic.name for semantic in found.semantics].index("constant")
    assert (one.get_ylabel(), other.get_ylabel()) == ("direction", "style layer:channel")
    strong, pale = (axes.images[0] for axes in figure.axes)
    assert strong.get_clim() == pale.get_clim(), "one scale"
    sure = found.sign != 0
    ratio = np.asarray(pale.get_array())[sure] / np.asarray(strong.get_array())[sure]
    assert ratio == pytest.approx(PALER)
    assert f"full colour at {strong.get_clim()[1]:.2f} SD; not sure ones paler" in other.get_title("left")
    assert texts[column] == "", "a score that is always the same has no unit"


def test_of_many_the_figure_holds_those_that_are_sure(found):
    rows, columns = 2 * MOST_ROWS, 2 * MOST_COLUMNS
    shape = (rows, 1, columns)
    sign = np.zeros((rows, columns), np.int8)
    sign[50, 40] = sign[60, 7] = 1
    many = dataclasses.replace(
        found, boundary_names=tuple(f"d{i}" for i in range(rows)), layers=(), deviation=np.ones(columns),
        semantics=tuple(Semantic(f"s{i}", "color") for i in range(columns)), sign=sign, effect=np.ones(shape),
        low=np.ones(shape), high=np.ones(shape), p_values=sign + 0.0, p_adjusted=sign + 0.0,
        p_required=sign + 0.0, undecided=sign > 1, top_layer=np.full(sign.shape, -1),
        top_layer_sure=np.zeros(sign.shape, np.bool_), samples=np.full((rows, 1), 9),
    )  # fmt: skip
    (panel,) = directions([many]).figures["panels"]
    assert (panel["directions"], panel["semantics"]) == (["d50", "d60"], ["s7", "s40"])
    assert panel["left_out"] == [rows - 2, columns - 2]

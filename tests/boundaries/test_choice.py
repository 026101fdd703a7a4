"""Regularisation by what boundaries move: a choice that follows evidence, and stays where there is none."""

import numpy as np
import pytest

import higan_fast as hf
from higan_fast.boundaries import choice
from higan_fast.boundaries.choice import STRENGTHS, best
from higan_fast.probing import Boundaries, fit_boundaries
from tests.toy import LAYER_OF, toy

QUIET = {"progress": False}


def effects(means, spread, num=64, semantics=1, seed=0):
    """Effects ``[strengths, S, num]`` that share what differs from code to code, as paired ones do."""
    random = np.random.default_rng(seed)
    common = random.normal(size=(1, semantics, num))
    own = spread * random.normal(size=(len(means), semantics, num))
    return np.array(means)[:, None, None] + common + own


def test_the_strength_that_moves_more_is_taken():
    assert best(effects([0.0, 0.1, 0.3, 0.2], 0.1)) == 2
    assert best(effects([0.3, 0.2, 0.1, 0.0], 0.1)) == 0
    assert best(effects([0.2, 0.2, 0.2, 0.2], 0.0)) == 0  # all alike, to the bit


def test_many_semantics_tell_what_one_cannot():
    little = [0.0, 0.0, 0.0, 0.05]
    assert best(effects(little, 0.3)) == 0
    assert best(effects(little, 0.3, semantics=14)) == 3


def test_where_nothing_moves_more_the_first_stays():
    """The level is 5 % for all three comparisons: of 1,000 choices, 50, with a standard error of 7."""
    moved = sum(best(effects([0.1] * 4, 0.5, semantics=3, seed=seed)) > 0 for seed in range(1000))
    assert 0 < moved <= 50 + 3 * 7


@pytest.mark.parametrize("space", ["w", "layers", "z"])
def test_it_is_chosen_on_codes_of_its_own(samples, space, monkeypatch):
    generator, predictor = toy()
    streams, make = [], choice.make_codes
    monkeypatch.setattr(choice, "make_codes", lambda *given: streams.append(given[6]) or make(*given))
    options = {"chosen_num": 300, "space": space, **QUIET}
    found = fit_boundaries(samples, C="auto", generator=generator, predictor=predictor, **options)
    assert streams == [choice.CHOICE] and set(found) == set(LAYER_OF)
    assert (found.settings["C"], found.settings["strengths"]) == ("auto", list(STRENGTHS))
    (weight,) = {boundary.origin.C for boundary in found.values()}
    alone = fit_boundaries(samples, C=weight, **options)
    for name in LAYER_OF:
        np.testing.assert_array_equal(found[name].normal, alone[name].normal)


def test_a_boundary_that_moves_more_replaces_one_that_does_not(samples):
    """Where the weakest strength gives a direction that nothing answers to, the others must win."""
    generator, predictor = toy()
    fitted = fit_boundaries(samples, ["view", "hue"], chosen_num=300, **QUIET)
    swapped = {"view": fitted["hue"].normal, "hue": fitted["hue"].normal}
    astray = Boundaries(
        tuple(hf.probing.Boundary(n, fitted[n].level, "w", swapped[n]) for n in fitted), {}, fitted.settings
    )
    found = choice.choose_regularisation(
        [astray, astray, fitted, astray], generator, predictor, samples.settings, False
    )
    assert found["view"] is fitted["view"] and found.settings["C"] == "auto"


def test_what_auto_needs_is_named(samples):
    with pytest.raises(ValueError, match="generator: got None, but to choose C, images are made and scored"):
        fit_boundaries(samples, C="auto", **QUIET)
    with pytest.raises(ValueError, match="got 'auto', but 'difference' has nothing to regularise"):
        fit_boundaries(samples, method="difference", C="auto", **QUIET)

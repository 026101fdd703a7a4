"""Boundaries know the samples that they were fitted to; later stages follow, and refuse other networks."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

import higan_fast as hf
from higan_fast.boundaries.files import export_boundary, import_boundary
from higan_fast.fingerprint import fingerprint
from higan_fast.probing import Boundaries, jitter
from tests.toy import ToyGenerator, ToyPredictor, of_anyone, toy
from tests.toy_families import conditional_toy

QUIET = {"progress": False}
DRAWN = {"seed": 5, "truncation_psi": 0.6, "truncation_layers": 2}
LITTLE = {"num": 4, "num_null": 2, **QUIET}


@pytest.fixture(scope="module")
def fitted():
    samples = hf.sample(*toy(), 300, **DRAWN, **QUIET)
    return hf.fit_boundaries(samples, "view", method="svm", chosen_num=60, **QUIET)


def test_the_origin_is_kept_in_the_file(fitted, tmp_path):
    generator, predictor = toy()
    expected = {"generator": fingerprint(generator), "predictor": fingerprint(predictor), "label": None}
    expected |= {"method": "svm", "C": 1.0}
    fitted.save(tmp_path / "boundaries.safetensors")
    for found in (fitted, Boundaries.load(tmp_path / "boundaries.safetensors")):
        assert asdict(found["view"].origin) == DRAWN | expected


def test_verification_draws_as_the_samples_were_drawn(fitted):
    followed = hf.verify(*toy(), fitted, **LITTLE)
    said = hf.verify(*toy(), of_anyone(fitted), **DRAWN, **LITTLE)
    assert DRAWN.items() <= followed.settings.items() and followed.settings == said.settings
    np.testing.assert_array_equal(followed.effect, said.effect)
    other = {"seed": 1, "truncation_psi": 0.9, "truncation_layers": 5}
    assert other.items() <= hf.verify(*toy(), fitted, **other, **LITTLE).settings.items()
    plain = {"seed": 1, "truncation_psi": 1.0, "truncation_layers": None}
    assert plain.items() <= hf.verify(*toy(), of_anyone(fitted), **LITTLE).settings.items()


def test_verification_stays_in_the_class_of_the_samples():
    samples = hf.sample(*conditional_toy(), 300, label=2, **QUIET)
    boundaries = hf.fit_boundaries(samples, "bed", chosen_num=60, **QUIET)
    assert hf.verify(*conditional_toy(), boundaries, **LITTLE).settings["label"] == 2
    assert hf.verify(*conditional_toy(), boundaries, label=0, **LITTLE).settings["label"] == 0
    assert hf.verify(*conditional_toy(), boundaries, label="random", **LITTLE).settings["label"] is None


def test_manipulation_is_truncated_as_the_samples_were(fitted):
    generator, _ = toy()
    codes = torch.zeros(2, 5, 32)
    said = {"truncation_psi": 0.6, "truncation_layers": 2}
    for move in (hf.manipulate, jitter):
        followed = move(generator, codes, fitted["view"])
        torch.testing.assert_close(followed, move(generator, codes, of_anyone(fitted)["view"], **said))
        assert not followed.allclose(move(generator, codes, fitted["view"], truncation_psi=1.0))


def test_samples_that_were_drawn_in_two_ways_leave_the_choice(fitted):
    origin = fitted["view"].origin
    other = replace(fitted["view"], name="bed", origin=replace(origin, truncation_psi=1.0))
    both = Boundaries((fitted["view"], other))
    with pytest.raises(ValueError, match=r"truncation_psi: got None, .* samples of \[0.6, 1.0\]; say which"):
        hf.verify(*toy(), both, **LITTLE)
    assert hf.verify(*toy(), both, truncation_psi=0.8, **LITTLE).settings["seed"] == 5


def test_boundaries_of_other_networks_are_refused(fitted, tmp_path):
    generator, predictor = toy()
    other = ToyGenerator()
    other.w_avg += 0.1  # of the same shape
    strange = ToyPredictor(other)
    strange.patterns *= 2
    with pytest.raises(
        ValueError, match=r"'view': was fitted to samples of another generator .* sample and fit"
    ):
        hf.verify(other, predictor, fitted, **LITTLE)
    with pytest.raises(ValueError, match="'view': was fitted to samples of another predictor"):
        hf.verify(generator, strange, fitted, **LITTLE)
    codes = torch.zeros(1, 5, 32)
    for move in (hf.manipulate, jitter):
        with pytest.raises(ValueError, match="'view': was fitted to samples of another generator"):
            move(other, codes, fitted["view"])
    export_boundary(fitted["view"], tmp_path / "view.npy")
    imported = import_boundary(tmp_path / "view.npy", "view")
    hf.verify(other, strange, {"view": imported}, **LITTLE)  # HiGAN's files do not say whose they are
    hf.manipulate(other, codes, imported)

"""Samples of an experiment: chosen by their scores, moved along curves, and drawn."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from higan_fast.probing.sweep_scores import Curve
from higan_fast.sampling.latents import EXPERIMENT, make_codes
from tests.toy import of_anyone


def high_bed(scores):
    return scores[:, 1] > 0.8


@pytest.fixture
def bed(probed):
    return of_anyone(probed.boundaries)["bed"]


def test_samples_are_found_by_their_scores_and_then_moved(probed, bed):
    subject = probed.subject
    chosen = subject.find([bed], high_bed, num=10, most=500, doing="looking")
    assert len(chosen.samples) == 10 and chosen.drawn == chosen.samples[-1] + 1 == len(chosen.scores)
    assert np.flatnonzero(high_bed(chosen.scores)).tolist() == list(chosen.samples)
    curves = [Curve(bed), Curve(bed, (1,))]
    found = subject.walk(curves, (-2, 2), num=10, samples=chosen.samples, doing="moving")
    np.testing.assert_allclose(found.base, chosen.scores[list(chosen.samples)], atol=1e-6)
    whole = subject.walk(curves, (-2, 2), num=chosen.drawn, doing="moving")
    np.testing.assert_allclose(found.moved, whole.moved[list(chosen.samples)], atol=1e-6)


def test_those_that_there_are_not_end_the_search(probed, bed):
    chosen = probed.subject.find([bed], lambda scores: scores[:, 1] > 1, num=3, most=100, doing="looking")
    assert chosen.samples == () and chosen.drawn == 100 == len(chosen.scores)


def test_what_was_found_is_kept(probed, bed, tmp_path, monkeypatch):
    for network in (probed.predictor, probed.generator):  # which other tests share
        monkeypatch.setattr(network, "identity", "toy")
    subject = replace(probed.subject, out=tmp_path)
    first = subject.find([bed], high_bed, num=10, most=500, doing="looking")
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    again = subject.find([bed], high_bed, num=10, most=500, doing="looking")
    assert first.samples == again.samples and kept
    assert kept == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}


def test_images_are_of_the_samples_that_are_moved(probed, bed):
    curves, steps = [Curve(bed), Curve(bed, (1, 3))], (0, 3)
    images = probed.subject.images(curves, steps, [5, 2], side=8)
    assert images.shape == (2, 2, 2, 3, 8, 8)
    images = probed.subject.images(curves, steps, [5, 2])
    codes = make_codes(probed.generator, 1, 0, 6, 1.0, None, EXPERIMENT).codes[[5, 2]]
    with torch.no_grad():
        assert torch.allclose(images[:, 1, 0], probed.generator.synthesize(codes).clamp(-1, 1), atol=1e-5)
        codes[:, [1, 3]] += 3 * torch.tensor(bed.normal).float()
        assert torch.allclose(images[:, 1, 1], probed.generator.synthesize(codes).clamp(-1, 1), atol=1e-5)

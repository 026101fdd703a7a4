"""The same probe on a CUDA device as on the CPU."""

import numpy as np
import pytest
import torch

import higan_fast as hf

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(autouse=True)
def full_float32():
    """Without TF32, whose ten bits would hide what is compared here."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def networks(device):
    return hf.load_generator("scenes", device), hf.load_predictor("scenes", device=device)


def test_samples_agree():
    here = hf.sample(*networks("cpu"), 256, progress=False)
    there = hf.sample(*networks("cuda"), 256, progress=False)
    assert np.array_equal(here.z, there.z)
    # float32 through ten layers and the predictor, summed in another order
    np.testing.assert_allclose(here.codes, there.codes, atol=1e-5)
    np.testing.assert_allclose(here.scores, there.scores, atol=1e-3)


def test_a_probe_finds_the_same_layers():
    samples = hf.sample(*networks("cpu"), 1024, progress=False)
    boundaries = hf.fit_boundaries(samples, chosen_num=0.25, progress=False)
    here, there = (
        hf.verify(*networks(device), boundaries, num=16, num_null=8, progress=False)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(here.effect, there.effect, atol=1e-3)
    for name, beats in zip(here.boundary_names, here.beats_null, strict=True):
        if beats:
            assert here.best_layer(name) == there.best_layer(name)

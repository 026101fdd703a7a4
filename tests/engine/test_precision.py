"""Precision by name: "fast" finds what "exact" finds, and both leave the networks as they were."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch

import higan_fast as hf
from higan_fast.engine.engine import Engine
from higan_fast.engine.precision import activation_dtype, chosen_precision
from tests.toy import toy


@pytest.fixture(scope="module")
def world():
    generator, predictor = hf.load_generator("scenes"), hf.load_predictor("scenes")
    samples = hf.sample(generator, predictor, 512, progress=False)
    boundaries = hf.fit_boundaries(samples, chosen_num=0.3, progress=False)
    return generator, predictor, replace(boundaries, boundaries=boundaries.boundaries[1::2])


def bfloat16_everywhere(monkeypatch):
    """Also on CPUs that multiply it slowly."""
    monkeypatch.setattr("higan_fast.engine.precision._cpu_multiplies_bfloat16", lambda: True)


def test_fast_finds_the_same_layers_and_the_same_ranking(world, monkeypatch):
    bfloat16_everywhere(monkeypatch)
    generator, predictor, boundaries = world
    options = {"num": 4, "num_null": 2, "confidence": 0.95, "progress": False}
    exact = hf.verify(generator, predictor, boundaries, **options)
    fast = hf.verify(generator, predictor, boundaries, precision="fast", **options)
    assert (exact.settings["features"], fast.settings["features"]) == ("float32", "bfloat16")
    names = [semantic.name for semantic in exact.semantics]
    rows, columns = range(len(boundaries)), [names.index(name) for name in exact.boundary_names]
    own, rough = (found.effect[rows, 0, columns] for found in (exact, fast))
    beyond = own > exact.null_high[0, columns]
    assert beyond.sum() >= 4
    for name in np.array(exact.boundary_names)[beyond]:
        assert fast.best_layer(name) == exact.best_layer(name), name
    assert scipy.stats.spearmanr(own, rough).statistic >= 0.99
    # differences of two scores near 1 of which each is off by some 2^-9, in the mean over 4 samples
    np.testing.assert_allclose(rough, own, rtol=0, atol=4e-3)


def test_the_networks_stay_as_they_were(monkeypatch):
    bfloat16_everywhere(monkeypatch)
    generator, predictor = hf.load_generator("scenes"), hf.load_predictor("scenes")
    flags = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    engine = Engine(generator, predictor, precision="fast")
    codes = generator.map(torch.randn(2, generator.latent_dim))
    seen = []
    plain = generator.start
    generator.start = lambda num: seen.append(plain(num).features.dtype) or plain(num)
    with torch.inference_mode():
        scores = engine.scores(codes)
    assert torch.bfloat16 in seen and scores.dtype == torch.float32
    assert generator.activation_dtype is None
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == flags
    assert not torch.is_autocast_enabled("cpu")
    generator.activation_dtype = torch.bfloat16  # exact is exact, whatever the caller uses elsewhere
    seen.clear()
    with torch.inference_mode():
        Engine(generator, predictor).scores(codes)
    assert set(seen) == {torch.float32} and generator.activation_dtype == torch.bfloat16


def test_which_dtype_a_policy_means(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert activation_dtype("exact", cpu) is None and activation_dtype("exact", cuda) is None
    assert activation_dtype("fast", cuda) == torch.float16
    monkeypatch.setattr("higan_fast.engine.precision._cpu_multiplies_bfloat16", lambda: False)
    assert activation_dtype("fast", cpu) is None
    with pytest.raises(
        ValueError, match=r"precision \(--precision\): got 'quick', expected one of exact, fast"
    ):
        Engine(*toy(), precision="quick")


def test_auto_is_fast_where_16_bits_are(monkeypatch):
    capability = {"cuda:0": (9, 0), "cuda:1": (6, 1)}
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability[str(device)])
    taken = [chosen_precision("auto", torch.device(name)) for name in ("cuda:0", "cuda:1", "cpu")]
    assert taken == ["fast", "exact", "exact"]
    assert chosen_precision("fast", torch.device("cpu")) == "fast"
    with pytest.raises(
        ValueError, match=r"precision \(--precision\): got 'best', expected one of auto, exact, fast"
    ):
        chosen_precision("best", torch.device("cpu"))

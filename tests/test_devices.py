"""Which device a name means."""

import pytest
import torch

from higan_fast.checkpoints import load_generator
from higan_fast.devices import describe_device, usable_device
from higan_fast.predictors import load_predictor


def test_auto_is_cuda_where_there_is_one(monkeypatch):
    for available, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert usable_device("auto") == torch.device(expected)


def test_a_device_that_is_missing_or_unknown_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert usable_device("cuda") == torch.device("cuda")
    with pytest.raises(ValueError, match=r"got 'cuda:1', and torch .* sees 1 CUDA devices here; take auto"):
        usable_device("cuda:1")
    with pytest.raises(ValueError, match="got 'abacus', expected auto, cpu, cuda or cuda:NUMBER"):
        usable_device("abacus")


def test_people_read_its_name(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    assert describe_device(torch.device("cpu")) == "cpu (2 threads)"
    assert describe_device(torch.device("cuda:1")) == "cuda:1 (NVIDIA H100)"


def test_the_library_takes_auto(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load_generator("scenes", device="auto").device == torch.device("cpu")
    assert next(load_predictor("scenes", device="auto").parameters()).device == torch.device("cpu")

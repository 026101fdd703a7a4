"""Small networks of our own with the signatures, attributes and calling habits of public code."""

import importlib
import pickle
import sys
import types
import uuid
from pathlib import Path

import torch


@torch.no_grad()
def shaken(network, seed=0):
    """Gives a new network biases and noise, whose zeros would hide errors."""
    random = torch.Generator().manual_seed(seed)
    for name, tensor in network.named_parameters():
        if name.endswith(("bias", "noise_strength")) or tensor.shape == (1,):
            tensor.add_(0.3 * torch.randn(tensor.shape, generator=random))
    return network.eval().requires_grad_(False)


def imported_again(name):
    """A stand-in as NVlabs' pickles bring it along: its source, run in a module of its own."""
    source = Path(importlib.import_module(f"{__name__}.{name}").__file__).read_text()
    module = types.ModuleType(f"_imported_module_{uuid.uuid4().hex}")
    sys.modules[module.__name__] = module
    exec(compile(source, module.__name__, "exec"), vars(module))
    return module


def pickled(network):
    return pickle.loads(pickle.dumps(network))

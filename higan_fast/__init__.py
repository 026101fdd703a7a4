"""higan_fast: find out which layer of an image generator decides what you see, and prove it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from higan_fast import compat, experiments, generators, ops
    from higan_fast.checkpoints import load_generator
    from higan_fast.compat import patch, patch_namespace
    from higan_fast.inversion import Inversion, invert, read_codes, tune_around
    from higan_fast.predictors import Semantic, load_predictor
    from higan_fast.probing import (
        Boundaries,
        Samples,
        Verification,
        attribute_layers,
        compare_methods,
        fit_boundaries,
        fit_to_labels,
        jitter,
        manipulate,
        sample,
        sweep_steps,
        verify,
        verify_channels,
        verify_directions,
    )
    from higan_fast.report import write_report

__all__ = [
    "Boundaries",
    "Inversion",
    "Samples",
    "Semantic",
    "Verification",
    "attribute_layers",
    "compare_methods",
    "compat",
    "experiments",
    "fit_boundaries",
    "fit_to_labels",
    "generators",
    "invert",
    "jitter",
    "load_generator",
    "load_predictor",
    "manipulate",
    "ops",
    "patch",
    "patch_namespace",
    "read_codes",
    "sample",
    "sweep_steps",
    "tune_around",
    "verify",
    "verify_channels",
    "verify_directions",
    "write_report",
]
_HOME = {
    "load_generator": "higan_fast.checkpoints",
    "load_predictor": "higan_fast.predictors",
    "patch": "higan_fast.compat",
    "patch_namespace": "higan_fast.compat",
    "Semantic": "higan_fast.predictors",
    "Samples": "higan_fast.probing",
    "Boundaries": "higan_fast.probing",
    "Verification": "higan_fast.probing",
    "sample": "higan_fast.probing",
    "fit_boundaries": "higan_fast.probing",
    "fit_to_labels": "higan_fast.probing",
    "verify": "higan_fast.probing",
    "verify_channels": "higan_fast.probing",
    "verify_directions": "higan_fast.probing",
    "sweep_steps": "higan_fast.probing",
    "attribute_layers": "higan_fast.probing",
    "compare_methods": "higan_fast.probing",
    "manipulate": "higan_fast.probing",
    "jitter": "higan_fast.probing",
    "Inversion": "higan_fast.inversion",
    "invert": "higan_fast.inversion",
    "read_codes": "higan_fast.inversion",
    "tune_around": "higan_fast.inversion",
    "write_report": "higan_fast.report",
}

_PARTS = ("compat", "experiments", "generators", "ops")


def __getattr__(name: str) -> Any:
    """Imports what is asked for when it is asked for: ``import higan_fast`` itself takes milliseconds."""
    if name in _PARTS:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

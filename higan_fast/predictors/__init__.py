"""What scores images: the embedded predictor, plain colour, any network with named outputs, and several."""

from higan_fast.predictors.base import ModulePredictor, Predictor, Semantic
from higan_fast.predictors.combined import CombinedPredictor
from higan_fast.predictors.kinds import KINDS
from higan_fast.predictors.loading import load_predictor
from higan_fast.predictors.source import Source, sources

__all__ = [
    "KINDS",
    "CombinedPredictor",
    "ModulePredictor",
    "Predictor",
    "Semantic",
    "Source",
    "load_predictor",
    "sources",
]

"""Pictures of anybody's → codes of a generator, by optimisation; and files of codes."""

from higan_fast.inversion.code_files import FoundCodes, read_codes
from higan_fast.inversion.distances import Distance, NetworkFeatures, Pixels, distance_of
from higan_fast.inversion.inverting import check_inverting, invert
from higan_fast.inversion.results import Inversion
from higan_fast.inversion.targets import picture_files, read_pictures
from higan_fast.inversion.tuning import tune_around

__all__ = [
    "Distance",
    "FoundCodes",
    "Inversion",
    "NetworkFeatures",
    "Pixels",
    "check_inverting",
    "distance_of",
    "invert",
    "picture_files",
    "read_codes",
    "read_pictures",
    "tune_around",
]

"""The probe: sample, fit boundaries, verify them layer by layer, manipulate."""

from higan_fast.boundaries.boundary import Boundaries, Boundary
from higan_fast.boundaries.deviations import measured_on
from higan_fast.boundaries.files import export_boundary, import_boundary, read_boundary_list
from higan_fast.boundaries.fitting import fit_boundaries
from higan_fast.boundaries.label_files import Labels, read_labels
from higan_fast.boundaries.labels import fit_to_labels
from higan_fast.probing.attribution import Attribution, attribute_layers
from higan_fast.probing.channels import verify_channels
from higan_fast.probing.comparison import Comparison, compare_methods
from higan_fast.probing.directions import Directions, verify_directions
from higan_fast.probing.layers import format_layers, parse_layers
from higan_fast.probing.manipulation import jitter, manipulate
from higan_fast.probing.sweep import Sweep, sweep_steps
from higan_fast.probing.verification import Verification, verify
from higan_fast.sampling.samples import Samples, sample

__all__ = [
    "Attribution",
    "Boundaries",
    "Boundary",
    "Comparison",
    "Directions",
    "Labels",
    "Samples",
    "Sweep",
    "Verification",
    "attribute_layers",
    "compare_methods",
    "export_boundary",
    "fit_boundaries",
    "fit_to_labels",
    "format_layers",
    "import_boundary",
    "jitter",
    "manipulate",
    "measured_on",
    "parse_layers",
    "read_boundary_list",
    "read_labels",
    "sample",
    "sweep_steps",
    "verify",
    "verify_channels",
    "verify_directions",
]

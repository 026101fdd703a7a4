"""Our ops under code that people already have.

``patch`` and ``patch_namespace`` put them there. ``nvlabs_sg2``, ``nvlabs_sg3`` and ``rosinality`` have the
functions of those codebases, with their names, arguments, orders and defaults, ``genforce`` the ``forward``
of its layers; ``report`` says by what they were served.
"""

from __future__ import annotations

from higan_fast.compat import genforce, nvlabs_sg2, nvlabs_sg3, rosinality
from higan_fast.compat.handle import Handle
from higan_fast.compat.patching import patch, patch_namespace
from higan_fast.compat.tally import Report, report

__all__ = [
    "Handle",
    "Report",
    "genforce",
    "nvlabs_sg2",
    "nvlabs_sg3",
    "patch",
    "patch_namespace",
    "report",
    "rosinality",
]

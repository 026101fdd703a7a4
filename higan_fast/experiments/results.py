"""All that was found of one probe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from higan_fast.experiments.finding import Finding
from higan_fast.probing import Attribution, Comparison, Sweep, Verification


class Results(NamedTuple):
    """What stages and experiments found; None and empty: that was not asked."""

    verification: Verification | None
    attribution: Attribution | None = None
    comparison: Comparison | None = None
    sweep: Sweep | None = None
    findings: Sequence[Finding] = ()

    def of_stages(self) -> dict[str, Verification | Attribution | Comparison | Sweep]:
        """Returns what stages found, by name; without what was not asked."""
        return {name: value for name, value in zip(self._fields[:-1], self[:-1], strict=True) if value}

    def fingerprint(self) -> str:
        """Returns a SHA-256 of what tells results of one another: settings, names and main figures."""
        digest = hashlib.sha256()
        if (verified := self.verification) is not None:
            digest.update(json.dumps([verified.settings, verified.boundary_names]).encode())
            for figures in (verified.effect, verified.low, verified.high):
                digest.update(np.ascontiguousarray(figures).data)
        if self.attribution is not None:
            digest.update(json.dumps(self.attribution.settings).encode())
            digest.update(np.ascontiguousarray(self.attribution.index).data)
        if self.comparison is not None:
            digest.update(json.dumps(self.comparison.settings).encode())
            digest.update(np.ascontiguousarray(self.comparison.effect).data)
        if self.sweep is not None:
            digest.update(json.dumps([self.sweep.settings, self.sweep.boundary_names]).encode())
            digest.update(np.ascontiguousarray(self.sweep.change).data)
        for found in self.findings:
            digest.update(json.dumps(found.to_json()).encode())
        return digest.hexdigest()

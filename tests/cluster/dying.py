"""Networks for workers in processes of their own, the first of which dies in the middle of its work."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.toy import ToyGenerator, ToyPredictor, toy_by_name


class Dying:
    """Gives the toy networks; whoever finds the marker, and removes it, dies after some images."""

    def __init__(self, marker: Path | None = None, after: int = 150) -> None:
        self.marker, self.after = marker, after

    def __call__(self) -> tuple[ToyGenerator, ToyPredictor]:
        generator, predictor = toy_by_name()
        if self.marker is not None and self.marker.exists():
            self.marker.unlink()
            forward, seen = predictor.forward, 0

            def dying(images):
                nonlocal seen
                seen += len(images)
                if seen > self.after:
                    os.kill(os.getpid(), signal.SIGKILL)
                return forward(images)

            predictor.forward = dying
        return generator, predictor

"""A worker's networks: their fingerprints, and engines, each of which is made once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from higan_fast.engine.engine import Engine
from higan_fast.engine.precision import Precision
from higan_fast.fingerprint import fingerprint
from higan_fast.generators.base import Generator
from higan_fast.predictors.base import LogitsOf, Predictor


class Workbench:
    """Both networks, and engines of them."""

    def __init__(self, generator: Generator, predictor: Predictor) -> None:
        """Takes the fingerprints of the networks."""
        self.generator, self.predictor = generator, predictor
        self._networks = {"generator": str(fingerprint(generator)), "predictor": str(fingerprint(predictor))}
        self._engines: dict[tuple[int, Precision, bool], Engine] = {}

    def check(self, run: Path, made_by: Mapping[str, object]) -> None:
        """Raises ValueError when the networks are not those that a task of a run is for."""
        for name, found in self._networks.items():
            if found != made_by[name]:
                raise ValueError(
                    f"{run}: a worker's {name} has the fingerprint {found}, and the run's has "
                    f"{made_by[name]}; give all workers the same files and the same version of higan_fast"
                )

    def engine(self, images: int, precision: Precision, on_logits: bool = False) -> Engine:
        """Returns an engine that takes so many images at once, which decides how scores are rounded.

        Raises:
            ValueError: when there is not enough memory for so many.
        """
        key = images, precision, on_logits
        if key not in self._engines:
            scorer = LogitsOf(self.predictor) if on_logits else self.predictor
            self._engines[key] = Engine(self.generator, scorer, batch_size=images, precision=precision)
        check_memory(self._engines[key], images)
        return self._engines[key]


def check_memory(engine: Engine, images: int) -> None:
    """Raises ValueError when an engine takes fewer images at once than it was asked to."""
    if engine.budget.images != images:
        raise ValueError(
            f"batch_size (--batch): a worker has memory for {engine.budget.images} images at once, and the "
            f"others take {images}; run it again with --batch {engine.budget.images}"
        )

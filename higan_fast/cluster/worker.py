"""A worker: it holds both networks, and does units of tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from higan_fast.engine.crew import Task
from higan_fast.engine.workbench import Workbench
from higan_fast.generators.base import Generator
from higan_fast.predictors.base import Predictor
from higan_fast.probing.walk_units import WalkUnits
from higan_fast.run_networks import RunNetworks
from higan_fast.run_settings import Places
from higan_fast.sampling.shared_samples import SampleUnits

Networks = Callable[[], tuple[Generator, Predictor]]


def networks_of(run: Path, places: Places) -> tuple[Generator, Predictor]:
    """Returns the networks of a run folder, which must be those that it was begun with.

    Raises:
        FileNotFoundError: when there is no such folder or network.
        ValueError: when a network is another one, or this machine has no such device.
    """
    opened = RunNetworks.open(run, **places)
    return opened.generator, opened.predictor


class Worker:
    """Does units of tasks, with networks that are loaded once."""

    def __init__(self, networks: Networks) -> None:
        """Loads the networks; errors as of ``networks``."""
        self._bench = Workbench(*networks())
        self._task: Path | None = None

    @torch.inference_mode()
    def do(self, task: Path, unit: int) -> None:
        """Does a unit, and writes what comes of it.

        Raises:
            FileNotFoundError: when the task is not there any more: all of it is done.
            ValueError: when a score is not finite, or the networks or the memory are others than the task's.
            OSError: when the run folder cannot be written to.
        """
        self._open(task).do(unit)

    def num_units(self, task: Path) -> int:
        """Returns how many units a task has; errors as of ``do``."""
        self._open(task)
        return self._num

    def _open(self, task: Path) -> SampleUnits | WalkUnits:
        """The units of a task, whose engine is kept until another task comes."""
        if task != self._task:
            found = Task.read(task)
            kind = SampleUnits if found.kind == "samples" else WalkUnits
            self._units: SampleUnits | WalkUnits = kind(found, self._bench)
            self._task, self._num = task, found.num
        return self._units

"""What a worker does of a verification: a stretch of the walk over some base samples."""

from __future__ import annotations

from higan_fast.boundaries.origin import Drawn
from higan_fast.engine.crew import Task
from higan_fast.engine.journal import keep_scores
from higan_fast.engine.workbench import Workbench, check_memory
from higan_fast.probing.measurement import Direction, Measurement


class WalkUnits:
    """The units of such a task: a stretch of a walk each."""

    def __init__(self, task: Task, bench: Workbench) -> None:
        """Makes the engine.

        Raises:
            ValueError: when the networks are not those of the task, or memory is too short.
        """
        about = task.about
        bench.check(task.run, about["networks"])
        engine = bench.engine(about["images"], about["precision"], about["on_logits"])
        self._measurement = Measurement(engine, about["space"], about["step"], Drawn(*about["drawn"]))
        self._directions = [
            Direction(f"direction {row}", normal) for row, normal in enumerate(task.arrays["normals"])
        ]
        self._task = task

    def do(self, unit: int) -> None:
        """Scores a stretch.

        Raises:
            ValueError: when memory was too short for a batch, so that scores would be rounded otherwise.
        """
        about = self._task.about
        part, number, first, last = about["units"][unit]
        start, stop, path, key = about["parts"][part]
        walk = self._measurement.walk(self._directions, range(start, stop), self._task.arrays["chosen"])
        scores = self._measurement.engine.scores_between(walk.base, walk.plan, walk.to_codes, first, last)
        check_memory(self._measurement.engine, about["images"])
        keep_scores(self._task.run / path, key, number, first, scores)

"""Sampling by a crew: every worker makes shards of one store, which no other makes at the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from higan_fast.engine.crew import Crew, Task, task_in
from higan_fast.engine.engine import Engine
from higan_fast.engine.workbench import Workbench, check_memory
from higan_fast.files import remove_leftovers
from higan_fast.sampling.filling import Lack, fill
from higan_fast.sampling.store import Store


def share(
    store: Store,
    engine: Engine,
    missing: Mapping[range, Lack],
    crew: Crew,
    advance: Callable[[int], None],
) -> None:
    """Has a crew make what is missing; ``advance`` hears of every image that was scored.

    Raises:
        ValueError: with the worker's line, when a shard cannot be made.
    """
    shards = [(shard.start, shard.stop, lacks) for shard, lacks in missing.items()]
    about = {"store": store.path.name, "images": engine.budget.images, "shards": shards}
    counts = [stop - start if lacks == "scores" else 0 for start, stop, lacks in shards]
    with task_in(crew.folder, "samples", len(shards), about) as task:
        crew.do(task, len(shards), lambda unit: advance(counts[unit]))
    remove_leftovers(store.path)  # of workers that were killed while they wrote


class SampleUnits:
    """The units of such a task: a shard each."""

    def __init__(self, task: Task, bench: Workbench) -> None:
        """Opens the store.

        Raises:
            ValueError: when the networks are not those of the store, or memory is too short.
        """
        self._store = Store.open(task.run / task.about["store"], writable=True)
        settings = self._store.settings
        bench.check(task.run, settings)
        self._shards, self._images = task.about["shards"], task.about["images"]
        self._engine = bench.engine(self._images, settings.get("precision", "exact"))

    def do(self, unit: int) -> None:
        """Makes a shard."""
        start, stop, lacks = self._shards[unit]
        fill(self._store, self._engine, {range(start, stop): lacks})
        check_memory(self._engine, self._images)

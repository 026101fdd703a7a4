"""A crew on Ray: an actor for every worker, which gets one unit after another; dead ones are replaced."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

from higan_fast.cluster.folder import WORK
from higan_fast.cluster.worker import Networks, Worker
from higan_fast.progress import say

# What is sent through Ray's store of objects are names of files and numbers: the least that it takes.
OBJECT_STORE = 80 * 2**20  # bytes
MOST_DEATHS = 3  # of workers in one unit
_REACHED_IN = 5.0  # seconds
_BETWEEN_LINES = 60.0  # seconds between two lines while no worker is there


class RayCrew:
    """Workers as actors of a Ray cluster, whose nodes see the run folder at the same path; a context.

    Attributes:
        folder: where tasks lie.
    """

    def __init__(
        self, run: Path, networks: Networks, address: str, num: int | None = None, *, cuda: bool = False
    ) -> None:
        """Nothing runs yet.

        Args:
            run: the run folder.
            networks: gives the networks; it is called in every worker.
            address: ``HOST:PORT`` of the head, "auto", or "local" for a cluster on this machine alone.
            num: how many workers; None: as many as the cluster has GPUs, or CPUs.
            cuda: whether every worker takes a GPU; else it takes a CPU.

        Raises:
            ImportError: when Ray is not installed.
        """
        try:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            import ray
        except ImportError as error:
            raise ImportError(
                "ray (--ray): Ray is not installed; pip install 'higan_fast[ray]' on every machine"
            ) from error
        self._ray: Any = ray
        self.folder = run.absolute() / WORK
        self._networks, self._address, self._num, self._cuda = networks, address, num, cuda
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        on_term = signal.getsignal(signal.SIGTERM)
        try:
            self._connect()
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_term)  # Ray has put its own there
        return self

    def _connect(self) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "configure_logging": False}
        if self._address == "local":
            os.environ.setdefault("RAY_worker_niceness", "0")  # they are the work, not something beside it
            own = {"include_dashboard": False, "object_store_memory": OBJECT_STORE}
            self._ray.init(address="local", _node_ip_address="127.0.0.1", **own, **quiet)
        else:
            host = check_reachable(self._address)
            if host.startswith("127.") and host != "127.0.0.1":  # which Ray takes for the machine's own
                quiet["_node_ip_address"] = host
            try:
                self._ray.init(address=self._address, **quiet)
            except (ConnectionError, RuntimeError, TimeoutError) as error:
                raise ConnectionError(
                    f"ray (--ray): no Ray cluster answers at {self._address} ({type(error).__name__}); start "
                    "one with ray start --head, or take --ray local"
                ) from error
        there = self._ray.cluster_resources()
        what = "GPU" if self._cuda else "CPU"
        num = self._num or int(there.get(what, 0))
        if num > there.get(what, 0) or num == 0:
            self.__exit__()
            raise ValueError(
                f"workers (--workers): got {num}, and the Ray cluster has {int(there.get(what, 0))} {what}s; "
                f"each worker takes one"
            )
        for _ in range(num):
            self._start()

    def __exit__(self, *_: object) -> None:
        self._idle.clear()
        self._starting.clear()
        self._ray.shutdown()

    def do(self, task: Path, num: int, done: Callable[[int], None]) -> None:
        """See ``Crew.do``."""
        ray = self._ray
        waiting, deaths = deque(range(num)), Counter[int]()
        busy: dict[Any, tuple[Any, int]] = {}
        alone = time.monotonic()
        while waiting or busy:
            while waiting and self._idle:
                actor, unit = self._idle.pop(), waiting.popleft()
                busy[actor.do.remote(str(task), unit)] = actor, unit
            if busy:
                alone = time.monotonic()
            elif time.monotonic() - alone > _BETWEEN_LINES:
                alone = time.monotonic()
                say("ray: no worker is there: all are starting, there is no room for one, or nodes are gone")
            ready, _ = ray.wait([*busy, *self._starting], num_returns=1, timeout=1.0)
            for ref in ready:
                actor, held = busy.pop(ref, None) or (self._starting.pop(ref), None)
                try:
                    ray.get(ref)
                except ray.exceptions.RayTaskError as error:
                    raise _of_the_worker(error) from None
                except ray.exceptions.RayError:  # the actor, its node, or both are gone
                    if held is not None:
                        waiting.appendleft(held)
                    deaths[-1 if held is None else held] += 1
                    self._check(deaths, held)
                    self._start()
                    continue
                self._idle.append(actor)
                if held is not None:
                    done(held)

    def _start(self) -> None:
        resources = {"num_gpus": 1} if self._cuda else {"num_cpus": 1}
        remote = self._ray.remote(max_restarts=0, scheduling_strategy="SPREAD", **resources)(RayWorker)
        actor = remote.remote(self._networks)
        self._starting[actor.load.remote()] = actor

    def _check(self, deaths: Counter[int], unit: int | None) -> None:
        if deaths[-1 if unit is None else unit] >= MOST_DEATHS:
            where = "while they started" if unit is None else f"in the same unit, number {unit}"
            raise RuntimeError(
                f"ray: {MOST_DEATHS} workers ended one after another {where}; is memory short? A smaller "
                "--batch takes less; their logs are in Ray's session folder"
            )


class RayWorker:
    """What runs as an actor. It loads the networks on its first call, so that an error is the call's."""

    def __init__(self, networks: Networks) -> None:
        self._load: partial[Worker] = partial(Worker, networks)
        self._worker: Worker | None = None

    def load(self) -> None:
        """Loads the networks."""
        self._worker = self._load()

    def do(self, task: str, unit: int) -> None:
        """Does a unit."""
        assert self._worker is not None
        self._worker.do(Path(task), unit)


def check_reachable(address: str) -> str:
    """Returns the host of an address.

    Raises:
        ConnectionError: when nothing listens at ``HOST:PORT``; Ray itself would try again for minutes.
        ValueError: when it is no address.
    """
    host, _, port = address.rpartition(":")
    if address == "auto":
        return ""
    if not host or not port.isdecimal():
        raise ValueError(f"ray (--ray): got {address!r}, expected HOST:PORT, auto or local")
    try:
        socket.create_connection((host, int(port)), _REACHED_IN).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(
            f"ray (--ray): nothing answers at {address} ({error}); start a cluster with ray start --head, or "
            "take --ray local"
        ) from error
    return host


def _of_the_worker(error: Any) -> Exception:
    """The error of a worker, with its own line."""
    cause = error.cause
    line = str(cause.args[0] if isinstance(cause, KeyError) and cause.args else cause)
    kinds = ValueError, OSError, ImportError, MemoryError
    return next((kind for kind in kinds if isinstance(cause, kind)), RuntimeError)(line)

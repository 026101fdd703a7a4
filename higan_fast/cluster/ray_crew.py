"""A crew on Ray: an actor for every worker, which gets one unit after another; dead ones are replaced."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch

from higan_fast.cluster.folder import WORK
from higan_fast.cluster.signals import undisturbed
from higan_fast.cluster.worker import Networks, Worker
from higan_fast.files import writing
from higan_fast.progress import say
from higan_fast.wording import line_of

# What is sent through Ray's store of objects are names of files and numbers: the least that it takes.
OBJECT_STORE = 80 * 2**20  # bytes
LOCAL = "local"  # in the place of an address
MOST_DEATHS = 3  # of workers in one unit
_ANSWERS_IN = 10.0  # seconds
# What begins HTTP/2, on which gRPC and Ray stand, and settings without a word (RFC 9113, 3.4 and 6.5).
_PREFACE, _SETTINGS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
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
            if address == LOCAL:  # else it takes the machine's own address for 127.0.0.1, and listens on all
                os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
            import ray
        except ImportError as error:
            raise ImportError(
                "ray (--ray): Ray is not installed; pip install 'higan_fast[ray]' on every machine"
            ) from error
        self._ray: Any = ray
        self.folder = run.absolute() / WORK
        self._networks, self._address, self._num, self._cuda = networks, address, num, cuda
        self._connected = False
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}

    def __enter__(self) -> Self:
        """Checks what costs nothing; workers start when there is something to do.

        Raises:
            ConnectionError: when no Ray cluster answers at the address.
            OSError: when the run folder cannot be written to.
            ValueError: when it is no address, or this machine has not so many GPUs or CPUs.
        """
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        if self._address == LOCAL:
            self._check_room((torch.cuda.device_count() if self._cuda else os.cpu_count()) or 0)
        else:
            check_reachable(self._address)
        return self

    def _connect(self) -> None:
        self._connected = True
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "configure_logging": False}
        if self._address == LOCAL:
            os.environ.setdefault("RAY_worker_niceness", "0")  # they are the work, not something beside it
            own = {"include_dashboard": False, "object_store_memory": OBJECT_STORE}
            with undisturbed():
                self._ray.init(address=LOCAL, _node_ip_address="127.0.0.1", **own, **quiet)
        else:
            host = check_reachable(self._address)
            if host.startswith("127.") and host != "127.0.0.1":  # which Ray takes for the machine's own
                quiet["_node_ip_address"] = host
            self._join(quiet)
        there = int(self._ray.cluster_resources().get("GPU" if self._cuda else "CPU", 0))
        self._check_room(there)
        for _ in range(self._num or there):
            self._start()

    def _join(self, quiet: dict[str, Any]) -> None:
        """Connects to a cluster that is there."""
        before = signal.getsignal(signal.SIGTERM)
        try:
            self._ray.init(address=self._address, **quiet)
        except (ConnectionError, RuntimeError, TimeoutError) as error:
            raise ConnectionError(
                f"ray (--ray): no Ray cluster answers at {self._address} ({type(error).__name__}); start "
                "one with ray start --head, or take --ray local"
            ) from error
        except SystemExit:  # so ends Ray's own handler of SIGTERM
            raise KeyboardInterrupt from None
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)

    def _check_room(self, there: int) -> None:
        num = there if self._num is None else self._num
        if num > there or num == 0:
            raise ValueError(
                f"workers (--workers): got {num}, and the Ray cluster has {there} "
                f"{'GPU' if self._cuda else 'CPU'}s; each worker takes one"
            )

    def __exit__(self, *_: object) -> None:
        self._idle.clear()
        self._starting.clear()
        if self._connected:
            with undisturbed():
                self._ray.shutdown()

    def do(self, task: Path, num: int, done: Callable[[int], None]) -> None:
        """See ``Crew.do``."""
        ray = self._ray
        if not self._connected:
            self._connect()
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
        ConnectionError: when nothing listens at ``HOST:PORT``, or what cannot be Ray; Ray itself would try
            again for minutes.
        ValueError: when it is no address.
    """
    host, _, port = address.rpartition(":")
    if address == "auto":
        return ""
    if not host or not port.isdecimal():
        raise ValueError(f"ray (--ray): got {address!r}, expected HOST:PORT, auto or local")
    advice = "start a cluster with ray start --head, or take --ray local"
    try:
        with socket.create_connection((host, int(port)), _ANSWERS_IN) as connection:
            is_ray = _speaks_http2(connection)
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"ray (--ray): nothing answers at {address} ({error}); {advice}") from error
    if not is_ray:
        raise ConnectionError(
            f"ray (--ray): what answers at {address} is no Ray cluster; give the port that ray start --head "
            f"printed, or {advice}"
        )
    return host


def _speaks_http2(connection: socket.socket) -> bool:
    """Whether settings of HTTP/2 come back; True where they would be encrypted."""
    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return True
    connection.sendall(_PREFACE + _SETTINGS)
    answer = b""
    with suppress(ConnectionError):
        while len(answer) < len(_SETTINGS) and (more := connection.recv(len(_SETTINGS))):
            answer += more
    return answer[3:4] == _SETTINGS[3:4] and len(answer) >= len(_SETTINGS)


def _of_the_worker(error: Any) -> Exception:
    """The error of a worker, with its own line."""
    cause = error.cause
    kinds = ValueError, OSError, ImportError, MemoryError
    return next((kind for kind in kinds if isinstance(cause, kind)), RuntimeError)(line_of(cause))

"""A crew on SLURM: a job for every worker, submitted by submitit; jobs that end too early are replaced."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Self

from higan_fast.cluster.folder import WORK, FolderCrew, serve
from higan_fast.cluster.signals import undisturbed
from higan_fast.cluster.worker import Networks
from higan_fast.files import first_line, writing
from higan_fast.progress import say
from higan_fast.wording import line_of

MOST_ENDS = 3  # of the jobs of one worker, without a unit that was done in between
PATIENCE = 60.0  # seconds that a job waits while nobody leads
_ENDING, _CANCELLED = 30.0, 5.0  # seconds in which jobs are to leave by themselves, and when they must
_PR_SET_PDEATHSIG = 1  # prctl(2): a signal for the death of the parent


class SlurmCrew:
    """Workers as SLURM jobs, which see the run folder at the same path; a context.

    Attributes:
        folder: where tasks lie.
    """

    def __init__(
        self,
        run: Path,
        networks: Networks,
        num: int,
        asked: dict[str, Any],
        *,
        cluster: str = "slurm",
        **job: Any,
    ) -> None:
        """Nothing runs yet.

        Args:
            run: the run folder.
            networks: gives the networks; it is called in every worker.
            num: how many workers.
            asked: what the workers are asked for, as JSON values.
            cluster: "slurm", or "local" for processes on this machine.
            job: parameters of submitit's executor, such as ``slurm_partition`` and ``timeout_min``.

        Raises:
            ImportError: when submitit is not installed.
            ValueError: when submitit refuses the parameters, or this machine has no SLURM.
        """
        try:
            import submitit
        except ImportError as error:
            raise ImportError(
                "slurm (--slurm): submitit is not installed; pip install 'higan_fast[slurm]' on every machine"
            ) from error
        run = run.absolute()
        self.folder = run / WORK
        self._local = cluster == "local"
        with writing(self.folder):
            (self.folder / "jobs").mkdir(parents=True, exist_ok=True)
        try:
            self._executor = submitit.AutoExecutor(self.folder / "jobs", cluster=cluster)
            self._executor.update_parameters(name="higan-fast", **job)
        except (RuntimeError, NameError, ValueError, TypeError) as error:
            raise ValueError(f"slurm (--slurm): submitit refuses this: {error}") from error
        self._crew = FolderCrew(run, asked, watch=self._watch)
        self._job = partial(run_job, run, networks, asked, of=num)
        self._num, self._done = num, 0
        self._jobs: list[Any] = []
        self._ends: list[int] = [0] * num
        self._done_at: list[int] = [0] * num

    def __enter__(self) -> Self:
        self._crew.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *others: object) -> None:
        self._crew.__exit__(kind, *others)
        until = time.monotonic() + (_ENDING if kind is None else 0.0)
        while time.monotonic() < until and self._running():
            time.sleep(0.05)
        with undisturbed():
            for job in self._running():
                job.cancel(check=False)
            until = time.monotonic() + _CANCELLED
            while self._local and time.monotonic() < until and self._running():
                time.sleep(0.05)

    def do(self, task: Path, num: int, done: Callable[[int], None]) -> None:
        """See ``Crew.do``."""

        def counted(unit: int) -> None:
            self._done += 1
            done(unit)

        if not self._jobs:
            with undisturbed():
                self._jobs = self._submit(*range(self._num))
        self._crew.do(task, num, counted)

    def _submit(self, *rows: int) -> list[Any]:
        """Jobs of some workers.

        Raises:
            RuntimeError: when SLURM refuses them.
        """
        aside = _stderr_into(self.folder / "jobs" / "local.err") if self._local else nullcontext()
        try:
            with aside, self._executor.batch():
                return [self._executor.submit(self._job, index=1 + row) for row in rows]
        except RuntimeError as error:
            raise RuntimeError(f"slurm (--slurm): no job is taken: {first_line(error)}") from error

    def _running(self) -> list[Any]:
        return [job for job in self._jobs if not job.done()]

    def _watch(self) -> None:
        """Replaces jobs that ended while there is work.

        Raises:
            ValueError: with the job's own line, when it ended because of bad input.
            RuntimeError: when the jobs of one worker end again and again.
        """
        for row, job in enumerate(self._jobs):
            if not job.done(force_check=True):
                continue
            if line := _line_of(job):
                raise ValueError(line)
            self._ends[row] = 1 if self._done > self._done_at[row] else self._ends[row] + 1
            self._done_at[row] = self._done
            who = f"slurm: job {job.job_id} of worker {row + 1}/{self._num} ended ({job.state})"
            if self._ends[row] >= MOST_ENDS:
                raise RuntimeError(
                    f"{who} like {MOST_ENDS - 1} before it, and nothing was done; see {job.paths.stderr}"
                )
            say(f"{who}; another takes over")
            [self._jobs[row]] = self._submit(row)


def run_job(run: Path, networks: Networks, asked: dict[str, Any], *, index: int, of: int) -> str:
    """What a job runs; returns the line with which it ended on bad input, and else nothing."""
    if os.environ.get("SUBMITIT_EXECUTOR") == "local":  # its parent is no daemon of SLURM, and may be killed
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        serve(run, networks, asked, index, of, patience=PATIENCE, quiet=True)
    except (ValueError, KeyError, OSError, ImportError) as error:
        return line_of(error)
    return ""


@contextmanager
def _stderr_into(path: Path) -> Iterator[None]:
    """Processes that are started within write their errors into a file.

    So do those of submitit that hold a job on this machine: a traceback is all that they say when they end.
    """
    own = os.dup(2)
    try:
        with writing(path), path.open("ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(own, 2)
        os.close(own)


def _line_of(job: Any) -> str:
    """What ``run_job`` returned; nothing where it was killed: submitit would wait 15 s for its result."""
    if not job.paths.result_pickle.exists():
        return ""
    try:
        return str(job.result())
    except Exception:  # submitit raises all kinds of them
        return ""

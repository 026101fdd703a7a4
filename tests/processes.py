"""Runs functions in processes of their own, which may die.

They are forked by a server that has imported the packages but run nothing: to start one takes no time.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

_LONGEST = 280  # seconds; a test may take 300

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["higan_fast.cli.stages", "higan_fast.probing", "tests.checkpoints.fuzzing", "tests.toy"]
)


def start(function: Callable[..., Any], *arguments: Any, log: Path | None = None) -> ForkServerProcess:
    """Starts a function of a module.

    Args:
        log: a file that takes what the process prints.
    """
    process = _context.Process(target=_logged, args=(log, function, *arguments), daemon=True)
    process.start()
    return process


def ended(process: ForkServerProcess) -> int:
    """Waits for its end; returns its exit code, which is negative for a signal."""
    process.join(_LONGEST)
    if process.is_alive():
        process.kill()
        process.join()
    code = process.exitcode
    assert code is not None
    return code


def exit_code(function: Callable[..., Any], *arguments: Any, log: Path | None = None) -> int:
    """Runs a function of a module in a process; returns its exit code, which is negative for a signal."""
    return ended(start(function, *arguments, log=log))


def _logged(log: Path | None, function: Callable[..., Any], *arguments: Any) -> None:
    if log is not None:
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    function(*arguments)

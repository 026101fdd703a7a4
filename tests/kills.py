"""Kills a process at a chosen write, as a power cut would."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import higan_fast.files as files


def die_at_write(write: int, job: Callable[[], Any]) -> None:
    """Runs a job until its ``write``-th file is about to get its name, and kills the process there."""
    rename, count = files.Path.replace, 0

    def replace(self, target):
        nonlocal count
        count += 1
        if count == write:
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(self, target)

    files.Path.replace = replace
    job()

"""How fast a public network draws, plain and patched, measured in turn in processes of their own."""

from __future__ import annotations

import copy
import multiprocessing
import statistics
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

import higan_fast as hf
from benchmarks.compat.networks import PEERS, Subject
from benchmarks.timing import in_turn


def apart(*asked: Any) -> tuple[float, float]:
    """Returns :func:`speed` of a network that :func:`named` names, measured in a process of its own.

    The ratio of a small network differs more from process to process than within one.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(named, *asked).result()


def named(
    peer: str, path: str, size: int, options: dict[str, Any], batch: int, repeats: int, threads: int
) -> tuple[float, float]:
    """Returns :func:`speed` of one of a codebase's networks."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    with PEERS[peer](Path(path).resolve()) as subject:
        return speed(subject(size, **options), batch, repeats)


@torch.no_grad()
def speed(subject: Subject, batch: int, repeats: int) -> tuple[float, float]:
    """Returns the seconds of a plain network and of a patched one, measured in turn."""
    plain, z = subject.made(), subject.latents(batch)
    patched = copy.deepcopy(plain)
    with hf.patch(patched):
        found = in_turn(
            {"plain": lambda: subject.draw(plain, z), "patched": lambda: subject.draw(patched, z)}, repeats
        )
    return found["plain"], found["patched"]


def speed_row(subject: Subject, batch: int, found: list[tuple[float, float]]) -> str:
    """Returns a line of the table: medians over processes, and the least and largest ratio of one."""
    plain, patched = (statistics.median(seconds) for seconds in zip(*found, strict=True))
    ratios = sorted(before / after for before, after in found)
    seconds = f"{plain:.3f} s | {patched:.3f} s"
    ratio = f"{statistics.median(ratios):.2f} | {ratios[0]:.2f} | {ratios[-1]:.2f}"
    return f"| {subject.peer} | {subject.setting} | {subject.size}² | {batch} | {seconds} | {ratio} |"

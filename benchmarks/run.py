"""Runs benchmarks and appends their rows to ``results/MACHINE.csv``: ``python -m benchmarks.run [CASE ...]``.

Run it on an otherwise idle machine: next to another busy process the figures mean nothing.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import click
import torch
from torch import Tensor

from benchmarks import base as other_commit
from benchmarks import rows
from benchmarks.cases import generator, ops
from benchmarks.cases.case import Backend, Case, error, error_of, exact_result
from benchmarks.cases.checkpoints import checkpoint_cases
from benchmarks.cases.convolutions import convolution_cases
from benchmarks.cases.fitting import fit_cases
from benchmarks.cases.generator import generator_cases
from benchmarks.cases.ops import op_cases
from benchmarks.cases.rendering import render_rooms
from benchmarks.cases.stylegan3 import stylegan3_cases
from benchmarks.cases.verification import verify_cases
from benchmarks.paper.command import run_paper
from benchmarks.peers import Peers, peers_in
from benchmarks.roofline import Ceilings, measure
from benchmarks.timing import in_turn
from higan_fast import _native
from higan_fast.memory import keep_freed_memory

# name → the cases for (device, peers, quick)
CASES: dict[str, Callable[[str, Peers, bool], Iterable[Case]]] = {
    "render": lambda device, peers, quick: [render_rooms()],
    "verify": verify_cases,
    "fit": lambda device, peers, quick: fit_cases(device, quick),
    "checkpoints": lambda device, peers, quick: checkpoint_cases(**SMALL if quick else {}),
    "ops": lambda device, peers, quick: itertools.chain(
        op_cases(device, quick), () if quick else generator_cases(device, peers)
    ),
    "convolutions": lambda device, peers, quick: convolution_cases(device, quick),
    "generator": generator_cases,
    "stylegan3": stylegan3_cases,
}
SMALL = {"resolution": 256, "base": 8192}
SECONDS = 10.0  # --quick: no backend of a case begins after so long
KERNELS = {"ops", "generator", "stylegan3", "convolutions"}  # these run native kernels, on the CPU or on CUDA
DEFAULT = {"cpu": ("ops", "render", "verify"), "cuda": ("ops", "verify")}
PAPER = "paper"
ON_CUDA = {*KERNELS, "fit", "verify", PAPER}
CUDA_ALONE = {"convolutions"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, metavar="[CASE ...]", type=click.Choice(sorted([*CASES, PAPER])))
@click.option("--repeats", default=7, show_default=True, help="Least number of rounds; short jobs run more.")
@click.option("--threads", type=int, help="CPU threads.")
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option(
    "--peer",
    "checkouts",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Checkout of stylegan2-ada-pytorch, genforce/higan or stylegan3, to time in the same run.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="Fewer shapes, each row at once, about 10 s a case; the rows go to build/quick.",
)
@click.option(
    "--scale",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="Of paper: the part of 500,000 samples, and with its root the number of boundaries.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the rows, and for the study of paper, which a second call goes on with.",
)
@click.option("--base", metavar="COMMIT", help="Run this commit too, in turn, and print how both compare.")
@click.option("--rounds", default=3, show_default=True, help="Of --base: how often each commit runs.")
def main(
    names: tuple[str, ...],
    repeats: int,
    threads: int | None,
    device: str,
    checkouts: tuple[Path, ...],
    quick: bool,
    scale: float,
    out: Path | None,
    base: str | None,
    rounds: int,
) -> None:
    """Time cases, check that their backends agree, and append one row per backend.

    CASE is render, verify (compared with HiGAN's published loop), fit (boundaries), checkpoints (loading),
    ops (each op at the shapes of real layers, then, unless --quick, the generator), generator (a whole
    StyleGAN2), stylegan3 (a whole StyleGAN3, T and R) or convolutions (CUDA: the library's against ours,
    which also become rows of the table by which modulated_conv2d chooses). The default is ops, render and
    verify; on CUDA, ops and verify. An interrupted run keeps the rows that it has printed. With --base
    nothing is appended.
    """
    if base is not None:
        if out is not None or PAPER in names:
            raise click.UsageError("--base compares short cases and keeps no rows: leave out --out and paper")
        given = [*names, "--repeats", str(repeats), "--device", device, *(["--quick"] if quick else [])]
        given += ["--threads", str(threads)] if threads else []
        for checkout in checkouts:
            given += ["--peer", str(checkout.resolve())]
        other_commit.compare(base, given, rounds)
        return
    keep_freed_memory()  # as the command line does; a peer on the CPU runs in a process of its own
    names = names or DEFAULT[device]
    if threads:
        torch.set_num_threads(threads)
    try:
        peers = peers_in(checkouts)
    except ValueError as problem:
        raise click.UsageError(f"--peer: {problem}") from problem
    ceilings = _prepare(device, names)
    click.echo(rows.header())
    out = out or (rows.QUICK if quick else None)
    problems = []
    for name in names:
        if name == PAPER:
            problems += run_paper(device, scale, out)
            continue
        try:
            for case in CASES[name](device, peers, quick):
                run = partial(_run_quickly, case) if quick else partial(_run, case, repeats=repeats)
                new = run(ceilings=ceilings, device=device, out=out)
                problems += new
                click.echo("".join(f"{problem}\n" for problem in new), nl=False)
        except ImportError as missing:
            if not peers:
                raise
            raise click.ClickException(f"--peer: {missing}") from missing
    if problems:
        raise click.ClickException("\n".join(["these failed and have no row:", *problems]))


def _prepare(device: str, names: tuple[str, ...]) -> Ceilings | None:
    """Sets up the device and measures its ceilings; None if no case needs them.

    Raises:
        click.UsageError, click.ClickException: if the cases cannot run on the device.
    """
    if device == "cpu" and not CUDA_ALONE.isdisjoint(names):
        raise click.UsageError(f"--device cpu: {', '.join(sorted(CUDA_ALONE))} takes --device cuda")
    if device == "cuda":
        if not torch.cuda.is_available():
            raise click.UsageError(f"--device cuda: torch {torch.__version__} sees no CUDA device")
        if not ON_CUDA.issuperset(names):
            raise click.UsageError(
                f"--device cuda: only {', '.join(sorted(ON_CUDA))} run on it; the other cases are for CPUs"
            )
        # float32 without TF32, and the fastest convolution algorithm, for every backend.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
    click.echo(f"{rows.machine(device)}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    if KERNELS.isdisjoint(names):
        return None
    kernels, problem = _native.backend(torch.device(device))
    if kernels is None:
        raise click.ClickException(problem)
    dtypes = tuple(dict.fromkeys(("float32", *ops.DTYPES[device], *generator.DTYPES[device])))
    ceilings = measure(device, dtypes)
    click.echo(
        f"{ceilings}\n"
        "roofline_share: the least time for the bytes (at the rate of an equal copy) or for the products\n"
        "(at the convolution's rate), as a share of ms. It may exceed 1: data may stay in a cache between\n"
        "calls, and convolutions of other shapes may be faster than the measured one.\n"
    )
    return ceilings


def _run(
    case: Case, ceilings: Ceilings | None, repeats: int, device: str, out: Path | None = None
) -> list[str]:
    """Checks, times and records one case; returns the problems of the backends that have no row."""
    if sys.stdout.isatty():
        click.echo(f"{case.name} …\r", nl=False)
    seconds: dict[str, float] = {}
    found, problems = _checked(case, seconds)
    good = [backend for backend in case.backends if backend.label in found]
    seconds |= in_turn({b.label: b.run for b in good if not b.once}, repeats, device)
    for backend in good:
        rows.record(_measured(case, backend, seconds, found[backend.label], ceilings), device, out)
    _keep(case, seconds, out)
    return problems


def _run_quickly(case: Case, ceilings: Ceilings | None, device: str, out: Path | None = None) -> list[str]:
    """As ``_run``, but one backend after the other, none of which begins after ``SECONDS``.

    So drift of the machine is in the ratios, and what is slow keeps no row waiting.
    """
    begin, problems = time.perf_counter(), []
    seconds: dict[str, float] = {}
    exact: list[Tensor] | None = None
    for backend in case.backends:
        if time.perf_counter() - begin > SECONDS:
            click.echo(f"{case.name}: {backend.label}: left out, for the case took {SECONDS:g} s before it")
            continue
        exact = exact_result(case) if exact is None else exact
        off, problem = _checked_alone(case, backend, exact, seconds)
        if off is None:
            problems.append(problem)
            continue
        if not backend.once:
            seconds |= in_turn({backend.label: backend.run}, 1, device)
        rows.record(_measured(case, backend, seconds, off, ceilings), device, out)
    _keep(case, seconds, out)
    return problems


def _keep(case: Case, seconds: dict[str, float], out: Path | None) -> None:
    if case.keep is not None and all(backend.label in seconds for backend in case.backends):
        click.echo(case.keep(seconds, out))


def _checked(case: Case, seconds: dict[str, float]) -> tuple[dict[str, float], list[str]]:
    """Returns the error of each correct backend, by label, and the problems of the others.

    Adds the times of backends that run only once to ``seconds``.
    """
    exact = exact_result(case)
    found, problems = {}, []
    for backend in case.backends:
        off, problem = _checked_alone(case, backend, exact, seconds)
        if off is None:
            problems.append(problem)
        else:
            found[backend.label] = off
    return found, problems


def _checked_alone(
    case: Case, backend: Backend, exact: list[Tensor], seconds: dict[str, float]
) -> tuple[float | None, str]:
    """Returns the error of one backend, or None and what is wrong with it."""
    try:
        off = _checked_once(backend, exact, seconds) if backend.once else error(case, backend, exact)
    except RuntimeError as problem:  # one kernel failed; the others go on
        return None, f"{case.name}: {backend.label}: {problem}"
    if off <= backend.tolerance:
        return off, ""
    return None, (  # NaN too
        f"{case.name}: {backend.label} differs by {off:.3g} of the largest magnitude, "
        f"tolerated {backend.tolerance:.3g} ({case.reason})"
    )


def _checked_once(backend: Backend, exact: list[Tensor], seconds: dict[str, float]) -> float:
    begin = time.perf_counter()
    result = backend.run()
    seconds[backend.label] = time.perf_counter() - begin
    return error_of(backend, result, exact)


def _measured(
    case: Case, backend: Backend, seconds: dict[str, float], off: float, ceilings: Ceilings | None
) -> dict[str, object]:
    """Builds the row of one backend."""
    images = backend.images() if callable(backend.images) else backend.images or case.images
    median = seconds[backend.label]
    first = seconds.get(case.backends[0].label)
    row: dict[str, object] = {
        "case": case.name,
        "dtype": backend.dtype,
        "backend": backend.name,
        "ms": f"{median * 1e3:.4g}",
        "max_error": f"{off:.1e}",
    }
    if first is not None:
        more = images / case.images if images and case.images else 1  # of the same work
        row["ratio"] = f"{first / median * more:.2f}"
    if images is not None:
        row["images_per_s"] = f"{images / median:.1f}"
    if backend.flop:
        row["gflop_per_s"] = f"{backend.flop / median / 1e9:.1f}"
    if backend.work and ceilings is not None:
        row["roofline_share"] = f"{ceilings.limit(backend.work, backend.dtype) / median:.2f}"
    return row


if __name__ == "__main__":
    main()

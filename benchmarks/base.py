"""``benchmarks.run --base COMMIT``: the same cases of another commit and of this checkout, in turn.

Each commit runs its own code and its own benchmarks, in a process of its own. A case's ratio is taken within
a round of the two, so that a machine that drifts slows both.
"""

from __future__ import annotations

import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent
TREES = ROOT / "build" / "base"
Key = tuple[str, str, str]  # case, dtype, backend
KEYS = ("case", "dtype", "backend")
WIDTHS = (50, 8, 30, 10, 10, 7, 15)


def compare(base: str, arguments: Sequence[str], rounds: int) -> None:
    """Prints, for each row that both commits have, the milliseconds of both and base over this checkout.

    Args:
        base: a commit, branch or tag of this repository.
        arguments: of ``benchmarks.run``, for both.
        rounds: how often each commit runs, base first.

    Raises:
        click.UsageError: if there is no such commit.
        click.ClickException: if it cannot be built, or if a run fails.
    """
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
    if not commit:
        raise click.UsageError(f"--base {base}: this repository has no such commit; git log lists them")
    tree = _built(commit)
    changed = ", with uncommitted changes" if _git("status", "--porcelain") else ""
    click.echo(f"base {commit[:7]}, this checkout {_git('rev-parse', '--short', 'HEAD')}{changed}")
    found: list[tuple[dict[Key, float], dict[Key, float]]] = []
    for number in range(rounds):
        click.echo(f"round {number + 1} of {rounds}: base …", err=True)
        before = _milliseconds(tree, arguments)
        click.echo(f"round {number + 1} of {rounds}: this checkout …", err=True)
        found.append((before, _milliseconds(ROOT, arguments)))
    _print(found)


def ratios(rounds: Sequence[tuple[dict[Key, float], dict[Key, float]]], key: Key) -> list[float]:
    """How much faster this checkout is than the base, in each round; above 1: faster."""
    return [before[key] / after[key] for before, after in rounds]


def _print(rounds: Sequence[tuple[dict[Key, float], dict[Key, float]]]) -> None:
    measured = [set(rows) for both in rounds for rows in both]
    common = [key for key in rounds[0][1] if all(key in rows for rows in measured)]
    click.echo(_line(*KEYS, "base ms", "ms", "ratio", "of rounds"))
    for key in common:
        found = ratios(rounds, key)
        before, after = (statistics.median(both[side][key] for both in rounds) for side in (0, 1))
        spread = f"{min(found):.2f} to {max(found):.2f}"
        click.echo(_line(*key, f"{before:.4g}", f"{after:.4g}", f"{statistics.median(found):.2f}", spread))
    for words, side in (("base", 0), ("this checkout", 1)):
        others = {key[0] for both in rounds for key in both[side] if key not in common}
        if others:
            click.echo(f"not in every run of both, but in {words}: {', '.join(sorted(others))}")
    click.echo(
        "ratio: base over this checkout, the median of the rounds' ratios; above 1: this checkout is\n"
        "faster. The last column: the least and the largest. A backend that neither commit changed, such as\n"
        "torch's, shows what the machine does by itself."
    )


def _line(*cells: str) -> str:
    texts = len(KEYS)
    padded = [cell.ljust(width) for cell, width in zip(cells[:texts], WIDTHS, strict=False)]
    padded += [cell.rjust(width) for cell, width in zip(cells[texts:], WIDTHS[texts:], strict=True)]
    return "  ".join(padded).rstrip()


def _built(commit: str) -> Path:
    """Returns a checkout of the commit with its extension, which a later call finds again."""
    tree = TREES / commit[:12]
    done = tree / ".built"
    if done.exists():
        return tree
    if tree.exists():
        _git("worktree", "remove", "--force", str(tree))
        shutil.rmtree(tree, ignore_errors=True)
    _git("worktree", "prune")
    _run(["git", "worktree", "add", "--quiet", "--detach", str(tree), commit], ROOT, "git worktree add")
    click.echo(f"building {commit[:7]} (minutes) …", err=True)
    _run([sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"], tree, "its build")
    done.touch()
    return tree


def _milliseconds(tree: Path, arguments: Sequence[str]) -> dict[Key, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.run", *arguments, "--out", folder]
        _run(command, tree, f"benchmarks.run in {'the base' if tree != ROOT else 'this checkout'}")
        texts = [file.read_text() for file in Path(folder).glob("*.csv")]
    rows = [row for text in texts for row in csv.DictReader(text.splitlines())]
    return {(row["case"], row["dtype"], row["backend"]): float(row["ms"]) for row in rows}


def _run(command: Sequence[str], tree: Path, words: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise click.ClickException(f"{words} ended with {done.returncode}:\n{last}")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()

"""Prints the table of docs/parity.md: ``python -m benchmarks.parity PEER=CHECKOUT …``."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from pathlib import Path

import click

from benchmarks import parity
from benchmarks.parity.row import CODES, IMAGE, Row
from higan_fast.image_shapes import size_in_words

PEERS = sorted({name for _, name, _ in pkgutil.iter_modules(parity.__path__)} - {"__main__", "row"})
HEADER = ("peer", "format", "family", "size", "setting", "codes", "image")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("peers", nargs=-1, required=True, metavar="PEER=CHECKOUT ...")
def main(peers: tuple[str, ...]) -> None:
    """Write files with public code, read them with ours, and print the differences of codes and images."""
    warnings.simplefilter("ignore")  # from peers written for older versions of their dependencies
    bad = 0
    click.echo(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
    for peer in peers:
        name, _, path = peer.partition("=")
        if name not in PEERS or not Path(path).is_dir():
            raise click.UsageError(
                f"{peer}: expected PEER=CHECKOUT, with a folder, and one of {', '.join(PEERS)}"
            )
        for row in importlib.import_module(f"benchmarks.parity.{name}").rows(Path(path).resolve()):
            click.echo(line(row))
            bad += not row.good
    if bad:
        raise click.ClickException(
            f"{bad} rows differ by more than {CODES:g} in codes or {IMAGE:g} in images"
        )


def line(row: Row) -> str:
    """Formats a row of a Markdown table."""
    figures = (f"{row.codes:.1e}", f"{row.image:.1e}")
    size = size_in_words(*((row.size, row.size) if isinstance(row.size, int) else row.size))
    return f"| {' | '.join((row.peer, row.format, row.family, size, row.setting, *figures))} |"


if __name__ == "__main__":
    main()

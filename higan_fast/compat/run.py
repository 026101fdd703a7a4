"""Runs someone else's script as it is, with our ops in its models: ``python -m higan_fast.compat.run``."""

from __future__ import annotations

import runpy
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from higan_fast.compat import rosinality
from higan_fast.compat.handle import Handle
from higan_fast.compat.on_cpu import OnCpu
from higan_fast.compat.patching import patch_every_model

SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
}


@click.command(context_settings=SETTINGS)
@click.option("--gradients", type=click.Choice(["ours", "original"]), default="ours", show_default=True,
              help="Who serves calls that record a gradient.")  # fmt: skip
@click.option("--check", type=click.Choice(["first_call", "never"]), default="first_call", show_default=True,
              help="Whether to compare each layer with its original once.")  # fmt: skip
@click.option("--cpu", is_flag=True, help="Run on the CPU what the script sends to CUDA.")
@click.option("--quiet", is_flag=True, help="Do not print at the end what served which calls.")
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(
    gradients: Any, check: Any, cpu: bool, quiet: bool, script: Path, arguments: tuple[str, ...]
) -> None:
    """Run SCRIPT with its ARGUMENTS; each model that it calls is patched at the first call.

    For generate.py, style_mixing.py or projector.py of stylegan2-ada-pytorch, stylegan3's scripts,
    generate.py of rosinality, and the like. Options of this command come before SCRIPT. What served which
    calls is printed to stderr at the end. With HIGAN_FAST_DISABLE=1 the script runs unpatched.
    """
    folder = script.resolve().parent
    sys.argv, sys.path[0:1] = [str(script), *arguments], [str(folder)]
    if (folder / "op" / "fused_act.py").is_file():
        rosinality.install()  # theirs compiles when it is imported
    with patch_every_model(check, gradients) as handle, OnCpu() if cpu else nullcontext():
        try:
            runpy.run_path(str(script), run_name="__main__")
        finally:
            if not quiet:
                _print(handle)


def _print(handle: Handle) -> None:
    report = handle.report()
    calls = sum(line.calls for line in report)
    click.echo(f"\nhigan_fast: {handle!r}; {report.fallbacks} of {calls} calls fell back", err=True)
    click.echo(str(report), err=True)


if __name__ == "__main__":
    main()

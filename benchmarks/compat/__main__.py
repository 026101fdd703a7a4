"""Prints the tables of docs/compat.md: ``python -m benchmarks.compat PEER=CHECKOUT …``."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import click
import torch
from torch import Tensor

import higan_fast as hf
from benchmarks.compat.networks import PEERS, SETTINGS, Subject, main_settings
from benchmarks.compat.speed import apart, speed_row
from benchmarks.compat.training import losses
from benchmarks.parity.row import image_difference

EXACT, HALF = 1e-4, 0.03  # of the range of images, in float32 and with float16 in it
LOSSES = 1e-3  # relative, after all steps
ROUNDINGS = 3  # each layer of a patched network rounds a few times otherwise


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("peers", nargs=-1, required=True, metavar="PEER=CHECKOUT ...")
@click.option("--sizes", default="32,64,256", show_default=True, help="Of images, for equal images.")
@click.option("--images", default=3, show_default=True, help="At once, for equal images.")
@click.option(
    "--width",
    type=click.Choice(["small", "full"]),
    default="small",
    show_default=True,
    help="Channels for equal images: few; or as published, in one setting of each kind of network.",
)
@click.option("--speed-sizes", default="64,256,1024", show_default=True, help="For speed; empty: none.")
@click.option("--batches", default="1,8", show_default=True, help="For speed.")
@click.option("--training-steps", default=20, show_default=True, help="0: no training.")
@click.option("--training-size", default=64, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--repeats", default=5, show_default=True, help="Rounds of each timing.")
@click.option("--processes", default=3, show_default=True, help="One after another, for each row of speed.")
def main(
    peers: tuple[str, ...],
    sizes: str,
    images: int,
    width: str,
    speed_sizes: str,
    batches: str,
    training_steps: int,
    training_size: int,
    threads: int,
    repeats: int,
    processes: int,
) -> None:
    """Draw with public code, plain and patched, and print the differences and the speed."""
    warnings.simplefilter("ignore")  # from peers written for older versions of their dependencies
    torch.set_num_threads(threads)
    bad = 0
    for peer in peers:
        name, _, path = peer.partition("=")
        if name not in PEERS or not Path(path).is_dir():
            expected = f"PEER=CHECKOUT, with a folder, and one of {', '.join(PEERS)}"
            raise click.UsageError(f"{peer}: expected {expected}")
        with PEERS[name](Path(path).resolve()) as subject:
            click.echo(
                "\n| peer | setting | size | difference | kernels | fell back |\n|---|---|---|---|---|---|"
            )
            for size in _numbers(sizes):
                for options in SETTINGS[name] if width == "small" else main_settings(name):
                    bad += not equal(subject(size, small=width == "small", **options), images)
            if _numbers(speed_sizes):
                click.echo("\n| peer | setting | size | batch | plain | patched | ratio | least | largest |")
                click.echo("|---|---|---|---|---|---|---|---|---|")
            for size in _numbers(speed_sizes):
                for options in main_settings(name):
                    for batch in _numbers(batches):
                        asked = (name, path, size, options, batch, repeats, threads)
                        found = [apart(*asked) for _ in range(processes)]
                        click.echo(speed_row(subject(size, **options), batch, found))
            made = subject(training_size, **SETTINGS[name][0])
            if training_steps and made.discriminator is not None:
                bad += not training(made, training_steps)
    if bad:
        raise click.ClickException(f"{bad} rows differ by more than they may")


@torch.no_grad()
def equal(subject: Subject, num: int = 3) -> bool:
    """Prints how far patched images lie from plain ones; returns whether that is rounding."""
    network, z = subject.made(), subject.latents(num)
    expected = subject.draw(network, z)
    with hf.patch(network) as handle:
        found = [subject.draw(network, z), subject.draw(copy.deepcopy(network), z)]
        report = handle.report()
    difference = max(image_difference(images, expected) for images in found)
    calls = sum(line.calls for line in report)
    click.echo(
        f"| {subject.peer} | {subject.setting} | {subject.size}² | {difference:.1e} | "
        f"{calls - report.fallbacks} | {report.fallbacks} |"
    )
    return difference <= (HALF if "float16" in subject.setting else EXACT)


def training(subject: Subject, steps: int, batch: int = 4) -> bool:
    """Prints the seconds of a step and how far the losses lie apart; returns whether they agree.

    Where they do not, the original says how far rounding takes them: with weights one rounding away.
    """
    expected, plain = losses(subject, steps, batch, patched=False)
    found, patched = losses(subject, steps, batch, patched=True)
    apart, by_rounding = _apart(found, expected), ""
    good = apart <= LOSSES
    if not good:
        nudged, _ = losses(subject, steps, batch, patched=False, nudged=True)
        good = apart <= ROUNDINGS * _apart(nudged, expected)
        by_rounding = (
            f"; the original's own, after one rounding of its weights, by {_apart(nudged, expected):.1e}"
        )
    click.echo(
        f"\n{subject.peer}, {subject.size}², {steps} training steps of {batch}: plain {plain:.3f} s, patched "
        f"{patched:.3f} s a step, ratio {plain / patched:.2f}; losses differ by {apart:.1e} at most"
        f"{by_rounding}"
    )
    return good


def _apart(found: Tensor, expected: Tensor) -> float:
    return float(((found - expected).abs() / expected.abs()).max())


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    main()

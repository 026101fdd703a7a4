"""Commands of one process among several that share a run folder: ``--shard i/n`` and ``merge``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from higan_fast.cluster.folder import FolderCrew
from higan_fast.cluster.folder import serve as serve_units
from higan_fast.cluster.worker import Worker, networks_of
from higan_fast.progress import say
from higan_fast.run_folder import RunFolder
from higan_fast.run_settings import Places
from higan_fast.sampling.manifests import Shard
from higan_fast.sampling.shards import merge_shards, sample_shard
from higan_fast.wording import argument


def sample(run: RunFolder, shard: Shard, num: int, options: dict[str, Any]) -> None:
    """Makes a shard of the samples."""
    manifest = sample_shard(run.generator, run.predictor, num, run.path, shard, **options)
    merging = f"higan-fast merge {argument(run.path)}"
    click.echo(f"{manifest}: shard {shard} is complete; when all are: {merging}")


def merge(run: Path, others: Sequence[Path], *, quiet: bool) -> str:
    """Merges shards."""
    samples = merge_shards(run, others, progress=not quiet)
    return f"{run}: {len(samples):,} samples, all shards are there and whole"


def leading(run: RunFolder, shard: Shard, asked: dict[str, Any]) -> FolderCrew:
    """Whoever decides the rounds of a verification, and works itself."""
    worker = Worker(lambda: (run.generator, run.predictor))
    return FolderCrew(run.path.absolute(), asked | {"n of --shard": shard.of}, worker)


def serve(run: Path, shard: Shard, *, places: Places, quiet: bool, **options: Any) -> None:
    """Works for whoever leads a verification."""
    RunFolder.open(run)  # before a folder is made in what is none
    asked = asked_for(options) | {"n of --shard": shard.of}
    leader = f"higan-fast verify {argument(run)} --shard 1/{shard.of}, with the same options"
    networks = partial(networks_of, run.absolute(), dict(places))
    count = serve_units(run.absolute(), networks, asked, shard.number, shard.of, leader=leader, quiet=quiet)
    say(f"shard {shard}: did {count:,} units; shard 1/{shard.of} has the result")


def asked_for(options: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What the processes that share a verification must be asked for alike, as JSON gives it back."""
    given = {**options, **more}
    return {name: list(of) if isinstance(of, tuple) else of for name, of in sorted(given.items())}

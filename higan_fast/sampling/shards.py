"""Shards of a sampling: each process makes its part of one store, and a manifest says that it is whole."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from higan_fast.files import DamagedError, only_writer, remove_leftovers, write_whole
from higan_fast.generators.base import Generator
from higan_fast.opening import sha256
from higan_fast.predictors.base import Predictor
from higan_fast.progress import progress as show_progress
from higan_fast.progress import say
from higan_fast.sampling.filling import fill, lacking, num_lacking
from higan_fast.sampling.manifests import (
    SHARDS,
    AtOnce,
    MissingShardsError,
    Shard,
    check_covers,
    check_same_number,
    check_together,
    missing_shards,
    read_manifests,
    write_manifest,
)
from higan_fast.sampling.samples import STORE, Samples, set_up_sampling, store_in
from higan_fast.sampling.store import Store
from higan_fast.wording import listing

_PATIENCE = 60.0  # seconds to wait for another shard that is making the store


@torch.inference_mode()
def sample_shard(
    generator: Generator,
    predictor: Predictor,
    num: int,
    out: str | Path,
    shard: Shard,
    *,
    progress: bool = True,
    **options: Any,
) -> Path:
    """Samples one part of ``num`` images into a run folder that other processes may write to at the time.

    The samples of a shard are what ``sample`` would make of them: the parts together are the same to the bit,
    if the machines are of one kind and take as many images at once (``batch_size``).

    Args:
        out: run folder; the same one for all shards on a file system that they share, or one on each machine.
        options: as for ``sample``.

    Returns:
        The manifest: SHA-256 of every file of the shard, the settings, and how many images went at once.

    Raises:
        ValueError: as ``sample``; or when the networks cannot be told apart from others.
        RuntimeError: when another process makes this shard, or makes or merges the whole.
        OSError: when ``out`` cannot be written to.
    """
    out = Path(out)
    defaults: dict[str, Any] = {
        "seed": 0, "truncation_psi": 1.0, "truncation_layers": None, "label": None, "batch_size": None,
        "shard_size": 256, "precision": "exact", "identity": None,
    }  # fmt: skip
    sampling = set_up_sampling(generator, predictor, num, out, **defaults | options)
    for name, found in sampling.made_by.items():
        if not found.complete:
            raise ValueError(
                f"{name}: {', '.join(found.unseen[:3])} may decide its output and cannot be seen, so that "
                f"shards of different processes may not belong together; give the {name} an identity='…'"
            )
    with _among_writers(out, shard):
        with _alone(out):
            check_same_number(out, shard)
            store = store_in(out / STORE, sampling, num)
        own = shard.parts(num, store.settings["shard_size"])
        lacks = lacking(store, num)
        missing = {part: lacks[part] for part in own if part in lacks}
        total = sum(map(len, own))
        done = total - num_lacking(missing)
        at_once, budget = AtOnce(out, shard), sampling.engine.budget
        scored = [str(part.start) for part, what in missing.items() if what == "scores"]
        at_once.note(dict.fromkeys(scored, budget.images))
        with show_progress(f"sampling shard {shard}", total, done=done, enabled=progress) as advance:
            fill(store, sampling.engine, missing, advance)
        at_once.note(dict.fromkeys(scored, budget.images))  # fewer, if memory ran out
        noted = at_once.read()
        known: dict[str, Any] = {
            "shard": str(shard),
            "num": int(num),
            "settings": sampling.settings,
            "at_once": {start: noted[start] for part in own if (start := str(part.start)) in noted},
            "files": {str(file.relative_to(store.path)): sha256(file) for file in shard.files(store, num)},
        }
        return write_manifest(out, shard, known)


def merge_shards(run: str | Path, others: Sequence[str | Path] = (), *, progress: bool = True) -> Samples:
    """Checks that the shards in a run folder are all there, whole and of one sampling; copies others first.

    Args:
        run: a run folder in which at least one shard was made.
        others: run folders with more shards, of machines with a file system of their own.
        progress: whether to show it.

    Returns:
        The samples.

    Raises:
        FileNotFoundError: when a folder has no shards.
        MissingShardsError: when shards are missing or damaged.
        ValueError: when shards are of different samplings.
        RuntimeError: when a shard is being made.
    """
    run = Path(run)
    with only_writer(run):
        manifests = read_manifests(run)
        first = next(iter(manifests.values()))
        num = first["num"]
        gathered = [(Path(other), read_manifests(Path(other))) for other in others]
        remove_leftovers(run / STORE)
        store = Store.open(run / STORE, writable=True)
        store.mend()
        for folder, found in ((run, manifests), *gathered):
            for shard, manifest in found.items():
                check_together(run, first, shard.manifest(folder), manifest)
                check_covers(store, shard.manifest(folder), shard, manifest)
        for other, found in gathered:
            for shard, manifest in found.items():
                _copy(other, run, manifest, shard)
                manifests[shard] = manifest
        of = next(iter(manifests)).of
        if missing := [shard for shard in (Shard(i + 1, of) for i in range(of)) if shard not in manifests]:
            raise MissingShardsError(run, missing, num, "missing")
        store.grow(num)
        files = sum(len(manifest["files"]) for manifest in manifests.values())
        damaged = []
        with show_progress("checking", files, unit="files", enabled=progress) as advance:
            for shard, manifest in sorted(manifests.items()):
                wrong = [name for name, sha in manifest["files"].items() if _sha256(store.path / name) != sha]
                advance(len(manifest["files"]))
                if wrong:
                    say(f"{store.path / wrong[0]}: is missing, or not as shard {shard} wrote it")
                    damaged.append(shard)
        for shard in damaged:
            shard.manifest(run).unlink()
        if damaged:
            raise MissingShardsError(run, sorted(damaged), num, "damaged")
        counts = sorted({count for manifest in manifests.values() for count in manifest["at_once"].values()})
        if len(counts) > 1:
            say(
                f"{run}: shards were made with {listing(list(map(str, counts)))} images at once: scores are "
                "those of one process but for rounding; with the same --batch they are to the bit"
            )
    return Samples(store, num)


def open_samples(run: str | Path) -> Samples:
    """Opens the samples in a run folder, as ``Samples.open``, if no shard of them is missing.

    Raises:
        FileNotFoundError: when the folder has no store of samples.
        MissingShardsError: when shards are missing.
        ValueError: when no sample in it is complete, or a file of the store is damaged.
    """
    run = Path(run)
    missing = missing_shards(run)
    try:
        samples = Samples.open(run)
    except ValueError:
        if missing:
            raise MissingShardsError(run, missing, len(Store.open(run / STORE)), "missing") from None
        raise
    if missing and len(samples) < samples.num_asked:
        raise MissingShardsError(run, missing, samples.num_asked, "missing")
    return samples


def _copy(other: Path, run: Path, manifest: dict[str, Any], shard: Shard) -> None:
    """Copies the files of a shard that are not there yet, and its manifest after them."""
    for name, sha in manifest["files"].items():
        source, target = other / STORE / name, run / STORE / name
        if _sha256(target) == sha:
            continue
        if _sha256(source) != sha:
            raise DamagedError(
                f"{source}: is missing, or not as shard {shard} wrote it; copy it, or make the shard, again"
            )
        with source.open("rb") as read, write_whole(target) as written:
            shutil.copyfileobj(read, written)
    AtOnce(run, shard).note(manifest["at_once"])
    write_manifest(run, shard, manifest)


def _sha256(file: Path) -> str | None:
    try:
        return sha256(file)
    except (OSError, ValueError):
        return None


@contextmanager
def _among_writers(out: Path, shard: Shard) -> Iterator[None]:
    """Locks one shard; whoever locks the whole folder is kept out, and other shards are not."""
    with only_writer(out, shared=True), only_writer(shard.folder(out)):
        yield


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Waits until no other shard makes or extends the store."""
    with (out / SHARDS / "store.lock").open("a") as lock:
        until = time.monotonic() + _PATIENCE
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > until:
                raise RuntimeError(
                    f"{out}: another shard takes over a minute to make the store; is it alive?"
                )
            time.sleep(0.05)
        yield

"""Shards of a sampling: each process makes its part of one store, and a manifest says that it is whole."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from higan_fast.files import DamagedError, json_checksum, only_writer, remove_leftovers, write_whole
from higan_fast.fingerprint import first_difference
from higan_fast.generators.base import Generator
from higan_fast.opening import sha256
from higan_fast.predictors.base import Predictor
from higan_fast.progress import progress as show_progress
from higan_fast.progress import say
from higan_fast.sampling.filling import fill, lacking, num_lacking
from higan_fast.sampling.samples import STORE, Samples, set_up_sampling, store_in
from higan_fast.sampling.store import Store
from higan_fast.wording import listing

SHARDS = "shards"  # in a run folder: the manifests
_PATIENCE = 60.0  # seconds to wait for another shard that is making the store


class Shard(NamedTuple):
    """Part ``index`` of ``of``, counted from 1; of the store it has every ``of``-th file."""

    number: int
    of: int

    @classmethod
    def read(cls, text: str) -> Shard:
        """``"2/4"`` → the second of four.

        Raises:
            ValueError: when the text is something else.
        """
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        shard = cls(*map(int, found.groups())) if found else cls(0, 0)
        if not 1 <= shard.number <= shard.of:
            raise ValueError(f"shard (--shard): got {text!r}, expected i/n with 1 <= i <= n, such as 2/4")
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def has(self, samples: range, shard_size: int) -> bool:
        """Whether the file of these samples is this shard's."""
        return samples.start // shard_size % self.of == self.number - 1

    def manifest(self, run: Path) -> Path:
        """The file that says what this shard made."""
        return run / SHARDS / f"{self.number}-of-{self.of}.json"


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
    size = sampling.settings["shard_size"]
    with _among_writers(out, shard):
        with _alone(out):
            store = store_in(out / STORE, sampling, num)
        own = [part for part in _parts(num, size) if shard.has(part, size)]
        missing = {part: lacks for part, lacks in lacking(store, num).items() if shard.has(part, size)}
        total = sum(map(len, own))
        done = total - num_lacking(missing)
        with show_progress(f"sampling shard {shard}", total, done=done, enabled=progress) as advance:
            fill(store, sampling.engine, missing, advance)
        manifest = shard.manifest(out)
        files = [file for part in own for file in store.files(part.start)]
        known: dict[str, Any] = {
            "shard": str(shard),
            "num": int(num),
            "settings": sampling.settings,
            "at_once": sampling.engine.budget.images,
            "files": {str(file.relative_to(store.path)): sha256(file) for file in files},
        }
        with write_whole(manifest) as written:
            written.write(json.dumps(known | {"sha256": json_checksum(known)}, indent=1).encode())
        return manifest


class MissingShardsError(ValueError):
    """Shards are missing, or damaged: which."""

    def __init__(self, message: str, shards: Sequence[Shard], num: int) -> None:
        super().__init__(message)
        self.shards, self.num = tuple(shards), num


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
        manifests = _manifests(run)
        first = next(iter(manifests.values()))
        gathered = [(Path(other), _manifests(Path(other))) for other in others]
        for folder, found in ((run, manifests), *gathered):
            for shard, manifest in found.items():
                _check_together(run, first, shard.manifest(folder), manifest)
        for other, found in gathered:
            for shard, manifest in found.items():
                _copy(other, run, manifest, shard)
                manifests[shard] = manifest
        of = next(iter(manifests)).of
        remove_leftovers(run / STORE)
        store = Store.open(run / STORE, writable=True)
        store.mend()
        store.grow(first["num"])
        missing = [Shard(i + 1, of) for i in range(of) if Shard(i + 1, of) not in manifests]
        _refuse(run, missing, first["num"], "missing")
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
        _refuse(run, damaged, first["num"], "damaged")
        counts = sorted({manifest["at_once"] for manifest in manifests.values()})
        if len(counts) > 1:
            say(
                f"{run}: shards were made with {listing(list(map(str, counts)))} images at once: scores are "
                "those of one process but for rounding; with the same --batch they are to the bit"
            )
    return Samples(store, first["num"])


def _refuse(run: Path, shards: list[Shard], num: int, what: str) -> None:
    if shards:
        names = ", ".join(map(str, shards[:8])) + (", …" if len(shards) > 8 else "")
        verb = "is" if len(shards) == 1 else "are"
        raise MissingShardsError(
            f"{run}: {len(shards)} of {shards[0].of} shards {verb} {what}: {names}", shards, num
        )


def _check_together(run: Path, first: dict[str, Any], file: Path, manifest: dict[str, Any]) -> None:
    """Raises ValueError when a manifest is of another sampling than the first one."""
    apart = first_difference(first["settings"], manifest["settings"])
    pairs = [("num", first["num"], manifest["num"])]
    pairs += [("n of --shard", first["shard"].split("/")[1], manifest["shard"].split("/")[1])]
    apart = apart or next((pair for pair in pairs if pair[1] != pair[2]), None)
    if apart is not None:
        name, old, new = apart
        raise ValueError(
            f"{file}: has {name} = {new!r}, and shard {first['shard']} of {run} has {old!r}; shards of one "
            f"sampling agree in everything. Delete the manifest of the wrong one, and make that shard again"
        )


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
    with write_whole(shard.manifest(run)) as written:
        written.write(shard.manifest(other).read_bytes())


def _manifests(run: Path) -> dict[Shard, dict[str, Any]]:
    """The manifests in a run folder, by shard.

    Raises:
        FileNotFoundError: when there is none.
        DamagedError: when one is damaged.
    """
    found = {}
    for file in sorted((run / SHARDS).glob("*-of-*.json")):
        try:
            manifest = json.loads(file.read_bytes())
            whole = manifest.pop("sha256") == json_checksum(manifest)
            shard = Shard.read(manifest["shard"])
        except (ValueError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole or shard.manifest(run) != file:
            raise DamagedError(f"{file}: is damaged; delete it, and make that shard again, which is quick")
        found[shard] = manifest
    if not found:
        raise FileNotFoundError(
            f"{run}: no shard is complete here; make them with higan-fast sample … --shard i/n"
        )
    return found


def _sha256(file: Path) -> str | None:
    try:
        return sha256(file)
    except (OSError, ValueError):
        return None


def _parts(num: int, size: int) -> list[range]:
    return [range(start, min(start + size, num)) for start in range(0, num, size)]


@contextmanager
def _among_writers(out: Path, shard: Shard) -> Iterator[None]:
    """Locks one shard; whoever locks the whole folder is kept out, and other shards are not."""
    with only_writer(out, shared=True), only_writer(out / SHARDS / f"{shard.number}-of-{shard.of}"):
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

"""Which part of a sampling is whose, and the manifests that say that a part is whole."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from higan_fast.files import DamagedError, json_checksum, only_writer, write_whole
from higan_fast.fingerprint import first_difference
from higan_fast.wording import in_words

if TYPE_CHECKING:
    from higan_fast.sampling.store import Store

SHARDS = "shards"  # in a run folder: the manifests
AGAIN = "delete it, and make that shard again, which is quick where its files are whole"


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
        found = re.fullmatch(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})", text)
        shard = cls(*map(int, found.groups())) if found else cls(0, 0)
        if not 1 <= shard.number <= shard.of:
            raise ValueError(
                f"shard (--shard): got {in_words(text)}, expected i/n with 1 <= i <= n, such as 2/4"
            )
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def parts(self, num: int, size: int) -> list[range]:
        """Returns the samples of each file of this shard, of ``num`` samples in files of ``size``."""
        starts = range((self.number - 1) * size, num, self.of * size)
        return [range(start, min(start + size, num)) for start in starts]

    def files(self, store: Store, num: int) -> list[Path]:
        """Returns the files of this shard, of ``num`` samples in a store."""
        return [
            file for part in self.parts(num, store.settings["shard_size"]) for file in store.files(part.start)
        ]

    def manifest(self, run: Path) -> Path:
        """The file that says what this shard made."""
        return self.folder(run).with_name(f"{self.number}-of-{self.of}.json")

    def folder(self, run: Path) -> Path:
        """The folder that has this shard's lock, and its ``AtOnce``."""
        return run / SHARDS / f"{self.number}-of-{self.of}"


class MissingShardsError(ValueError):
    """Shards are missing, or damaged: which, of how many samples in which run folder."""

    def __init__(self, run: Path, shards: Sequence[Shard], num: int, what: str) -> None:
        names = ", ".join(map(str, shards[:8])) + (", …" if len(shards) > 8 else "")
        verb = "is" if len(shards) == 1 else "are"
        super().__init__(f"{run}: {len(shards)} of {shards[0].of} shards {verb} {what}: {names}")
        self.run, self.shards, self.num = run, tuple(shards), num


class AtOnce:
    """How many images went at once in each file of a shard; it outlasts whoever makes a part of them.

    Scores are equal to the bit only where this is; so it is noted before a file is made.
    """

    def __init__(self, run: Path, shard: Shard) -> None:
        self._file = shard.folder(run) / "at_once.json"

    def read(self) -> dict[str, int]:
        """Returns the first sample of each file → images at once; of older files it knows nothing."""
        with suppress(FileNotFoundError, ValueError):
            noted = json.loads(self._file.read_bytes())
            return noted if _are_counts(noted) else {}
        return {}

    def note(self, counts: dict[str, int]) -> None:
        """Keeps what will be true of some files, beside what is of others."""
        known = self.read()
        if known | counts != known:
            with write_whole(self._file) as written:
                written.write(json.dumps(known | counts).encode())


def read_manifests(run: Path) -> dict[Shard, dict[str, Any]]:
    """Returns the manifests in a run folder, by shard.

    Raises:
        FileNotFoundError: when there is none.
        DamagedError: when one is damaged.
    """
    found = {}
    for file in sorted((run / SHARDS).glob("*-of-*.json")):
        try:
            manifest = json.loads(file.read_bytes())
            whole = manifest.pop("sha256") == json_checksum(manifest) and _has_form(manifest)
            shard = Shard.read(manifest["shard"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            whole = False
        if not whole or shard.manifest(run) != file:
            raise DamagedError(f"{file}: is damaged; {AGAIN}")
        found[shard] = manifest
    if not found:
        raise FileNotFoundError(
            f"{run}: no shard is complete here; make them with higan-fast sample … --shard i/n"
        )
    return found


def write_manifest(run: Path, shard: Shard, known: Mapping[str, Any]) -> Path:
    """Writes what ``read_manifests`` reads; returns the file."""
    file = shard.manifest(run)
    with write_whole(file) as written:
        written.write(json.dumps({**known, "sha256": json_checksum(known)}, indent=1).encode())
    return file


def check_together(run: Path, first: dict[str, Any], file: Path, manifest: dict[str, Any]) -> None:
    """Raises ValueError when a manifest is of another sampling than the first one."""
    apart = first_difference(first["settings"], manifest["settings"])
    pairs = [("num", first["num"], manifest["num"])]
    pairs += [("n of --shard", first["shard"].split("/")[1], manifest["shard"].split("/")[1])]
    apart = apart or next((pair for pair in pairs if pair[1] != pair[2]), None)
    if apart is not None:
        name, old, new = apart
        raise ValueError(
            f"{file}: has {name} = {in_words(new)}, and shard {first['shard']} of {run} has {in_words(old)}; "
            "shards of one sampling agree in everything. Delete the manifest of the wrong one, and make that "
            "shard again"
        )


def check_covers(store: Store, file: Path, shard: Shard, manifest: dict[str, Any]) -> None:
    """Raises ValueError when a manifest does not list exactly the files of its shard in this store.

    A manifest may come from another machine: what it names is read and written, so no name is taken on trust.
    """
    if (apart := first_difference(store.settings, manifest["settings"])) is not None:
        name, old, new = apart
        raise ValueError(
            f"{file}: has {name} = {in_words(new)}, and {store.path} has {in_words(old)}; {AGAIN}"
        )
    if manifest["num"] > len(store):  # a shard makes room for all samples before it makes its own
        raise ValueError(
            f"{file}: has num = {in_words(manifest['num'])}, and {store.path} has room for {len(store)}; "
            f"{AGAIN}"
        )
    own = {str(path.relative_to(store.path)) for path in shard.files(store, manifest["num"])}
    listed = manifest["files"].keys()
    if aliens := listed - own:
        raise ValueError(f"{file}: lists {in_words(min(aliens))}, which is no file of shard {shard}; {AGAIN}")
    if lacking := own - listed:
        raise ValueError(
            f"{file}: lists {len(listed)} of the {len(own)} files of shard {shard}, and not {min(lacking)}; "
            f"{AGAIN}"
        )


def missing_shards(run: Path) -> list[Shard]:
    """Returns the shards of a run folder that left no manifest; none where there are no shards at all."""
    begun = _begun(run)
    complete = [shard for shard in begun if shard.manifest(run).exists()]
    of = max((shard.of for shard in complete or begun), default=0)
    return [shard for shard in (Shard(i + 1, of) for i in range(of)) if not shard.manifest(run).exists()]


def check_same_number(run: Path, shard: Shard) -> None:
    """Raises ValueError when a run folder has, or gets at the time, shards of another ``n``."""
    for other in _begun(run):
        if other.of != shard.of and (other.manifest(run).exists() or _is_being_made(run, other)):
            raise ValueError(
                f"shard (--shard): got {shard}, and {run} has shard {other}; take i/{other.of}, or delete "
                f"{run / SHARDS}, whose samples are kept, to begin with other shards"
            )


def _begun(run: Path) -> list[Shard]:
    """The shards of which a run folder has anything."""
    found = set()
    for path in (run / SHARDS).glob("*-of-*"):
        with suppress(ValueError):
            found.add(Shard.read(path.name.removesuffix(".json").replace("-of-", "/")))
    return sorted(found)


def _is_being_made(run: Path, shard: Shard) -> bool:
    if not shard.folder(run).is_dir():
        return False
    try:
        with only_writer(shard.folder(run)):
            return False
    except RuntimeError:
        return True


def _has_form(manifest: dict[str, Any]) -> bool:
    """Whether each entry of a manifest is of its type; what they say is looked at later."""
    files, num = manifest["files"], manifest["num"]
    return (
        isinstance(manifest["settings"], dict)
        and isinstance(files, dict)
        and all(isinstance(sha, str) for sha in files.values())
        and isinstance(manifest["shard"], str)
        and _are_counts({"num": num})
        and _are_counts(manifest["at_once"])
    )


def _are_counts(values: Any) -> bool:
    return isinstance(values, dict) and all(type(count) is int and count > 0 for count in values.values())

"""Sampling: draw latents, map them, synthesise and score the images, and keep it all in a resumable store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.checks import (
    check_batch_size,
    check_choice,
    check_count,
    check_folder,
    check_label,
    check_seed,
    check_truncation,
)
from higan_fast.engine.crew import Crew, check_crew
from higan_fast.engine.engine import Engine
from higan_fast.engine.precision import WISHES, Precision, Wish, chosen_precision
from higan_fast.files import only_writer, remove_leftovers
from higan_fast.fingerprint import Fingerprint, check_same, fingerprint, warn_of_unseen
from higan_fast.generators.base import Generator, check_generator
from higan_fast.predictors.base import Predictor, Semantic, check_predictor
from higan_fast.progress import progress as show_progress
from higan_fast.sampling.filling import count_complete, fill, lacking, num_lacking, stored_of
from higan_fast.sampling.latents import BLOCK, make_codes
from higan_fast.sampling.shared_samples import share
from higan_fast.sampling.store import Held, Shapes, Store
from higan_fast.tables import Table, shown

Array = NDArray[np.float32]
STORE = "samples.zarr"


class Samples:
    """Samples with their codes and scores; what lies on disk is read when it is first asked for.

    Attributes:
        z: latents, float32 ``[N, latent_dim]``.
        w: mapped latents, before truncation, float32 ``[N, W]``; W is the generator's ``w_dim``.
        codes: layer codes, truncated, float32 ``[N, num_layers, code_dim]``.
        scores: float32 ``[N, S]``.
        labels: classes, int64 ``[N]``; None: the generator is unconditional.
        semantics: what column *j* of the scores means.
        settings: how the samples were made.
        num_asked: how many were asked for; more than there are where the sampling was interrupted.
    """

    def __init__(self, store: Store | Held, num: int, num_asked: int | None = None, start: int = 0) -> None:
        self._store, self._num, self._start = store, num, start
        self.num_asked = num if num_asked is None else num_asked
        self.settings = settings = store.settings
        self.semantics = tuple(Semantic(name, level) for name, level in settings["semantics"])

    @classmethod
    def open(cls, path: str | Path) -> Samples:
        """The samples in a run folder. Of an unfinished run: those that are complete.

        Raises:
            FileNotFoundError: when the folder has no store of samples.
            ValueError: when no sample in it is complete, or a file of the store is damaged.
        """
        store = Store.open(Path(path) / STORE)
        scores = store.read("scores", 0, len(store))
        num = count_complete(scores)
        if not np.isnan(scores[num:]).any(axis=1).all():  # shards are made in order
            raise store.damage("scores", num, "is missing, and later ones are there")
        if num == 0:
            raise ValueError(
                f"{store.path}: no shard is complete yet; run higan-fast sample again to resume it"
            )
        return cls(store, num, len(store))

    @cached_property
    def z(self) -> Array:
        return self._read("z")

    @cached_property
    def w(self) -> Array:
        return self._read("w")

    @cached_property
    def codes(self) -> Array:
        return self._read("codes")

    @cached_property
    def scores(self) -> Array:
        return self._read("scores")

    @cached_property
    def deviation(self) -> NDArray[np.float64]:
        """The standard deviation of each score over the samples, ``[S]``: effects compare in this unit."""
        return deviation_of(self.scores)

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        return self._read("labels") if "labels" in self._store.shapes else None

    def part(self, start: int, stop: int) -> Samples:
        """The samples ``start`` to ``stop - 1`` of these, as if there were no others."""
        if not 0 <= start < stop <= len(self):
            raise ValueError(f"part: got {start} to {stop}, expected 0 <= start < stop <= {len(self)}")
        return Samples(self._store, stop - start, start=self._start + start)

    def with_scores(
        self, scores: NDArray[Any], semantics: Sequence[tuple[str, str]] | None = None
    ) -> Samples:
        """The same samples with other scores, in memory.

        Args:
            scores: ``[N, S]``.
            semantics: the name and level of each column; None: as they were.
        """
        arrays: dict[str, NDArray[Any]] = {name: self._read(name) for name in self._store.shapes}
        settings = dict(self.settings)
        if semantics is not None:
            settings["semantics"] = [list(each) for each in semantics]
        return Samples(Held(settings, arrays | {"scores": scores}), len(self))

    def __len__(self) -> int:
        return self._num

    def __repr__(self) -> str:
        return f"Samples({len(self)} samples, {len(self.semantics)} semantics, seed {self.settings['seed']})"

    def _repr_html_(self) -> str:
        rows = [
            (
                semantic.name,
                semantic.level,
                *(shown(float(of(column))) for of in (np.mean, np.std, np.min, np.max)),
            )
            for semantic, column in zip(self.semantics, self.scores.T, strict=True)
        ]
        head = ("semantic", "level", "mean score", "standard deviation", "lowest", "highest")
        return Table(f"{len(self):,} samples, seed {self.settings['seed']}", head, rows).html()

    def _read(self, name: str) -> NDArray[Any]:
        return self._store.read(name, self._start, self._start + self._num)


def deviation_of(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the standard deviation of scores ``[N, S]`` over the samples, ``[S]``.

    It is 0, and no rounding error, where a score is the same for all samples.
    """
    varies = (scores != scores[:1]).any(axis=0)
    return np.where(varies, scores.std(axis=0, dtype=np.float64), 0.0)


def check_sampling(
    *,
    num: int,
    out: str | Path | None,
    seed: int,
    truncation_psi: float,
    truncation_layers: int | None,
    label: int | None,
    batch_size: int | None,
    shard_size: int = BLOCK,
    precision: Wish = "exact",
) -> None:
    """Raises when ``sample`` would refuse these arguments, whatever the networks are.

    Raises:
        ValueError: when an argument is out of range.
        OSError: when ``out`` cannot be written to.
    """
    check_count("num (--num)", num)
    check_seed(seed)
    check_truncation(truncation_psi, truncation_layers)
    check_label(label)
    check_batch_size(batch_size)
    check_choice("precision (--precision)", precision, WISHES)
    check_count("shard_size", shard_size)
    if shard_size % BLOCK:
        raise ValueError(
            f"shard_size: got {shard_size}, expected a multiple of {BLOCK} (codes come in blocks)"
        )
    if out is not None:
        check_folder(out)


@torch.inference_mode()
def sample(
    generator: Generator,
    predictor: Predictor,
    num: int,
    out: str | Path | None = None,
    *,
    seed: int = 0,
    truncation_psi: float = 1.0,
    truncation_layers: int | None = None,
    label: int | None = None,
    batch_size: int | None = None,
    shard_size: int = 256,
    precision: Wish = "exact",
    progress: bool = True,
    identity: dict[str, Any] | None = None,
    crew: Crew | None = None,
) -> Samples:
    """Samples ``num`` images and their scores. Both networks are put into evaluation mode.

    Sample *i* depends on (seed, i) alone: the batch size, the shard size and interruptions change no
    bit of its codes, and its scores by rounding only. A run that was interrupted at any moment goes on
    where it was; a larger ``num`` extends it, and a smaller one reads what is there.

    Args:
        out: run folder, which gets ``samples.zarr``; None keeps everything in memory.
        truncation_psi: see ``Generator.map``.
        truncation_layers: see ``Generator.map``.
        label: the class of all samples, for conditional generators; None: each has one at random.
        batch_size: at most so many images at once, and at most a shard; None: as many as are worth it.
        shard_size: samples per file, a multiple of 64; what an interruption can lose, and a kill a few times
            as much, which waited for the disk.
        precision: "exact": float32; "fast": 16 bits where the device multiplies them; "auto": that of the
            samples in ``out``, or where there are none, "fast" on a CUDA device with tensor cores, and
            "exact" elsewhere. Codes are the same in each.
        progress: whether to show it.
        identity: what a resumed run must agree on besides the settings and the networks' parameters.
        crew: workers that make the shards; None: this process does. Needs ``out``.

    Returns:
        The first ``num`` samples, as NumPy arrays.

    Raises:
        ValueError: when an argument is out of range, a code or score is not finite, or ``out`` was made
            with other settings.
        RuntimeError: when another process is writing to ``out``.
        OSError: when ``out`` cannot be written to.
    """
    check_crew(crew, out)
    sampling = set_up_sampling(
        generator, predictor, num, out, seed=seed, truncation_psi=truncation_psi,
        truncation_layers=truncation_layers, label=label, batch_size=batch_size, shard_size=shard_size,
        precision=precision, identity=identity,
    )  # fmt: skip
    if out is None:
        held = Held.create(sampling.settings, sampling.shapes, num)
        with show_progress("sampling", num, enabled=progress) as advance:
            fill(held, sampling.engine, lacking(held, num), advance)
        return Samples(held, num)
    path = Path(out) / STORE
    with only_writer(out):
        remove_leftovers(path)
        if path.exists() and not sampling.complete:
            warn_of_unseen(**sampling.made_by)
            check_same(path, Store.open(path).settings, sampling.settings)
            shutil.rmtree(path)
        store = store_in(path, sampling, num)
        missing = lacking(store, num)
        done = num - num_lacking(missing)
        with show_progress("sampling", num, done=done, enabled=progress) as advance:
            if crew is None:
                fill(store, sampling.engine, missing, advance)
            elif missing:
                share(store, sampling.engine, missing, crew, advance)
        return Samples(store, num)


class Sampling(NamedTuple):
    """What samples are made with.

    Attributes:
        engine: of both networks.
        settings: what a store says of its samples.
        shapes: of each array, the shape of one sample.
        made_by: the fingerprints of the networks.
    """

    engine: Engine
    settings: dict[str, Any]
    shapes: Shapes
    made_by: dict[str, Fingerprint]

    @property
    def complete(self) -> bool:
        """Whether the fingerprints cover all that decides the scores."""
        return all(found.complete for found in self.made_by.values())


def set_up_sampling(
    generator: Generator,
    predictor: Predictor,
    num: int,
    out: str | Path | None,
    *,
    seed: int,
    truncation_psi: float,
    truncation_layers: int | None,
    label: int | None,
    batch_size: int | None,
    shard_size: int,
    precision: Wish,
    identity: dict[str, Any] | None,
) -> Sampling:
    """Checks the arguments of ``sample``, and puts both networks into evaluation mode; raises as it does."""
    check_generator(generator)
    check_predictor(predictor)
    check_sampling(
        num=num, out=out, seed=seed, truncation_psi=truncation_psi, truncation_layers=truncation_layers,
        label=label, batch_size=batch_size, shard_size=shard_size, precision=precision,
    )  # fmt: skip
    generator.check_truncation(truncation_psi, truncation_layers)
    check_label(label, generator.label_dim)
    made_by = {"generator": fingerprint(generator), "predictor": fingerprint(predictor)}
    settings: dict[str, Any] = {
        "seed": int(seed),
        "truncation_psi": float(truncation_psi),
        "truncation_layers": None if truncation_layers is None else int(truncation_layers),
        "shard_size": int(shard_size),
        "latent_dim": generator.latent_dim,
        "code_dim": generator.code_dim,
        "num_layers": generator.num_layers,
        "semantics": [[semantic.name, semantic.level] for semantic in predictor.semantics],
        "identity": json.loads(json.dumps(identity or {})),  # as a store gives it back
        **{name: str(found) for name, found in made_by.items()},
    }
    if generator.label_dim:
        settings |= {"label_dim": generator.label_dim, "label": None if label is None else int(label)}
    if not generator.shares_code:
        settings["shares_code"] = False
    precision = sampling_precision(precision, generator.device, out)
    if precision != "exact":
        settings["precision"] = precision
    engine = Engine(generator, predictor, batch_size=batch_size, precision=precision)
    one = stored_of(make_codes(generator, seed, 0, 1))
    shapes = {name: tuple(values.shape[1:]) for name, values in one.items()}
    shapes["scores"] = (predictor.num_semantics,)
    return Sampling(engine, settings, shapes, made_by)


def store_in(path: Path, sampling: Sampling, num: int) -> Store:
    """Opens the store at ``path``, or makes one, with room for ``num`` samples.

    Raises:
        ValueError: when it was made with other settings.
    """
    if path.exists():
        store = Store.open(path, writable=True)
    else:
        store = Store.create(path, sampling.shapes, sampling.settings)
    check_same(path, store.settings, sampling.settings)
    store.mend()
    store.grow(num)
    return store


def sampling_precision(wish: Wish, device: torch.device, out: str | Path | None) -> Precision:
    """Returns the precision in which ``sample`` scores: for "auto", that of samples in ``out``, if any."""
    if wish == "auto" and out is not None and (path := Path(out) / STORE).exists():
        found: Precision = Store.open(path).settings.get("precision", "exact")
        return found
    return chosen_precision(wish, device)

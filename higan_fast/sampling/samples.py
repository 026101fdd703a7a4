"""Sampling: draw latents, map them, synthesise and score the images, and keep it all in a resumable store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from numpy.typing import NDArray

from higan_fast.checks import check_count, check_label, check_seed, check_truncation
from higan_fast.engine.engine import Engine
from higan_fast.files import only_writer, remove_leftovers
from higan_fast.fingerprint import check_same, fingerprint, warn_of_unseen
from higan_fast.generators.base import Generator, check_generator
from higan_fast.predictors.base import Predictor, Semantic, check_predictor
from higan_fast.progress import progress as show_progress
from higan_fast.sampling.latents import BLOCK, Codes, make_codes
from higan_fast.sampling.store import create_store, grow, kind_of, open_store

Array = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]] | Mapping[str, zarr.Array]
STORE = "samples.zarr"


class Samples:
    """Samples with their codes and scores; what lies on disk is read when it is first asked for.

    Attributes:
        z: latents, float32 ``[N, latent_dim]``.
        w: mapped latents, before truncation, float32 ``[N, W]``; W is ``code_dim`` where layers share their
            code.
        codes: layer codes, truncated, float32 ``[N, num_layers, code_dim]``.
        scores: float32 ``[N, S]``.
        labels: classes, int64 ``[N]``; None: the generator is unconditional.
        semantics: what column *j* of the scores means.
        settings: how the samples were made.
    """

    def __init__(self, arrays: Arrays, settings: dict[str, Any], num: int) -> None:
        self._arrays = arrays
        self._num = num
        self.settings = settings
        self.semantics = tuple(Semantic(name, level) for name, level in settings["semantics"])

    @classmethod
    def open(cls, path: str | Path) -> Samples:
        """The samples in a run folder. Of an unfinished run: those that are complete.

        Raises:
            FileNotFoundError: when the folder has no store of samples.
            ValueError: when no sample in it is complete.
        """
        path = Path(path)
        arrays, settings = open_store(path / STORE)
        num = _count_complete(arrays["scores"][:])
        if num == 0:
            raise ValueError(f"{path / STORE}: no shard is complete yet; run the sampling again to resume it")
        return cls(arrays, settings, num)

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
    def labels(self) -> NDArray[np.int64] | None:
        return self._read("labels") if "labels" in self._arrays else None

    def __len__(self) -> int:
        return self._num

    def __repr__(self) -> str:
        return f"Samples({len(self)} samples, {len(self.semantics)} semantics, seed {self.settings['seed']})"

    def _read(self, name: str) -> NDArray[Any]:
        return np.asarray(self._arrays[name][: self._num])


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
    progress: bool = True,
    identity: dict[str, Any] | None = None,
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
        shard_size: samples per file, a multiple of 64; what an interruption can lose.
        progress: whether to show it.
        identity: what a resumed run must agree on besides the settings and the networks' parameters.

    Returns:
        The first ``num`` samples, as NumPy arrays.

    Raises:
        ValueError: when an argument is out of range, a code or score is not finite, or ``out`` was made
            with other settings.
        RuntimeError: when another process is writing to ``out``.
        OSError: when ``out`` cannot be written to.
    """
    check_generator(generator)
    check_predictor(predictor)
    check_seed(seed)
    for name, count in (("num", num), ("batch_size", batch_size), ("shard_size", shard_size)):
        if count is not None:
            check_count(name, count)
    if shard_size % BLOCK:
        raise ValueError(
            f"shard_size: got {shard_size}, expected a multiple of {BLOCK} (codes come in blocks)"
        )
    check_truncation(truncation_psi, truncation_layers, generator.num_layers)
    check_label(label, generator.label_dim)
    generator.use_truncation(truncation_psi)
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
    engine = Engine(generator, predictor, batch_size=batch_size)
    one = _kept(make_codes(generator, seed, 0, 1), torch.zeros(1, predictor.num_semantics))
    shapes = {name: tuple(values.shape[1:]) for name, values in one.items()}
    if out is None:
        kinds = {name: kind_of(name) for name in shapes}
        arrays = {
            name: np.full((num, *shapes[name]), missing, dtype) for name, (dtype, missing) in kinds.items()
        }
        _fill(arrays, engine, num, settings, progress)
        return Samples(arrays, settings, num)
    path = Path(out) / STORE
    with only_writer(out):
        remove_leftovers(path)
        if path.exists() and not all(found.complete for found in made_by.values()):
            warn_of_unseen(**made_by)
            check_same(path, open_store(path)[1], settings)
            shutil.rmtree(path)
        if not path.exists():
            create_store(path, shapes, shard_size, settings)
        stored_arrays, stored_settings = open_store(path, writable=True)
        check_same(path, stored_settings, settings)
        grow(stored_arrays, num)
        _fill(stored_arrays, engine, num, settings, progress)
        return Samples(stored_arrays, settings, num)


def _fill(arrays: Arrays, engine: Engine, num: int, settings: Mapping[str, Any], progress: bool) -> None:
    """Makes the shards that are missing, in order."""
    shard_size = settings["shard_size"]
    done = _count_complete(arrays["scores"][:num])
    names = [name for name, _ in settings["semantics"]]
    if done < num:
        done = done // shard_size * shard_size  # a shard that is there in part is made again
    with show_progress("sampling", num, done=done, enabled=progress) as advance:
        for start in range(done, num, shard_size):
            stop = min(start + shard_size, num)
            codes = make_codes(
                engine.generator,
                settings["seed"],
                start,
                stop,
                settings["truncation_psi"],
                settings["truncation_layers"],
                label=settings.get("label"),
            )
            scores = engine.scores(codes.codes, advance)
            _check_finite_scores(scores, start, names)
            for name, values in _kept(codes, scores).items():
                arrays[name][start:stop] = (values if name == "labels" else values.float()).cpu().numpy()


def _kept(codes: Codes, scores: torch.Tensor) -> dict[str, torch.Tensor]:
    """What is stored of samples, in the order of writing: a shard that has scores is complete."""
    labels = {} if codes.label is None else {"labels": codes.label}
    return {"z": codes.z, "w": codes.w, "codes": codes.codes, **labels, "scores": scores}


def _count_complete(scores: Any) -> int:
    """How many samples have scores, from the first on; the others read as NaN."""
    missing = np.isnan(scores).any(axis=1)
    return int(missing.argmax()) if missing.any() else len(missing)


def _check_finite_scores(scores: torch.Tensor, start: int, names: Sequence[str]) -> None:
    broken = (~scores.isfinite()).nonzero()
    if len(broken):
        row, column = broken[0].tolist()
        raise ValueError(
            f"scores: the predictor gave {scores[row, column].item()} for semantic {names[column]!r} "
            f"at sample {start + row}; shards before this one are kept"
        )

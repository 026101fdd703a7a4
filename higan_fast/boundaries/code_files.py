"""Codes and scores that somebody has as ``.npy`` files, as samples to fit boundaries to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Space
from higan_fast.boundaries.label_files import Labels
from higan_fast.boundaries.labels import ARRAYS
from higan_fast.checkpoints.pickles.npy_files import read_npy
from higan_fast.sampling.samples import Samples
from higan_fast.sampling.store import Held
from higan_fast.wording import in_words, printable


def read_codes_and_scores(
    codes_file: str | Path,
    scores_file: str | Path,
    names: Sequence[str] | None = None,
    space: Space | None = None,
) -> tuple[Samples, dict[str, Labels], Space]:
    """Returns samples with these codes, for each score its values, and the space of the codes.

    A sample whose score is NaN has none.

    Args:
        codes_file: ``[N, D]``, one code for all layers, or ``[N, L, D]``.
        scores_file: ``[N]`` or ``[N, S]``.
        names: of the S scores; None: the file's, numbered where there are several.
        space: of the codes: "w" or "z" of ``[N, D]``, "layers" of ``[N, L, D]``; None: "w", or "layers".

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a file holds something else, or the two do not fit each other.
    """
    codes, scores = (_numbers(Path(file)) for file in (codes_file, scores_file))
    if codes.ndim not in (2, 3) or 0 in codes.shape:
        raise ValueError(f"{codes_file}: holds codes {list(codes.shape)}, expected [N, D] or [N, L, D]")
    columns = scores[:, None] if scores.ndim == 1 else scores
    if columns.ndim != 2 or len(columns) != len(codes) or not columns.shape[1]:
        expected = f"[{len(codes)}] or [{len(codes)}, S], as {codes_file} has {len(codes)} codes"
        raise ValueError(f"{scores_file}: holds scores {list(scores.shape)}, expected {expected}")
    several = columns.shape[1] > 1
    stem = printable(Path(scores_file).stem, 100)
    if names is None:
        names = [f"{stem} {i}" if several else stem for i in range(columns.shape[1])]
    if len(names) != columns.shape[1] or len(set(names)) != len(names):
        raise ValueError(
            f"names (--names): got {in_words(list(names))}, expected {columns.shape[1]} that differ, one for "
            f"each score in {scores_file}"
        )
    for row, column in np.argwhere(np.isinf(columns))[:1]:
        raise ValueError(f"{scores_file}: score {column} of code {row} is infinite, expected a number or NaN")
    there: tuple[Space, ...] = ("layers",) if codes.ndim == 3 else ("w", "z")
    space = space or there[0]
    if space not in there:
        raise ValueError(
            f"space (--space): got {space!r}, but {codes_file} holds {list(codes.shape)}, expected "
            f"{' or '.join(there)}"
        )
    settings: dict[str, Any] = {"semantics": [], "shares_code": codes.ndim == 2}
    samples = Samples(Held(settings, {ARRAYS[space]: codes, "scores": columns[:, :0]}), len(codes))
    rows = [np.flatnonzero(~np.isnan(column)) for column in columns.T]
    labels = {
        name: Labels(own, column[own]) for name, own, column in zip(names, rows, columns.T, strict=True)
    }
    return samples, labels, space


def _numbers(file: Path) -> NDArray[np.float32]:
    """An array of whole or floating-point numbers, or of true and false, as float32."""
    found = read_npy(file)
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiub":
        raise ValueError(f"{file}: holds {in_words(found)}, expected an array of numbers")
    return found.astype(np.float32)

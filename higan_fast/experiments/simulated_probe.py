"""One simulated probe: a generator whose truth is known is probed, and each claim is set beside the truth."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.boundaries.fitting import fit_boundaries
from higan_fast.files import json_checksum, write_whole
from higan_fast.probing.results import Verification
from higan_fast.probing.verification import verify
from higan_fast.sampling.samples import sample
from higan_fast.scenes.simulated import (
    DEVIATIONS,
    DRIVER_OF,
    NAMES,
    LabelReader,
    SimulatedGenerator,
    Truth,
    picture_reader,
)

Array = NDArray[np.float64]
Scorer = Literal["labels", "pictures"]

# A probe at reduced size: a demo has 6,000 samples, 2,000 per side, and 2,000 at most to verify.
SIZE: dict[str, Any] = {"num": 800, "chosen_num": 200, "max_samples": 128, "num_null": 32, "confidence": 0.99}
STEP = 2.0
BATCH: dict[Scorer, int] = {"labels": 1024, "pictures": 256}  # as fit the cache of a core
NUM_SHUFFLED = 2  # boundaries of a probe that are fitted to shuffled scores
VERSION = 1  # increment it whenever a probe finds something else


def probe(number: int, scorer: Scorer) -> dict[str, Any]:
    """Probes simulated generator ``number``, and returns what was claimed beside what is true.

    The boundaries of two semantics that directions move are fitted to shuffled scores: they know nothing.

    Returns:
        ``number``, ``scorer``, ``ordered``, ``images``, ``trend`` (the p-value of HiGAN's order; None: too
        few levels), and ``boundaries``: for each its ``kind`` ("moved", "blind": no direction moves it,
        "sofa": both ways lower it alike, or "shuffled"), ``status``, ``top`` (the layer that is claimed; −1:
        none) and ``true_top``; lists by set of layers, all of them first, in standard deviations of the
        score: ``effect``, ``low``, ``high`` (None: not measured) and ``true``; ``layers`` (for each whether
        it surely moves the semantic alone: the sign, or 0); lists by semantic: ``moves`` and ``even`` (what
        is claimed: likewise) beside ``true_others`` and ``true_even``.
    """
    truth_of = SimulatedGenerator(number, drawn=scorer == "pictures")
    reader = picture_reader() if scorer == "pictures" else LabelReader()
    truth = truth_of.truth
    samples = sample(truth_of, reader, SIZE["num"], seed=number, batch_size=BATCH[scorer], progress=False)
    moved = [name for name in NAMES if name not in (*truth.blind, "bed", "sofa", "table")]
    random = np.random.default_rng((number, 1_000_081))
    shuffled = random.permutation(moved)[:NUM_SHUFFLED].tolist()
    scores = samples.scores.copy()
    for name in shuffled:
        scores[:, NAMES.index(name)] = random.permutation(scores[:, NAMES.index(name)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a solver that stopped early on shuffled scores
        boundaries = fit_boundaries(
            samples.with_scores(scores),
            method="logistic", chosen_num=SIZE["chosen_num"], progress=False,
        )  # fmt: skip
    found = verify(
        truth_of, reader, boundaries, step=STEP, num_null=SIZE["num_null"], max_samples=SIZE["max_samples"],
        confidence=SIZE["confidence"], seed=number, batch_size=BATCH[scorer], progress=False,
    )  # fmt: skip
    trend = found.hierarchy.trend
    kinds = {name: "blind" for name in truth.blind} | {"sofa": "sofa"} | dict.fromkeys(shuffled, "shuffled")
    return {
        "number": number,
        "scorer": scorer,
        "ordered": truth.ordered,
        "images": found.images + SIZE["num"],
        "trend": None if trend is None else trend.p,
        "boundaries": [
            {"name": name, "kind": kinds.get(name, "moved")}
            | _compared(found, name, truth, STEP * boundaries[name].normal)
            for name in found.boundary_names
        ],
    }


def _compared(found: Verification, name: str, truth: Truth, move: Array) -> dict[str, Any]:
    row, column = found.row(name), NAMES.index(name)
    true, even = truth.effects(move), truth.even_parts(move)
    signs = {
        "moves": found.moves[row] * np.sign(np.nan_to_num(found.effect[row, 0])),
        "even": found.even_sure[row] * np.sign(np.nan_to_num(found.even[row, 0])),
    }
    sign_of_layers = found.layer_beats_null[row] * np.sign(np.nan_to_num(found.effect[row, 1:, column]))
    return {
        "decided": round(float(truth.decided[DRIVER_OF[column]]), 4),
        "status": found.status(name),
        "p": float(found.p_adjusted[row]),
        "top": int(found.top_layer[row]),
        "true_top": int(np.abs(true[1:, column]).argmax()),
        **{
            figure: _listed(getattr(found, figure)[row, :, column] / DEVIATIONS[column])
            for figure in ("effect", "low", "high")
        },
        "true": _listed(true[:, column] / DEVIATIONS[column]),
        "layers": sign_of_layers.astype(int).tolist(),
        **{claim: sign.astype(int).tolist() for claim, sign in signs.items()},
        "true_others": _listed(true[0] / DEVIATIONS),
        "true_even": _listed(even[0] / DEVIATIONS),
    }


def _listed(values: Array) -> list[float | None]:
    return [round(float(value), 5) if math.isfinite(value) else None for value in values]


def kept_probe(folder: Path, number: int, scorer: Scorer) -> dict[str, Any]:
    """The same, read from a file of the folder where it is there; else probed, and written."""
    path = folder / f"{scorer}-{number:05d}.json"
    made = {"version": VERSION, "size": SIZE}
    if (kept := _read(path, made)) is not None:
        return kept
    torch.manual_seed(0)
    record = probe(number, scorer)
    values = {"made": made, "record": record}
    with write_whole(path) as file:
        file.write(json.dumps(values | {"sha256": json_checksum(values)}).encode())
    return cast(dict[str, Any], json.loads(json.dumps(record)))


def _read(path: Path, made: dict[str, Any]) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text())
        whole = values.pop("sha256") == json_checksum(values) and values["made"] == made
        return cast(dict[str, Any], values["record"]) if whole else None
    except (OSError, ValueError, KeyError, AttributeError):
        return None

"""What a store of samples lacks, and the making of it: whole shards, or their codes alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from higan_fast.engine.engine import Engine
from higan_fast.files import DamagedError
from higan_fast.sampling.latents import Codes, make_codes
from higan_fast.sampling.store import Held, Store
from higan_fast.sampling.writing import WriteBehind

Lack = Literal["", "scores", "codes"]


def lacking(store: Store | Held, num: int) -> dict[range, Lack]:
    """Returns what is missing or damaged of the first ``num`` samples, by shard; "scores": all."""
    size, scored = store.settings["shard_size"], store.scored()
    shards = [range(start, min(start + size, num)) for start in range(0, num, size)]
    return {shard: lacks for shard in shards if (lacks := _lacks(store, shard, scored))}


def num_lacking(missing: Mapping[range, Lack]) -> int:
    """Returns how many samples lack their scores."""
    return sum(len(shard) for shard, lacks in missing.items() if lacks == "scores")


def fill(
    store: Store | Held,
    engine: Engine,
    missing: Mapping[range, Lack],
    advance: Callable[[int], None] = lambda count: None,
) -> None:
    """Makes what is missing; ``advance`` hears of every image that is scored.

    Raises:
        ValueError: when a code or score is not finite; shards before it are kept.
        OSError: when the store cannot be written to.
    """
    settings = store.settings
    names = [name for name, _ in settings["semantics"]]
    before: tuple[range, dict[str, torch.Tensor]] | None = None

    def hand_over(shard: range, made: dict[str, torch.Tensor]) -> None:
        arrays = {name: values.cpu() for name, values in made.items()}
        if "scores" in arrays:
            _check_finite_scores(arrays["scores"], shard.start, names)
        writer.put(
            shard.start,
            {name: (v if name == "labels" else v.float()).numpy() for name, v in arrays.items()},
        )

    with WriteBehind(store) as writer:
        for shard, lacks in missing.items():
            # drawn while the device scores the shard before, which is read only then
            codes = make_codes(
                engine.generator,
                settings["seed"],
                shard.start,
                shard.stop,
                settings["truncation_psi"],
                settings["truncation_layers"],
                label=settings.get("label"),
            )
            if before:
                hand_over(*before)
            made = stored_of(codes)
            if lacks == "scores":
                made["scores"] = engine.scores(codes.codes, advance)
            before = shard, made
        if before:
            hand_over(*before)


def stored_of(codes: Codes) -> dict[str, torch.Tensor]:
    """What is stored of samples besides their scores, which are written last: they make a shard complete."""
    labels = {} if codes.label is None else {"labels": codes.label}
    return {"z": codes.z, "w": codes.w, "codes": codes.codes, **labels}


def count_complete(scores: Any) -> int:
    """Returns how many samples have scores, from the first on; the others read as NaN."""
    missing = np.isnan(scores).any(axis=1)
    return int(missing.argmax()) if missing.any() else len(missing)


def _lacks(store: Store | Held, shard: range, scored: set[int]) -> Lack:
    """What of a shard is missing or damaged; without scores, everything is.

    Args:
        scored: see ``Store.scored``: where there is no file, nothing is read.
    """
    if shard.start not in scored:
        return "scores"
    for name in sorted(store.shapes, key=lambda name: name != "scores"):
        try:
            values = store.read(name, shard.start, shard.stop)
            if name == "scores" and count_complete(values) < len(shard):
                return "scores"
        except DamagedError:
            return "scores" if name == "scores" else "codes"
    return ""


def _check_finite_scores(scores: torch.Tensor, start: int, names: Sequence[str]) -> None:
    broken = (~scores.isfinite()).nonzero()
    if len(broken):
        row, column = broken[0].tolist()
        raise ValueError(
            f"scores: the predictor gave {scores[row, column].item()} for semantic {names[column]!r} "
            f"at sample {start + row}; shards before this one are kept"
        )

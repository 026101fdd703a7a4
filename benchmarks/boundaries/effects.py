"""Effects of directions in w on samples that nothing was fitted to, kept in a folder as they are measured."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.boundaries.effects import paired_effects
from higan_fast.engine.engine import Engine
from higan_fast.files import write_whole
from higan_fast.progress import progress
from higan_fast.sampling.latents import VERIFICATION, make_codes

Array = NDArray[np.float64]

SEED = 4_000  # of the codes; no probe of this repository has it
AT_ONCE = 16  # directions that share a walk of the samples, and a file


class Effects:
    """Measures paired effects of directions on the same codes; one that was measured before is read.

    Args:
        engine: of both networks.
        folder: keeps what is measured, in files named after the directions.
        num: how many codes.
    """

    def __init__(self, engine: Engine, folder: Path, num: int) -> None:
        self.engine, self.folder, self.num = engine, folder, num
        folder.mkdir(parents=True, exist_ok=True)
        with torch.inference_mode():
            self.drawn = make_codes(engine.generator, SEED, 0, num, stream=VERIFICATION)

    def of(self, what: str, moves: Array) -> Array:
        """Half the difference of each score between ``moves`` ``[M, D]`` forth and back: ``[num, M, S]``."""
        parts = [moves[start : start + AT_ONCE] for start in range(0, len(moves), AT_ONCE)]
        found: list[Array] = []
        with progress(what, 2 * self.num * len(moves)) as advance:
            for part in parts:
                file = self.folder / f"{self._name(part)}.npy"
                if not file.exists():
                    with write_whole(file) as written:
                        np.save(written, self._measured(part, advance))
                found.append(np.load(file, allow_pickle=False))
        return np.concatenate(found, axis=1)

    def _name(self, moves: Array) -> str:
        seen = np.ascontiguousarray(moves).tobytes() + repr((self.num, SEED)).encode()
        return hashlib.sha256(seen).hexdigest()[:24]

    def _measured(self, moves: Array, advance: Any) -> Array:
        return paired_effects(self.engine, self.drawn, "w", list(moves), advance=advance)

"""One picture after another, each a little changed: what the layers below the change have made is kept."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from higan_fast.engine.engine import Engine
from higan_fast.generators.base import Activation

# Of activations that are kept, of all canvases together.
MOST_BYTES = 256 * 2**20


@dataclass
class Canvas:
    """Where pictures of slowly changing codes are drawn, and what is known of the last one.

    Attributes:
        prefixes: for each layer, a digest of the codes before it.
        fork: the first layer whose code was changed last.
    """

    prefixes: tuple[bytes, ...] = ()
    fork: int = 0


class Redrawn(NamedTuple):
    """A picture, and what it took.

    Attributes:
        image: ``[1, 3, R, R]`` in about [-1, 1].
        layers_run: how many layers ran.
    """

    image: Tensor
    layers_run: int


class Redrawing:
    """Draws codes of one sample at a time, and runs the layers from the first one on whose code has changed.

    The activation that enters that layer is kept, so that the next change of the same layers begins there. It
    serves every canvas, as long as the codes before it are the same to the bit; what was not used for longest
    goes first. Images are those of ``Engine.images``, but for rounding.

    Attributes:
        bytes_kept: how much all that is kept takes.
    """

    def __init__(self, engine: Engine, most_bytes: int = MOST_BYTES) -> None:
        """``most_bytes`` is for all that is kept; an activation that is larger is not."""
        self._engine, self._most_bytes = engine, most_bytes
        self.bytes_kept = 0
        self._kept: OrderedDict[tuple[int, bytes], Activation] = OrderedDict()

    def draw(self, codes: Tensor, canvas: Canvas) -> Redrawn:
        """Returns the image of layer codes ``[1, L, D]``; the canvas then knows them."""
        prefixes = _prefixes(codes)
        canvas.fork = fork = _fork(canvas, prefixes)
        canvas.prefixes = prefixes
        first = next((layer for layer in range(fork, 0, -1) if (layer, prefixes[layer]) in self._kept), 0)
        activation = None
        if first:
            activation = self._kept[first, prefixes[first]]
            self._kept.move_to_end((first, prefixes[first]))
        if first < fork:
            activation = self._engine.activation(codes, fork, first, activation)
            self._keep((fork, prefixes[fork]), activation)
        image = self._engine.images_from(codes, fork, activation)
        return Redrawn(image, codes.shape[1] - first)

    def _keep(self, key: tuple[int, bytes], activation: Activation) -> None:
        size = _size(activation)
        if size > self._most_bytes:
            return
        self._kept[key] = activation
        self.bytes_kept += size
        while self.bytes_kept > self._most_bytes:
            _, old = self._kept.popitem(last=False)
            self.bytes_kept -= _size(old)


def _fork(canvas: Canvas, prefixes: tuple[bytes, ...]) -> int:
    """The first layer whose code is not the last one's; the last fork where all are the same."""
    if not canvas.prefixes:
        return 0
    pairs = zip(canvas.prefixes, prefixes, strict=True)
    changed = next((layer for layer, (before, now) in enumerate(pairs) if before != now), None)
    return canvas.fork if changed is None else changed - 1


def _prefixes(codes: Tensor) -> tuple[bytes, ...]:
    """A digest of the codes before each layer, and of all of them: ``L + 1``."""
    digest = hashlib.blake2b(digest_size=16)
    found = [digest.digest()]
    for code in codes[0].cpu().numpy():
        digest.update(code.tobytes())
        found.append(digest.copy().digest())
    return tuple(found)


def _size(activation: Activation) -> int:
    return sum(part.nbytes for part in activation if part is not None)

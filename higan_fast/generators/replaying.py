"""Images of a whole generator as CUDA graphs: ``synthesize`` replays them where nothing needs a gradient."""

from __future__ import annotations

import threading
import weakref
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from higan_fast.generators.prepared import is_watched
from higan_fast.graphs import Graphs, tape_for


class _Recordings(NamedTuple):
    """Of one generator on one device, and whose turn it is.

    Between filling a recording's input and reading its result no other thread may run it.
    """

    device: torch.device
    graphs: Graphs
    turn: threading.Lock


# Outside of the generators, whose copies, files and fingerprints have nothing to do with recordings.
_recordings: weakref.WeakKeyDictionary[torch.nn.Module, _Recordings] = weakref.WeakKeyDictionary()


def drawn(generator: Any, codes: Tensor) -> Tensor:
    """Returns ``generator.draw(codes)``, from a recording where there is one or one can be made.

    As in the engine, the first call with so many codes runs as it comes, the second records, and later ones
    replay; a recording follows the network's state, and what cannot be recorded runs as it comes after one
    warning (``graphs.Graphs``). Never recorded are networks in training mode, which change or draw random
    numbers, random noise, and calls that a compiler or a dispatch mode watches. When memory runs out, all
    recordings are dropped.
    """
    random = getattr(generator, "noise_mode", None) == "random"
    if generator.training or random or is_watched() or _get_current_dispatch_mode() is not None:
        return _as_it_comes(generator, codes)
    kept = _recordings.get(generator)
    if kept is None or kept.device != codes.device:
        # The proxy lets the generator go: a recording would keep it alive otherwise, and it the recording.
        network: Any = weakref.proxy(generator)
        graphs = Graphs(network, tape_for(codes.device))
        kept = _recordings[generator] = _Recordings(codes.device, graphs, threading.Lock())
    if not kept.graphs.records:
        return _as_it_comes(generator, codes)
    with kept.turn:
        try:
            return kept.graphs.run(("images", *_rounding()), generator.draw, codes)
        except torch.OutOfMemoryError:
            if not len(kept.graphs):
                raise
            kept.graphs.drop()
    return _as_it_comes(generator, codes)


def _as_it_comes(generator: Any, codes: Tensor) -> Tensor:
    images: Tensor = generator.draw(codes)
    return images


def _rounding() -> tuple[object, object]:
    """Returns whether float32 products are rounded to TF32, which a recording keeps as it was."""
    backends: Any = torch.backends
    try:
        return backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32
    except RuntimeError:  # set by their newer names, beside which torch refuses to read these
        return backends.cuda.matmul.fp32_precision, backends.cudnn.conv.fp32_precision

"""States → pictures and scores, with what ``manipulate`` draws with; one thread calls this."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.boundaries.boundary import StepUnit
from higan_fast.engine.engine import Engine
from higan_fast.engine.redrawing import Canvas, Redrawing
from higan_fast.explore.sources import Source
from higan_fast.explore.states import State
from higan_fast.pictures import image_grid, shrunk
from higan_fast.probing.manipulation import moves_along
from higan_fast.run_folder import RunFolder
from higan_fast.wording import in_words

K = TypeVar("K")
V = TypeVar("V")
Picture = NDArray[np.uint8]

THUMB = 96  # pixels a side, at most
MOST_BASES, MOST_THUMBS = 64, 1_024  # that are kept

# Scores that take longer are left out while something moves.
SLOW_SCORING = 0.025


class Drawn(NamedTuple):
    """A picture of a state, and what the predictor says of it.

    Attributes:
        picture: uint8 ``[H, W, C]``.
        scores: of each semantic, ``[S]``; None: left out.
        base: of the same sample and mix without moves; likewise.
        layers_run: how many layers ran for it.
    """

    picture: Picture
    scores: NDArray[np.float32] | None
    base: NDArray[np.float32] | None
    layers_run: int


class Active(NamedTuple):
    """A move that moves something."""

    semantic: str
    step: float
    layers: tuple[int, ...]


class Drawing:
    """Draws states of a run's network.

    Attributes:
        source: the samples.
        movable: names of the semantics with a boundary that moves layer codes.
        unit: of all steps.
        num_layers: of the generator.
        names: of all that is scored.
    """

    def __init__(self, run: RunFolder, source: Source, movable: Sequence[str], unit: StepUnit) -> None:
        """Moves of the boundaries that ``movable`` names are made here, and so checked."""
        self.source, self.movable, self.unit = source, tuple(movable), unit
        generator, predictor = run.generator, run.predictor
        self.generator = source.drawn_by or generator
        self.num_layers, self.names = self.generator.num_layers, predictor.names
        self._engine = Engine(self.generator, predictor, batch_size=1)
        self._redrawing = Redrawing(self._engine)
        self._like = torch.empty(0, dtype=next(self.generator.parameters()).dtype)
        boundaries = [run.boundaries[name] for name in movable]
        every, truncation = range(self.num_layers), run.settings.truncation
        moves = moves_along(generator, boundaries, every, unit, **truncation)
        self._moves = dict(zip(movable, moves.cpu().to(self._like), strict=True))
        self._bases: _Kept[str, NDArray[np.float32]] = _Kept(MOST_BASES)
        self._thumbs: _Kept[int, Picture] = _Kept(MOST_THUMBS)
        self._scoring_takes = 0.0

    def check(self, state: State) -> None:
        """Raises ValueError where a state names a sample, semantic or layer that there is not."""
        for index in (state.sample, *(mix.sample for mix in state.mix)):
            if index >= len(self.source):
                raise ValueError(f"sample: got {index}, and there are 0 to {len(self.source) - 1}")
        for layers in [*(move.layers for move in state.moves), *(mix.layers for mix in state.mix)]:
            if (beyond := max(layers, default=0)) >= self.num_layers:
                raise ValueError(f"layers: got {beyond}, and there are 0 to {self.num_layers - 1}")
        for move in state.moves:
            self.check_movable(move.semantic)

    def check_movable(self, semantic: str) -> None:
        """Raises ValueError where no boundary of a semantic moves layer codes."""
        if semantic not in self._moves:
            raise ValueError(f"moves: no boundary of {in_words(semantic)} moves layer codes here")

    def active(self, state: State) -> list[Active]:
        """The moves of a state that move something, with the layers that they move."""
        every = tuple(range(self.num_layers))
        return [
            Active(move.semantic, move.step, every if state.all_layers else tuple(sorted(set(move.layers))))
            for move in state.moves
            if move.step and move.layers
        ]

    def codes(self, state: State) -> Tensor:
        """The layer codes of a state, ``[1, L, D]``, on the CPU.

        Raises:
            ValueError: see ``check``.
        """
        self.check(state)
        codes = self._codes_of(state.sample)
        for mix in state.mix:
            codes[mix.layers] = self._codes_of(mix.sample)[mix.layers]
        for move in self.active(state):
            on = torch.zeros(self.num_layers, 1).to(self._like)
            on[list(move.layers)] = 1
            codes = codes + torch.tensor(move.step).to(self._like) * (self._moves[move.semantic] * on)
        return codes[None]

    @torch.inference_mode()
    def draw(self, state: State, canvas: Canvas, moving: bool) -> Drawn:
        """Draws a state where another one was drawn before; what scores slowly gets none while it moves."""
        image, layers_run = self._redrawing.draw(self._on_device(self.codes(state)), canvas)
        picture = _picture(image)
        if moving and self._scoring_takes > SLOW_SCORING:
            return Drawn(picture, None, None, layers_run)
        begin = time.perf_counter()
        scores = self._scores(image)
        self._scoring_takes = time.perf_counter() - begin
        unmoved = state.unmoved()
        key = unmoved.model_dump_json()
        if not self.active(state):
            self._bases.put(key, scores)
        base = self._bases.get(key, lambda: self._scores(self._image(unmoved)))
        return Drawn(picture, scores, base, layers_run)

    def named(self, scores: NDArray[np.float32] | None) -> dict[str, float] | None:
        """Scores by the names of their semantics."""
        return None if scores is None else dict(zip(self.names, scores.tolist(), strict=True))

    @torch.inference_mode()
    def picture(self, state: State, side: int | None = None) -> Picture:
        """The picture of a state; one with more than ``side`` pixels a side is scaled down."""
        image = self._image(state)
        return _picture(image if side is None else shrunk(image.clamp(-1, 1), side))

    def thumb(self, index: int) -> Picture:
        """A small picture of a sample as it is."""
        return self._thumbs.get(index, lambda: self.picture(State(sample=index), THUMB))

    def order(self, score: int) -> bytes:
        """The samples by one of their scores, the lowest first: N indices as uint32, and N scores as float32.

        Both are little-endian. Samples with the same score stay in their order.

        Raises:
            ValueError: when there is no such score, the samples have none, or they cannot be read any more.
        """
        scores = self.source.scores()
        if scores is None:
            raise ValueError("order: codes were not scored, and have no order but that of their file")
        if score >= len(self.names):
            raise ValueError(f"order: got score {score}, and there are 0 to {len(self.names) - 1}")
        column = scores[:, score]
        if not np.isfinite(column).all():
            raise ValueError("order: scores of samples are missing; was the run's folder moved or removed?")
        order = np.argsort(column, kind="stable")
        return order.astype("<u4").tobytes() + column[order].astype("<f4").tobytes()

    def _image(self, state: State) -> Tensor:
        return self._engine.images(self._on_device(self.codes(state)))

    def _scores(self, image: Tensor) -> NDArray[np.float32]:
        return self._engine.scores_of(image)[0].float().cpu().numpy()

    def _codes_of(self, index: int) -> Tensor:
        return torch.tensor(self.source.codes(index)).to(self._like)

    def _on_device(self, codes: Tensor) -> Tensor:
        return codes.to(self.generator.device)


class _Kept(Generic[K, V]):
    """The values that were used last, at most so many."""

    def __init__(self, most: int) -> None:
        self._most, self._values = most, OrderedDict[K, V]()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Returns the value of a key, which is made where it is not kept."""
        if key not in self._values:
            self.put(key, make())
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: K, value: V) -> None:
        self._values[key] = value
        if len(self._values) > self._most:
            self._values.popitem(last=False)


def _picture(image: Tensor) -> Picture:
    return image_grid(image[None])

"""The predictor of the embedded world: a small residual network from rooms to their semantics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from higan_fast.files import write_whole
from higan_fast.opening import check_file
from higan_fast.ops import image_to_input
from higan_fast.predictors.base import Predictor, Semantic, as_weights
from higan_fast.refusing import refusing

FEATURES = 128
RESOLUTION = 64
WIDTHS = (32, 64, 96, 128)
PARTS = ("semantics", "continuous")  # of a header


class ScenePredictor(Predictor):
    """Rooms → one score per semantic, each about in [0, 1].

    A binary semantic's score is its probability; a continuous one's is its value on the scale of its
    range (0: the least, 1: the most that the renderer draws).

    Args:
        semantics: what each column means.
        continuous: names of those that are not binary.
        widths: channels at 32², 16², 8² and 4².
    """

    is_binary: Tensor

    def __init__(
        self, semantics: Sequence[Semantic], continuous: Sequence[str], widths: Sequence[int] = WIDTHS
    ) -> None:
        super().__init__()
        self.semantics, self.continuous = tuple(semantics), tuple(continuous)
        measured = set(self.continuous)
        is_binary = torch.tensor([name not in measured for name in self.names])
        self.register_buffer("is_binary", is_binary, persistent=False)
        first, second, third, last = widths
        self.body = nn.Sequential(
            nn.Conv2d(3, first, 3, padding=1, stride=2, bias=False),  # 32²
            nn.BatchNorm2d(first),
            nn.ReLU(),
            Residual(first, second),  # 16²
            Residual(second, third),  # 8²
            Residual(third, last),  # 4²
            nn.Flatten(),
            nn.Linear(last * 16, FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, len(self.semantics))

    @property
    def score_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        measured = set(self.continuous)
        return tuple(None if name in measured else (0.0, 1.0) for name in self.names)

    @property
    def has_logits(self) -> tuple[bool, ...]:
        return tuple(name not in self.continuous for name in self.names)

    def features(self, images: Tensor) -> Tensor:
        """Images ``[N, 3, H, W]`` in [-1, 1] → the last layer's inputs ``[N, 128]``."""
        x = image_to_input(as_weights(images, self), RESOLUTION, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
        return self.body(x.contiguous(memory_format=torch.channels_last))

    def logits(self, images: Tensor) -> Tensor:
        """Images → ``[N, num_semantics]``: log-odds of binary semantics, values of continuous ones."""
        return self.head(self.features(images))

    def forward(self, images: Tensor) -> Tensor:
        logits = self.logits(images)
        return torch.where(self.is_binary, logits.sigmoid(), logits)


class Residual(nn.Module):
    """Two 3×3 convolutions beside a 1×1 shortcut, at half the resolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(inputs, outputs, 3, padding=1, stride=2, bias=False)
        self.norm0 = nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm0(self.conv0(x)))
        return F.relu(self.norm1(self.conv1(y)) + self.skip(x))


def save_scene_predictor(predictor: ScenePredictor, path: Path, about: dict[str, object]) -> None:
    """Writes a predictor as safetensors; ``about`` says where it comes from and how well it scores."""
    header = {
        "semantics": [[semantic.name, semantic.level] for semantic in predictor.semantics],
        "continuous": predictor.continuous,
        "about": about,
    }
    tensors = {name: tensor.contiguous() for name, tensor in predictor.state_dict().items()}
    with write_whole(path) as file:
        file.write(save(tensors, metadata={"scene_predictor": json.dumps(header)}))


def load_scene_predictor(path: Path) -> ScenePredictor:
    """Reads what ``save_scene_predictor`` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no predictor of scenes, damaged, or its scores are not finite.
    """
    with refusing(path):
        check_file(path)
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("scene_predictor", "null"))
            if header is None:
                raise ValueError(f"{path}: no scene predictor; expected a file that train_predictor wrote")
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            given = *_scored(header, _outputs(shapes, "head.weight")), _widths(shapes)
            with torch.device("meta"):  # before memory is taken for what a file only claims
                expected = ScenePredictor(*given).state_dict()
            if shapes != {name: tuple(tensor.shape) for name, tensor in expected.items()}:
                raise ValueError(f"{path}: holds other tensors than a scene predictor; it is damaged")
            tensors = {name: file.get_tensor(name) for name in shapes}
            if any(tensor.is_complex() for tensor in tensors.values()):
                raise ValueError(f"{path}: holds complex numbers, expected real ones; it is damaged")
            predictor = ScenePredictor(*given)
            predictor.load_state_dict(tensors)
        predictor.eval().requires_grad_(False)
        if not predictor(torch.zeros(1, 3, RESOLUTION, RESOLUTION)).isfinite().all():
            raise ValueError(f"{path}: gives scores that are not finite; it is damaged")
    return predictor


def _widths(shapes: Mapping[str, tuple[int, ...]]) -> list[int]:
    """Channels at each resolution, by the shapes of the weights; 1 where there is none, which is refused."""
    weights = ("body.0.weight", *(f"body.{index}.conv0.weight" for index in (3, 4, 5)))
    return [max(1, _outputs(shapes, name)) for name in weights]


def _outputs(shapes: Mapping[str, tuple[int, ...]], weight: str) -> int:
    """Of how many outputs a weight is; 0 where there is no such weight."""
    return next(iter(shapes.get(weight, ())), 0)


def _scored(header: Any, num: int) -> tuple[list[Semantic], list[str]]:
    """What a header says of the ``num`` semantics, checked before anything of their number is made."""
    rows, continuous = (header.get(part) if isinstance(header, dict) else None for part in PARTS)
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == 2 for row in rows):
        raise ValueError("its header does not list names and levels of semantics; it is damaged")
    if len(rows) != num or not rows:
        raise ValueError(f"its header lists {len(rows)} semantics, and there are scores of {num}")
    semantics = [Semantic(*row) for row in rows]
    names = {semantic.name for semantic in semantics}
    if len(names) < num:
        raise ValueError("its header names a semantic twice; it is damaged")
    if not isinstance(continuous, list) or not all(isinstance(name, str) for name in continuous):
        raise ValueError("its header does not say which of its semantics are continuous; it is damaged")
    return semantics, continuous

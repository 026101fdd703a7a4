"""The segmentation head of the embedded world: a small U-Net from rooms to what each pixel shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
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
from higan_fast.predictors.base import as_weights
from higan_fast.refusing import refusing

RESOLUTION = 64
WIDTHS = (24, 32, 64, 96, 96)  # channels at 64², 32², 16², 8² and 4²
HEADER = "room_segmenter"  # key of the file's metadata


class RoomSegmenter(nn.Module):
    """Images ``[N, 3, H, W]`` in [-1, 1] → logits of the K classes of each pixel, ``[N, K, 64, 64]``.

    Args:
        classes: their names.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.down = nn.ModuleList([_twice(3, WIDTHS[0], stride=1)])
        self.down.extend(_twice(fine, coarse, stride=2) for fine, coarse in pairwise(WIDTHS))
        self.up = nn.ModuleList(_conv(coarse + fine, fine) for fine, coarse in pairwise(WIDTHS))
        self.head = nn.Conv2d(WIDTHS[0], len(self.classes), 1)

    def forward(self, images: Tensor) -> Tensor:
        x = image_to_input(as_weights(images, self), RESOLUTION, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
        x = x.contiguous(memory_format=torch.channels_last)
        seen = []
        for stage in self.down:
            x = stage(x)
            seen.append(x)
        for stage, fine in zip(reversed(self.up), reversed(seen[:-1]), strict=True):
            x = stage(torch.cat([F.interpolate(x, scale_factor=2.0), fine], dim=1))
        return self.head(x)


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def _twice(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(*_conv(inputs, outputs, stride), *_conv(outputs, outputs))


def save_room_segmenter(segmenter: RoomSegmenter, path: Path, about: dict[str, object]) -> None:
    """Writes a segmenter as safetensors: convolutions in float16, the rest in float32.

    Args:
        segmenter: the network.
        path: of the file.
        about: where it comes from and how well it segments.
    """
    tensors = {
        name: tensor.detach().to(torch.float16 if tensor.ndim == 4 else tensor.dtype).contiguous()
        for name, tensor in segmenter.state_dict().items()
    }
    header = {"classes": segmenter.classes, "about": about}
    with write_whole(path) as file:
        file.write(save(tensors, metadata={HEADER: json.dumps(header)}))


def load_room_segmenter(path: Path) -> RoomSegmenter:
    """Reads what ``save_room_segmenter`` wrote; its parameters are float32.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no segmenter of rooms, damaged, or its logits are not finite.
    """
    with refusing(path):
        check_file(path)
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "null"))
            if header is None:
                raise ValueError(f"{path}: no segmenter of rooms; expected a file of train_segmenter")
            names = set(file.keys())
            outputs = file.get_slice("head.weight").get_shape()[0] if "head.weight" in names else 0
            segmenter = RoomSegmenter(_classes(header, outputs))
            if names != set(segmenter.state_dict()):
                raise ValueError(f"{path}: holds other tensors than a segmenter of rooms; it is damaged")
            segmenter.load_state_dict({name: file.get_tensor(name) for name in names})
        segmenter.eval().requires_grad_(False)
        if not segmenter(torch.zeros(1, 3, RESOLUTION, RESOLUTION)).isfinite().all():
            raise ValueError(f"{path}: gives logits that are not finite; it is damaged")
    return segmenter


def _classes(header: Any, outputs: int) -> list[str]:
    """What a header says of the classes, checked before a network of their number is made."""
    classes = header.get("classes") if isinstance(header, dict) else None
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("its header does not list names of classes; it is damaged")
    if len(classes) != outputs or len(set(classes)) != outputs or not classes:
        raise ValueError(f"its header lists {len(set(classes))} classes, and there are logits of {outputs}")
    return classes

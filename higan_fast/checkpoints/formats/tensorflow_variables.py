"""What the readers of TensorFlow networks share: layouts, sizes, and what settings must be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from higan_fast.checkpoints.contents import shown
from higan_fast.checkpoints.conversion import Taken, numbered, taken
from higan_fast.generators.settings import LARGEST


def dense(name: str) -> Taken:
    """A weight ``[I, O]``, as ours is: ``[O, I]``."""
    return taken(name, change=Tensor.t)


def conv(name: str) -> Taken:
    """A weight ``[k, k, I, O]``, as ours is: ``[O, I, k, k]``."""
    return taken(name, change=lambda weight: weight.permute(3, 2, 0, 1))


def sizes(variables: Mapping[str, Any], scope: str = "") -> list[int]:
    """Returns 4, 8, … as long as there is a block of that size, up to the first that is too large."""
    found = [4]
    while (size := 2 * found[-1]) <= 2 * LARGEST and f"{scope}{size}x{size}/Conv1/bias" in variables:
        found.append(size)
    return found


def expect(path: Path, settings: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raises a ValueError naming a setting that makes the network one that cannot be read.

    Args:
        path: the file.
        settings: those that it gives; the others have their defaults.
        expected: what each must be: its default, where the file need not give it.
    """
    for name, value in expected.items():
        got = settings.get(name, value)
        got = list(got) if isinstance(got, tuple) else got
        if shown(got) != shown(value):
            raise ValueError(
                f"{path}: {name} is {shown(got)}, expected {value!r}; this variant cannot be read"
            )


def expect_channels(path: Path, settings: Mapping[str, Any], variables: Mapping[str, Any], bias: str) -> None:
    """Raises a ValueError when a setting says another number of channels than the bias of an image has."""
    shape: tuple[int, ...] = getattr(variables.get(bias), "shape", ())
    if len(shape) == 1:
        expect(path, settings, {"num_channels": shape[0]})


def mapping(path: Path, variables: Mapping[str, Any]) -> dict[str, Taken]:
    """The fully connected layers of both StyleGANs, and the average of ``w``."""
    parts = {"mapping_network.w_avg": taken("dlatent_avg")}
    for index in range(max(1, numbered(path, variables, "mapping/Dense{}/weight"))):
        name = f"mapping/Dense{index}"
        parts[f"mapping_network.fc.{index}.weight"] = dense(f"{name}/weight")
        parts[f"mapping_network.fc.{index}.bias"] = taken(f"{name}/bias")
    return parts

"""The attributes of NVlabs' modules in PyTorch, which change images as the weights do.

Our layers have most of them built in: each attribute that a file gives must be what ours has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from higan_fast.checkpoints.contents import shown
from higan_fast.checkpoints.conversion import size_of
from higan_fast.generators.stylegan2 import StyleGAN2Config

ROUNDING = 1e-4  # relative, of a stored gain
MOST_NUMBERS = 16  # of an attribute that is an array, such as a height and a width


class Settings:
    """The attributes of modules, each checked as it is read."""

    def __init__(self, path: Path, modules: Mapping[str, Mapping[str, Any]]) -> None:
        self.path, self.modules = path, modules

    def text(self, module: str, name: str, expected: tuple[str, ...]) -> str:
        value = self._value(module, name)
        if not isinstance(value, str) or value not in expected:
            raise self._other(module, name, value, " or ".join(expected))
        return value

    def number(self, module: str, name: str) -> float:
        return self.number_of(module, name, self._value(module, name))

    def number_of(self, module: str, name: str, value: Any) -> float:
        """Returns ``value``, once it is a number that a setting of this name may be."""
        if not _is_number(value) or not 0 < value < 1e6:
            raise self._other(module, name, value, "a number above 0")
        return float(value)

    def whole(self, module: str, name: str, least: int = 1) -> int:
        value = self._value(module, name)
        if type(value) is not int or not least <= value < 2**31:
            raise self._other(module, name, value, f"a whole number of at least {least}")
        return value

    def number_or_none(self, module: str, name: str) -> float | None:
        return None if self._value(module, name) is None else self.number(module, name)

    def expect(self, module: str, **expected: Any) -> None:
        """Raises ValueError unless each attribute is as expected, where the module has it."""
        for name, wanted in expected.items():
            if name in self.modules.get(module, {}):
                value = self._value(module, name)
                if not _same(value, wanted):
                    raise self._other(module, name, value, str(wanted))

    def _value(self, module: str, name: str) -> Any:
        value = self.modules.get(module, {}).get(name)
        if isinstance(value, np.ndarray) and value.size <= MOST_NUMBERS:
            return value.tolist()
        return value.item() if isinstance(value, np.generic) else value

    def _other(self, module: str, name: str, value: Any, expected: str) -> ValueError:
        return ValueError(f"{self.path}: {module}.{name} is {shown(value)}, expected {expected}")


def check_settings(settings: Settings, config: StyleGAN2Config, tensors: Mapping[str, Tensor]) -> None:
    """Raises ValueError for a module whose attributes make it another layer than ours.

    Args:
        settings: of all modules.
        config: what the file's tensors and the first layers' attributes say.
        tensors: all parameters and buffers.
    """
    check = _Blocks(settings, config, tensors)
    check.mapping()
    resolutions = sorted(config.channels)
    settings.expect("synthesis", block_resolutions=resolutions)
    for resolution in resolutions:
        check.block(resolution, is_last=resolution == resolutions[-1])


class Checks:
    """Checks of what StyleGAN2 and StyleGAN3 share; ``config`` is either's."""

    def __init__(self, settings: Settings, config: Any, tensors: Mapping[str, Tensor]) -> None:
        self.expect, self.path = settings.expect, settings.path
        self.config, self.tensors = config, tensors

    def mapping(self) -> None:
        config = self.config
        self.expect(
            "mapping", num_layers=config.mapping_depth, z_dim=config.latent_dim, c_dim=config.label_dim
        )
        for index in range(config.mapping_depth):
            self.linear(f"mapping.fc{index}", "lrelu", config.mapping_lr_multiplier)
        if config.label_dim:
            self.linear("mapping.embed")

    def linear(self, name: str, activation: str = "linear", lr_multiplier: float = 1.0) -> None:
        inputs = size_of(self.path, self.tensors, f"{name}.weight", 1, 2)
        weight_gain = lr_multiplier / math.sqrt(inputs)
        self.expect(name, activation=activation, bias_gain=lr_multiplier, weight_gain=weight_gain)


class _Blocks(Checks):
    def block(self, resolution: int, is_last: bool) -> None:
        config, name = self.config, f"synthesis.b{resolution}"
        before = config.channels.get(resolution // 2, 0)
        self.expect(
            name, architecture=config.architecture, resolution=resolution, is_last=is_last,
            in_channels=before, img_channels=config.image_channels,
        )  # fmt: skip
        if before:
            self.conv(f"{name}.conv0", resolution, up=2)
        self.conv(f"{name}.conv1", resolution, up=1)
        if is_last or config.architecture == "skip":
            gain = 1 / math.sqrt(config.channels[resolution])
            self.expect(f"{name}.torgb", conv_clamp=config.conv_clamp, weight_gain=gain)
            self.linear(f"{name}.torgb.affine")
        if before and config.architecture == "resnet":
            self.expect(
                f"{name}.skip", activation="linear", up=2, down=1, padding=0, conv_clamp=None,
                act_gain=1, weight_gain=1 / math.sqrt(before),
            )  # fmt: skip

    def conv(self, name: str, resolution: int, up: int) -> None:
        self.expect(
            name, activation="lrelu", up=up, padding=1, act_gain=math.sqrt(2), resolution=resolution,
            conv_clamp=self.config.conv_clamp, use_noise=f"{name}.noise_const" in self.tensors,
        )  # fmt: skip
        self.linear(f"{name}.affine")


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return (
            isinstance(value, list | tuple) and len(value) == len(wanted) and all(map(_same, value, wanted))
        )
    if isinstance(wanted, int | float) and not isinstance(wanted, bool):
        return _is_number(value) and math.isclose(value, wanted, rel_tol=ROUNDING)
    return type(value) is type(wanted) and bool(value == wanted)


def _is_number(value: Any) -> bool:
    """Whether it is a number that floating point can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300

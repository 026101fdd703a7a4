"""Files built in the structure of the real ones, out of generators of ours: what the formats' tests read.

Their pickles name the classes of code that is not here, by stand-ins that exist while a file is written. Each
``module_src`` would leave a mark if anyone ever executed it.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config

# class name, attributes, tensors, modules within
Tree = tuple[str, dict[str, Any], dict[str, Tensor], dict[str, Any]]

PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
BUFFERS = {
    "resample_filter", "noise_const", "w_avg", "up_filter", "down_filter", "magnitude_ema", "freqs", "phases",
    "transform",
}  # fmt: skip
EPILOGUE: Tree = ("DiscriminatorEpilogue", {}, {"weight": torch.ones(2, 2)}, {})
DISCRIMINATOR: Tree = ("Discriminator", {"c_dim": 0}, {}, {"b4": EPILOGUE})


@contextlib.contextmanager
def stand_ins(*names: str) -> Iterator[list[Any]]:
    """Classes that pickles name as ``"module.Class"``, which are no part of this project."""
    before = set(sys.modules)
    found = []
    for full in names:
        module_name, _, name = full.rpartition(".")
        parts = module_name.split(".")
        for end in range(1, len(parts) + 1):
            sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
        base = dict if name == "EasyDict" else object
        found.append(type(name, (base,), {"__module__": module_name, "__qualname__": name}))
        setattr(sys.modules[module_name], name, found[-1])
    try:
        yield found
    finally:
        for name in set(sys.modules) - before:
            del sys.modules[name]


class Call:
    """An object that a pickle makes by calling ``function(*args)``."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.args


def marking(mark: Path) -> str:
    """Source that leaves a mark when it is executed."""
    return f"open({str(mark)!r}, 'w').write('executed')\n"


def random_stylegan2(config: StyleGAN2Config, seed: int = 0) -> StyleGAN2:
    """A generator in which nothing is zero, so that nothing can be forgotten unseen."""
    torch.manual_seed(seed)
    generator = StyleGAN2(config).eval().requires_grad_(False)
    for name, tensor in (*generator.named_parameters(), *generator.named_buffers()):
        if name.endswith(("bias", "noise_strength", "w_avg")):
            tensor.add_(0.3 * torch.randn_like(tensor))
    return generator


def stylegan2_ada(
    path: Path,
    generator: StyleGAN2,
    mark: Path,
    protocol: int = 4,
    extra: dict[str, Any] | None = None,
    change: Callable[[Tree], None] | None = None,
) -> Path:
    """A pickle of stylegan2-ada-pytorch: ``G``, ``D``, ``G_ema``, ``training_set_kwargs``, ``augment_pipe``.

    Args:
        mark: the file that appears if a ``module_src`` is executed.
        extra: entries beside them, or in their place.
        change: called with the tree of modules of ``G_ema`` before it is written.
    """
    tree, other = (
        module_tree(generator),
        module_tree(random_stylegan2(StyleGAN2Config({4: 3, 8: 2}, 4, 4, 1))),
    )
    if change is not None:
        change(tree)
    with stand_ins(PERSISTENT, "dnnlib.util.EasyDict") as (rebuild, easy_dict):
        content = {
            "G": persisted(other, rebuild, mark),
            "D": persisted(DISCRIMINATOR, rebuild, mark),
            "G_ema": persisted(tree, rebuild, mark),
            "augment_pipe": None,
            "training_set_kwargs": easy_dict(path="images.zip", resolution=generator.resolution),
            **(extra or {}),
        }
        path.write_bytes(pickle.dumps(content, protocol))
    return path


def persistent(path: Path, tree: Tree, mark: Path, name: str | None = None) -> Path:
    """A pickle of one network alone, under a name or without any."""
    with stand_ins(PERSISTENT) as (rebuild,):
        network = persisted(tree, rebuild, mark)
        path.write_bytes(pickle.dumps(network if name is None else {name: network}))
    return path


def persisted(tree: Tree, rebuild: Any, mark: Path) -> Call:
    """A module, as ``torch_utils.persistence`` pickles it."""
    class_name, attributes, tensors, modules = tree
    parameters = {key: torch.nn.Parameter(value) for key, value in tensors.items() if key not in BUFFERS}
    within = {key: persisted(module, rebuild, mark) for key, module in modules.items()}
    state = {
        "training": False,
        "_parameters": OrderedDict(parameters),
        "_buffers": OrderedDict((key, value) for key, value in tensors.items() if key in BUFFERS),
        "_non_persistent_buffers_set": set(),
        "_backward_hooks": OrderedDict(),
        "_modules": OrderedDict(within),
        "_init_args": (),
        "_init_kwargs": {},
        **attributes,
    }
    meta = {
        "type": "class",
        "version": 6,
        "module_src": marking(mark),
        "class_name": class_name,
        "state": state,
    }
    return Call(rebuild, meta)


def module_tree(generator: StyleGAN2) -> Tree:
    """Our generator as stylegan2-ada-pytorch's modules."""
    config, state = generator.config, generator.state_dict()
    resolutions = sorted(config.channels)
    blocks = {f"b{size}": _block(state, config, index, size) for index, size in enumerate(resolutions)}
    mapping: dict[str, Any] = {
        f"fc{index}": linear(state, f"mapping_network.fc.{index}", config.mapping_lr_multiplier, "lrelu")
        for index in range(config.mapping_depth)
    }
    if config.label_dim:
        mapping["embed"] = linear(state, "mapping_network.embed")
    average = {"w_avg": state["mapping_network.w_avg"]}
    modules = {
        "synthesis": ("SynthesisNetwork", {"block_resolutions": resolutions}, {}, blocks),
        "mapping": ("MappingNetwork", {"num_layers": config.mapping_depth}, average, mapping),
    }
    attributes = {"z_dim": config.latent_dim, "c_dim": config.label_dim, "w_dim": config.code_dim}
    modules["mapping"][1].update(attributes)
    return ("Generator", attributes, {}, modules)


def _block(state: dict[str, Tensor], config: StyleGAN2Config, index: int, resolution: int) -> Tree:
    last, skip = resolution == max(config.channels), config.architecture == "skip"
    tensors = {"resample_filter": _square(state["synthesis.convs.0.resample_filter"])}
    modules = {"conv1": _conv(state, 2 * index, config)}
    if index == 0:
        tensors["const"] = state["synthesis.const"][0]
    else:
        modules["conv0"] = _conv(state, 2 * index - 1, config)
    if skip or last:
        modules["torgb"] = _rgb(state, index if skip else 0, config)
    if config.architecture == "resnet" and index > 0:
        own = own_tensors(state, f"synthesis.skips.{index - 1}")
        given = {"up": 2, "down": 1, "activation": "linear", "conv_clamp": None, "padding": 0, "act_gain": 1}
        modules["skip"] = ("Conv2dLayer", given | _gain(own["weight"]), own, {})
    before = config.channels[resolution // 2] if index else 0
    attributes = {"architecture": config.architecture, "resolution": resolution, "is_last": last}
    attributes |= {"in_channels": before, "img_channels": config.image_channels}
    return ("SynthesisBlock", attributes, tensors, modules)


def _conv(state: dict[str, Tensor], index: int, config: StyleGAN2Config) -> Tree:
    name = f"synthesis.convs.{index}"
    attributes = {
        "activation": "lrelu",
        "conv_clamp": config.conv_clamp,
        "act_gain": np.float64(math.sqrt(2)),
        "up": 2 if index % 2 == 1 else 1,
        "padding": 1,
        "use_noise": True,
        "resolution": 4 * 2 ** ((index + 1) // 2),
    }
    return (
        "SynthesisLayer",
        attributes,
        own_tensors(state, name),
        {"affine": linear(state, f"{name}.affine")},
    )


def _rgb(state: dict[str, Tensor], index: int, config: StyleGAN2Config) -> Tree:
    name = f"synthesis.rgbs.{index}"
    own = own_tensors(state, name)
    del own["resample_filter"]  # the block has it
    return (
        "ToRGBLayer",
        {"conv_clamp": config.conv_clamp} | _gain(own["weight"]),
        own,
        {"affine": linear(state, f"{name}.affine")},
    )


def linear(state: dict[str, Tensor], name: str, lr_multiplier: float = 1, activation: str = "linear") -> Tree:
    own = own_tensors(state, name)
    attributes = {"activation": activation, "bias_gain": lr_multiplier}
    return ("FullyConnectedLayer", attributes | _gain(own["weight"], lr_multiplier), own, {})


def _gain(weight: Tensor, lr_multiplier: float = 1) -> dict[str, Any]:
    return {"weight_gain": np.float64(lr_multiplier / math.sqrt(weight[0].numel()))}


def own_tensors(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors of a module, without those of the modules within it."""
    begin = f"{name}."
    found = {key.removeprefix(begin): tensor for key, tensor in state.items() if key.startswith(begin)}
    own = {key: tensor for key, tensor in found.items() if "." not in key}
    return {key: _square(value) if key == "resample_filter" else value for key, value in own.items()}


def _square(taps: Tensor) -> Tensor:
    return taps[:, None] * taps


def rosinality(path: Path, generator: StyleGAN2, archive: bool = True, trained: bool = False) -> Path:
    """A ``.pt`` of rosinality's, converted or trained, in today's form or in that before torch 1.6."""
    state = rosinality_state(generator)
    content: dict[str, Any] = {"g_ema": state, "latent_avg": generator.mapping_network.w_avg}
    if trained:
        content = {
            "g": {name: torch.zeros_like(tensor) for name, tensor in state.items()},
            "d": {"final_linear.0.weight": torch.ones(2)},
            "g_ema": state,
            "g_optim": {"state": {0: {"step": 7, "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]},
            "args": argparse.Namespace(size=generator.resolution, path="images"),
            "ada_aug_p": 0.2,
        }
    torch.save(content, path, _use_new_zipfile_serialization=archive)
    return path


def rosinality_state(generator: StyleGAN2) -> dict[str, Tensor]:
    """Our generator as the state dict of rosinality's."""
    state, config = generator.state_dict(), generator.config
    found = {"input.input": state["synthesis.const"]}
    for index in range(config.mapping_depth):
        for part in ("weight", "bias"):
            found[f"style.{index + 1}.{part}"] = state[f"mapping_network.fc.{index}.{part}"]
    for index in range(2 * len(config.channels) - 1):
        ours, theirs = f"synthesis.convs.{index}", "conv1" if index == 0 else f"convs.{index - 1}"
        weight = state[f"{ours}.weight"]
        found[f"{theirs}.conv.weight"] = weight[None] * math.sqrt(weight[0].numel())
        found |= _rosinality_modulation(state, ours, theirs)
        found[f"{theirs}.activate.bias"] = state[f"{ours}.bias"]
        found[f"{theirs}.noise.weight"] = state[f"{ours}.noise_strength"][None]
        found[f"noises.noise_{index}"] = state[f"{ours}.noise_const"][None, None]
        if index % 2 == 1:
            found[f"{theirs}.conv.blur.kernel"] = 4 * _square(state[f"{ours}.resample_filter"])
    for index in range(len(config.channels)):
        ours, theirs = f"synthesis.rgbs.{index}", "to_rgb1" if index == 0 else f"to_rgbs.{index - 1}"
        found[f"{theirs}.conv.weight"] = state[f"{ours}.weight"][None]
        found |= _rosinality_modulation(state, ours, theirs)
        found[f"{theirs}.bias"] = state[f"{ours}.bias"][None, :, None, None]
        if index > 0:
            found[f"{theirs}.upsample.kernel"] = 4 * _square(state[f"{ours}.resample_filter"])
    return found


def _rosinality_modulation(state: dict[str, Tensor], ours: str, theirs: str) -> dict[str, Tensor]:
    parts = ("weight", "bias")
    return {f"{theirs}.conv.modulation.{part}": state[f"{ours}.affine.{part}"] for part in parts}

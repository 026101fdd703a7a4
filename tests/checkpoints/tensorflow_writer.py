"""TensorFlow pickles in the structure of NVlabs' own, out of generators of ours.

A ``Network`` is stood in for by a class of that name which exists while the file is written. Its
``build_module_src`` would leave a mark if anyone ever executed it.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from higan_fast.generators.pggan import PGGAN
from higan_fast.generators.stylegan import StyleGAN
from higan_fast.generators.stylegan2 import StyleGAN2
from tests.checkpoints.raw_weights import raw_pggan, raw_stylegan, raw_stylegan2
from tests.checkpoints.writers import marking, stand_ins

# The variables of a network and of its components, by component ("" for its own).
Variables = dict[str, dict[str, Any]]
LOD = np.float32(0)
DISCRIMINATOR: Variables = {"": {"lod": LOD, "FromRGB_lod0/weight": np.ones([1, 1, 3, 4], np.float32)}}


def tensorflow_pickle(
    path: Path,
    variables: Variables,
    mark: Path,
    settings: dict[str, Any] | None = None,
    names: Collection[str] = ("G", "D", "Gs"),
    protocol: int = 4,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> Path:
    """The tuple (G, D, Gs), or other networks; only Gs has the variables, G has zeros in their place.

    Args:
        path: the new file.
        variables: of Gs; PGGAN's have no components.
        mark: the file that appears if a ``build_module_src`` is executed.
        settings: ``static_kwargs`` of Gs.
        names: the networks in the file; one alone is written without a tuple.
        change: called with the state of Gs before it is written.
    """
    grown = len(variables) == 1
    class_name = "tfutil.Network" if grown else "dnnlib.tflib.network.Network"
    with stand_ins(class_name) as (network,):

        def made(name: str, of: Variables) -> Any:
            state: dict[str, Any] = {
                "version": 2 if grown else 3,
                "name": name,
                "static_kwargs": {"num_channels": 3, "label_size": 0, **(settings or {})},
                "components": {key: made(f"G_{key}", {"": part}) for key, part in of.items() if key},
                "build_module_src": marking(mark),
                "build_func_name": "build",
                "variables": list(of[""].items()),
            }
            if grown:
                del state["components"]
            if change is not None and name == "Gs":
                change(state)
            return _object(network, state)

        zeros = {
            key: {name: np.zeros_like(value) for name, value in part.items()}
            for key, part in variables.items()
        }
        found = {"G": zeros, "D": DISCRIMINATOR, "Gs": variables}
        networks = tuple(made(name, found[name]) for name in names)
        path.write_bytes(pickle.dumps(networks if len(networks) > 1 else networks[0], protocol))
    return path


def _object(cls: type, state: dict[str, Any]) -> Any:
    made = cls.__new__(cls)
    made.__dict__.update(state)
    return made


def pggan_variables(generator: PGGAN, fused: bool) -> Variables:
    """As ``G_paper`` names them."""
    sizes = sorted(generator.config.channels)
    raw = raw_pggan(generator, sizes if fused else ())
    names = ["4x4/Conv"]
    names += [
        f"{size}x{size}/{name}" for size in sizes[1:] for name in ("Conv0_up" if fused else "Conv0", "Conv1")
    ]
    found: dict[str, Any] = {
        "lod": LOD,
        "4x4/Dense/weight": raw["dense.weight"].t(),
        "4x4/Dense/bias": raw["dense.bias"],
    }
    for index, name in enumerate(names):
        weight = raw[
            f"blocks.{index}.conv.weight"
        ]  # [O, I, k, k] → [k, k, I, O], or [k, k, O, I] where fused
        found[f"{name}/weight"] = weight.permute(2, 3, 0, 1) if name.endswith("_up") else _conv(weight)
        found[f"{name}/bias"] = raw[f"blocks.{index}.bias"]
    return {"": _arrays(found | _grown_rgb(raw["rgb.weight"], raw["rgb.bias"], sizes))}


def stylegan_variables(
    generator: StyleGAN, fused: Collection[int] = (), lr_multiplier: float = 0.01
) -> Variables:
    """As ``G_style`` names them."""
    sizes = sorted(generator.config.channels)
    raw = raw_stylegan(generator, fused, lr_multiplier)
    scopes = ["4x4/Const", "4x4/Conv"]
    scopes += [f"{size}x{size}/{name}" for size in sizes[1:] for name in ("Conv0_up", "Conv1")]
    synthesis: dict[str, Any] = {"lod": LOD, "4x4/Const/const": raw["synthesis.const"]}
    for index, scope in enumerate(scopes):
        layer = f"synthesis.layers.{index}"
        synthesis |= {
            f"noise{index}": raw[f"{layer}.noise_const"][None, None],
            f"{scope}/bias": raw[f"{layer}.bias"],
            f"{scope}/Noise/weight": raw[f"{layer}.noise_strength"],
            f"{scope}/StyleMod/weight": raw[f"{layer}.affine.weight"].t(),
            f"{scope}/StyleMod/bias": raw[f"{layer}.affine.bias"],
        }
        if index:
            synthesis[f"{scope}/weight"] = _conv(raw[f"{layer}.conv.weight"])
    synthesis |= _grown_rgb(raw["synthesis.rgb.weight"], raw["synthesis.rgb.bias"], sizes)
    mapping = _mapping(raw, generator.config.mapping_depth)
    if generator.config.label_dim:
        mapping["LabelConcat/weight"] = raw["mapping_network.embed.weight"].t()
    return _with_components(raw, mapping, synthesis)


def stylegan2_variables(generator: StyleGAN2, grown: bool = False, noise: bool = True) -> Variables:
    """As ``G_main`` names them.

    Args:
        grown: as the progressively grown variant does, which keeps what makes RGB of all resolutions.
        noise: without it there are no noise images, as in stylegan2-ada's ``use_noise=False``.
    """
    config, raw = generator.config, raw_stylegan2(generator)
    sizes = sorted(config.channels)
    scopes = ["4x4/Conv"] + [f"{size}x{size}/{name}" for size in sizes[1:] for name in ("Conv0_up", "Conv1")]
    synthesis: dict[str, Any] = {"4x4/Const/const": raw["synthesis.const"]}
    for index, scope in enumerate(scopes):
        conv = f"synthesis.convs.{index}"
        synthesis |= _modulated(raw, conv, scope)
        if noise:
            synthesis[f"noise{index}"] = raw[f"{conv}.noise_const"][None, None]
            synthesis[f"{scope}/noise_strength"] = raw[f"{conv}.noise_strength"]
    with_rgb = sizes if config.architecture == "skip" else sizes[-1:]
    for index, size in enumerate(with_rgb):
        scope = "ToRGB_lod0" if grown else f"{size}x{size}/ToRGB"
        synthesis |= _modulated(raw, f"synthesis.rgbs.{index}", scope)
    if grown:
        synthesis |= {"lod": LOD, "ToRGB_lod1/weight": np.ones([1, 1, 2, 3]), "ToRGB_lod1/bias": np.ones(3)}
    if config.architecture == "resnet":
        for index, size in enumerate(sizes[1:]):
            synthesis[f"{size}x{size}/Skip/weight"] = _conv(raw[f"synthesis.skips.{index}.weight"])
    mapping = _mapping(raw, config.mapping_depth)
    if config.label_dim:
        mapping["LabelEmbed/weight"] = raw["mapping_network.embed.weight"].t()
        mapping["LabelEmbed/bias"] = raw["mapping_network.embed.bias"]
    return _with_components(raw, mapping, synthesis)


def _with_components(raw: dict[str, Tensor], mapping: dict[str, Any], synthesis: dict[str, Any]) -> Variables:
    own = {"lod": LOD, "dlatent_avg": raw["mapping_network.w_avg"]}
    return {"": _arrays(own), "synthesis": _arrays(synthesis), "mapping": _arrays(mapping)}


def _mapping(raw: dict[str, Tensor], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for index in range(depth):
        found[f"Dense{index}/weight"] = raw[f"mapping_network.fc.{index}.weight"].t()
        found[f"Dense{index}/bias"] = raw[f"mapping_network.fc.{index}.bias"]
    return found


def _grown_rgb(weight: Tensor, bias: Tensor, sizes: list[int]) -> dict[str, Any]:
    """What makes RGB of the last resolution, and of the lower ones, which nobody needs once it has grown."""
    found: dict[str, Any] = {"ToRGB_lod0/weight": _conv(weight), "ToRGB_lod0/bias": bias}
    for lod in range(1, len(sizes)):
        found |= {f"ToRGB_lod{lod}/weight": torch.ones(1, 1, 2, 3), f"ToRGB_lod{lod}/bias": torch.ones(3)}
    return found


def _modulated(raw: dict[str, Tensor], ours: str, scope: str) -> dict[str, Any]:
    return {
        f"{scope}/weight": _conv(raw[f"{ours}.weight"]),
        f"{scope}/bias": raw[f"{ours}.bias"],
        f"{scope}/mod_weight": raw[f"{ours}.affine.weight"].t(),
        f"{scope}/mod_bias": raw[f"{ours}.affine.bias"],
    }


def _conv(weight: Tensor) -> Tensor:
    """``[O, I, k, k]`` → ``[k, k, I, O]``."""
    return weight.permute(2, 3, 1, 0)


def _arrays(tensors: dict[str, Any]) -> dict[str, Any]:
    """As ``Session.run`` gives them: arrays, and NumPy's scalars."""
    arrays = {name: value.numpy() if isinstance(value, Tensor) else value for name, value in tensors.items()}
    return {name: np.array(value, order="C")[()] for name, value in arrays.items()}

"""Files as genforce's, higan's and pytorch_GAN_zoo's code writes them, out of generators of ours."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from higan_fast.generators.pggan import PGGAN
from higan_fast.generators.stylegan import StyleGAN
from higan_fast.generators.stylegan2 import StyleGAN2
from tests.checkpoints.raw_weights import raw_pggan, raw_stylegan, raw_stylegan2
from tests.checkpoints.writers import stand_ins

State = dict[str, Any]
DISCRIMINATOR = {"input0.weight": torch.ones(4, 3, 1, 1), "layer0.weight": torch.ones(4, 4, 3, 3)}


def genforce_file(path: Path, state: State, training: bool = False) -> Path:
    """Of three networks the moving average has the weights; ``training`` puts them one level down."""
    zeros = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    models = {"generator": zeros, "discriminator": DISCRIMINATOR, "generator_smooth": state}
    meta = {"running_metadata": {"iter": 7, "seen_img": 28}, "learning_rates": {}}
    torch.save({"models": models, **meta} if training else models, path)
    return path


def pggan_state(generator: PGGAN, fused: bool = False, higan: bool = False) -> State:
    """Of a PGGAN."""
    sizes = sorted(generator.config.channels)
    raw = raw_pggan(generator, sizes if fused else ())
    bias = "wscale.bias" if higan else "bias"
    weight = "conv.weight" if higan else "weight"
    dense = raw["dense.weight"].unflatten(0, (-1, 4, 4)).permute(0, 3, 1, 2).flip(2, 3)  # [C, I, 4, 4]
    state = {"lod": torch.zeros([]), f"layer0.{weight}": dense, f"layer0.{bias}": raw["dense.bias"]}
    for index in range(2 * len(sizes) - 1):
        layer, kernel = f"layer{index + 1}", raw[f"blocks.{index}.conv.weight"]
        if fused and index % 2 == 1 and higan:
            state[f"{layer}.weight"] = kernel.permute(2, 3, 1, 0)
        elif fused and index % 2 == 1:
            state[f"{layer}.weight"] = kernel.transpose(0, 1)
        else:
            state[f"{layer}.{weight}"] = kernel
        state[f"{layer}.{bias}"] = raw[f"blocks.{index}.bias"]
    return state | _outputs(raw["rgb.weight"], raw["rgb.bias"], len(sizes), "output", weight, bias)


def stylegan_state(
    generator: StyleGAN, fused: Collection[int] = (), higan: bool = False, lr_multiplier: float = 0.01
) -> State:
    """Of a StyleGAN."""
    config, raw = generator.config, raw_stylegan(generator, fused, lr_multiplier)
    weight = "conv.weight" if higan else "weight"
    style = "epilogue.style_mod.dense.{}" if higan else "style.{}"
    epilogue = "epilogue." if higan else ""
    dense = {"weight": "fc.weight", "bias": "wscale.bias"} if higan else {"weight": "weight", "bias": "bias"}
    state = {"truncation.w_avg": raw["mapping_network.w_avg"], "synthesis.lod": torch.zeros([])}
    for index in range(config.mapping_depth):
        for part in ("weight", "bias"):
            state[f"mapping.dense{index}.{dense[part]}"] = raw[f"mapping_network.fc.{index}.{part}"]
    if config.label_dim:
        state["mapping.label_weight"] = raw["mapping_network.embed.weight"].t()
    state["synthesis.layer0.const"] = raw["synthesis.const"]
    for index in range(2 * len(config.channels)):
        ours, theirs = f"synthesis.layers.{index}", f"synthesis.layer{index}"
        state |= {
            f"{theirs}.{epilogue}bias": raw[f"{ours}.bias"],
            f"{theirs}.{epilogue}apply_noise.weight": raw[f"{ours}.noise_strength"],
            f"{theirs}.{epilogue}apply_noise.noise": raw[f"{ours}.noise_const"][None, None],
            f"{theirs}.{style.format(dense['weight'])}": raw[f"{ours}.affine.weight"],
            f"{theirs}.{style.format(dense['bias'])}": raw[f"{ours}.affine.bias"],
        }
        up = index > 0 and index % 2 == 0
        if up:
            state[f"{theirs}.blur.kernel"] = torch.ones(3, 1, 3, 3)
        if up and higan and 4 * 2 ** (index // 2) in fused:
            state[f"{theirs}.weight"] = raw[f"{ours}.conv.weight"].permute(2, 3, 1, 0)
        elif index:
            state[f"{theirs}.{weight}"] = raw[f"{ours}.conv.weight"]
    rgb = (raw["synthesis.rgb.weight"], raw["synthesis.rgb.bias"])
    return state | _outputs(*rgb, len(config.channels), "synthesis.output", weight, "bias")


def stylegan2_state(generator: StyleGAN2, higan: bool = False) -> State:
    """Of a StyleGAN2."""
    config, raw = generator.config, raw_stylegan2(generator)
    dense, style = ("fc.weight", "style.fc.weight") if higan else ("weight", "style.weight")

    def modulated(ours: str, theirs: str) -> State:
        kernel = raw[f"{ours}.weight"]
        return {
            f"{theirs}.weight": kernel.permute(2, 3, 1, 0) if higan else kernel,
            f"{theirs}.bias": raw[f"{ours}.bias"],
            f"{theirs}.{style}": raw[f"{ours}.affine.weight"],
            f"{theirs}.style.bias": raw[f"{ours}.affine.bias"],
        }

    state = {
        "truncation.w_avg": raw["mapping_network.w_avg"],
        "synthesis.early_layer.const": raw["synthesis.const"],
    }
    for index in range(config.mapping_depth):
        state[f"mapping.dense{index}.{dense}"] = raw[f"mapping_network.fc.{index}.weight"]
        state[f"mapping.dense{index}.bias"] = raw[f"mapping_network.fc.{index}.bias"]
    for index in range(2 * len(config.channels) - 1):
        ours, theirs = f"synthesis.convs.{index}", f"synthesis.layer{index}"
        state |= modulated(ours, theirs)
        state[f"{theirs}.noise"] = raw[f"{ours}.noise_const"][None, None]
        state[f"{theirs}.noise_strength"] = raw[f"{ours}.noise_strength"]
        if index % 2:
            state[f"{theirs}.filter.kernel"] = torch.ones(1, 1, 4, 4)
    last = len(config.channels) - 1
    for index, block in enumerate(range(last + 1) if config.architecture == "skip" else [last]):
        state |= modulated(f"synthesis.rgbs.{index}", f"synthesis.output{block}")
    if config.architecture == "skip":
        state["synthesis.upsample.kernel"] = torch.ones(1, 1, 4, 4)
    if config.architecture == "resnet":
        for index in range(last):
            kernel = raw[f"synthesis.skips.{index}.weight"]
            state[f"synthesis.skip_layer{index}.weight"] = kernel.permute(2, 3, 1, 0) if higan else kernel
            state[f"synthesis.skip_layer{index}.filter.kernel"] = torch.ones(1, 1, 4, 4)
    return state


def _outputs(rgb: Tensor, bias: Tensor, num: int, name: str, weight_name: str, bias_name: str) -> State:
    """What makes RGB of each resolution; only the last is ever needed."""
    found: State = {}
    for index in range(num - 1):
        found |= {
            f"{name}{index}.{weight_name}": torch.ones(3, 2, 1, 1),
            f"{name}{index}.{bias_name}": torch.ones(3),
        }
    return found | {f"{name}{num - 1}.{weight_name}": rgb, f"{name}{num - 1}.{bias_name}": bias}


def gan_zoo_file(
    path: Path, generator: PGGAN, settings: dict[str, Any] | None = None, state: State | None = None
) -> Path:
    """pytorch_GAN_zoo's ``.pth``; ``settings`` stand beside or in the place of its config's own."""
    state = gan_zoo_state(generator) if state is None else state
    zeros = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    with stand_ins("models.utils.config.BaseConfig") as (config_class,):
        config = config_class()
        given = {"categoryVectorDim": generator.label_dim, "alpha": 0, "lossCriterion": "WGANGP"}
        config.__dict__.update(given | {"leakyReluLeak": 0.2} | (settings or {}))
        torch.save({"config": config, "netG": zeros, "netD": {}, "avgG": state}, path)
    return path


def gan_zoo_state(generator: PGGAN, wrapped: bool = True) -> State:
    """Our PGGAN as its state dict; ``wrapped``: as since its layers hold the module that has the weights."""
    ours, scales = generator.state_dict(), len(generator.config.channels) - 1
    raw = raw_pggan(generator, ())
    convs = ["groupScale0.0", *(f"scaleLayers.{scale}.{conv}" for scale in range(scales) for conv in (0, 1))]
    weights = {f"blocks.{index}": (name, f"blocks.{index}.conv") for index, name in enumerate(convs)}
    weights |= {"dense": ("formatLayer", "dense"), "rgb": (f"toRGBLayers.{scales}", "rgb")}
    state: State = {}
    for module, (theirs, holder) in weights.items():
        weight, inner = raw[f"{holder}.weight"], ".module" if wrapped else ""
        gain = math.sqrt(2 / weight[0].numel())
        if module == "dense":
            weight = weight / 4
        if module == "rgb":
            weight = weight / math.sqrt(2)
        state |= {f"{theirs}{inner}.weight": weight, f"{theirs}{inner}.bias": ours[f"{module}.bias"] / gain}
    for scale in range(scales):
        state |= {f"toRGBLayers.{scale}.module.weight": torch.ones(3, 2, 1, 1)}
    return state

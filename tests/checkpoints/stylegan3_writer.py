"""Our StyleGAN3 as NVlabs' modules, for ``writers.persistent``."""

from __future__ import annotations

from typing import Any

import numpy as np

from higan_fast.generators.stylegan3 import StyleGAN3
from tests.checkpoints.writers import Tree, linear, own_tensors


def stylegan3_tree(generator: StyleGAN3) -> Tree:
    config, state, signals = generator.config, generator.state_dict(), generator.config.signals
    depth = len(config.channels)
    size = np.broadcast_to(np.asarray(signals[0].size), [2])
    attributes: dict[str, Any] = {
        "size": size, "channels": config.channels[0],
        "sampling_rate": np.float64(signals[0].rate), "bandwidth": np.float64(signals[0].cutoff),
    }  # fmt: skip
    layers: dict[str, Tree] = {
        "input": (
            "SynthesisInput", attributes, own_tensors(state, "synthesis.input"),
            {"affine": linear(state, "synthesis.input.affine")},
        )
    }  # fmt: skip
    for index, after in enumerate(signals):
        before, is_rgb = signals[max(0, index - 1)], index == depth
        name = "synthesis.rgb" if is_rgb else f"synthesis.convs.{index}"
        conv = None if is_rgb else generator.synthesis.convs[index]
        attributes = {
            "is_torgb": is_rgb, "is_critically_sampled": index >= depth - config.num_critical,
            "use_fp16": index > 2, "in_channels": before.channels, "out_channels": after.channels,
            "in_size": np.broadcast_to(np.asarray(before.size), [2]),
            "out_size": np.broadcast_to(np.asarray(after.size), [2]),
            "in_sampling_rate": before.rate, "out_sampling_rate": after.rate,
            "in_cutoff": np.float64(before.cutoff), "out_cutoff": np.float64(after.cutoff),
            "in_half_width": np.float64(before.half_width), "out_half_width": np.float64(after.half_width),
            "conv_kernel": 1 if is_rgb else config.kernel, "conv_clamp": config.conv_clamp,
            "magnitude_ema_beta": 0.999, "up_factor": conv.up if conv else 1,
            "down_factor": conv.down if conv else 1, "padding": list(conv.padding) if conv else [0] * 4,
        }  # fmt: skip
        tensors = own_tensors(state, name)
        modules = {"affine": linear(state, f"{name}.affine")}
        layers[f"L{index}_{after.size}_{after.channels}"] = ("SynthesisLayer", attributes, tensors, modules)
    mapping: dict[str, Any] = {
        f"fc{index}": linear(state, f"mapping_network.fc.{index}", config.mapping_lr_multiplier, "lrelu")
        for index in range(config.mapping_depth)
    }
    if config.label_dim:
        mapping["embed"] = linear(state, "mapping_network.embed")
    sizes = {"z_dim": config.latent_dim, "c_dim": config.label_dim, "w_dim": config.code_dim}
    average = {"w_avg": state["mapping_network.w_avg"]}
    synthesis = {
        "num_layers": depth, "num_critical": config.num_critical, "margin_size": config.margin,
        "output_scale": config.output_scale, "img_resolution": config.resolution,
        "img_channels": config.image_channels,
        "num_fp16_res": 4, "layer_names": list(layers)[1:],
        "_init_kwargs": {"first_stopband": config.first_stopband, "channel_base": 64},
    }  # fmt: skip
    modules = {
        "synthesis": ("SynthesisNetwork", synthesis, {}, layers),
        "mapping": ("MappingNetwork", {"num_layers": config.mapping_depth, **sizes}, average, mapping),
    }
    return ("Generator", sizes, {}, modules)

"""StyleGAN3 as NVlabs' code names its tensors and settings → our configuration and our names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from higan_fast.checkpoints.conversion import Taken, assemble, configured, listed, size_of
from higan_fast.checkpoints.formats.stylegan2_names import mapping_config, mapping_sources
from higan_fast.checkpoints.formats.stylegan2_settings import Checks, Settings
from higan_fast.generators.stylegan3 import StyleGAN3
from higan_fast.generators.stylegan3_config import (
    FIRST_STOPBAND,
    MOST_CHANNELS,
    Resampling,
    StyleGAN3Config,
)
from higan_fast.wording import in_words

INPUT, LAYER = "synthesis.input", re.compile(r"synthesis\.(L(\d{1,3})_(\d{1,5})_\d{1,5})\.weight")


def read(path: Path, tensors: Mapping[str, Tensor], modules: Mapping[str, Mapping[str, Any]]) -> StyleGAN3:
    """The generator of these tensors and attributes of modules.

    Raises:
        ValueError: when it is damaged, or a variant that ours is not.
    """
    settings = Settings(path, modules)
    config, names = read_config(path, tensors, settings), layer_names(path, tensors)
    check_settings(settings, config, names, tensors)
    generator = assemble(StyleGAN3, config, path, tensors, sources_of(config, names, tensors))
    assert isinstance(generator, StyleGAN3)
    return generator


def move_image(path: Path, generator: StyleGAN3, config: Mapping[str, Any] | None) -> None:
    """Turns and shifts all images, where that is asked for.

    Args:
        path: the file, for messages.
        generator: the generator.
        config: ``rotate`` and ``translate``, as of ``StyleGAN3.move_image``; None: images stay.

    Raises:
        ValueError: if it has something else.
    """
    if not config:
        return
    rotate, translate = config.get("rotate", 0.0), config.get("translate", (0.0, 0.0))
    if unknown := [name for name in config if name not in ("rotate", "translate")]:
        raise ValueError(f"{path}: config: got the setting {listed(unknown)}, expected rotate or translate")
    if not _is_finite(rotate):
        raise ValueError(f"{path}: rotate: got {in_words(rotate)}, expected a number of degrees")
    if not isinstance(translate, list | tuple) or len(translate) != 2 or not all(map(_is_finite, translate)):
        raise ValueError(
            f"{path}: translate: got {in_words(translate)}, expected two numbers, to the right and down, in "
            "widths of the image"
        )
    generator.move_image(rotate, (translate[0], translate[1]))


def read_config(path: Path, tensors: Mapping[str, Tensor], settings: Settings) -> StyleGAN3Config:
    """The architecture: lengths from the tensors' shapes, the rest from the modules' attributes.

    Raises:
        ValueError: when it is not StyleGAN3's, or a variant that ours is not.
    """
    size, names = partial(size_of, path, tensors), layer_names(path, tensors)
    first, last = f"synthesis.{names[0]}", f"synthesis.{names[-1]}"
    resolution = int(names[-1].split("_")[1])
    oversampling = settings.whole(first, "up_factor")  # the first layer has one rate on both sides
    end_of_band = settings.number(last, "out_cutoff") + settings.number(last, "out_half_width")
    return configured(
        path,
        StyleGAN3Config,
        resolution=resolution,
        channels=tuple(size(f"synthesis.{name}.weight", 0, 4) for name in names[:-1]),
        code_dim=size(f"{INPUT}.affine.weight", 1, 2),
        kernel=size(f"{first}.weight", 2, 4),
        radial=getattr(tensors.get(f"{first}.down_filter"), "ndim", 1) == 2,
        num_critical=settings.whole("synthesis", "num_critical", least=0),
        first_cutoff=settings.number(first, "in_cutoff"),
        first_stopband=_first_stopband(settings),
        last_stopband=end_of_band / max(1, resolution / 2),
        margin=settings.whole("synthesis", "margin_size", least=0),
        oversampling=oversampling,
        filter_size=size(f"{first}.up_filter", 0, 1) // oversampling,
        conv_clamp=settings.number_or_none(first, "conv_clamp"),
        output_scale=settings.number("synthesis", "output_scale"),
        image_channels=size(f"{last}.weight", 0, 4),
        **mapping_config(path, tensors, settings),
    )


def layer_names(path: Path, tensors: Mapping[str, Tensor]) -> list[str]:
    """The layers' names, from L0 to RGB.

    Raises:
        ValueError: if some are missing, or there are more than any network has.
    """
    found = {int(match[2]): match[1] for match in map(LAYER.fullmatch, tensors) if match}
    if sorted(found) != list(range(len(found))) or not 3 <= len(found) <= MOST_CHANNELS + 1:
        numbers = listed([f"L{index}" for index in sorted(found)])
        raise ValueError(f"{path}: has the layers {numbers}; expected L0, L1, L2 and so on up to L14")
    return [found[index] for index in range(len(found))]


def sources_of(config: StyleGAN3Config, names: list[str], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """For each of our tensors where it comes from.

    Args:
        config: the architecture.
        names: of the layers, as from ``layer_names``.
        tensors: all parameters and buffers.
    """
    sources: dict[str, str | Taken | Tensor] = mapping_sources(config, tensors)
    own = ("weight", "affine.weight", "affine.bias")
    for part in (*own, "freqs", "phases", "transform"):
        sources[f"{INPUT}.{part}"] = f"{INPUT}.{part}"
    for index, name in enumerate(names):
        is_rgb = index == len(names) - 1
        ours = "synthesis.rgb" if is_rgb else f"synthesis.convs.{index}"
        for part in (*own, "bias", "magnitude_ema", *(() if is_rgb else ("up_filter", "down_filter"))):
            sources[f"{ours}.{part}"] = f"synthesis.{name}.{part}"
    return sources


def check_settings(
    settings: Settings, config: StyleGAN3Config, names: list[str], tensors: Mapping[str, Tensor]
) -> None:
    """Raises ValueError for a module whose attributes make it another layer than ours; as for StyleGAN2."""
    checks = Checks(settings, config, tensors)
    checks.mapping()
    signals, depth = config.signals, len(config.channels)
    shape = {"img_resolution": config.resolution, "img_channels": config.image_channels}
    settings.expect("synthesis", num_layers=depth, **shape)
    settings.expect(
        INPUT, size=[signals[0].size] * 2, sampling_rate=signals[0].rate, bandwidth=signals[0].cutoff,
        channels=signals[0].channels,
    )  # fmt: skip
    checks.linear(f"{INPUT}.affine")
    for index, name in enumerate(names):
        before, after, is_rgb = signals[max(0, index - 1)], signals[index], index == depth
        resampling = Resampling(1, 1, (0, 0, 0, 0)) if is_rgb else config.resampling(index)
        settings.expect(
            f"synthesis.{name}", is_torgb=is_rgb, conv_kernel=1 if is_rgb else config.kernel,
            in_channels=before.channels, out_channels=after.channels, in_size=[before.size] * 2,
            out_size=[after.size] * 2, in_sampling_rate=before.rate, out_sampling_rate=after.rate,
            up_factor=resampling.up, down_factor=resampling.down, padding=list(resampling.padding),
            conv_clamp=config.conv_clamp,
        )  # fmt: skip
        checks.linear(f"synthesis.{name}.affine")


def _first_stopband(settings: Settings) -> float:
    """What the network was made with: no attribute says it, where sampling rates are rounded up."""
    given = settings.modules.get("synthesis", {}).get("_init_kwargs")
    value = given.get("first_stopband", FIRST_STOPBAND) if isinstance(given, Mapping) else FIRST_STOPBAND
    return settings.number_of("synthesis", "first_stopband", value)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6

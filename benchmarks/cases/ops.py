"""Each op at the shapes of real generators: its reference and its kernels, both checked against float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.cases.case import Backend, Case, Result
from benchmarks.cases.passes import block_end, fused_epilogue, modulate
from benchmarks.cases.shapes import Conv, Filtered, Rgb, biggan, stylegan2, stylegan3, widths
from benchmarks.roofline import Work
from higan_fast.generators.prepared import WeightCache
from higan_fast.ops import (
    StylePart,
    adain,
    bias_act,
    conditional_batch_norm_act,
    filtered_lrelu,
    image_to_input,
    layer_styles,
    modulated_conv2d,
    perturb_styles,
    setup_filter,
    to_rgb,
    upfirdn2d,
)

BATCH = {"cpu": 8, "cuda": 32}
CHANNEL_BASES = {"cpu": (16384,), "cuda": (16384, 32768)}
DTYPES = {"cpu": ("float32", "bfloat16"), "cuda": ("float16", "bfloat16")}
# dtype of the exact results: far more precise than what is timed, and not too slow.
EXACT = {"cpu": torch.float64, "cuda": torch.float32}

# Half the distance between neighbouring numbers, relative to their size.
ROUNDING = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
# A kernel computes in float32 and rounds once. A modulated convolution rounds three times (its input, its
# result, and the result after the tail), each followed by a gain of up to √2. The reference rounds after each
# of its passes, up to ten times.
ONE_PASS, CONVOLUTION, REFERENCE = 1.01, 4, 12
# Sums of up to 4608 products, in float32, in an order that differs.
FLOAT32_SUMS = 128 * 2.0**-24
REASON = "roundings to the dtype, and float32 sums in another order"


def tolerance(dtype: str, roundings: float) -> float:
    """Returns the allowed error of a result, as a share of the largest magnitude."""
    return roundings * ROUNDING[dtype] + FLOAT32_SUMS


class Maker:
    """Draws tensors and builds cases from them, on one device and in one dtype."""

    def __init__(self, device: str, dtype: str) -> None:
        self.device, self.dtype = device, dtype
        self.random = torch.Generator(device).manual_seed(0)

    def draw(self, *shape: int) -> Tensor:
        """Draws styles, biases or noise, which are float32 whatever the dtype of the features."""
        return torch.randn(shape, generator=self.random, device=self.device)

    def image(self, *shape: int) -> Tensor:
        """Features, channels-last as generators keep them."""
        values = self.draw(*shape).to(getattr(torch, self.dtype))
        return values.contiguous(memory_format=torch.channels_last)

    def case(
        self,
        op: Callable[..., Result],
        shape: str,
        tensors: Mapping[str, Tensor | None],
        options: Mapping[str, Any] | None = None,
        flop: int = 0,
        roundings: float = ONE_PASS,
        reference_roundings: float = REFERENCE,
        natives: Mapping[str, dict[str, Any]] | None = None,
    ) -> Case:
        """Builds a case of one op on given tensors.

        Args:
            op: a public op, or a function with an op's signature.
            shape: description of the size, for the case's name.
            tensors, options: arguments of the op.
            flop: FLOP of its products.
            roundings, reference_roundings: number of roundings in the native result and in the reference's.
            natives: name → options of each native backend; None: a single one, without options.
        """
        options = options or {}

        def run(impl: str, **more: Any) -> Callable[[], Result]:
            return torch.inference_mode()(lambda: op(**tensors, **options, **more, impl=impl))

        @torch.inference_mode()
        def exact() -> Result:
            raised = {name: None if x is None else x.to(EXACT[self.device]) for name, x in tensors.items()}
            return op(**raised, **options, impl="reference")

        work = (Work(_bytes(tensors.values()) + _bytes(_results(run("reference")())), flop),)
        allowed = [tolerance(self.dtype, number) for number in (reference_roundings, roundings)]
        backends = [
            Backend("reference", run("reference"), self.dtype, allowed[0], work),
            *(
                Backend(name, run("native", **more), self.dtype, allowed[1], work)
                for name, more in (natives or {"native": {}}).items()
            ),
        ]
        return Case(f"{op.__name__} {shape}", tuple(backends), REASON, exact=exact)


def _results(result: Result) -> list[Tensor | None]:
    return [result] if isinstance(result, Tensor) else list(result)


def _bytes(tensors: Any) -> int:
    """Returns the memory that these tensors occupy; broadcast dimensions count once."""
    return sum(x.untyped_storage().nbytes() for x in tensors if x is not None)


def op_cases(
    device: str, quick: bool = False, batch: int | None = None, resolution: int = 256
) -> Iterator[Case]:
    """Yields all cases, dtype by dtype; each allocates its tensors only when it is reached.

    ``quick``: one dtype, one network, and a low, a middle and the highest resolution.
    """
    batch = batch or BATCH[device]
    bases, dtypes = CHANNEL_BASES[device], DTYPES[device]
    kept = {8, resolution // 4, resolution} if quick else {4 * 2**power for power in range(9)}
    if quick:
        bases, dtypes = bases[:1], dtypes[:1]
    layers = dict.fromkeys(
        layer for base in bases for layer in stylegan2(widths(base, resolution)) if layer.resolution in kept
    )
    convs = [layer for layer in layers if isinstance(layer, Conv)]
    rgbs = [layer for layer in layers if isinstance(layer, Rgb)]
    for dtype in dtypes:
        make = Maker(device, dtype)
        yield from (convolution(make, layer, batch) for layer in convs)
        high = [layer for layer in convs if layer.resolution >= resolution // 4]
        for num in (batch,) if quick else (batch, 1):
            yield from (tail(make, layer, num) for layer in high)
        yield from (rgb(make, layer, batch) for layer in rgbs)
        yield from (
            end(make, layer, batch, layer.resolution < resolution) for layer in rgbs if layer.resolution > 4
        )
        yield from (modulation(make, layer, batch) for layer in convs if layer.up == 2)
        yield from (activation(make, layer, batch) for layer in convs if layer.up == 1)
        planes = [item for item in widths(bases[0], resolution).items() if item[0] in kept]
        yield from (instance_norm(make, *item, batch) for item in planes)
        blocks = [item for item in biggan() if item[1] * item[2] <= resolution and item[1] in kept]
        yield from (batch_norm(make, *item, batch) for item in blocks)
        yield from (filtered(make, layer, batch) for layer in stylegan3(resolution))
    make = Maker(device, "float32")  # RGB, images and styles are float32 beside features of any dtype
    yield from (skip(make, layer.resolution, batch) for layer in rgbs if layer.resolution > 4)
    yield scorer_input(make, batch, resolution)
    for base in bases:
        yield from (styles_of(make, base, resolution, num) for num in ((batch,) if quick else (batch, 1)))
        yield perturbation(make, base, resolution, batch)


def convolution(make: Maker, layer: Conv, batch: int) -> Case:
    """The op as StyleGAN2 calls it: a block's first convolution modulates its result for the second."""
    before, size = layer.resolution // layer.up, layer.resolution
    prepared = WeightCache().get(
        make.draw(layer.outputs, layer.inputs, 3, 3), getattr(torch, make.dtype), layer.up, before**2
    )
    tensors = {
        "x": make.image(batch, layer.inputs, before, before),
        "weight": prepared.kernel,
        "styles": make.draw(batch, layer.inputs),
        "weight_square": prepared.square,
        "weight_gain": prepared.gain,
        "noise": make.draw(size, size),
        "bias": make.draw(layer.outputs),
    }
    options: dict[str, Any] = {"activation": "lrelu"}
    if layer.up == 2:
        tensors |= {
            "resample_filter": setup_filter().to(make.device),
            "next_styles": make.draw(batch, layer.outputs),
        }
        options |= {"up": 2}
    elif size > 4:
        options |= {"modulated": True}
    natives: dict[str, dict[str, Any]] = {"native": {"convolution": "library"}}
    if make.device == "cuda" and layer.inputs % 8 == 0:
        natives["native, fused"] = {"convolution": "fused"}
    if prepared.points is not None:
        natives["native, winograd"] = {"weight_points": prepared.points}
    name = f"{layer}, batch {batch}"
    flop = layer.flop(batch)
    return make.case(
        modulated_conv2d, name, tensors, options, flop=flop, roundings=CONVOLUTION, natives=natives
    )


def tail(make: Maker, layer: Conv, batch: int) -> Case:
    """Everything after the convolution: the reference's chain of passes, and the kernel that replaces it."""
    size, up = layer.resolution, layer.up == 2
    x = make.image(batch, layer.outputs, size + up, size + up)
    tensors: dict[str, Tensor | None] = {
        "x": x,
        "demod": make.draw(batch, layer.outputs),
        "noise": make.draw(size, size),
        "bias": make.draw(layer.outputs),
        "next_styles": make.draw(batch, layer.outputs) if up else None,
        "resample_filter": setup_filter().to(make.device) if up else None,
    }
    natives: dict[str, dict[str, Any]] = {"native": {}}
    if not up:  # in place, as in the op, repeated calls would change the input
        natives["native"]["out"] = torch.full_like(x, torch.nan)
    return make.case(fused_epilogue, f"{layer}, batch {batch}", tensors, natives=natives)


def rgb(make: Maker, layer: Rgb, batch: int) -> Case:
    size = layer.resolution
    tensors: dict[str, Tensor | None] = {
        "x": make.image(batch, layer.inputs, size, size),
        "weight": make.draw(3, layer.inputs, 1, 1),
        "styles": make.draw(batch, layer.inputs) / layer.inputs**0.5,
        "bias": make.draw(3),
    }
    if size > 4:
        before = make.draw(batch, 3, size // 2, size // 2)
        tensors["rgb"] = before.contiguous(memory_format=torch.channels_last)
        tensors["resample_filter"] = setup_filter().to(make.device)
    return make.case(to_rgb, f"{layer}, batch {batch}", tensors, flop=layer.flop(batch))


def end(make: Maker, layer: Rgb, batch: int, keep: bool) -> Case:
    """What follows a block's last convolution: the kernel for all of it, and one kernel for each step."""
    size, channels = layer.resolution, layer.inputs
    x = make.image(batch, channels, size, size)
    tensors: dict[str, Tensor | None] = {
        "x": x,
        "demod": make.draw(batch, channels),
        "noise": make.draw(size, size),
        "bias": make.draw(channels),
        "next_styles": make.draw(batch, channels) if keep else None,
        "weight": make.draw(3, channels, 1, 1),
        "styles": make.draw(batch, channels) / channels**0.5,
        "rgb": make.draw(batch, 3, size // 2, size // 2).contiguous(memory_format=torch.channels_last),
        "resample_filter": setup_filter().to(make.device),
    }
    out = torch.full_like(x, torch.nan)
    natives = {"native": {"out": out}, "native, step by step": {"out": out, "at_once": False}}
    shape = f"{layer}, batch {batch}{'' if keep else ', last'}"
    return make.case(
        block_end, shape, tensors, flop=layer.flop(batch), roundings=CONVOLUTION, natives=natives
    )


def modulation(make: Maker, layer: Conv, batch: int) -> Case:
    size = layer.resolution // 2
    tensors = {
        "x": make.image(batch, layer.inputs, size, size),
        "styles": make.draw(batch, layer.inputs),
    }
    return make.case(modulate, f"{size}² ×{layer.inputs}, batch {batch}", tensors)


def activation(make: Maker, layer: Conv, batch: int) -> Case:
    size = layer.resolution
    tensors = {"x": make.image(batch, layer.outputs, size, size), "bias": make.draw(layer.outputs)}
    return make.case(bias_act, f"{size}² ×{layer.outputs}, batch {batch}", tensors, {"activation": "lrelu"})


def instance_norm(make: Maker, size: int, channels: int, batch: int) -> Case:
    tensors = {
        "x": make.image(batch, channels, size, size),
        "scale": make.draw(batch, channels),
        "shift": make.draw(batch, channels),
        "noise": make.draw(1, 1, size, size),
        "strength": make.draw(channels),
        "bias": make.draw(channels),
    }
    return make.case(adain, f"{size}² ×{channels}, batch {batch}", tensors)


def batch_norm(make: Maker, channels: int, size: int, up: int, batch: int) -> Case:
    tensors = {
        "x": make.image(batch, channels, size, size),
        "mean": make.draw(channels),
        "variance": make.draw(channels).square() + 0.1,
        "scale": make.draw(batch, channels),
        "shift": make.draw(batch, channels),
    }
    shape = f"{size * up}² ×{channels}{' up' if up == 2 else ''}, batch {batch}"
    return make.case(conditional_batch_norm_act, shape, tensors, {"up": up})


def scorer_input(make: Maker, batch: int, size: int) -> Case:
    """Generated images → the input of a Places365 network."""
    target = size * 7 // 8
    options: dict[str, Any] = {"size": target, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    tensors: dict[str, Tensor | None] = {"images": make.image(batch, 3, size, size)}
    # torch computes the weights from float32 positions up to ``size``; dividing by std enlarges that error
    torchs = size / min(options["std"])
    shape = f"{size}²→{target}², batch {batch}"
    return make.case(image_to_input, shape, tensors, options, reference_roundings=torchs)


def filtered(make: Maker, layer: Filtered, batch: int) -> Case:
    """The leaky ReLU between two filters of a layer of StyleGAN3; filters of any values do."""
    taps = 6 * layer.up
    total = (layer.size - 1) * 2 + 12 - layer.before * layer.up + taps - 1
    tensors = {
        "x": make.image(batch, layer.channels, layer.before, layer.before),
        "up_filter": make.draw(taps) / taps**0.5,
        "down_filter": make.draw(12, 12) / 12 if layer.radial else make.draw(12) / 12**0.5,
        "bias": make.draw(layer.channels),
    }
    padding = [(total + layer.up) // 2, total - (total + layer.up) // 2] * 2
    options = {"up": layer.up, "down": 2, "padding": padding, "clamp": 256.0}
    return make.case(filtered_lrelu, f"{layer}, batch {batch}", tensors, options, flop=layer.flop(batch))


def skip(make: Maker, size: int, batch: int) -> Case:
    """The upsampling of the previous block's RGB."""
    tensors = {
        "x": make.image(batch, 3, size // 2, size // 2),
        "filter": setup_filter().to(make.device),
    }
    options = {"up": 2, "padding": [2, 1, 2, 1], "gain": 4.0}
    return make.case(upfirdn2d, f"{size // 2}²→{size}² ×3, batch {batch}", tensors, options)


def style_parts(base: int, resolution: int) -> list[StylePart]:
    """The styles of a whole StyleGAN2: a block's RGB layer reads the code of the convolution after it."""
    parts, conv = [], 0
    for layer in stylegan2(widths(base, resolution)):
        is_conv = isinstance(layer, Conv)
        parts.append(StylePart(conv, layer.inputs, layer.outputs if isinstance(layer, Conv) else 0))
        conv += is_conv
    return parts


def demodulated_by(make: Maker, parts: list[StylePart]) -> dict[str, Tensor]:
    return {
        "weight_square": make.draw(sum(part.channels * part.outputs for part in parts)).square(),
        "gain": make.draw(sum(part.outputs for part in parts)),
    }


def styles_of(make: Maker, base: int, resolution: int, batch: int) -> Case:
    """The styles and demodulation factors of all layers, as float16 features need them."""
    parts = style_parts(base, resolution)
    depth, channels = min(512, 2 * resolution), sum(part.channels for part in parts)
    tensors = {
        "codes": make.draw(batch, 1 + max(part.code for part in parts), depth),
        "weight": make.draw(channels, depth),
        "bias": make.draw(channels),
        **demodulated_by(make, parts),
    }
    shape = f"{resolution}² of base {base}, batch {batch}"
    flop = 2 * batch * (channels * depth + len(tensors["weight_square"]))
    return make.case(layer_styles, shape, tensors, {"parts": parts, "normalize": True}, flop=flop)


def perturbation(make: Maker, base: int, resolution: int, batch: int) -> Case:
    """The same for a list of perturbations of 8 samples along 100 directions."""
    parts = style_parts(base, resolution)
    channels = sum(part.channels for part in parts)
    tensors = {
        "base": make.draw(8, channels),
        "directions": make.draw(100, channels),
        "steps": make.draw(batch),
        **demodulated_by(make, parts),
    }
    entry = torch.arange(batch, device=make.device)
    options = {"source": entry % 8, "direction": entry * 7 % 100, "parts": parts, "normalize": True}
    shape = f"{resolution}² of base {base}, list of {batch}"
    flop = 2 * batch * (channels + len(tensors["weight_square"]))
    return make.case(perturb_styles, shape, tensors, options, flop=flop)

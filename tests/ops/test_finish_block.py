"""The end of a block in one kernel, beside the ops that it replaces."""

import math
from itertools import product

import pytest
import torch

from higan_fast import _native
from higan_fast.ops import bias_act, finish_block, modulated_conv2d, setup_filter, to_rgb
from higan_fast.ops.bias_act import tail_numbers
from higan_fast.ops.modulated_conv2d import normalize_styles, normalize_weight
from tests.ops.calls import arranged
from tests.ops.implementations import KERNELS
from tests.tolerances import SINGLE_PASS, assert_near


def tensors(outputs=24, size=(6, 8)):
    torch.manual_seed(0)
    shapes = {
        "x": (2, 16, *size), "weight": (outputs, 16, 3, 3), "demod": (2, outputs),
        "rgb_weight": (3, outputs, 1, 1), "rgb_styles": (2, outputs), "bias": (outputs,), "noise": size,
        "next_styles": (2, outputs), "rgb_bias": (3,), "rgb": (2, 3, size[0] // 2, size[1] // 2),
    }  # fmt: skip
    return {name: torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()}


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("styled", [True, False])
def test_equals_the_ops_one_after_another(styled, keep):
    given, tail = tensors(), {"activation": "lrelu", "clamp": 2.0}
    styles = torch.randn(2, 16, dtype=torch.float64)
    y = modulated_conv2d(
        given["x"], given["weight"], styles, modulated=not styled, demod=given["demod"],
        noise=given["noise"], bias=given["bias"], **tail,
    )  # fmt: skip
    taps = setup_filter()
    image = to_rgb(
        y, given["rgb_weight"], given["rgb_styles"], bias=given["rgb_bias"], rgb=given["rgb"],
        resample_filter=taps, clamp=1.5,
    )  # fmt: skip
    features, found = finish_block(
        **given, **tail, styles=styles if styled else None, resample_filter=taps, rgb_clamp=1.5, keep=keep
    )
    torch.testing.assert_close(found, image, atol=1e-12, rtol=1e-12)
    if keep:
        expected = y * given["next_styles"][:, :, None, None]
        torch.testing.assert_close(features, expected, atol=1e-12, rtol=1e-12)
    else:
        assert features is None


@pytest.mark.parametrize("implementation", KERNELS, ids=lambda kernel: kernel.name)
def test_normalised_weights_and_styles_keep_half_precision_in_range(implementation):
    """Products of the raw values would overflow; ``demod`` undoes both normalisations."""
    given = tensors()
    styles = torch.randn(2, 16, dtype=torch.float64) * 3000
    weight, weight_gain = normalize_weight(given["weight"] * 100)
    small_styles, styles_gain = normalize_styles(styles)
    given |= {"weight": weight, "demod": given["demod"] * (weight_gain * styles_gain / 1e6)}
    exact = finish_block(**given, styles=small_styles, resample_filter=setup_filter())
    there = implementation.device
    halves = {
        name: tensor.to(there, torch.float16 if name in ("x", "weight") else torch.float32)
        for name, tensor in (given | {"styles": small_styles}).items()
    }
    with implementation.active():
        found = finish_block(**halves, resample_filter=setup_filter().to(there), impl="native")
    for value, wanted in zip(found, exact, strict=True):
        assert_near(value, wanted, torch.float16, 8)  # x and weight are rounded too


# Channels, rows, columns, and rows of the RGB before: several vectors for each lane; pixels that no run
# divides; a single pixel; channels that no vector divides; the RGB at both sizes, or none.
SIZES = [(264, 6, 10, 3), (64, 9, 21, 9), (8, 1, 1, 0), (13, 4, 6, 2), (32, 2, 70, 1)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("implementation", KERNELS, ids=lambda kernel: kernel.name)
def test_the_kernel_in_every_size_layout_and_dtype(implementation, size):
    channels, height, width, rgb_height = size
    torch.manual_seed(0)
    demod, styles, next_styles = (torch.randn(2, channels) for _ in range(3))
    noise, bias, weight = torch.randn(2, 1, height, width), torch.randn(channels), torch.randn(3, channels)
    weight, rgb_bias = weight / channels**0.5, torch.randn(3)
    rgb = torch.randn(2, 3, rgb_height, width * rgb_height // height) if rgb_height else None
    there, taps = implementation.device, setup_filter()
    numbers = ("lrelu", None, None, 2.0)
    for dtype, layout, keep in product(
        (torch.float32, torch.float16, torch.bfloat16), ("channels_last", "contiguous"), (True, False)
    ):
        x = torch.randn(2, channels, height, width).to(dtype)
        y = x.double() * demod[:, :, None, None] + noise
        y = bias_act(y, bias.double(), activation="lrelu", clamp=2.0)
        image = to_rgb(
            y, weight[:, :, None, None].double(), styles.double(), bias=rgb_bias.double(),
            rgb=None if rgb is None else rgb.double(), resample_filter=taps.double(), clamp=2.5,
        )  # fmt: skip
        features = arranged(x.to(there), layout)
        found = arranged(torch.full((2, 3, height, width), math.nan, device=there), layout)
        half = rgb is not None and rgb_height < height
        on_device = [
            None if tensor is None else tensor.to(there)
            for tensor in (weight, styles, rgb_bias, rgb, taps if half else None)
        ]
        with implementation.active():
            _native.launch(
                "finish_block", features.device, features, demod.to(there), noise.to(there), bias.to(there),
                next_styles.to(there), *tail_numbers(*numbers), features, keep, *on_device, 2.5, found,
            )  # fmt: skip
        # step by step, the RGB is made of features that have been rounded
        assert_near(found, image, dtype, 4)
        if keep:
            assert_near(features, y * next_styles[:, :, None, None], dtype, 2 * SINGLE_PASS)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x": torch.zeros(2, 4, 4, 6)}, "x, weight: got shapes"),
        ({"demod": torch.zeros(2, 3)}, "demod: got shape"),
        ({"rgb_weight": torch.zeros(3, 5, 1, 1)}, "x, weight: got shapes"),
        ({"rgb_styles": torch.zeros(2, 4)}, "styles: got shape"),
        ({"next_styles": torch.zeros(2, 4)}, "next_styles: got shape"),
        ({"styles": torch.zeros(2, 4)}, "styles: got shape"),
        ({"rgb": torch.zeros(2, 3, 2, 2)}, "rgb: got shape"),
        ({"resample_filter": None}, "resample_filter: needed"),
        ({"activation": "gelu"}, "activation: got 'gelu'"),
        ({"convolution": "own"}, "convolution: got 'own'"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        finish_block(**{**tensors(), "resample_filter": setup_filter(), **change})

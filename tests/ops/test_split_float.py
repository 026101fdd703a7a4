"""Our convolution in float32: three TF32 products instead of one of float32, and no larger an error."""

import math
import sys

import pytest
import torch
import torch.nn.functional as F

from higan_fast.ops import convolution_choice, implementation, modulated_conv2d
from tests.ops import tensor_core_sums
from tests.ops.implementations import CUDA, EMULATED, needs_gpu

LARGEST = torch.finfo(torch.float32).max
# The bound that is promised, on the error of plain float32.
TIMES_PLAIN = 2


def layer(channels, size, seed=0):
    """Features after a leaky ReLU and styles around 1, as in StyleGAN2, and a weight."""
    random = torch.Generator().manual_seed(seed)
    x = F.leaky_relu(torch.randn(1, channels, size, size, generator=random), 0.2) * math.sqrt(2)
    styles = 1 + torch.randn(1, channels, generator=random) / 2
    weight = torch.randn(channels, channels, 3, 3, generator=random)
    return x * styles[:, :, None, None], weight


def some(channels, size, scale=1.0, positive=False, pixels=12, outputs=16):
    """Patches ``[P, K]`` around some pixels of such a layer, and some rows ``[O, K]`` of its weight."""
    x, weight = layer(channels, size)
    x = (x.abs() if positive else x) * scale
    weight = weight.abs() if positive else weight
    chosen = torch.randperm(size * size, generator=torch.Generator().manual_seed(1))[:pixels]
    return F.unfold(x, 3, padding=1)[0].T[chosen], weight[:outputs].flatten(1)


def fused(x, weight, **options):
    """Nothing but the convolution."""
    styles = torch.ones(x.shape[:2], device=x.device)
    options = {"modulated": True, "demodulate": False, "convolution": "fused", "impl": "native", **options}
    return modulated_conv2d(x, weight, styles, **options)


def errors(found, exact):
    difference = found.double() - exact
    return difference.square().mean().sqrt().item(), difference.abs().max().item()


@pytest.mark.parametrize(
    "arguments",
    [
        {"channels": 512, "size": 16},
        {"channels": 64, "size": 128},
        {"channels": 32, "size": 16},
        {"channels": 512, "size": 8, "positive": True},  # what is cut off has one sign
        {"channels": 64, "size": 16, "scale": 1e33},
        {"channels": 64, "size": 16, "scale": 1e-30},
    ],
    ids=str,
)
def test_the_error_is_at_most_twice_that_of_float32(arguments):
    rows, columns = some(**arguments)
    exact = rows.double() @ columns.double().T
    plain = errors(tensor_core_sums.fused_multiply_adds(rows, columns), exact)
    found = errors(tensor_core_sums.product(rows, columns, taps=9), exact)
    for ours, theirs in zip(found, plain, strict=True):
        assert ours <= TIMES_PLAIN * theirs


def test_sums_in_the_tensor_core_alone_would_err_more():
    """Why parts of the sum leave it: cut off again and again, they err by many times as much."""
    rows, columns = some(64, 16, positive=True, pixels=4, outputs=8)
    exact = rows.double() @ columns.double().T
    plain, _ = errors(tensor_core_sums.fused_multiply_adds(rows, columns), exact)
    (row, rest), (column, remainder) = tensor_core_sums.split(rows), tensor_core_sums.split(columns)
    sums = torch.zeros(len(rows), len(columns), dtype=torch.float64)
    for step in range(0, rows.shape[1], 4):
        part = slice(step, step + 4)
        for a, b in ((rest, column), (row, remainder), (row, column)):
            sums = tensor_core_sums.cut_sum(sums, a[:, None, part] * b[None, :, part])
    alone, _ = errors(sums, exact)
    assert alone > 10 * plain


@pytest.mark.parametrize("inputs, outputs, size", [(24, 20, (5, 6)), (16, 8, (9, 1)), (8, 70, (3, 23))])
def test_the_kernel_computes_just_that(inputs, outputs, size):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, inputs, *size, generator=random)
    weight = torch.randn(outputs, inputs, 3, 3, generator=random)
    with EMULATED.active():
        found = fused(x, weight)
    assert torch.equal(found, tensor_core_sums.convolve(x, weight))


def test_numbers_without_a_normal_size():
    """Through a weight that copies: zeros, the least and largest numbers, infinities, NaN of two kinds."""
    nan = torch.tensor([0x7FFFFFFF, 0x7F800001], dtype=torch.int32).view(torch.float32).tolist()
    values = [0.0, -0.0, 1e-45, -1e-40, 1.2e-38, 1e-36, LARGEST, -LARGEST, 3.4e38, math.inf, -math.inf, *nan]
    x = torch.tensor(values)[None, None, None].repeat(1, 8, 1, 1)
    with EMULATED.active():
        found = fused(x, torch.eye(8, 8)[:, :, None, None] * torch.tensor(0.5))
    x = x[:, 0]
    expected = torch.where(
        x.isinf(), torch.nan, x * 0.5
    )  # for infinity is multiplied by other channels' zeros
    finite = expected.isfinite()
    # the small part keeps eleven bits, above 2^-137
    off = (found[:, :1] - expected).abs()[finite.expand(1, 1, 1, -1)]
    assert (off <= expected.abs()[finite] * 2.0**-22 + 2.0**-137).all()
    assert (found.isfinite() == finite).all()


@pytest.mark.parametrize("special", [math.inf, -math.inf, math.nan, LARGEST])
@pytest.mark.parametrize("where", ["x", "weight"])
def test_infinities_and_nan_pass_as_in_float32(special, where):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(1, 8, 4, 4, generator=random) + 4  # no zero; in weight, some have no small part
    weight = torch.randn(8, 8, 3, 3, generator=random).half().float() * 3
    {"x": x, "weight": weight}[where][0, 3, 1, 1] = special
    with EMULATED.active():
        found = fused(x, weight)
    expected = F.conv2d(x, weight, padding=1)
    assert torch.equal(found.isnan(), expected.isnan())
    if abs(special) != LARGEST:  # a sum that overflows on its way may do so elsewhere
        assert torch.equal(found.nan_to_num(0).sign(), expected.nan_to_num(0).sign())
        assert torch.equal(found.isinf(), expected.isinf())


def test_where_it_cannot_run_it_says_so(monkeypatch):
    x, weight = torch.ones(1, 8, 4, 4), torch.ones(8, 8, 3, 3)
    with pytest.raises(RuntimeError, match="convolution='fused' cannot run: it needs CUDA"):
        fused(x, weight)
    monkeypatch.setattr(
        implementation, "_disabled", {(implementation.SPLIT, x.device): "its self-test failed"}
    )
    module = sys.modules["higan_fast.ops.modulated_conv2d"]  # whose name in the package is the function's
    monkeypatch.setattr(module, "choose", lambda *layer: "fused")
    with EMULATED.active():
        with pytest.raises(RuntimeError, match="convolution='fused' cannot run: its self-test failed"):
            fused(x, weight)
        with pytest.raises(ValueError, match="a number of channels that is a multiple of 8"):
            fused(torch.ones(1, 4, 4, 4).half(), torch.ones(8, 4, 3, 3))
        chosen = fused(x, weight, convolution="auto")
    assert chosen[0, 0, 1, 1] == 72


@pytest.mark.parametrize("allowed", [False, True])
def test_tf32_stays_as_it_was(allowed):
    """It needs no flag of torch's, and changes none for others."""
    x, weight = torch.ones(1, 8, 4, 4), torch.ones(8, 8, 3, 3)
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [flag.allow_tf32 for flag in flags]
    try:
        for flag in flags:
            flag.allow_tf32 = allowed
        with EMULATED.active():
            fused(x, weight)
        assert [flag.allow_tf32 for flag in flags] == [allowed, allowed]
    finally:
        for flag, value in zip(flags, before, strict=True):
            flag.allow_tf32 = value


@pytest.mark.parametrize("channels, size", [(512, 16), (64, 128)])
@pytest.mark.parametrize("device", [pytest.param(CUDA.device, marks=needs_gpu)])
def test_on_a_gpu_the_error_is_at_most_twice_that_of_the_library(channels, size, device):
    torch.backends.cudnn.allow_tf32 = False
    x, weight = (tensor.to(device) for tensor in layer(channels, size))
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    library, ours = (errors(fused(x, weight, convolution=name), exact) for name in ("library", "fused"))
    print(f"{channels} channels: library {library}, ours {ours}, {convolution_choice.describe(x.device)}")
    for found, plain in zip(ours, library, strict=True):
        assert found <= TIMES_PLAIN * plain

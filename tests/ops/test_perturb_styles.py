import pytest
import torch

from higan_fast.ops import StylePart, layer_styles, perturb_styles
from higan_fast.ops.modulated_conv2d import modulated_conv2d, square_weight
from tests.ops.implementations import EMULATED, NATIVE

PARTS = [StylePart(0, 5, 4), StylePart(1, 5, 0), StylePart(1, 3, 6)]
KERNELS = pytest.mark.parametrize("kernels", [NATIVE, EMULATED], ids=lambda kernels: kernels.name)


def tensors(num=2, directions=4, entries=9, parts=PARTS):
    """Base, directions, source, direction, steps, and the weights of the convolutions."""
    torch.manual_seed(0)
    channels = sum(part.channels for part in parts)
    base, along, steps = (
        torch.randn(shape, dtype=torch.float64)
        for shape in ((num, channels), (directions, channels), entries)
    )
    source, direction = torch.randint(num, (entries,)), torch.randint(directions, (entries,))
    convolutions = [torch.randn(part.outputs, part.channels, 3, 3).double() for part in parts if part.outputs]
    return base, along, source, direction, steps, convolutions


def squares(convolutions):
    return torch.cat([square_weight(weight).flatten() for weight in convolutions])


@pytest.mark.parametrize("normalize", [False, True])
def test_equals_the_weights_of_each_perturbed_sample(normalize):
    *given, convolutions = tensors()
    base, directions, source, direction, steps = given
    gain = torch.rand(10).double() + 1
    styles, demod = perturb_styles(
        *given, PARTS, weight_square=squares(convolutions), gain=gain, normalize=normalize
    )
    assert styles.shape == (9, 13) and demod.shape == (9, 10)
    for k in range(9):
        of_parts = (base[source[k]] + steps[k] * directions[direction[k]]).split([5, 5, 3])
        factors, of_modulated = [], []
        for part, style, found in zip(PARTS, of_parts, styles[k].split([5, 5, 3]), strict=True):
            style = style / style.abs().max() if normalize and part.outputs else style
            torch.testing.assert_close(found, style, atol=1e-13, rtol=1e-13)
            of_modulated += [style] if part.outputs else []
        for convolution, style in zip(convolutions, of_modulated, strict=True):
            own = convolution * style[None, :, None, None]
            factors.append(1 / (own.square().sum([1, 2, 3]) + 1e-8).sqrt())  # as the paper demodulates
        torch.testing.assert_close(demod[k], torch.cat(factors) * gain, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("normalize", [False, True])
@KERNELS
def test_equals_the_styles_of_moved_codes(kernels, normalize):
    """What ``layer_styles`` makes of codes that moved at one layer."""
    torch.manual_seed(0)
    codes, weight, bias = torch.randn(3, 2, 8), torch.randn(13, 8), torch.randn(13)
    boundary, steps = torch.randn(8), torch.tensor([-2.0, 0.0, 1.5, 3.0])
    source = torch.tensor([2, 0, 2, 1])
    *_, convolutions = tensors()
    options = {"weight_square": squares(convolutions).float(), "normalize": normalize}
    base, _ = layer_styles(codes, weight, bias, PARTS, weight_square=options["weight_square"])
    direction = torch.cat([torch.zeros(5), weight[5:] @ boundary])[None]  # layer 1 moves, layer 0 does not
    moved = codes[source].clone()
    moved[:, 1] += steps[:, None] * boundary
    expected = layer_styles(moved, weight, bias, PARTS, **options)
    with kernels.active():
        found = perturb_styles(
            base, direction, source, torch.zeros(4, dtype=torch.int64), steps, PARTS, impl="native", **options
        )
    for value, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(value, wanted, atol=1e-5, rtol=1e-5)


def test_a_convolution_takes_what_it_returns():
    *given, convolutions = tensors(parts=PARTS[:1])
    styles, demod = perturb_styles(*given, PARTS[:1], weight_square=squares(convolutions))
    x = torch.randn(9, 5, 4, 6).double()
    found = modulated_conv2d(x, convolutions[0], styles, demod=demod)
    torch.testing.assert_close(found, modulated_conv2d(x, convolutions[0], styles), atol=1e-12, rtol=1e-12)


def test_without_outputs_there_is_no_demodulation():
    base, directions, source, direction, steps, _ = tensors()
    styles, demod = perturb_styles(base, directions, source, direction, steps * 0, [StylePart(0, 13, 0)])
    assert demod is None
    assert torch.equal(styles, base[source])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@KERNELS
def test_16_bits_are_rounded_once(kernels, dtype):
    *given, convolutions = tensors()
    floats = [x.to(dtype) if x.is_floating_point() else x for x in given]
    square, gain = squares(convolutions).to(dtype), torch.rand(10).to(dtype)
    exact = perturb_styles(
        *[x.double() if x.is_floating_point() else x for x in floats], PARTS, weight_square=square.double(),
        gain=gain.double(), normalize=True,
    )  # fmt: skip
    with kernels.active():
        found = perturb_styles(*floats, PARTS, weight_square=square, gain=gain, normalize=True, impl="native")
    for value, wanted in zip(found, exact, strict=True):
        assert value.dtype == dtype
        allowed = torch.finfo(dtype).eps / 2 * 1.01
        torch.testing.assert_close(value.double(), wanted, rtol=allowed, atol=1e-7)


@KERNELS
def test_rows_that_are_not_neighbours(kernels):
    *given, convolutions = tensors()
    base, directions, source, direction, steps = (x.float() if x.is_floating_point() else x for x in given)
    square = squares(convolutions).float()
    expected = perturb_styles(base, directions, source, direction, steps, PARTS, weight_square=square)
    apart = [x.T.contiguous().T for x in (base, directions)]
    every_second = [x.repeat_interleave(2)[::2] for x in (source, direction, steps)]
    with kernels.active():
        found = perturb_styles(*apart, *every_second, PARTS, weight_square=square, impl="native")
    for value, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(value, wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("impl", ["reference", "native"])
def test_an_empty_list(impl):
    *given, convolutions = tensors(entries=0)
    for kernels in (NATIVE, EMULATED) if impl == "native" else (NATIVE,):
        numbers = [x.float() if x.is_floating_point() else x for x in given]
        with kernels.active():
            styles, demod = perturb_styles(
                *numbers, PARTS, weight_square=squares(convolutions).float(), normalize=True, impl=impl
            )
        assert styles.shape == (0, 13) and demod.shape == (0, 10)


def test_an_index_out_of_range_never_reads_other_memory():
    """CUDA's kernels see indices that nobody has checked; those of the CPU refuse them."""
    *given, convolutions = tensors()
    base, directions, source, direction, steps = (x.float() if x.is_floating_point() else x for x in given)
    square = squares(convolutions).float()
    source[3], direction[5] = 2, -1
    flat = [number for part in PARTS for number in part]
    args = base, directions, source, direction, steps, flat, square, None, True, 1e-8
    with EMULATED.active():
        results = torch.ops.higan_fast.perturb_styles(*args)
    for found in results:
        assert found.isnan().all(1).tolist() == [k in (3, 5) for k in range(9)]
        assert found.isnan().any(1).tolist() == [k in (3, 5) for k in range(9)]
    with pytest.raises(ValueError, match="source: got 2, expected indices of rows that there are"):
        torch.ops.higan_fast.perturb_styles(*args)


def test_gradients():
    base, directions, source, direction, steps, convolutions = tensors(2, 2, 3)
    given = [tensor.requires_grad_() for tensor in (base, directions, steps, *convolutions)]

    def op(base, directions, steps, *convolutions):
        return perturb_styles(
            base,
            directions,
            source,
            direction,
            steps,
            PARTS,
            weight_square=squares(convolutions),
            normalize=True,
        )

    assert torch.autograd.gradcheck(op, given)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"base": torch.zeros(2, 12).double()}, r"base: got shape \(2, 12\), expected \[N, 13\]"),
        ({"directions": torch.zeros(4, 5).double()}, r"directions: got shape \(4, 5\), expected \(4, 13\)"),
        ({"directions": torch.zeros(4, 13)}, "directions: got torch.float32, expected base's torch.float64"),
        ({"steps": torch.zeros(9, 1).double()}, r"steps: got shape \(9, 1\), expected \[n\]"),
        ({"source": torch.zeros(8, dtype=torch.int64)}, r"source: got torch.int64 of shape \(8,\), expected"),
        ({"source": torch.zeros(9, dtype=torch.int32)}, "source: got torch.int32 of shape .* torch.int64"),
        ({"source": torch.full((9,), 2)}, "source: got 2, expected rows that there are, 0 to 1"),
        ({"direction": torch.full((9,), -1)}, "direction: got -1, expected rows that there are, 0 to 3"),
        ({"weight_square": None}, "weight_square: got None, and 10 outputs need it"),
        ({"gain": torch.zeros(13).double()}, r"gain: got shape \(13,\), expected \(10,\)"),
        ({"parts": []}, "parts: got 0, expected 1 to 64"),
        ({"impl": "cuda"}, "impl: got 'cuda'"),
    ],
)
def test_bad_input_is_named(change, message):
    *given, convolutions = tensors()
    names = ["base", "directions", "source", "direction", "steps"]
    good = {**dict(zip(names, given, strict=True)), "parts": PARTS, "weight_square": squares(convolutions)}
    with pytest.raises(ValueError, match=message):
        perturb_styles(**{**good, **change})

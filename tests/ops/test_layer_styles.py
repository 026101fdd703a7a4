import pytest
import torch

from higan_fast.ops import StylePart, layer_styles
from higan_fast.ops.modulated_conv2d import square_weight
from tests.ops.implementations import EMULATED

PARTS = [StylePart(0, 5, 4), StylePart(1, 5, 0), StylePart(1, 3, 6)]


def tensors(num=3, parts=PARTS):
    """Codes, weight, bias, and the weights of the convolutions."""
    torch.manual_seed(0)
    channels = sum(part.channels for part in parts)
    shapes = [(num, 2, 8), (channels, 8), (channels,)]
    convolutions = [torch.randn(part.outputs, part.channels, 3, 3).double() for part in parts if part.outputs]
    return *[torch.randn(shape, dtype=torch.float64) for shape in shapes], convolutions


def squares(convolutions):
    return torch.cat([square_weight(weight).flatten() for weight in convolutions])


@pytest.mark.parametrize("normalize", [False, True])
def test_equals_the_weights_of_each_sample(normalize):
    codes, weight, bias, convolutions = tensors()
    gain = torch.rand(10).double() + 1
    styles, demod = layer_styles(
        codes, weight, bias, PARTS, weight_square=squares(convolutions), gain=gain, normalize=normalize
    )
    assert styles.shape == (3, 13) and demod.shape == (3, 10)
    per_layer = styles.split([5, 5, 3], 1)
    for n in range(3):
        for part, rows, found in zip(PARTS, [(0, 5), (5, 10), (10, 13)], per_layer, strict=True):
            own = weight[slice(*rows)] @ codes[n, part.code] + bias[slice(*rows)]
            if normalize and part.outputs:
                own = own / own.abs().max()
            torch.testing.assert_close(found[n], own, atol=1e-13, rtol=1e-13)
        factors = []
        for convolution, style in zip(convolutions, (per_layer[0][n], per_layer[2][n]), strict=True):
            of_sample = convolution * style[None, :, None, None]
            factors.append(1 / (of_sample.square().sum([1, 2, 3]) + 1e-8).sqrt())  # as the paper demodulates
        torch.testing.assert_close(demod[n], torch.cat(factors) * gain, atol=1e-12, rtol=1e-12)


def test_without_outputs_there_is_no_demodulation():
    codes, weight, bias, _ = tensors()
    styles, demod = layer_styles(codes, weight[:5], bias[:5], [StylePart(1, 5, 0)], normalize=True)
    assert demod is None
    torch.testing.assert_close(styles, codes[:, 1] @ weight[:5].T + bias[:5])


def test_the_batch_changes_nothing():
    codes, weight, bias, convolutions = (
        [one.float() for one in part] if isinstance(part, list) else part.float() for part in tensors(40)
    )
    whole = layer_styles(codes, weight, bias, PARTS, weight_square=squares(convolutions))
    for start, stop in ((0, 1), (3, 20), (20, 40)):
        part = layer_styles(codes[start:stop], weight, bias, PARTS, weight_square=squares(convolutions))
        for found, of_whole in zip(part, whole, strict=True):
            torch.testing.assert_close(found, of_whole[start:stop], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kernels", ["cpu", "emulated"])
def test_styles_of_nothing_stay_nothing(kernels):
    """As where a layer's affine is zero: nothing is divided by 0, and the factors are 1 / √ε."""
    codes, weight, bias, convolutions = tensors()
    given = [codes.float(), weight.float() * 0, bias.float() * 0, PARTS]
    options = {"weight_square": squares(convolutions).float(), "normalize": True}
    with EMULATED.active():
        emulated = layer_styles(*given, **options, impl="native")
    styles, demod = emulated if kernels == "emulated" else layer_styles(*given, **options)
    assert styles.abs().max() == 0
    torch.testing.assert_close(demod, torch.full_like(demod, 1e4))


def test_gradients():
    codes, weight, bias, convolutions = tensors(2)
    given = [tensor.requires_grad_() for tensor in (codes, weight, bias, *convolutions)]

    def op(codes, weight, bias, *convolutions):
        return layer_styles(codes, weight, bias, PARTS, weight_square=squares(convolutions), normalize=True)

    assert torch.autograd.gradcheck(op, given)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"codes": torch.zeros(3, 8).double()}, r"codes: got shape \(3, 8\), expected \[N, L, D\]"),
        ({"codes": torch.zeros(3, 1, 8).double()}, r"parts: got \(1, 5, 0\), expected .* a code of 0 to 0"),
        ({"weight": torch.zeros(13, 7).double()}, r"weight: got shape \(13, 7\), expected \(13, 8\)"),
        ({"bias": torch.zeros(12).double()}, r"bias: got shape \(12,\), expected \(13,\)"),
        ({"bias": torch.zeros(13)}, "bias: got torch.float32, expected codes' torch.float64"),
        ({"weight_square": None}, "weight_square: got None, and 10 outputs need it"),
        ({"weight_square": torch.zeros(37).double()}, r"weight_square: got shape \(37,\), expected \(38,\)"),
        ({"gain": torch.zeros(13).double()}, r"gain: got shape \(13,\), expected \(10,\)"),
        ({"parts": []}, "parts: got 0, expected 1 to 64"),
        ({"parts": [StylePart(0, 1, 0)] * 65}, "parts: got 65, expected 1 to 64"),
        ({"parts": [StylePart(0, 0, 1)]}, "at least one channel"),
        ({"impl": "cuda"}, "impl: got 'cuda'"),
    ],
)
def test_bad_input_is_named(change, message):
    codes, weight, bias, convolutions = tensors()
    good = {"codes": codes, "weight": weight, "bias": bias, "parts": PARTS}
    with pytest.raises(ValueError, match=message):
        layer_styles(**{**good, "weight_square": squares(convolutions), **change})

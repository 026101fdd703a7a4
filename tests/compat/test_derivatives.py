"""First and second derivatives, as R1 and path length regularisation take them, through the functions."""

import pytest
import torch
import torch.nn.functional as F

from higan_fast.compat import nvlabs_sg2


class Layer(torch.nn.Module):
    """A layer and its weights; ``swapped`` says whether our functions run, or plain torch with its own."""

    def __init__(self, act, swapped):
        super().__init__()
        torch.manual_seed(0)
        self.affine = torch.nn.Linear(6, 5)
        self.weight, self.bias = (torch.nn.Parameter(torch.randn(shape)) for shape in ((4, 5, 3, 3), (4,)))
        self.register_buffer("filter", nvlabs_sg2.setup_filter([1, 3, 3, 1]))
        self.act, self.swapped = act, swapped

    def forward(self, x, code):
        styles = self.affine(code)
        if self.swapped:
            y = nvlabs_sg2.modulated_conv2d(
                x, self.weight, styles, up=2, padding=1, resample_filter=self.filter, flip_weight=False
            )
            return nvlabs_sg2.bias_act(y, self.bias, act=self.act)
        own = self.weight * styles[:, None, :, None, None]
        own = own * (own.square().sum([2, 3, 4], keepdim=True) + 1e-8).rsqrt()
        y = F.conv_transpose2d(
            x.reshape(1, -1, *x.shape[2:]), own.transpose(1, 2).flatten(0, 1), stride=2, groups=len(x)
        ).unflatten(1, (len(x), -1))[0]
        kernel = (4 * self.filter).expand(4, 1, 4, 4).to(y.dtype)
        y = F.conv2d(F.pad(y, [1] * 4), kernel, groups=4) + self.bias[:, None, None]
        return F.leaky_relu(y, 0.2) * 2**0.5 if self.act == "lrelu" else F.softplus(y)


def derivatives(act, swapped, dtype):
    """The gradient of the mean image, and that of its squared norm: path length regularisation."""
    layer, random = Layer(act, swapped).to(dtype), torch.Generator().manual_seed(1)
    x, code = (
        torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)
        for shape in ((2, 5, 6, 6), (2, 6))
    )
    code.requires_grad_()
    noise = torch.randn(2, 4, 12, 12, generator=random, dtype=torch.float64).to(dtype)
    first = torch.autograd.grad((layer(x, code) * noise).sum(), [code], create_graph=True)[0]
    second = torch.autograd.grad(first.square().sum(), list(layer.parameters()), materialize_grads=True,
                                 allow_unused=True)  # fmt: skip
    return [first.detach(), *second]


# In float32 a leaky ReLU's slope is another on the other side of 0, where rounding may put a value; softplus
# has no such edge.
@pytest.mark.parametrize(
    ("act", "dtype", "tolerance"),
    [("lrelu", torch.float64, 1e-12), ("softplus", torch.float64, 1e-12), ("softplus", torch.float32, 1e-5)],
)
def test_second_derivatives_agree(act, dtype, tolerance):
    for found, exact in zip(derivatives(act, True, dtype), derivatives(act, False, dtype), strict=True):
        assert (found - exact).norm() <= tolerance * exact.norm()

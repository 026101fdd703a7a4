"""As stylegan3 has it: layers of a full convolution, then a leaky ReLU between two filters."""

import types

import torch
import torch.nn.functional as F

from tests.compat.stand_ins.ada import FullyConnectedLayer, upfirdn2d


def _filtered_lrelu(
    x, fu=None, fd=None, b=None, up=1, down=1, padding=0, gain=2**0.5, slope=0.2, clamp=None,
    flip_filter=False, impl="cuda",
):  # fmt: skip
    identity = torch.ones(1, 1)
    fu, fd = (identity if f is None else torch.outer(f, f) for f in (fu, fd))
    x = upfirdn2d.upfirdn2d(x + b[:, None, None], fu, up=up, padding=padding, gain=up * up)
    x = F.leaky_relu(x, slope) * gain
    return upfirdn2d.upfirdn2d(x if clamp is None else x.clamp(-clamp, clamp), fd, down=down)


filtered_lrelu = types.ModuleType("filtered_lrelu")
filtered_lrelu.filtered_lrelu = _filtered_lrelu


def modulated_conv2d(x, w, s, demodulate=True, padding=0, input_gain=None):
    if demodulate:
        w = w * w.square().mean([1, 2, 3], keepdim=True).rsqrt()
        s = s * s.square().mean().rsqrt()
    own = w * s[:, None, :, None, None]
    if demodulate:
        own = own * (own.square().sum([2, 3, 4], keepdim=True) + 1e-8).rsqrt()
    if input_gain is not None:
        own = own * input_gain
    images = [F.conv2d(x[i : i + 1], own[i], padding=padding) for i in range(len(x))]
    return torch.cat(images)


class SynthesisLayer(torch.nn.Module):
    def __init__(self, w_dim, inputs, outputs, in_size, is_torgb=False):
        super().__init__()
        self.is_torgb, self.use_fp16, self.in_channels, self.conv_clamp = is_torgb, True, inputs, 256
        self.in_size, self.conv_kernel = (in_size, in_size), 1 if is_torgb else 3
        self.up_factor, self.down_factor = (1, 1) if is_torgb else (4, 2)
        taps = torch.tensor([1.0, 3, 5, 5, 3, 1]) / 18
        self.register_buffer("up_filter", None if is_torgb else taps)
        self.register_buffer("down_filter", None if is_torgb else taps)
        self.padding = [0] * 4 if is_torgb else [-3, -2, -3, -2]
        self.affine = FullyConnectedLayer(w_dim, inputs, bias_init=1)
        self.weight = torch.nn.Parameter(torch.randn(outputs, inputs, self.conv_kernel, self.conv_kernel))
        self.bias = torch.nn.Parameter(torch.zeros(outputs))
        self.register_buffer("magnitude_ema", torch.tensor(1.7))

    def forward(self, x, w, noise_mode="random", force_fp32=False, update_emas=False):
        if update_emas:
            self.magnitude_ema.copy_(x.square().mean().lerp(self.magnitude_ema, 0.9))
        styles = self.affine(w) * (self.in_channels**-0.5 if self.is_torgb else 1)
        x = modulated_conv2d(
            x=x, w=self.weight, s=styles, padding=self.conv_kernel - 1, demodulate=not self.is_torgb,
            input_gain=self.magnitude_ema.rsqrt(),
        )  # fmt: skip
        return filtered_lrelu.filtered_lrelu(
            x=x, fu=self.up_filter, fd=self.down_filter, b=self.bias,
            up=self.up_factor, down=self.down_factor,
            padding=self.padding, gain=1 if self.is_torgb else 2**0.5, slope=1 if self.is_torgb else 0.2,
            clamp=self.conv_clamp,
        )  # fmt: skip


class SynthesisNetwork(torch.nn.Module):
    def __init__(self, w_dim=12):
        super().__init__()
        self.num_ws, self.output_scale, self.layer_names = 4, 0.25, ["L0", "L1", "L2"]
        self.input = torch.nn.Linear(w_dim, 6)
        self.L0 = SynthesisLayer(w_dim, 6, 5, 8)
        self.L1 = SynthesisLayer(w_dim, 5, 5, 13)
        self.L2 = SynthesisLayer(w_dim, 5, 3, 23, is_torgb=True)

    def forward(self, ws, **layer_kwargs):
        x = self.input(ws[:, 0])[:, :, None, None] * torch.linspace(-1, 1, 64).view(8, 8)
        for name, w in zip(self.layer_names, ws.unbind(1)[1:], strict=True):
            x = getattr(self, name)(x, w, **layer_kwargs)
        return x * self.output_scale

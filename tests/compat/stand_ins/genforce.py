"""As genforce and higan have it: whole layers without functions of their own, weights in two layouts."""

from itertools import pairwise

import torch
import torch.nn.functional as F


class DenseBlock(torch.nn.Module):
    def __init__(self, inputs, outputs, additional_bias=1.0):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(outputs, inputs))
        self.bias = torch.nn.Parameter(torch.zeros(outputs))
        self.wscale, self.additional_bias = inputs**-0.5, additional_bias

    def forward(self, x):
        return F.linear(x, self.weight * self.wscale, self.bias) + self.additional_bias


class UpsamplingLayer(torch.nn.Module):
    def __init__(self, scale_factor=2, extra_padding=0, kernel_gain=2):
        super().__init__()
        self.scale_factor = scale_factor
        taps = torch.tensor([1.0, 3, 3, 1]) / 8 * kernel_gain
        self.register_buffer("kernel", torch.outer(taps, taps)[None, None])
        self.upsample_padding = (0, scale_factor - 1, 0, 0, 0, scale_factor - 1, 0, 0, 0, 0, 0, 0)
        padding = 4 - scale_factor + extra_padding
        self.padding = ((padding + 1) // 2 + scale_factor - 1, padding // 2) * 2

    def forward(self, x):
        num, channels, height, width = x.shape
        factor = self.scale_factor
        zeros = x.new_zeros(num, channels, height * factor, width * factor)
        zeros[:, :, ::factor, ::factor] = x
        x = F.conv2d(F.pad(zeros.view(-1, 1, *zeros.shape[2:]), self.padding), self.kernel)
        return x.view(num, channels, *x.shape[2:])


class ModulateConvBlock(torch.nn.Module):
    """Genforce's."""

    def __init__(self, inputs, outputs, res, w_dim, scale_factor=1, ksize=3, rgb=False):
        super().__init__()
        self.in_c, self.out_c, self.res, self.ksize, self.eps = inputs, outputs, res, ksize, 1e-8
        self.use_conv2d_transpose = scale_factor > 1
        if scale_factor > 1:
            self.filter = UpsamplingLayer(1, scale_factor - ksize)
        self.weight = torch.nn.Parameter(torch.randn(outputs, inputs, ksize, ksize))
        self.wscale, self.bscale = (inputs * ksize**2) ** -0.5, 1.0
        self.style, self.demodulate = DenseBlock(w_dim, inputs), not rgb
        self.bias = torch.nn.Parameter(torch.zeros(outputs))
        self.activate = torch.nn.Identity() if rgb else torch.nn.LeakyReLU(0.2, inplace=True)
        self.activate_scale, self.add_noise, self.noise_type = 1.0 if rgb else 2**0.5, not rgb, "spatial"
        if not rgb:
            self.register_buffer("noise", torch.randn(1, 1, res, res))
            self.noise_strength = torch.nn.Parameter(torch.zeros([]))

    def forward_style(self, w):
        return self.style(w)

    def forward(self, x, w, randomize_noise=False):
        style = self.forward_style(w)
        noise = None
        if self.add_noise:
            noise = torch.randn(len(x), 1, self.res, self.res) if randomize_noise else self.noise
        return _modulated(self, x, self.weight * self.wscale, style, noise, self.use_conv2d_transpose), style


class HiganConvBlock(torch.nn.Module):
    """Higan's, with the weight [k, k, I, O]."""

    def __init__(self, inputs, outputs, resolution, w_dim, scale_factor=1):
        super().__init__()
        self.in_c, self.out_c, self.res, self.ksize, self.eps = inputs, outputs, resolution, 3, 1e-8
        self.weight = torch.nn.Parameter(torch.randn(3, 3, inputs, outputs))
        self.weight_scale, self.lr_multiplier, self.scale_factor = (9 * inputs) ** -0.5, 1.0, scale_factor
        if scale_factor > 1:
            self.filter = UpsamplingLayer(1, scale_factor - 3)
        self.style, self.demodulate, self.add_bias = DenseBlock(w_dim, inputs), True, True
        self.bias = torch.nn.Parameter(torch.zeros(outputs))
        self.activate, self.activate_scale = torch.nn.LeakyReLU(0.2, inplace=True), 2**0.5
        self.add_noise, self.randomize_noise = True, False
        self.register_buffer("noise", torch.randn(1, 1, resolution, resolution))
        self.noise_strength = torch.nn.Parameter(torch.zeros([]))

    def forward(self, x, w):
        weight = (self.weight * self.weight_scale).permute(3, 2, 0, 1)
        return _modulated(self, x, weight, self.style(w), self.noise, self.scale_factor > 1)


def _modulated(layer, x, weight, style, noise, up):
    num = len(x)
    own = weight * style[:, None, :, None, None]
    if layer.demodulate:
        own = own / torch.sqrt(own.square().sum([2, 3, 4], keepdim=True) + layer.eps)
    x = x.view(1, -1, *x.shape[2:])
    if up:
        own = own.flip(3, 4).transpose(1, 2).flatten(0, 1)
        x = F.conv_transpose2d(x, own, stride=2, groups=num)
        x = layer.filter(x.view(num, -1, *x.shape[2:]))
    else:
        x = F.conv2d(x, own.flatten(0, 1), padding=layer.ksize // 2, groups=num)
        x = x.view(num, -1, *x.shape[2:])
    if noise is not None:
        x = x + noise * layer.noise_strength
    return layer.activate(x + layer.bias.view(1, -1, 1, 1)) * layer.activate_scale


class SynthesisModule(torch.nn.Module):
    def __init__(self, w_dim=12, widths=(8, 6, 5)):
        super().__init__()
        self.num_layers = 2 * len(widths)
        self.early_layer = torch.nn.Linear(w_dim, widths[0] * 16)
        self.layer0 = ModulateConvBlock(widths[0], widths[0], 4, w_dim)
        self.output0 = ModulateConvBlock(widths[0], 3, 4, w_dim, ksize=1, rgb=True)
        for index, (before, width) in enumerate(pairwise(widths)):
            res = 8 * 2**index
            setattr(self, f"layer{2 * index + 1}", ModulateConvBlock(before, width, res, w_dim, 2))
            setattr(self, f"layer{2 * index + 2}", ModulateConvBlock(width, width, res, w_dim))
            setattr(self, f"output{index + 1}", ModulateConvBlock(width, 3, res, w_dim, ksize=1, rgb=True))
        self.upsample = UpsamplingLayer()

    def forward(self, wp, randomize_noise=False):
        x = self.early_layer(wp[:, 0]).view(len(wp), -1, 4, 4)
        image, results = None, {}
        for index in range(self.num_layers - 1):
            x, results[f"style{index:02d}"] = getattr(self, f"layer{index}")(x, wp[:, index], randomize_noise)
            if index % 2 == 0:
                new, _ = getattr(self, f"output{index // 2}")(x, wp[:, index + 1])
                image = new if image is None else new + self.upsample(image)
        return {**results, "image": image}


class HiganSynthesis(torch.nn.Module):
    def __init__(self, w_dim=12):
        super().__init__()
        self.layer0, self.layer1 = HiganConvBlock(6, 5, 4, w_dim), HiganConvBlock(5, 5, 8, w_dim, 2)

    def forward(self, w):
        x = w[:, :6, None, None] * torch.linspace(-1, 1, 16).view(4, 4)
        return self.layer1(self.layer0(x, w), w)

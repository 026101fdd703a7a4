"""As rosinality has it: functions imported by name, modules within modules, views of features."""

from itertools import pairwise

import torch
import torch.nn.functional as F


def fused_leaky_relu(input, bias=None, negative_slope=0.2, scale=2**0.5):
    if bias is not None:
        input = input + bias.view(1, -1, *[1] * (input.ndim - 2))
    return F.leaky_relu(input, negative_slope) * scale


def upfirdn2d(input, kernel, up=1, down=1, pad=(0, 0)):
    num, channels, height, width = input.shape
    zeros = input.new_zeros(num, channels, height * up, width * up)
    zeros[:, :, ::up, ::up] = input
    weight = kernel.flip(0, 1).expand(channels, 1, *kernel.shape)
    return F.conv2d(F.pad(zeros, [*pad, *pad]), weight, groups=channels)[:, :, ::down, ::down]


def make_kernel(taps):
    taps = torch.tensor(taps, dtype=torch.float32)
    return torch.outer(taps, taps) / taps.sum() ** 2


class FusedLeakyReLU(torch.nn.Module):
    def __init__(self, channel):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(channel))
        self.negative_slope, self.scale = 0.2, 2**0.5

    def forward(self, input):
        return fused_leaky_relu(input, self.bias, self.negative_slope, self.scale)


class EqualLinear(torch.nn.Module):
    def __init__(self, inputs, outputs, bias_init=0.0, activation=None, lr_mul=1):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(outputs, inputs) / lr_mul)
        self.bias = torch.nn.Parameter(torch.full([outputs], float(bias_init)))
        self.activation, self.scale, self.lr_mul = activation, inputs**-0.5 * lr_mul, lr_mul

    def forward(self, input):
        if self.activation:
            return fused_leaky_relu(F.linear(input, self.weight * self.scale), self.bias * self.lr_mul)
        return F.linear(input, self.weight * self.scale, self.bias)


class PixelNorm(torch.nn.Module):
    def forward(self, input):
        return input * torch.rsqrt(input.pow(2).mean(1, keepdim=True) + 1e-8)


class Filter(torch.nn.Module):
    def __init__(self, pad, factor=1, gain=1):
        super().__init__()
        self.register_buffer("kernel", make_kernel([1, 3, 3, 1]) * gain)
        self.factor, self.pad = factor, pad

    def forward(self, input):
        return upfirdn2d(input, self.kernel, up=self.factor, pad=self.pad)


class ModulatedConv2d(torch.nn.Module):
    def __init__(self, inputs, outputs, kernel_size, style_dim, demodulate=True, upsample=False):
        super().__init__()
        self.kernel_size, self.demodulate, self.upsample, self.downsample = (
            kernel_size,
            demodulate,
            upsample,
            False,
        )
        if upsample:
            self.blur = Filter((1, 1), gain=4)
        self.scale = (inputs * kernel_size**2) ** -0.5
        self.weight = torch.nn.Parameter(torch.randn(1, outputs, inputs, kernel_size, kernel_size))
        self.modulation = EqualLinear(style_dim, inputs, bias_init=1)

    def forward(self, input, style):
        num, inputs, height, width = input.shape
        own = self.scale * self.weight * self.modulation(style).view(num, 1, inputs, 1, 1)
        if self.demodulate:
            own = own * torch.rsqrt(own.pow(2).sum([2, 3, 4], keepdim=True) + 1e-8)
        input = input.view(1, num * inputs, height, width)  # of contiguous features only
        if self.upsample:
            own = own.transpose(1, 2).flatten(0, 1)
            out = F.conv_transpose2d(input, own, stride=2, groups=num)
            return self.blur(out.view(num, -1, *out.shape[2:]))
        out = F.conv2d(input, own.flatten(0, 1), padding=self.kernel_size // 2, groups=num)
        return out.view(num, -1, height, width)


class NoiseInjection(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image, noise=None):
        if noise is None:
            noise = image.new_empty(len(image), 1, *image.shape[2:]).normal_()
        return image + self.weight * noise


class StyledConv(torch.nn.Module):
    def __init__(self, inputs, outputs, style_dim, upsample=False):
        super().__init__()
        self.conv = ModulatedConv2d(inputs, outputs, 3, style_dim, upsample=upsample)
        self.noise, self.activate = NoiseInjection(), FusedLeakyReLU(outputs)

    def forward(self, input, style, noise=None):
        return self.activate(self.noise(self.conv(input, style), noise=noise))


class ToRGB(torch.nn.Module):
    def __init__(self, inputs, style_dim, upsample=True):
        super().__init__()
        if upsample:
            self.upsample = Filter((2, 1), factor=2, gain=4)
        self.conv = ModulatedConv2d(inputs, 3, 1, style_dim, demodulate=False)
        self.bias = torch.nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, input, style, skip=None):
        out = self.conv(input, style) + self.bias
        return out if skip is None else out + self.upsample(skip)


class ConstantInput(torch.nn.Module):
    def __init__(self, channel):
        super().__init__()
        self.input = torch.nn.Parameter(torch.randn(1, channel, 4, 4))

    def forward(self, input):
        return self.input.repeat(len(input), 1, 1, 1)


class Generator(torch.nn.Module):
    def __init__(self, style_dim=12, widths=(8, 6, 5)):
        super().__init__()
        self.style_dim, self.n_latent, self.size = style_dim, 2 * len(widths), 4 * 2 ** (len(widths) - 1)
        self.style = torch.nn.Sequential(
            PixelNorm(),
            *(EqualLinear(style_dim, style_dim, activation="fused_lrelu", lr_mul=0.01) for _ in range(2)),
        )
        self.input = ConstantInput(widths[0])
        self.conv1 = StyledConv(widths[0], widths[0], style_dim)
        self.to_rgb1 = ToRGB(widths[0], style_dim, upsample=False)
        self.convs, self.to_rgbs, self.noises = (
            torch.nn.ModuleList(),
            torch.nn.ModuleList(),
            torch.nn.Module(),
        )
        for before, width in pairwise(widths):
            self.convs.append(StyledConv(before, width, style_dim, upsample=True))
            self.convs.append(StyledConv(width, width, style_dim))
            self.to_rgbs.append(ToRGB(width, style_dim))
        for index in range(2 * len(widths) - 1):
            size = 4 * 2 ** ((index + 1) // 2)
            self.noises.register_buffer(f"noise_{index}", torch.randn(1, 1, size, size))

    def forward(self, styles, input_is_latent=False, randomize_noise=True, return_latents=False):
        codes = styles[0] if input_is_latent else self.style(styles[0])
        latent = codes if codes.ndim == 3 else codes[:, None].repeat(1, self.n_latent, 1)
        noise = [
            None if randomize_noise else getattr(self.noises, f"noise_{i}") for i in range(self.n_latent - 1)
        ]
        out = self.conv1(self.input(latent), latent[:, 0], noise=noise[0])
        skip = self.to_rgb1(out, latent[:, 1])
        for index, to_rgb in enumerate(self.to_rgbs):
            for part in (2 * index, 2 * index + 1):
                out = self.convs[part](out, latent[:, part + 1], noise=noise[part + 1])
            skip = to_rgb(out, latent[:, 2 * index + 3], skip)
        return skip, latent if return_latents else None

"""As stylegan2-ada-pytorch has it: functions in modules, layers that call them, blocks, networks."""

import types

import torch
import torch.nn.functional as F

ROOT_2 = 2**0.5


def hiding(function):
    """A decorator that hides the signature, as theirs for profiles does."""

    def decorator(*args, **kwargs):
        return function(*args, **kwargs)

    return decorator


def _bias_act(x, b=None, dim=1, act="linear", alpha=None, gain=None, clamp=None, impl="cuda"):
    if b is not None:
        x = x + b.reshape([-1 if i == dim else 1 for i in range(x.ndim)])
    known = {"linear": (lambda x: x, 1), "lrelu": (lambda x: F.leaky_relu(x, alpha or 0.2), ROOT_2),
             "swish": (lambda x: x * torch.sigmoid(x), ROOT_2)}  # fmt: skip
    x = known[act][0](x) * (known[act][1] if gain is None else gain)
    return x if clamp is None else x.clamp(-clamp, clamp)


def _upfirdn2d(x, f, up=1, down=1, padding=0, flip_filter=False, gain=1, impl="cuda"):
    num, channels, height, width = x.shape
    zeros = x.new_zeros(num, channels, height * up, width * up)
    zeros[:, :, ::up, ::up] = x
    sides = [padding] * 4 if isinstance(padding, int) else padding
    kernel = (f if flip_filter else f.flip(0, 1)).to(x.dtype).expand(channels, 1, *f.shape) * gain
    return F.conv2d(F.pad(zeros, sides), kernel, groups=channels)[:, :, ::down, ::down]


def _upsample2d(x, f, up=2, padding=0, flip_filter=False, gain=1, impl="cuda"):
    taps = len(f)
    sides = [(taps + up - 1) // 2, (taps - up) // 2] * 2
    return upfirdn2d.upfirdn2d(x, f, up=up, padding=sides, flip_filter=flip_filter, gain=gain * up * up)


def _setup_filter(f):
    f = torch.tensor(f, dtype=torch.float32)
    return torch.outer(f, f) / f.sum() ** 2


bias_act = types.ModuleType("bias_act")
bias_act.bias_act = _bias_act
upfirdn2d = types.ModuleType("upfirdn2d")
upfirdn2d.upfirdn2d, upfirdn2d.upsample2d, upfirdn2d.setup_filter = _upfirdn2d, _upsample2d, _setup_filter


@hiding
def modulated_conv2d(
    x, weight, styles, noise=None, up=1, down=1, padding=0, resample_filter=None, demodulate=True,
    flip_weight=True, fused_modconv=True,
):  # fmt: skip
    own = weight * styles[:, None, :, None, None]
    if demodulate:
        own = own * (own.square().sum([2, 3, 4], keepdim=True) + 1e-8).rsqrt()
    own = (own if flip_weight else own.flip(3, 4)).to(x.dtype)
    num, size = len(x), weight.shape[-1]
    if up == 2:
        before, after = (len(resample_filter) + 1) // 2, (len(resample_filter) - 2) // 2
        sides = [padding + before, padding + after] * 2
        x = upfirdn2d.upfirdn2d(x, resample_filter, up=2, gain=4, padding=sides)
        padding = 0
    x = F.conv2d(x.reshape(1, -1, *x.shape[2:]), own.reshape(-1, *own.shape[2:]), padding=padding, groups=num)
    assert size in (1, 3)
    x = x.view(num, -1, *x.shape[2:])
    return x if noise is None else x.add_(noise)


class FullyConnectedLayer(torch.nn.Module):
    def __init__(self, inputs, outputs, activation="linear", bias_init=0.0):
        super().__init__()
        self.activation = activation
        self.weight = torch.nn.Parameter(torch.randn(outputs, inputs))
        self.bias = torch.nn.Parameter(torch.full([outputs], float(bias_init)))
        self.weight_gain, self.bias_gain = inputs**-0.5, 1

    def forward(self, x):
        return bias_act.bias_act(x @ (self.weight * self.weight_gain).t(), self.bias, act=self.activation)


class SynthesisLayer(torch.nn.Module):
    def __init__(
        self, inputs, outputs, w_dim, resolution, up=1, activation="lrelu", taps=(1, 3, 3, 1), clamp=None
    ):
        super().__init__()
        self.resolution, self.up, self.use_noise, self.activation = resolution, up, True, activation
        self.conv_clamp, self.padding, self.act_gain = clamp, 1, ROOT_2
        self.register_buffer("resample_filter", upfirdn2d.setup_filter(taps))
        self.affine = FullyConnectedLayer(w_dim, inputs, bias_init=1)
        self.weight = torch.nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = torch.nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.noise_strength = torch.nn.Parameter(torch.zeros([]))

    def forward(self, x, w, noise_mode="random", fused_modconv=True, gain=1):
        assert noise_mode in ("random", "const", "none")
        noise = None
        if noise_mode == "random":
            noise = torch.randn([len(x), 1, self.resolution, self.resolution]) * self.noise_strength
        elif noise_mode == "const":
            noise = self.noise_const * self.noise_strength
        x = modulated_conv2d(
            x=x, weight=self.weight, styles=self.affine(w), noise=noise, up=self.up, padding=self.padding,
            resample_filter=self.resample_filter, flip_weight=self.up == 1, fused_modconv=fused_modconv,
        )  # fmt: skip
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        return bias_act.bias_act(x, self.bias, act=self.activation, gain=self.act_gain * gain, clamp=clamp)


class ToRGBLayer(torch.nn.Module):
    def __init__(self, inputs, w_dim, clamp=None):
        super().__init__()
        self.conv_clamp = clamp
        self.affine = FullyConnectedLayer(w_dim, inputs, bias_init=1)
        self.weight = torch.nn.Parameter(torch.randn(3, inputs, 1, 1))
        self.bias = torch.nn.Parameter(torch.zeros(3))
        self.weight_gain = inputs**-0.5

    def forward(self, x, w, fused_modconv=True):
        styles = self.affine(w) * self.weight_gain
        x = modulated_conv2d(
            x=x, weight=self.weight, styles=styles, demodulate=False, fused_modconv=fused_modconv
        )
        return bias_act.bias_act(x, self.bias, clamp=self.conv_clamp)


class SynthesisBlock(torch.nn.Module):
    def __init__(self, inputs, outputs, w_dim, resolution, is_last, **options):
        super().__init__()
        self.in_channels, self.resolution, self.is_last, self.architecture = (
            inputs,
            resolution,
            is_last,
            "skip",
        )
        self.use_fp16 = False
        self.register_buffer("resample_filter", upfirdn2d.setup_filter(options.get("taps", (1, 3, 3, 1))))
        if inputs:
            self.conv0 = SynthesisLayer(inputs, outputs, w_dim, resolution, up=2, **options)
        else:
            self.const = torch.nn.Parameter(torch.randn(outputs, resolution, resolution))
        self.conv1 = SynthesisLayer(outputs, outputs, w_dim, resolution, **options)
        self.torgb = ToRGBLayer(outputs, w_dim, options.get("clamp"))

    def forward(self, x, img, ws, force_fp32=False, fused_modconv=None, **layer_kwargs):
        codes = iter(ws.unbind(1))
        if self.in_channels:
            x = self.conv0(x.contiguous(), next(codes), **layer_kwargs)
        else:
            x = self.const.repeat(len(ws), 1, 1, 1)
        x = self.conv1(x, next(codes), **layer_kwargs)
        image = self.torgb(x, next(codes))
        if img is not None:
            image = image + upfirdn2d.upsample2d(img, self.resample_filter)
        return x, image


class SynthesisNetwork(torch.nn.Module):
    def __init__(self, w_dim, widths, **options):
        super().__init__()
        self.block_resolutions = [4 * 2**i for i in range(len(widths))]
        self.w_dim, self.img_resolution, self.img_channels = w_dim, self.block_resolutions[-1], 3
        self.num_ws = 2 * len(widths)
        for before, width, resolution in zip([0, *widths], widths, self.block_resolutions, strict=False):
            block = SynthesisBlock(
                before, width, w_dim, resolution, resolution == self.img_resolution, **options
            )
            setattr(self, f"b{resolution}", block)

    def forward(self, ws, **block_kwargs):
        x = img = None
        for index, resolution in enumerate(self.block_resolutions):
            first = max(0, 2 * index - 1)
            codes = ws[:, first : first + (3 if index else 2)]
            x, img = getattr(self, f"b{resolution}")(x, img, codes, **block_kwargs)
        return img


class MappingNetwork(torch.nn.Module):
    def __init__(self, z_dim, w_dim, num_ws):
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim, self.num_ws, self.num_layers = z_dim, 0, w_dim, num_ws, 2
        self.fc0 = FullyConnectedLayer(z_dim, w_dim, "lrelu")
        self.fc1 = FullyConnectedLayer(w_dim, w_dim, "lrelu")
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z, c, truncation_psi=1, truncation_cutoff=None):
        z = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        w = self.fc1(self.fc0(z))
        return self.w_avg.lerp(w[:, None].repeat(1, self.num_ws, 1), truncation_psi)


class Generator(torch.nn.Module):
    def __init__(self, z_dim=10, w_dim=12, widths=(8, 6, 5), **options):
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim = z_dim, 0, w_dim
        self.synthesis = SynthesisNetwork(w_dim, widths, **options)
        self.num_ws, self.img_resolution, self.img_channels = (
            self.synthesis.num_ws,
            4 * 2 ** (len(widths) - 1),
            3,
        )
        self.mapping = MappingNetwork(z_dim, w_dim, self.num_ws)

    def forward(self, z, c=None, truncation_psi=1, truncation_cutoff=None, **synthesis_kwargs):
        return self.synthesis(self.mapping(z, c, truncation_psi, truncation_cutoff), **synthesis_kwargs)

"""The parts of BigGAN, each in the plainest way, from the tensors of ours: another road to the same image."""

import torch
import torch.nn.functional as F

from higan_fast.generators.biggan_layers import Conv, doubling_kernel


def randomize(generator, seed=0):
    """Random weights in which nothing is zero, so that nothing can be forgotten unseen."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in generator.state_dict().items():
            noise = torch.randn(tensor.shape, generator=random, dtype=torch.float64).to(tensor)
            if name.endswith(("variance", "last.scale")):
                tensor.copy_(0.5 + 0.5 * noise.abs())
            elif name.endswith("gain"):
                tensor.fill_(0.7)
            elif tensor.ndim < 2 or name.endswith("mean"):
                tensor.add_(0.3 * noise)
        for conv in generator.modules():
            if (
                isinstance(conv, Conv) and conv.up
            ):  # sums that are exact in float64, as ``weight_of`` wants them
                weight = weight_of(conv)
                conv.weight.copy_(doubling_kernel(torch.randn_like(weight) / (9 * weight.shape[1]) ** 0.5))
    return generator.eval().requires_grad_(False)


def weight_of(conv):
    """``[O, I, k, k]``, as before the values were summed that an upsampled pixel meets."""
    if not conv.up:
        return conv.weight
    kernel = conv.weight.permute(3, 0, 1, 2).flip(2, 3)  # [O, I, 4, 4]: in each axis a, a + b, b + c, c
    rows = torch.stack([kernel[:, :, 0], kernel[:, :, 1] - kernel[:, :, 0], kernel[:, :, 3]], 2)
    return torch.stack([rows[..., 0], rows[..., 1] - rows[..., 0], rows[..., 3]], 3)


def doubled(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def convolved(conv, x):
    x = doubled(x) if conv.up else x
    weight = weight_of(conv)
    return F.conv2d(x, weight, conv.bias, padding=weight.shape[-1] // 2)


def normalised(x, statistics, at, epsilon, scale, shift):
    """``at``: weights of the statistics, ``[S]``."""
    mean, variance = (at @ stored for stored in (statistics.mean, statistics.variance))
    x = (x - mean[:, None, None]) / (variance[:, None, None] + epsilon).sqrt()
    return (x * scale[..., None, None] + shift[..., None, None]).relu()


def normed(norm, x, code, at):
    scale, shift = norm.affine(code[:, : norm.affine.in_features]).chunk(2, 1)
    return normalised(x, norm.statistics, at, norm.epsilon, scale, shift)


def attended(attention, x):
    pixels = []
    for sample in x:
        query, key, value = (
            torch.einsum("chw,oc->ohw", sample, conv.weight[:, :, 0, 0])
            for conv in (attention.query, attention.key, attention.value)
        )
        key, value = (
            part.unflatten(1, (-1, 2)).unflatten(3, (-1, 2)).amax([2, 4]).flatten(1) for part in (key, value)
        )
        shares = torch.einsum("chw,ck->hwk", query, key).exp()
        pixels.append(torch.einsum("hwk,ck->chw", shares / shares.sum(2, keepdim=True), value))
    out = torch.einsum("nchw,oc->nohw", torch.stack(pixels), attention.out.weight[:, :, 0, 0])
    return x + attention.gain * out


def first_features(generator, code):
    linear = generator.first
    x = code[:, : linear.in_features] @ linear.weight.T + linear.bias
    width = generator.config.bottom_width
    return x.reshape(len(x), generator.config.channels[0], width, width)


def image(last, x, at):
    x = normalised(x, last.statistics, at, last.epsilon, last.scale, last.shift)
    return convolved(last.conv, x).tanh()

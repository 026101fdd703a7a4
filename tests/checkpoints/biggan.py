"""State dicts in the structure of BigGAN's public codes, with random values; and what these codes compute."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F

CLASSES = 4


class Writer(dict):
    """The tensors of a file; ``Reader`` computes with them."""

    def __init__(self):
        super().__init__()
        self.random = torch.Generator().manual_seed(0)

    def randn(self, *shape):
        return torch.randn(*shape, generator=self.random)


def biggan_pytorch(
    channels,
    chunk,
    *,
    embed_dim=3,
    hierarchical=True,
    attention=(),
    width=4,
    spectral=True,
    norm="bn",
    deep=False,
):
    """A state dict of ajbrock's BigGAN-PyTorch.

    Args:
        embed_dim: None: without ``G_shared``, the blocks have a table with one row for each class.
        norm: how statistics are kept: "bn", "mybn", "standing" (sums over accumulations) or "cross_replica".
        deep: of BigGANdeep.
    """
    tensors = Writer()

    def weight(name, *shape, u=spectral):
        tensors[f"{name}.weight"] = tensors.randn(*shape) / math.prod(shape[1:]) ** 0.5
        if u:
            tensors[f"{name}.u0"], tensors[f"{name}.sv0"] = tensors.randn(1, shape[0]), torch.ones(1)

    def conv(name, inputs, outputs, size, bias=True):
        weight(name, outputs, inputs, size, size)
        if bias:
            tensors[f"{name}.bias"] = tensors.randn(outputs) / 3

    def statistics(name, width):
        mean, variance = tensors.randn(width) / 3, 0.5 + tensors.randn(width).abs()
        if norm == "cross_replica":
            tensors[f"{name}.bn.running_mean"], tensors[f"{name}.bn.running_var"] = mean, variance
            tensors[f"{name}.bn.num_batches_tracked"] = torch.tensor(7)
            return
        count = 3.0 if norm == "standing" else 0.0
        prefix = f"{name}.stored" if norm == "bn" else f"{name}.bn.stored"
        tensors[f"{prefix}_mean"], tensors[f"{prefix}_var"] = mean * (count or 1), variance * (count or 1)
        if norm != "bn":
            tensors[f"{name}.bn.accumulation_counter"] = torch.tensor([count])

    def normalisation(name, width):
        for part in ("gain", "bias"):
            if embed_dim is None:
                weight(f"{name}.{part}", CLASSES, width, u=False)
            else:
                weight(f"{name}.{part}", width, embed_dim + (chunk if hierarchical else 0))
        statistics(name, width)

    if embed_dim is not None:
        tensors["shared.weight"] = tensors.randn(CLASSES, embed_dim)
    weight("linear", channels[0] * width**2, chunk + (embed_dim if deep else 0))
    tensors["linear.bias"] = tensors.randn(channels[0] * width**2)
    for index, (inputs, outputs) in enumerate(pairwise(channels)):
        block, hidden = f"blocks.{index}.0", inputs // 4
        if deep:
            for number, (before, after, size) in enumerate(
                ((inputs, hidden, 1), (hidden, hidden, 3), (hidden, hidden, 3), (hidden, outputs, 1)), start=1
            ):
                normalisation(f"{block}.bn{number}", before)
                conv(f"{block}.conv{number}", before, after, size)
        else:
            normalisation(f"{block}.bn1", inputs)
            normalisation(f"{block}.bn2", outputs)
            conv(f"{block}.conv1", inputs, outputs, 3)
            conv(f"{block}.conv2", outputs, outputs, 3)
            conv(f"{block}.conv_sc", inputs, outputs, 1)
        if index in attention:
            for name, before, after in (
                *(("theta", outputs, outputs // 8), ("phi", outputs, outputs // 8)),
                *(("g", outputs, outputs // 2), ("o", outputs // 2, outputs)),
            ):
                conv(f"blocks.{index}.1.{name}", before, after, 1, bias=False)
            tensors[f"blocks.{index}.1.gamma"] = torch.tensor(0.6)
    tensors["output_layer.0.gain"] = 1 + tensors.randn(channels[-1]) / 3
    tensors["output_layer.0.bias"] = tensors.randn(channels[-1]) / 3
    statistics("output_layer.0", channels[-1])
    conv("output_layer.2", channels[-1], 3, 3)
    return tensors


def huggingface(layers, *, channel_width=4, latent_dim=6, attention=1, num_statistics=6, epsilon=1e-3):
    """The config.json and the state dict of Hugging Face's BigGAN-deep."""
    tensors = Writer()

    def weight(name, *shape):
        tensors[f"{name}.weight_orig"] = tensors.randn(*shape) / 3
        matrix = tensors[f"{name}.weight_orig"].flatten(1)
        right = F.normalize(tensors.randn(shape[0]) @ matrix, dim=0)
        tensors[f"{name}.weight_u"] = F.normalize(matrix @ right, dim=0)
        tensors[f"{name}.weight_v"] = right

    def conv(name, inputs, outputs, size, bias=True):
        weight(name, outputs, inputs, size, size)
        if bias:
            tensors[f"{name}.bias"] = tensors.randn(outputs) / 3

    def statistics(name, width):
        tensors[f"{name}.running_means"] = tensors.randn(num_statistics, width) / 3
        tensors[f"{name}.running_vars"] = 0.5 + tensors.randn(num_statistics, width).abs()

    tensors["embeddings.weight"] = tensors.randn(latent_dim, CLASSES)
    weight("generator.gen_z", 16 * channel_width * layers[0][1], 2 * latent_dim)
    tensors["generator.gen_z.bias"] = tensors.randn(16 * channel_width * layers[0][1])
    place = 0
    for index, (_, *widths) in enumerate(layers):
        inputs, outputs = (channel_width * width for width in widths)
        if index == attention:
            name, place = f"generator.layers.{place}", place + 1
            for part, before, after in (
                *(("theta", inputs, inputs // 8), ("phi", inputs, inputs // 8)),
                *(("g", inputs, inputs // 2), ("o_conv", inputs // 2, inputs)),
            ):
                conv(f"{name}.snconv1x1_{part}", before, after, 1, bias=False)
            tensors[f"{name}.gamma"] = torch.tensor([0.6])
        name, place, hidden = f"generator.layers.{place}", place + 1, inputs // 4
        for number, (before, after, size) in enumerate(
            ((inputs, hidden, 1), (hidden, hidden, 3), (hidden, hidden, 3), (hidden, outputs, 1))
        ):
            weight(f"{name}.bn_{number}.scale", before, 2 * latent_dim)
            weight(f"{name}.bn_{number}.offset", before, 2 * latent_dim)
            statistics(f"{name}.bn_{number}", before)
            conv(f"{name}.conv_{number}", before, after, size)
    tensors["generator.bn.weight"] = 1 + tensors.randn(channel_width) / 3
    tensors["generator.bn.bias"] = tensors.randn(channel_width) / 3
    statistics("generator.bn", channel_width)
    conv("generator.conv_to_rgb", channel_width, channel_width, 3)
    config = {
        "attention_layer_position": attention,
        "channel_width": channel_width,
        "class_embed_dim": latent_dim,
        "eps": epsilon,
        "layers": [list(layer) for layer in layers],
        "n_stats": num_statistics,
        "num_classes": CLASSES,
        "output_dim": 4 * 2 ** sum(up for up, *_ in layers),
        "z_dim": latent_dim,
    }
    return config, tensors


class Reader:
    """What the public codes compute in evaluation, in float64, from the tensors as they name them."""

    def __init__(self, tensors, at=None, epsilon=1e-5, adds=False):
        """``at``: weights of the statistics where there are several; ``adds``: gains are added."""
        self.tensors = {name: tensor.double() for name, tensor in tensors.items()}
        self.at, self.epsilon, self.adds = at, epsilon, adds

    def __getitem__(self, name):
        return self.tensors[name]

    def weight(self, name):
        """Divided by its largest singular value, as the format has it."""
        if f"{name}.weight_orig" in self.tensors:
            weight, left, right = (self[f"{name}.weight_{part}"] for part in ("orig", "u", "v"))
            return weight / torch.einsum("i,ij,j", left, weight.flatten(1), right)
        weight = self[f"{name}.weight"]
        if f"{name}.u0" not in self.tensors:
            return weight
        right = self[f"{name}.u0"][0] @ weight.flatten(1)
        return weight * right.norm() / (weight.flatten(1) @ right).norm()

    def linear(self, name, x, bias=True):
        y = torch.einsum("ni,oi->no", x, self.weight(name))
        return y + self[f"{name}.bias"] if bias else y

    def conv(self, name, x):
        weight = self.weight(name)
        y = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        return y + self[f"{name}.bias"][:, None, None] if f"{name}.bias" in self.tensors else y

    def statistics(self, name):
        if self.at is not None:
            return [self.at @ self[f"{name}.running_{part}"] for part in ("means", "vars")]
        for prefix in ("stored", "bn.stored", "bn.running"):
            if f"{name}.{prefix}_mean" in self.tensors:
                count = self.tensors.get(f"{name}.bn.accumulation_counter", torch.zeros(1)).item() or 1
                return [self[f"{name}.{prefix}_{part}"] / count for part in ("mean", "var")]
        raise KeyError(name)

    def normalised(self, name, x, scale, shift, epsilon):
        mean, variance = (part[:, None, None] for part in self.statistics(name))
        x, scale, shift = (
            (x - mean) / (variance + epsilon).sqrt(),
            scale[..., None, None],
            shift[..., None, None],
        )
        return ((x + scale if self.adds else x * scale) + shift).relu()

    def normed(self, name, x, code, parts=("gain", "bias")):
        if f"{name}.gain.weight" in self.tensors and not code.is_floating_point():  # a table, and classes
            gain, bias = (self[f"{name}.{part}.weight"][code] for part in parts)
        else:
            gain, bias = (self.linear(f"{name}.{part}", code, bias=False) for part in parts)
        return self.normalised(name, x, 1 + gain, bias, self.epsilon)

    def attended(self, x, theta, phi, g, o, gamma):
        query, key, value = (self.conv(name, x) for name in (theta, phi, g))
        key, value = (part.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).amax([3, 5]) for part in (key, value))
        shares = torch.einsum("nchw,ncij->nhwij", query, key).flatten(3).softmax(3)
        read = torch.einsum("nhwk,nck->nchw", shares, value.flatten(2))
        return x + self[gamma] * self.conv(o, read)


def doubled(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

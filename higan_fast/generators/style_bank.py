"""The styles of all layers of StyleGAN2 or 3 by one op, from matrices that are joined once for a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from higan_fast.generators.prepared import Kept
from higan_fast.ops import StylePart, layer_styles, perturb_styles
from higan_fast.ops.layout import accumulator_dtype


class LayerStyle(NamedTuple):
    """The style of one convolution for N samples.

    Attributes:
        styles: ``[N, inputs]``; for float16 features each sample's have a largest magnitude of 1.
        demod: factors of its outputs ``[N, outputs]``, which include what undoes the normalisation of
            styles and weight; None: they are to be computed from the styles.
    """

    styles: Tensor
    demod: Tensor | None = None

    def part(self, samples: slice) -> LayerStyle:
        """Returns the style of a slice of the samples."""
        return LayerStyle(self.styles[samples], None if self.demod is None else self.demod[samples])


class Styles(NamedTuple):
    """The styles of all layers from one on; None for those below it.

    Attributes:
        convs: of each convolution.
        rgbs: of each RGB layer ``[N, inputs]``, with its weight's gain, and of others that do not demodulate.
    """

    convs: tuple[LayerStyle | None, ...]
    rgbs: tuple[Tensor | None, ...]

    def part(self, samples: slice) -> Styles:
        """Returns the styles of a slice of the samples."""
        return Styles(
            tuple(style and style.part(samples) for style in self.convs),
            tuple(None if style is None else style[samples] for style in self.rgbs),
        )


class Place(NamedTuple):
    """A layer that has a style: the code that it reads, and which convolution, or RGB layer, it is."""

    code: int
    is_conv: bool
    number: int


class Bank(NamedTuple):
    """What ``layer_styles`` reads: the affines of all layers, with their gains, and their ``W2``.

    Attributes:
        places: one for each part, in the order of the codes.
        parts, weight, bias, weight_square, gain: as in ``layer_styles``.
    """

    places: tuple[Place, ...]
    parts: tuple[StylePart, ...]
    weight: Tensor
    bias: Tensor
    weight_square: Tensor
    gain: Tensor | None

    def above(self, first: int) -> Bank:
        """Returns the bank of the layers that read code ``first`` and later ones."""
        return self.without(sum(place.code < first for place in self.places))

    def without(self, below: int) -> Bank:
        """Returns the bank without its first ``below`` places."""
        if not below:
            return self
        dropped = self.parts[:below]
        channels, outputs, squares = (
            sum(sizes) for sizes in zip(*((c, o, c * o) for _, c, o in dropped), strict=True)
        )
        return Bank(
            self.places[below:],
            self.parts[below:],
            self.weight[channels:],
            self.bias[channels:],
            self.weight_square[squares:],
            None if self.gain is None else self.gain[outputs:],
        )


def all_styles(synthesis: Any, kept: Kept[Bank], codes: Tensor, dtype: torch.dtype, first: int = 0) -> Styles:
    """Returns the styles of all layers from ``first`` on, for features of ``dtype``.

    Args:
        synthesis: the layers: ``convs``, ``rgbs``, and ``places()``.
        kept: keeps their bank.
        codes: ``[N, num_layers, code_dim]``; those before ``first`` are not read.
    """
    bank = _bank(synthesis, kept, dtype).above(first)
    if not bank.places:
        return _by_layer(synthesis, bank, codes, None)
    styles, demod = layer_styles(
        codes.to(bank.weight.dtype), bank.weight, bank.bias, bank.parts, weight_square=bank.weight_square,
        gain=bank.gain, normalize=dtype == torch.float16,
    )  # fmt: skip
    return _by_layer(synthesis, bank, styles, demod)


def plain_styles(synthesis: Any, kept: Kept[Bank], codes: Tensor) -> Tensor:
    """Returns the styles at all places, one after the other, neither normalised nor demodulated: ``[N, C]``.

    Args:
        synthesis, kept: as for ``all_styles``.
        codes: ``[N, num_layers, code_dim]``.
    """
    bank = _bank(synthesis, kept, synthesis.convs[0].weight.dtype)
    parts = [part._replace(outputs=0) for part in bank.parts]
    return layer_styles(codes.to(bank.weight.dtype), bank.weight, bank.bias, parts)[0]


def moved_styles(
    synthesis: Any, kept: Kept[Bank], center: Tensor, moves: Tensor, dtype: torch.dtype, first: int = 0
) -> Styles:
    """Returns what ``all_styles`` does, of the styles ``center + moves``, from place ``first`` on.

    Args:
        synthesis, kept: as for ``all_styles``.
        center: styles as from ``plain_styles``, from place ``first`` on, ``[C']``.
        moves: what each sample adds to them, ``[N, C']``.
        dtype: of the features.
        first: the first place.
    """
    bank = _bank(synthesis, kept, dtype).without(first)
    like, num = bank.weight.dtype, len(moves)
    row, still = torch.arange(num, device=moves.device), moves.new_zeros(num, dtype=torch.int64)
    styles, demod = perturb_styles(
        center[None].to(like), moves.to(like), still, row, torch.ones_like(row, dtype=like), bank.parts,
        weight_square=bank.weight_square, gain=bank.gain, normalize=dtype == torch.float16,
    )  # fmt: skip
    return _by_layer(synthesis, bank, styles, demod)


def _bank(synthesis: Any, kept: Kept[Bank], dtype: torch.dtype) -> Bank:
    key = (dtype, *_gains(synthesis))
    return kept.get(list(_weights(synthesis)), key, lambda: _joined(synthesis, dtype))


def _by_layer(synthesis: Any, bank: Bank, styles: Tensor, demod: Tensor | None) -> Styles:
    """Takes apart what the bank's places have: styles ``[N, C]`` and factors ``[N, O]``."""
    convs: list[LayerStyle | None] = [None] * len(synthesis.convs)
    rgbs: list[Tensor | None] = [None] * len(synthesis.rgbs)
    if bank.places:
        outputs = [part.outputs for part in bank.parts if part.outputs]
        factors = iter(() if demod is None else demod.split_with_sizes(outputs, 1))
        of_parts = styles.split_with_sizes([part.channels for part in bank.parts], 1)
        for place, style in zip(bank.places, of_parts, strict=True):
            if place.is_conv:
                convs[place.number] = LayerStyle(style, next(factors))
            else:
                rgbs[place.number] = style
    return Styles(tuple(convs), tuple(rgbs))


def _weights(synthesis: Any) -> Iterator[Tensor]:
    """All that the bank is made of."""
    for layer in (*synthesis.convs, *synthesis.rgbs):
        yield layer.affine.weight
        yield layer.affine.bias
    for conv in synthesis.convs:
        yield from conv.of_styles


def _gains(synthesis: Any) -> Iterator[float]:
    """The numbers that the bank is made of besides."""
    for layer in (*synthesis.convs, *synthesis.rgbs):
        yield layer.affine.weight_gain
        yield layer.affine.bias_gain
    for rgb in synthesis.rgbs:
        yield rgb.weight_gain


def _joined(synthesis: Any, dtype: torch.dtype) -> Bank:
    places: tuple[Place, ...] = synthesis.places()
    parts, weights, biases, squares, gains = [], [], [], [], []
    for place in places:
        layer = (synthesis.convs if place.is_conv else synthesis.rgbs)[place.number]
        affine, gain, outputs = layer.affine, 1.0, 0
        if place.is_conv:
            prepared = layer.prepared(dtype)
            squares.append(prepared.square.flatten())
            gains.append(prepared.gain)
            outputs = len(prepared.square)
        else:
            gain = layer.weight_gain
        weights.append(affine.weight * (affine.weight_gain * gain))
        biases.append(affine.bias * (affine.bias_gain * gain))
        parts.append(StylePart(place.code, len(affine.weight), outputs))
    like = accumulator_dtype(weights[0].dtype)

    def together(tensors: Sequence[Tensor]) -> Tensor:
        return torch.cat([tensor.to(like) for tensor in tensors])

    gain_of_all = together(gains) if dtype == torch.float16 else None
    return Bank(places, tuple(parts), together(weights), together(biases), together(squares), gain_of_all)

"""The layers of genforce's StyleGAN2, and of higan's, as functions to put in the place of their ``forward``.

These codebases have no ops of their own, so that whole layers are what there is to replace. In one's own copy
of ``models/stylegan2_generator.py``, after its classes, for all networks made of them::

    from higan_fast.compat import genforce

    ModulateConvBlock.forward = genforce.modulate_conv_block
    UpsamplingLayer.forward = genforce.upsampling_layer

Higan's ``models/stylegan2_generator_network.py`` takes ``higan_modulate_conv_block``. ``higan_fast.patch``
does the same for one network, and leaves to the original what ours do not take; here that is an error.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from higan_fast.compat.layers.genforce import KINDS
from higan_fast.compat.layers.kind import Kept, Kind
from higan_fast.wording import printable

__all__ = ["higan_modulate_conv_block", "modulate_conv_block", "upsampling_layer"]

_UPSAMPLING, _GENFORCE, _HIGAN = KINDS
# layer → its weight in the form that kernels need, until a value changes
_kept: WeakKeyDictionary[nn.Module, Kept] = WeakKeyDictionary()


def modulate_conv_block(
    layer: Any, x: Tensor, w: Tensor, randomize_noise: bool = False
) -> tuple[Tensor, Tensor]:
    """Genforce's ``ModulateConvBlock.forward``, as one op.

    Args:
        layer: the block.
        x: ``[N, I, H, W]``.
        w: ``[N, w_dim]``.
        randomize_noise: whether to draw new noise instead of the block's own.

    Returns:
        Features ``[N, O, H, W]``, of twice the size where the block upsamples, and styles ``[N, I]``.

    Raises:
        ValueError: if the layer is another, or has something that ours do not take, or shapes do not match.
    """
    found: tuple[Tensor, Tensor] = _served(_GENFORCE, layer, x, w, randomize_noise)
    return found


def higan_modulate_conv_block(layer: Any, x: Tensor, w: Tensor) -> Tensor:
    """Higan's ``ModulateConvBlock.forward``: the block itself says whether its noise is new."""
    found: Tensor = _served(_HIGAN, layer, x, w)
    return found


def upsampling_layer(layer: Any, x: Tensor) -> Tensor:
    """``UpsamplingLayer.forward`` of both: zeros between pixels of ``x`` ``[N, C, H, W]``, and a filter."""
    found: Tensor = _served(_UPSAMPLING, layer, x)
    return found


def _served(kind: Kind, layer: Any, *arguments: Any) -> Any:
    kept = _kept.get(layer) if isinstance(layer, nn.Module) else None
    if kept is None:
        if not isinstance(layer, nn.Module) or not kind.recognises(layer):
            name = printable(type(layer).__name__)
            raise ValueError(f"layer: got a {name}, expected a {kind.name} as {kind.family} have it")
        kept = _kept[layer] = kind.keep(layer)
    if reason := kind.why_not(kept, layer, *arguments):
        raise ValueError(f"{kind.name}: ours do not take {reason}; leave this layer its own forward")
    return kind.serve(kept, layer, *arguments)

"""Perturbed styles and their demodulation factors, for all steps along all directions.

A style is affine in its layer code, so a step along a boundary adds a multiple of one direction to the style.
The sum of squares in its demodulation is quadratic in the step. With ``W2`` as in ``modulated_conv2d``:
``Σ W2·(s + λδ)² = Σ W2·s² + 2λ·Σ W2·s·δ + λ²·Σ W2·δ²``. The three sums are computed once for all steps, and
no per-sample weight is ever built.
"""

from __future__ import annotations

from torch import Tensor

from higan_fast import _native
from higan_fast.ops.arrays import takes_arrays
from higan_fast.ops.implementation import Impl, use_native
from higan_fast.ops.layout import accumulator_dtype, small
from higan_fast.ops.modulated_conv2d import EPSILON
from higan_fast.ops.registration import register


@takes_arrays
def perturb_styles(
    base: Tensor,
    directions: Tensor,
    steps: Tensor,
    *,
    weight_square: Tensor | None = None,
    epsilon: float = EPSILON,
    impl: Impl = "auto",
) -> tuple[Tensor, Tensor | None]:
    """Returns ``base + steps · directions`` for all combinations, and their demodulation factors.

    Args:
        base: styles ``[N, C]``.
        directions: ``[M, C]``, the change of the style for a step of 1 along each boundary.
        steps: ``[S]``.
        weight_square: the layer's ``W2``, ``[O, C]`` (see ``square_weight``); None: no demodulation.
        epsilon: added to the sum of squares before taking its root.
        impl: ``"auto"``, ``"reference"`` or ``"native"``.

    Returns:
        Styles ``[N, M, S, C]``, and factors ``rsqrt(Σ_i W2[o, i]·styles[n, m, s, i]² + epsilon)``
        ``[N, M, S, O]`` (None without ``weight_square``); both in ``base``'s dtype.

    Raises:
        ValueError: if shapes or dtypes do not match.
    """
    native = use_native("perturb_styles", impl, base, directions, steps, weight_square)
    _check(base, directions, steps, weight_square)
    operation = _op if native else _reference
    styles, demod = operation(base, directions, steps, weight_square, epsilon)
    return styles, None if weight_square is None else demod


def _reference(
    base: Tensor, directions: Tensor, steps: Tensor, weight_square: Tensor | None, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Without a weight the factors are empty, ``[N, M, S, 0]``."""
    styles = base[:, None, None] + steps[:, None] * directions[None, :, None]  # [N, M, S, C]
    if weight_square is None:
        return styles, styles.new_empty(*styles.shape[:3], 0)
    along = base.square() @ weight_square.T  # [N, O]
    across = directions.square() @ weight_square.T  # [M, O]
    mixed = (base[:, None] * directions) @ weight_square.T  # [N, M, O]
    steps = steps[:, None]
    square = along[:, None, None] + steps * (2 * mixed[:, :, None] + steps * across[:, None])  # [N, M, S, O]
    # A sum of squares: rounding may leave it slightly below zero.
    return styles, (square.clamp(min=0) + epsilon).rsqrt()


def _fake(
    base: Tensor, directions: Tensor, steps: Tensor, weight_square: Tensor | None, *_: object
) -> tuple[Tensor, Tensor]:
    combinations = (base.shape[0], directions.shape[0], steps.shape[0])
    outputs = 0 if weight_square is None else weight_square.shape[0]
    return base.new_empty(*combinations, base.shape[1]), base.new_empty(*combinations, outputs)


def _native_perturb_styles(
    base: Tensor, directions: Tensor, steps: Tensor, weight_square: Tensor | None, epsilon: float
) -> tuple[Tensor, Tensor]:
    dtype = base.dtype
    base = base.to(accumulator_dtype(dtype))
    styles, demod = _fake(base, directions, steps, weight_square)
    _native.launch(
        "perturb_styles", base.device, base, small(directions, base), small(steps, base),
        small(weight_square, base), styles, None if weight_square is None else demod, epsilon,
    )  # fmt: skip
    return styles.to(dtype), demod.to(dtype)


_op = register("perturb_styles", _reference, _native_perturb_styles, _fake)


def _check(base: Tensor, directions: Tensor, steps: Tensor, weight_square: Tensor | None) -> None:
    if base.ndim != 2:
        raise ValueError(f"base: got shape {tuple(base.shape)}, expected [N, C]")
    channels = base.shape[1]
    if directions.ndim != 2 or directions.shape[1] != channels:
        raise ValueError(
            f"directions: got shape {tuple(directions.shape)}, expected [M, C] with C = {channels}"
        )
    if steps.ndim != 1:
        raise ValueError(f"steps: got shape {tuple(steps.shape)}, expected [S]")
    if weight_square is not None and (weight_square.ndim != 2 or weight_square.shape[1] != channels):
        raise ValueError(
            f"weight_square: got shape {tuple(weight_square.shape)}, expected [O, C] with C = {channels}"
        )
    others = {"directions": directions, "steps": steps, "weight_square": weight_square}
    for name, tensor in others.items():
        if tensor is not None and tensor.dtype != base.dtype:
            raise ValueError(f"{name}: got {tensor.dtype}, expected base's {base.dtype}")

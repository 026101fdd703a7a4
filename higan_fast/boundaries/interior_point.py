"""The solver behind ``svm.py``: a primal-dual interior-point method for many machines in step.

A machine is a pair of problems (the codes have a last column of ones, so that w ends with the intercept):
    min  ½‖w‖² + Σ c ξ             where  s = y (x·w) - 1 + ξ >= 0  and  ξ >= 0      (squared hinge: Σ c ξ²)
    max  Σ α - ½‖Σ α y x‖²         where  Σ α y = 0,  α >= 0  and  β = c - α >= 0    (and - Σ α² / 4c)
Their solutions meet where α s = 0 and β ξ = 0. Newton's method drives these products to 0 together, as
Ferris and Munson (2002) do for support vector machines, with the predictor and corrector of Mehrotra (1992).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from array_api_compat import device

Array = Any  # of NumPy, torch or CuPy, float64
Move = tuple[Array, Array, Array]  # of w, u and v

TO_THE_WALL = 0.995  # the part of the way to the point where a factor would become 0
RESIDUAL = 0.1  # that is left of a Newton system: with less, the iterations do not get fewer
MAX_CONJUGATE_GRADIENTS = 50  # 1 to 3 are usual


class Group:
    """G machines with n samples each, on their way to the solution; none depends on the others.

    Attributes:
        w: weights and, last, the intercept, ``[G, D + 1]``, for codes less their mean.
        u: the factors α and, for the hinge, β, ``[P, G, n]``.
        v: the factors s and, for the hinge, ξ, ``[P, G, n]``.
        mean: of the codes, ``[G, D]``.
        c: the weight of each sample's loss, ``[G, n]``.
    """

    def __init__(self, xp: Any, codes: Array, y: Array, c: Array, squared: bool) -> None:
        """Begins with codes ``[G, n, D]``, sides 1 and -1 ``[G, n]``, and weights of the loss ``[G, n]``."""
        self.xp, self.y, self.c, self.squared = xp, y, c, squared
        self.mean = xp.mean(codes, axis=1)
        ones = xp.ones_like(codes[:, :, :1])
        self.x = xp.concat([codes - self.mean[:, None, :], ones], axis=-1)  # [G, n, D + 1]
        self.lengths = xp.sum(self.x**2, axis=-1)  # [G, n]
        self.moment = xp.matrix_transpose(self.x) @ self.x / codes.shape[1]  # [G, D + 1, D + 1]
        self.identity = xp.eye(self.x.shape[-1], dtype=xp.float64, device=device(codes))
        self.penalty = 1 - self.identity[-1, :]  # [D + 1]; the intercept is free
        # Any interior point may begin. From this one both separable and noisy data need few iterations.
        self.w = xp.zeros_like(self.x[:, 0, :])
        one = xp.ones_like(c)
        self.u = xp.stack([4 * c] if squared else [0.1 * c, 0.9 * c])
        self.v = xp.stack([one] if squared else [one, 2 * one])

    def gap(self) -> Array:
        """The objective minus the dual one, ``[G]``: what the products and the residual leave of it.

        The difference itself would be lost in rounding. Where Σ α y is not 0 yet, it costs the intercept.
        """
        return self._products(self.u, self.v) + self._cost(self._residual())

    def keep(self, rows: list[int]) -> None:
        """Goes on with these machines only."""
        index = self.xp.asarray(rows, device=device(self.w))
        for name in ("x", "y", "c", "w", "mean", "lengths", "moment"):
            setattr(self, name, self.xp.take(getattr(self, name), index, axis=0))
        self.u, self.v = self.xp.take(self.u, index, axis=1), self.xp.take(self.v, index, axis=1)

    def step(self) -> None:
        """One iteration."""
        newton = self._newton()
        # The predictor aims at 0; how far it gets says at which product the corrector should aim.
        products = self.u * self.v  # [P, G, n]
        _, du, dv = newton(-products)
        before = self._products(self.u, self.v)
        after = self._products(*self._moved(du, dv, self._length(du, dv)))
        count = products.shape[0] * products.shape[2]
        aim = (before / count * (after / before) ** 3)[:, None]  # [G, 1]
        dw, du, dv = newton(aim - products - du * dv)
        length = TO_THE_WALL * self._length(du, dv)
        self.w = self.w + length[:, None] * dw
        self.u, self.v = self._moved(du, dv, length)

    def _newton(self) -> Callable[[Array], Move]:
        """Gives the move that changes the products ``[P, G, n]`` by so much, to first order."""
        alpha, s = self.u[0, :, :], self.v[0, :, :]
        if self.squared:
            slope = 1 / (2 * self.c)  # dξ / dα
        else:
            beta, xi = self.u[1, :, :], self.v[1, :, :]
            slope = xi / beta
        d = 1 / (s / alpha + slope)  # [G, n]
        solve, residual = self._solver(d), self._residual()

        def newton(change: Array) -> Move:
            given = 0 * alpha if self.squared else change[1, :, :] / beta
            pull = change[0, :, :] / alpha - given
            dw, spread = solve(residual + self._collect(self.y * d * pull))
            margins = self.y * spread
            of_alpha = d * (pull - margins)
            of_xi = given + slope * of_alpha
            du, dv = [of_alpha, -of_alpha], [margins + of_xi, of_xi]
            return dw, self.xp.stack(du[: len(self.u)]), self.xp.stack(dv[: len(self.v)])

        return newton

    def _solver(self, d: Array) -> Callable[[Array], tuple[Array, Array]]:
        """Solves ``(penalty + Σ d x xᵀ) dw = r`` by preconditioned conjugate gradients: r → (dw, x dw).

        The preconditioner is exact for the few samples that weigh most, and sees the others through the
        second moment of all samples. One to three gradients are then enough, and the whole sum, which
        would take most of the time, is never made.
        """
        xp = self.xp
        inverse = _inverse_triangle(xp, xp.linalg.cholesky(self._approximation(d)))
        allowed = RESIDUAL * self._products(self.u, self.v)  # for the gap should not grow by residuals

        def precondition(r: Array) -> Array:
            return _times(xp.matrix_transpose(inverse), _times(inverse, r))

        def solve(r: Array) -> tuple[Array, Array]:
            dw, spread = xp.zeros_like(r), xp.zeros_like(d)
            step = search = precondition(r)
            size = start = xp.sum(r * step, axis=-1)
            for _ in range(MAX_CONJUGATE_GRADIENTS):
                ahead = _times(self.x, search)  # [G, n]
                product = self.penalty * search + self._collect(d * ahead)
                rate = _ratio(xp, size, xp.sum(search * product, axis=-1))
                dw, spread, r = dw + rate * search, spread + rate * ahead, r - rate * product
                step = precondition(r)
                size, before = xp.sum(r * step, axis=-1), size
                going = (size > RESIDUAL**2 * start) | (self._cost(r) > allowed)
                if not bool(xp.any(going)):
                    break
                # A machine that is done stays where it is.
                search = xp.where(going[:, None], step + _ratio(xp, size, before) * search, 0.0)
            return dw, spread

        return solve

    def _approximation(self, d: Array) -> Array:
        """``penalty + Σ d x xᵀ``, exact for the samples with the largest terms, ``[G, D + 1, D + 1]``."""
        xp = self.xp
        num, n, dim = self.x.shape
        heaviest = max(3 * dim // 2, n // 8)
        if heaviest > 0.7 * n:
            few, d_few = self.x, d
        else:
            rows = xp.argsort(d * self.lengths, axis=-1, descending=True)[:, :heaviest]  # [G, k]
            flat = xp.reshape(rows + n * xp.arange(num, device=device(rows))[:, None], (-1,))
            few = xp.take(xp.reshape(self.x, (num * n, dim)), flat, axis=0)
            few, d_few = xp.reshape(few, (num, heaviest, dim)), xp.take_along_axis(d, rows, axis=1)
        few = few * xp.sqrt(d_few)[:, :, None]
        rest = xp.sum(d, axis=-1) - xp.sum(d_few, axis=-1)  # [G]
        # Rounding must not make a matrix indefinite that hardly is not; the gradients put it right.
        rounding = 1e-14 * xp.sum(d * self.lengths, axis=-1)
        diagonal = (self.penalty + rounding[:, None])[:, :, None] * self.identity
        return xp.matrix_transpose(few) @ few + rest[:, None, None] * self.moment + diagonal

    def _residual(self) -> Array:
        """How far w is from Σ α y x, and Σ α y from 0: ``[G, D + 1]``."""
        return self._collect(self.y * self.u[0, :, :]) - self.penalty * self.w

    def _cost(self, residual: Array) -> Array:
        """What a residual adds to the gap, ``[G]``."""
        broken = self.xp.sum(residual[:, :-1] ** 2, axis=-1) / 2
        return broken + self.xp.abs(residual[:, -1] * self.w[:, -1])

    def _collect(self, values: Array) -> Array:
        """Sums of the codes with these factors: ``[G, n]`` → ``[G, D + 1]``."""
        return _times(self.xp.matrix_transpose(self.x), values)

    def _products(self, u: Array, v: Array) -> Array:
        """The sum of the products of each machine, ``[G]``."""
        return self.xp.sum(u * v, axis=(0, 2))

    def _length(self, du: Array, dv: Array) -> Array:
        """The longest step, at most 1, that makes no factor negative, ``[G]``."""
        xp = self.xp
        fall = xp.maximum(xp.max(-du / self.u, axis=(0, 2)), xp.max(-dv / self.v, axis=(0, 2)))
        return 1 / xp.clip(fall, 1, None)

    def _moved(self, du: Array, dv: Array, length: Array) -> tuple[Array, Array]:
        """The factors after a step of this length ``[G]``."""
        return self.u + length[:, None] * du, self.v + length[:, None] * dv


def _times(matrices: Array, vectors: Array) -> Array:
    return (matrices @ vectors[..., None])[..., 0]


def _ratio(xp: Any, above: Array, below: Array) -> Array:
    """``[G]`` by ``[G]`` as ``[G, 1]``; anything finite where a machine has nothing left to do."""
    return (above / xp.where(below > 0, below, 1.0))[:, None]


def _inverse_triangle(xp: Any, lower: Array) -> Array:
    """The inverse of lower triangles by halves: a third of the work of a general inverse.

    The array API has no triangular solver.
    """
    size = lower.shape[-1]
    if size <= 48:
        return xp.linalg.inv(lower)
    half = size // 2
    first = _inverse_triangle(xp, lower[:, :half, :half])
    last = _inverse_triangle(xp, lower[:, half:, half:])
    corner = -(last @ (lower[:, half:, :half] @ first))
    above = xp.concat([first, xp.zeros_like(xp.matrix_transpose(corner))], axis=-1)
    return xp.concat([above, xp.concat([corner, last], axis=-1)], axis=-2)

"""Linear support vector machines in bulk: S of them on shared samples, on NumPy, torch or CuPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, get_args

import torch
from array_api_compat import array_namespace, device, is_numpy_namespace
from threadpoolctl import threadpool_limits

from higan_fast.boundaries.interior_point import Group
from higan_fast.checks import check_choice, check_number

Array = Any  # of NumPy, torch or CuPy
Loss = Literal["hinge", "squared_hinge"]
LOSSES: tuple[Loss, ...] = get_args(Loss)

SINE = 0.01  # of the largest angle between a normal and the exact one: a cosine of 0.99995
ROUNDING = 1e-14  # a gap below this part of Σ c is nothing but rounding
NO_MARGIN = 1e-3  # weights that move no sample by more are none
MAX_ITERATIONS = 100  # 8 to 20 are usual
BYTES_AT_ONCE = {"cpu": 2**23, "other": 2**30}  # of codes: what a cache holds, and what keeps a GPU busy


class LinearSVMs(NamedTuple):
    """S machines: a sample lies on the positive side where ``codes @ weights + intercept > 0``.

    Attributes:
        weights: float64 ``[S, D]``; 0 where the exact ones cannot be told from 0.
        intercepts: float64 ``[S]``.
        cosines: of the angle to the exact weights, proven lower bounds, float64 ``[S]``; 0 for no proof.
        converged: whether the angle is proven to be small enough, or the weights are 0; bool ``[S]``.
    """

    weights: Array
    intercepts: Array
    cosines: Array
    converged: Array


def fit_linear_svms(
    codes: Array,
    labels: Array,
    *,
    C: float = 1.0,  # noqa: N803 (the field's name for it)
    sample_weights: Array | None = None,
    loss: Loss = "hinge",
    advance: Callable[[int], None] = lambda count: None,
) -> LinearSVMs:
    """Minimises ½‖w‖² + C Σ loss(1 - y (w·x + b)) for S labellings of the same samples.

    The intercept b is free, as in scikit-learn's ``SVC(kernel="linear")`` (``LinearSVC`` penalises it). The
    objective is 1-strongly convex in w, so ‖w - w*‖² is at most twice the duality gap: a machine is done
    when its gap proves that its normal lies within ``SINE`` of the exact one. No machine depends on the
    others, except by rounding.

    Args:
        codes: ``[N, D]``, of NumPy, torch or CuPy; computed with in float64.
        labels: ``[S, N]``, of the same kind: 1 and -1 for the two sides, 0 for a sample that is not used.
        C: the weight of the loss.
        sample_weights: factors of C for each sample, ``[N]`` or ``[S, N]``, at least 0; None: 1.
        loss: "hinge" or "squared_hinge".
        advance: called with the number of machines that are done since the last call.

    Returns:
        Arrays of the same kind on the same device.

    Raises:
        ValueError: when an argument does not fit, or a machine has samples of one side only.
    """
    xp = array_namespace(codes, labels, sample_weights)
    if codes.ndim != 2 or labels.ndim != 2 or labels.shape[1] != codes.shape[0] or labels.shape[0] == 0:
        shapes = f"{list(labels.shape)} for codes {list(codes.shape)}"
        raise ValueError(f"labels: got shape {shapes}, expected [S, N] for codes [N, D], and S at least 1")
    check_number("C", C, "a positive number", above=0)
    check_choice("loss", loss, LOSSES)
    limits = _limits(xp, C, sample_weights, labels)  # [S, N]

    def fit(machines: list[int]) -> list[_Solution]:
        rows = [xp.nonzero((labels[s, :] != 0) & (limits[s, :] > 0))[0] for s in machines]
        x = xp.stack([xp.astype(xp.take(codes, row, axis=0), xp.float64) for row in rows])  # [G, n, D]
        y, c = (
            xp.stack([xp.take(values[s, :], row) for s, row in zip(machines, rows, strict=True)])
            for values in (labels, limits)
        )  # [G, n]
        return _solve(Group(xp, x, xp.astype(y, xp.float64), c, squared=loss == "squared_hinge"))

    parts = list(_parts(_sizes(xp, labels, limits), codes))
    solutions: dict[int, _Solution] = {}
    with _workers(xp) as apply:
        for machines, found in zip(parts, apply(fit, parts), strict=True):
            solutions.update(zip(machines, found, strict=True))
            advance(len(machines))
    columns = zip(*(solutions[s] for s in range(len(solutions))), strict=True)
    return LinearSVMs(*(xp.stack(column) for column in columns))


class _Solution(NamedTuple):
    """One row of ``LinearSVMs``."""

    weights: Array
    intercept: Array
    cosine: Array
    converged: Array


def _limits(xp: Any, weight: float, sample_weights: Array | None, labels: Array) -> Array:
    """The weight of each sample's loss, float64 ``[S, N]``."""
    if sample_weights is None:
        sample_weights = xp.ones(1, device=device(labels))
    elif tuple(sample_weights.shape) not in (tuple(labels.shape), tuple(labels.shape[1:])):
        shape, wanted = list(sample_weights.shape), list(labels.shape)
        raise ValueError(f"sample_weights: got shape {shape}, expected {wanted[1:]} or {wanted}")
    elif not bool(xp.all(sample_weights >= 0)):
        raise ValueError("sample_weights: some are negative or NaN, expected at least 0")
    return xp.broadcast_to(weight * xp.astype(sample_weights, xp.float64), labels.shape)


def _sizes(xp: Any, labels: Array, limits: Array) -> list[int]:
    """How many samples each machine uses; checks that they lie on two sides."""
    sizes = []
    for s in range(labels.shape[0]):
        row, has_weight = labels[s, :], limits[s, :] > 0
        high, low = (int(xp.count_nonzero((row == side) & has_weight)) for side in (1, -1))
        strange = int(xp.count_nonzero((row != 0) & (row != 1) & (row != -1)))
        if strange or not (high and low):
            raise ValueError(
                f"labels, row {s}: got {high} times 1, {low} times -1 (with a weight above 0) and {strange} "
                "times something else than 1, -1 and 0; expected samples on both sides"
            )
        sizes.append(high + low)
    return sizes


def _parts(sizes: list[int], codes: Array) -> Iterator[list[int]]:
    """Machines with equally many samples, few enough for the memory.

    Each gathers its own samples, although they could all be multiplied at once: most of the work is in the
    Newton matrices, which differ from machine to machine and are cheaper without samples that are not used.
    """
    budget = BYTES_AT_ONCE["cpu" if str(device(codes)) == "cpu" else "other"]
    for size in sorted(set(sizes)):
        machines = [s for s, own in enumerate(sizes) if own == size]
        at_once = max(1, budget // (8 * (codes.shape[1] + 1) * size))
        yield from (machines[start : start + at_once] for start in range(0, len(machines), at_once))


@contextmanager
def _workers(xp: Any) -> Iterator[Callable[..., Iterable[list[_Solution]]]]:
    """A map: for NumPy with as many threads as torch computes with, each for a part of its own.

    To share every product among the threads instead would let them wait for each other most of the time.
    torch and CuPy see to their parallel work themselves.
    """
    if not is_numpy_namespace(xp):
        yield map
        return
    pool = ThreadPoolExecutor(torch.get_num_threads())
    with threadpool_limits(1, "blas"):
        try:
            yield pool.map
        finally:
            pool.shutdown(cancel_futures=True)  # an interrupted call waits for no part that has not begun


def _solve(group: Group) -> list[_Solution]:
    """Iterates until every machine of the group is done."""
    xp, places = group.xp, list(range(group.w.shape[0]))
    solutions: dict[int, _Solution] = {}
    for iteration in range(MAX_ITERATIONS + 1):
        gap, square = group.gap(), xp.sum(group.w[:, :-1] ** 2, axis=-1)  # ‖w‖²; [G], as all below
        precise = 2 * gap <= SINE**2 * square
        exhausted = gap <= ROUNDING * xp.sum(group.c, axis=-1)
        cosine = xp.sqrt(1 - 2 * gap / xp.maximum(square, 2 * gap))
        margins = (square + 2 * gap) * (xp.mean(group.lengths, axis=-1) - 1)  # about their largest square
        zero = exhausted & (cosine == 0) & (margins < NO_MARGIN**2)
        stop = xp.ones_like(precise) if iteration == MAX_ITERATIONS else precise | exhausted
        for row in [int(row) for row in xp.nonzero(stop)[0]]:
            weights = xp.where(zero[row], 0.0, group.w[row, :-1])
            intercept = group.w[row, -1] - xp.sum(group.mean[row, :] * weights)
            converged = precise[row] | zero[row]
            solutions[places[row]] = _Solution(weights, intercept, cosine[row], converged)
        going = [int(row) for row in xp.nonzero(~stop)[0]]
        if not going:
            break
        if len(going) < len(places):
            places = [places[row] for row in going]
            group.keep(going)
        group.step()
    return [solutions[place] for place in range(len(solutions))]

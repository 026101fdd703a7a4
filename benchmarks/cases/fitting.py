"""Fitting boundaries: scikit-learn's support vector machine one by one, and our solver on all at once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.svm import SVC

from benchmarks.cases.case import Backend, Case
from higan_fast.boundaries.svm import fit_linear_svms

NUM, DIM = 20_000, 512  # samples, of which machines use those with extreme scores; StyleGAN's code_dim
# Share of the largest entry of the normals. SVC stops when no constraint is violated by more than 1e-3; when
# set to stop at 1e-6, the difference was ten times smaller.
TOLERANCE = 0.03
PROVEN = 1e-4  # how far below 1 a proven cosine may be
NOISES = {"separable": 0.3, "noisy": 3.0}  # relative to the standard deviation that the codes explain


def fit_cases(
    device: str = "cpu",
    quick: bool = False,
    num: int = NUM,
    dim: int = DIM,
    used: tuple[int, int] = (2800, 4000),
    many: int = 100,
) -> Iterator[Case]:
    """Yields cases for one machine, against scikit-learn, and for many at once, in machines per second.

    The time of both solvers is proportional to the number of machines, so the ratio holds for many as well.

    Args:
        device: device of our solver's tensors.
        quick: without noisy codes for SVC, which takes half a minute, and with a tenth of the many.
        num: number of samples.
        dim: dimension of the codes.
        used: number of samples that the single machine uses, and that each of the many uses.
        many: number of machines that are fitted at once.
    """
    many = max(1, many // 10) if quick else many
    for kind, noise in NOISES.items():
        if quick and kind == "noisy":
            continue
        arrays = _problem(num, dim, used[0], 1, noise)
        yield Case(
            f"fit {used[0]:,} × {dim}, {kind}",
            (
                Backend("SVC", partial(_by_svc, *arrays), "float64"),
                Backend("NumPy", partial(_normals, *arrays), "float64", TOLERANCE),
                Backend("torch", partial(_normals, *_on(device, *arrays)), "float64", TOLERANCE),
            ),
            "SVC stops near the optimum, and so do we",
            images=1,
        )
    arrays = _problem(num, dim, used[1], many, NOISES["noisy"])
    yield Case(
        f"fit {many} × {used[1]:,} × {dim}, noisy",
        (
            Backend("NumPy", partial(_cosines, *arrays), "float64", PROVEN),
            Backend("torch", partial(_cosines, *_on(device, *arrays)), "float64", PROVEN),
        ),
        "the cosines to the exact normals are proven to be 1 but for this",
        images=many,
        exact=lambda: torch.ones(many, dtype=torch.float64),
    )


def _problem(num: int, dim: int, used: int, machines: int, noise: float) -> tuple[Any, Any]:
    """Codes ``[num, dim]`` with unequal variances, and labels ``[machines, num]`` of noisy linear scores."""
    random = np.random.default_rng(0)
    codes = (random.normal(size=(num, dim)) * np.linspace(0.2, 2, dim) + 1).astype(np.float32)
    scores = codes @ random.normal(size=(dim, machines))
    scores = scores / scores.std(axis=0) + noise * random.normal(size=scores.shape)
    order = np.argsort(scores, axis=0).T  # [machines, num]
    labels = np.zeros((machines, num), np.int8)
    np.put_along_axis(labels, order[:, : used // 2], -1, axis=1)
    np.put_along_axis(labels, order[:, num - used // 2 :], 1, axis=1)
    return codes, labels


def _on(device: str, *arrays: Any) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(array).to(device) for array in arrays)


def _by_svc(codes: Any, labels: Any) -> torch.Tensor:
    """Unit normals ``[machines, dim]``."""
    weights = []
    for row in labels:
        used = row != 0
        weights.append(SVC(kernel="linear").fit(codes[used].astype(np.float64), row[used]).coef_[0])
    return torch.nn.functional.normalize(torch.from_numpy(np.stack(weights)))


def _normals(codes: Any, labels: Any) -> torch.Tensor:
    """Unit normals ``[machines, dim]``."""
    weights = torch.as_tensor(fit_linear_svms(codes, labels).weights)
    return torch.nn.functional.normalize(weights).cpu()


def _cosines(codes: Any, labels: Any) -> torch.Tensor:
    """Proven lower bounds of the cosines to the exact normals, ``[machines]``."""
    return torch.as_tensor(fit_linear_svms(codes, labels).cosines).cpu()

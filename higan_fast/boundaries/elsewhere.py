"""Directions that no score was needed for: factors of the weights, principal components, and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.boundaries.boundary import Boundaries, Boundary, Space
from higan_fast.boundaries.files import read_boundary_list
from higan_fast.checkpoints.pickles.npy_files import read_npy
from higan_fast.checkpoints.sniffing import read_content
from higan_fast.checks import check_count
from higan_fast.generators.base import Generator
from higan_fast.opening import check_file
from higan_fast.refusing import refusing
from higan_fast.sampling.samples import Samples
from higan_fast.wording import in_words, printable

Array = NDArray[np.float64]

MOST = 10_000  # directions of one file
MOST_SAMPLES, MOST_FEATURES, AT_ONCE = 2048, 2**28, 8  # of activations: 1 GiB
LARGEST_FILE = 2**30  # bytes of an .npz
KEYS = ("boundary", "lat_comp", "eigvec")  # of InterFaceGAN, of GANSpace, of the factors of rosinality


def factors(generator: Generator, num: int) -> list[Boundary]:
    """Returns the directions in w that change the styles of all layers most, the largest first.

    They are the eigenvectors of AᵀA (Shen & Zhou, Closed-Form Factorization of Latent Semantics in GANs,
    CVPR 2021), where A has a row for each style of every layer but those to RGB, of length 1, as in the
    authors' code. A direction's sign is that in which its largest entry is positive.

    Raises:
        ValueError: if the generator has no affine layers from a code that all layers share, or fewer
            directions than ``num``.
    """
    weights = [
        module.weight.detach().double().cpu()
        for name, module in generator.named_modules()
        if name.split(".")[-1] == "affine" and "rgb" not in name.lower() and _reads(module, generator.w_dim)
    ]
    if not weights or not generator.shares_code:
        raise ValueError(
            f"sefa (--sefa): needs layers that read their styles from one code w, and {generator.family} has "
            "none that are known; take --pca or --file"
        )
    matrix = torch.cat(weights)
    matrix = matrix / matrix.norm(dim=1, keepdim=True).clamp(min=1e-12)
    found = torch.linalg.eigh(matrix.T @ matrix).eigenvectors.T.flip(0)
    return _named("sefa", found.numpy(), num)


def principal_components(samples: Samples, num: int) -> list[Boundary]:
    """Returns the directions in w along which the samples vary most, the largest variance first.

    Härkönen et al., GANSpace, NeurIPS 2020. Signs are those in which a direction's largest entry is
    positive.

    Raises:
        ValueError: if there are fewer directions than ``num``.
    """
    codes = samples.w.astype(np.float64)
    codes -= codes.mean(axis=0)
    return _named("pca", np.linalg.eigh(codes.T @ codes)[1].T[::-1], num)


@torch.inference_mode()
def activation_components(generator: Generator, samples: Samples, layer: int, num: int) -> list[Boundary]:
    """Returns the directions in w that go with the principal components of a layer's activations.

    As GANSpace does for generators whose activations are what should vary (Härkönen et al. 2020): the
    components of the activations of some samples, the largest variance first, and for each the direction in w
    that explains the samples' coordinates along it best, by least squares. Samples are taken as long as their
    activations have no more than ``MOST_FEATURES`` numbers together, at most ``MOST_SAMPLES``.

    Raises:
        ValueError: if there is no such layer, or so few samples that there are fewer components.
    """
    check_count("pca (--pca)", num)
    if not 0 <= layer < generator.num_layers:
        last = generator.num_layers - 1
        raise ValueError(
            f"layer (--pca-layer): got {layer!r}, expected a layer of the generator, 0 to {last}"
        )
    one = _features(generator, samples, layer, 0, 1)
    taken = min(len(samples), MOST_SAMPLES, max(MOST_FEATURES // one.shape[1], 1))
    if num >= taken:
        raise ValueError(
            f"pca (--pca): got {num}, and {taken} samples have {taken - 1} components in layer {layer}"
        )
    starts = range(0, taken, AT_ONCE)
    parts = [_features(generator, samples, layer, i, min(i + AT_ONCE, taken)) for i in starts]
    features = torch.cat(parts)
    features -= features.mean(dim=0)
    gram = (features @ features.T).double().cpu()
    coordinates = torch.linalg.eigh(gram).eigenvectors.T.flip(0)[:num].numpy()  # [num, n]
    codes = samples.w[:taken].astype(np.float64)
    found = coordinates @ (codes - codes.mean(axis=0))
    return _signed(f"layer {layer} pca", found / np.linalg.norm(found, axis=1, keepdims=True))


def _features(generator: Generator, samples: Samples, layer: int, start: int, stop: int) -> Tensor:
    """The activations after a layer, of the samples ``start`` to ``stop - 1``: ``[n, F]``."""
    codes = torch.from_numpy(samples.codes[start:stop]).to(generator.device)
    activation = generator.start(len(codes))
    for index in range(layer + 1):
        activation = generator.layer(index, activation, codes[:, index])
    return activation.features.flatten(1).float()


def read_directions(path: str | Path, space: Space = "w") -> list[Boundary]:
    """Reads directions that somebody published; nothing in a file is executed.

    A ``.npy``, ``.pt`` or ``.pth`` holds an array ``[D]``, ``[K, D]`` or, with a part for each layer,
    ``[K, L, D]``, or a dictionary with one: InterFaceGAN's and HiGAN's ``boundary``, GANSpace's ``lat_comp``
    (an ``.npz``), or ``eigvec``, whose columns are the directions. A ``.txt`` is a list of HiGAN's, lines
    ``(name, space): path``, and a ``.safetensors`` what ``fit`` writes; both say names and spaces themselves.

    Args:
        path: the file.
        space: where the directions of an array are.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds something else.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending == ".txt":
        return list(read_boundary_list(path).values())
    if ending == ".safetensors":
        return list(Boundaries.load(path).values())
    with refusing(path):
        rows = _rows(_content(path, ending))
        if rows.shape[1] > 1 and space != "layers":
            raise ValueError(f"holds {list(rows.shape)}, a part for each layer; say so with space 'layers'")
        stem = printable(path.stem, 100)
        names = [f"{stem} {i + 1}" for i in range(len(rows))] if len(rows) > 1 else [stem]
        normals = rows[:, 0] if rows.shape[1] == 1 else rows
        return [_boundary(name, space, normal) for name, normal in zip(names, normals, strict=True)]


def _content(path: Path, ending: str) -> Any:
    if ending == ".npy":
        return read_npy(path)
    if ending != ".npz":
        return read_content(path).value
    if check_file(path) > LARGEST_FILE:
        raise ValueError(f"is larger than {LARGEST_FILE} bytes, expected components of GANSpace")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in KEYS if name in file.files}


def _rows(content: Any) -> Array:
    """Directions ``[K, 1, D]`` or ``[K, L, D]``."""
    key = next((key for key in KEYS if isinstance(content, dict) and key in content), None)
    value = content if key is None else content[key]
    value = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.ndim not in (1, 2, 3):
        got = in_words(value) if not isinstance(value, np.ndarray) else f"{value.dtype} {list(value.shape)}"
        raise ValueError(f"holds {got}, expected directions [D], [K, D] or [K, L, D], or one of {KEYS}")
    rows = np.atleast_2d(value.T if key == "eigvec" else value).astype(np.float64)
    rows = rows[:, None] if rows.ndim == 2 else rows
    if not 0 < len(rows) <= MOST or not rows.size or not np.isfinite(rows).all():
        raise ValueError(f"holds directions {list(rows.shape)}, expected 1 to {MOST} of finite numbers")
    return rows


def _boundary(name: str, space: Space, normal: Array) -> Boundary:
    largest = np.abs(normal).max()
    if not largest > 0:
        raise ValueError(f"the direction {name!r} has length 0")
    normal = normal / largest
    return Boundary(name, "attribute", space, normal / np.linalg.norm(normal))


def _named(name: str, found: Array, num: int) -> list[Boundary]:
    check_count(f"{name} (--{name})", num)
    if num > len(found):
        raise ValueError(f"{name} (--{name}): got {num}, and there are {len(found)} directions")
    return _signed(name, found[:num])


def _signed(name: str, found: Array) -> list[Boundary]:
    """Directions in w, numbered, with the signs in which the largest entry of each is positive."""
    signs = np.sign(np.take_along_axis(found, np.abs(found).argmax(axis=1)[:, None], axis=1))
    return [_boundary(f"{name} {i + 1}", "w", row) for i, row in enumerate(found * signs)]


def _reads(module: Any, width: int) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.ndim == 2 and weight.shape[1] == width


def all_of(*several: Sequence[Boundary]) -> Boundaries:
    """Directions of several sources together.

    Raises:
        ValueError: if there is none, or two have the same name.
    """
    found = [direction for some in several for direction in some]
    if not found:
        raise ValueError("directions: got none; take --sefa, --pca or --file")
    return Boundaries(tuple(found))

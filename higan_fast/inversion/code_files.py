"""Files of layer codes, ours and other people's, as codes of one generator; nothing in them is executed."""

from __future__ import annotations

import json
import shlex
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.checkpoints import read_header
from higan_fast.checkpoints.pickles.npy_files import numbers_of_npy, read_npy
from higan_fast.checkpoints.sniffing import is_picture, read_content
from higan_fast.files import checksum, read_arrays
from higan_fast.fingerprint import fingerprint
from higan_fast.generators.base import Generator
from higan_fast.opening import check_file, is_folder
from higan_fast.refusing import refusing
from higan_fast.wording import MOST_ENTRIES, in_words, printable

FOLDER, CODES, TUNED = "invert", "codes.npz", "tuned.safetensors"  # in a run folder
KEYS = ("w", "latents", "latent", "codes", "w_plus")  # of arrays in files, the first that is there
ENDINGS = (".npz", ".npy", ".pt", ".pth")
LARGEST = 2**30  # bytes of a file, and of an array in it
MOST = 100_000  # codes

Array = NDArray[np.float32]


class FoundCodes(NamedTuple):
    """Codes from a file.

    Attributes:
        codes: float32 ``[N, L, D]``.
        names: one for each, such as the name of the picture that it was found for.
        tuned: the file of the network that was tuned around these codes, which draws them; None: there is
            none.
        noise: noise maps that were found with them, ``[N, 1, H, W]`` by the buffer that each replaces.
    """

    codes: Array
    names: tuple[str, ...]
    tuned: Path | None = None
    noise: Mapping[str, Array] = {}

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.codes.shape[1:]))
        some = ", ".join(self.names[:MOST_ENTRIES]) + (", …" if len(self.names) > MOST_ENTRIES else "")
        words = f"{len(self.codes)} codes of {shape}, of {some}"
        words += "" if self.tuned is None else f"; drawn by {printable(str(self.tuned))}"
        words += f"; {len(self.noise)} noise maps each" if self.noise else ""
        return f"FoundCodes({words})"


def read_codes(path: str | Path, generator: Generator) -> FoundCodes:
    """Reads codes of a generator.

    These are read: what ``higan-fast invert`` leaves in a run folder, or its ``codes.npz``; ``w`` of an
    ``.npz``, as NVlabs' ``projected_w.npz``; a ``.npy``; a ``.pt`` or ``.pth`` with a tensor, as those of
    e4e, or with a dictionary of codes for each picture, as rosinality's projector writes. Codes are
    ``[L, D]`` or ``[N, L, D]``, or ``w`` for all layers, ``[D]`` or ``[N, D]``.

    Args:
        path: the file, or the folder.
        generator: whose codes these are.

    Returns:
        A named tuple ``FoundCodes``: ``codes``, ``names``, ``tuned`` and ``noise``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds something else, or codes of another generator or shape.
    """
    path = Path(path)
    if is_folder(path):
        path = path / FOLDER / CODES if (path / FOLDER).exists() else path / CODES
        if not path.exists():
            raise FileNotFoundError(
                f"{path}: there is no such file; higan-fast invert IMAGE … --out RUN leaves it"
            )
    check_file(path)
    with refusing(path):
        parts, about = _content(path)
        arrays = {name: _as_codes(path, value, generator) for name, value in parts.items()}
        codes = np.concatenate(list(arrays.values()))
        names = [printable(str(name), 100) for name in about.get("names") or _names(arrays)]
        if not 0 < len(codes) <= MOST or len(names) != len(codes):
            raise ValueError(f"holds {len(codes)} codes, expected 1 to {MOST}")
        if "generator" not in about:
            return FoundCodes(codes, tuple(names))
        _check_own(about, generator)
        return FoundCodes(codes, tuple(names), tuned_beside(path, codes), about["noise"])


def _content(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays of codes by name, and what our own files say besides."""
    ending = path.suffix.lower()
    if ending == ".npy":
        return {"": read_npy(path)}, {}
    if ending == ".npz":
        return _of_npz(path)
    if is_picture(path):
        given = printable(shlex.quote(str(path)))
        raise ValueError(
            f"a picture; run higan-fast invert {given} --out RUN first, and give that RUN or its codes.npz"
        )
    if ending not in ENDINGS:
        raise ValueError(f"ends in {ending or 'nothing'}, expected codes in a file of {', '.join(ENDINGS)}")
    value = read_content(path).value
    if isinstance(value, Tensor):
        return {"": value}, {}
    if isinstance(value, dict) and (key := next((key for key in KEYS if key in value), None)) is not None:
        return {"": value[key]}, {}
    each = {
        Path(str(name)).name: entry["latent"]
        for name, entry in (value.items() if isinstance(value, dict) else ())
        if isinstance(entry, dict) and "latent" in entry
    }
    if not each:
        raise ValueError(
            f"holds {in_words(value)}, expected codes: a tensor, or a dictionary with {' or '.join(KEYS)}"
        )
    return each, {}


def _of_npz(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    if check_file(path) > LARGEST:
        raise ValueError(f"is larger than {LARGEST} bytes, expected codes")
    if not zipfile.is_zipfile(path):
        raise ValueError("is no .npz file that can be read; it is damaged, or of another kind")
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
            raise ValueError(f"would unpack to more than {LARGEST} bytes, expected codes")
        inside = [entry.filename.removesuffix(".npy") for entry in archive.infolist()]
    if "settings" in inside and "sha256" in inside:
        arrays = read_arrays(path)
        settings = json.loads(str(arrays["settings"]))
        noise = {
            name.removeprefix("noise."): array for name, array in arrays.items() if name.startswith("noise.")
        }
        return {"": arrays["w"]}, {
            **settings,
            "names": [str(name) for name in arrays["names"]],
            "noise": noise,
        }
    key = next((key for key in KEYS if key in inside), None)
    if key is None:
        shown = ", ".join(printable(name, 40) for name in inside[:4]) or "nothing"
        raise ValueError(f"holds {shown}, expected an array w of codes [N, L, D], as NVlabs' projected_w.npz")
    try:
        with zipfile.ZipFile(path) as archive:
            return {"": numbers_of_npy(memoryview(archive.read(f"{key}.npy")))}, {}
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"is damaged ({printable(str(error))})") from error


def _as_codes(path: Path, value: Any, generator: Generator) -> Array:
    """Codes ``[N, L, D]`` of what a file holds."""
    array = value.detach().cpu().float().numpy() if isinstance(value, Tensor) else value
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        got = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else in_words(value)
        raise ValueError(f"holds {got}, expected codes of floating-point numbers")
    layers, length, shape = generator.num_layers, generator.code_dim, list(array.shape)
    if array.ndim == 2 and array.shape == (layers, length):
        array = array[None]
    elif array.ndim in (1, 2) and array.shape[-1] == generator.w_dim and generator.shares_code:
        w = torch.from_numpy(np.atleast_2d(array).astype(np.float32))
        array = w[:, None].expand(-1, layers, -1).numpy()
    if array.ndim != 3 or array.shape[1:] != (layers, length):
        raise ValueError(
            f"holds codes {shape}, and the generator has {layers} layers with codes of {length}: expected "
            f"[N, {layers}, {length}]; are they of another network?"
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        codes = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(codes).all():
        raise ValueError("holds codes that are not finite in float32 (NaN or infinite)")
    return codes


def _names(arrays: Mapping[str, Array]) -> list[str]:
    if "" not in arrays:
        return [name for name, codes in arrays.items() for _ in codes]
    return [str(index) for index in range(len(arrays[""]))]


def _check_own(about: Mapping[str, Any], generator: Generator) -> None:
    if about["generator"] != fingerprint(generator):
        raise ValueError(
            "was found for another network (in code, attributes or weights); invert with this one, or take "
            "the run of that one"
        )


def tuned_beside(path: Path, codes: Array) -> Path | None:
    """The network beside a file of codes that was tuned around them; None: there is none.

    Raises:
        ValueError: when it was tuned around others, or is damaged.
    """
    tuned = path.with_name(TUNED)
    if not tuned.exists():
        return None
    if read_header(tuned).about.get("codes") != checksum({"codes": codes}):
        raise ValueError(
            f"{tuned}: was tuned around other codes than {path} holds; invert with --tune again, or remove it"
        )
    return tuned

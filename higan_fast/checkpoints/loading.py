"""Files in the wild → generators: what a file is, what is in it, and how it becomes one of ours."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from higan_fast.checkpoints.contents import Content, refuse_unknown, shown
from higan_fast.checkpoints.formats import FORMATS, Format, native
from higan_fast.checkpoints.formats.native import Header, header_of, save_generator
from higan_fast.checkpoints.sniffing import read_content, read_json
from higan_fast.devices import usable_device
from higan_fast.generators.bands import keep_bands
from higan_fast.generators.base import Generator, Layer
from higan_fast.refusing import refusing
from higan_fast.weights import embedded
from higan_fast.wording import printable

Config = Mapping[str, Any] | str | Path | None
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Description:
    """What a file holds.

    Attributes:
        layers: in the order in which they run.
        label_dim: number of classes; 0: unconditional.
        parameters: how many numbers it has learned.
        config: its architecture, as JSON values.
        format: what people call the file's format.
        source: where the weights come from: the file, or what a converted file says of its own source.
        image_shape: channels, height and width of an image.
    """

    family: str
    resolution: int
    layers: tuple[Layer, ...]
    latent_dim: int
    code_dim: int
    label_dim: int
    parameters: int
    config: dict[str, Any]
    format: str
    source: dict[str, Any]
    image_shape: tuple[int, int, int]


def load_generator(
    network: str | Path,
    device: str | torch.device = "cpu",
    config: Config = None,
    *,
    map_file: bool = False,
    bands: Sequence[int] | None = None,
) -> Generator:
    """Returns a generator that is ready to probe: in evaluation mode, on ``device``, with fixed noise.

    It has drawn one image, all of whose values are finite.

    Args:
        network: ``"scenes"``, the embedded generator of rooms; or a file or folder of any format that
            ``FORMATS`` lists. Nothing in it is executed.
        device: where it runs; "auto": on a CUDA device where there is one. As everywhere in torch, nothing
            moves to a GPU unasked.
        config: the architecture, or a JSON file with it, for formats that do not store it.
        map_file: leave the weights of a file of our own in the file, mapped into memory, instead of copying
            them (0.15 s for 130 MB). Several processes then share them; but the file must not change while
            one of them uses it: who truncates it kills them.
        bands: which channels its images are to have, counted from 0: ``(3, 2, 1)`` of a network of seven
            makes RGB of these, and ``(0, 1, 2)`` leaves alpha out. None: all, as they are.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, refused, or holds no generator that can be read; or there is no such
            device, or no such channel.
        OSError: if the system cannot read it.
    """
    return _read(generator_file(network), config, usable_device(device), map_file, bands)[0]


def describe(network: str | Path, config: Config = None) -> Description:
    """What a file holds; arguments and errors as of ``load_generator``."""
    generator, kind, content = _read(generator_file(network), config)
    architecture: Any = generator.config
    return Description(
        family=generator.family,
        resolution=generator.resolution,
        layers=generator.layers,
        latent_dim=generator.latent_dim,
        code_dim=generator.code_dim,
        label_dim=generator.label_dim,
        parameters=sum(parameter.numel() for parameter in generator.parameters()),
        config=asdict(architecture),
        format=kind.NAME,
        source=header_of(content).about if kind is native else {"source": content.path.name},
        image_shape=generator.image_shape,
    )


def convert(source: str | Path, out: str | Path, config: Config = None) -> None:
    """Writes a generator in our own format, which loads fastest and can be mapped into memory.

    Args:
        source: as ``network`` of ``load_generator``, whose errors are raised.
        out: the new file, ending in ``.safetensors``; its header says the source's name, format and SHA-256.
        config: as of ``load_generator``.

    Raises:
        ValueError: also when ``out`` is the source, or ends otherwise.
        OSError: when ``out`` cannot be written.
    """
    path, out = generator_file(source), Path(out)
    if out.suffix != ".safetensors":
        raise ValueError(f"{out}: converted files are named .safetensors")
    with refusing(out, "writing it"):
        if out.exists() and path.exists() and out.samefile(path):
            raise ValueError(f"{out}: would overwrite its own source; choose another name")
    generator, kind, content = _read(path, config)
    about = {"source": content.path.name, "format": kind.NAME, "sha256": sha256(path)}
    with refusing(out, "writing it"):
        save_generator(generator, out, about)


def read_header(path: str | Path) -> Header:
    """The header of a file of our own format; errors as of ``load_generator``."""
    path = Path(path)
    with refusing(path):
        content = read_content(path)
        if not native.recognises(content):
            raise ValueError(
                f"{path}: not a generator that higan_fast has saved; higan-fast convert makes one"
            )
        return header_of(content)


def generator_file(network: str | Path) -> Path:
    """``"scenes"`` or a path → the file or folder with the weights."""
    if str(network) == "scenes":
        return embedded("generator")
    path = Path(network)
    is_name = not path.suffix and len(path.parts) == 1
    if is_name and not os.path.lexists(path):
        raise FileNotFoundError(f"{path}: there is no such file; the embedded network is called 'scenes'")
    return path


def sha256(path: Path) -> str:
    """Of a file; of a folder, of all its files, one after the other by name."""
    digest = hashlib.sha256()
    for part in sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]:
        with part.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


@torch.inference_mode(False)  # of weights made in it layers could keep nothing that they prepare
def _read(
    path: Path,
    config: Config,
    device: torch.device = CPU,
    map_file: bool = False,
    bands: Sequence[int] | None = None,
) -> tuple[Generator, Format, Content]:
    """Returns a generator on ``device`` that has drawn an image, its format, and the file it comes from."""
    settings = _settings(config)
    with refusing(path):
        content = read_content(path, map_file)
        kind = _format_of(content)
    with refusing(path, f"reading it as {kind.NAME}"):
        generator = kind.read(content, settings).eval().requires_grad_(False)
    if bands is not None:
        keep_bands(generator, bands)
    generator = generator.to(device)
    # What a GPU's driver complains of is not the file's fault.
    with refusing(path, "drawing an image with it") if device.type == "cpu" else nullcontext():
        check_image(path, generator)
    return generator, kind, content


def _settings(config: Config) -> Mapping[str, Any] | None:
    if isinstance(config, str | Path):
        with refusing(Path(config)):
            return read_json(Path(config))
    if config is not None and not isinstance(config, Mapping):
        raise ValueError(f"config: got {shown(config)}, expected settings by their names, or a JSON file")
    return config


def _format_of(content: Content) -> Format:
    for kind in FORMATS:
        if kind.recognises(content):
            return kind
    if "higan_fast" in content.metadata:
        raise ValueError(
            f"{content.path}: holds boundaries, and no generator; higan-fast inspect its run folder instead"
        )
    refuse_unknown(content.path, content.value, *(content.value.values() if content.keys else ()))
    raise ValueError(
        f"{content.path}: holds {_found(content)}, which is no generator of a format that can be read; these "
        "are: " + ", ".join(kind.NAME for kind in FORMATS)
    )


@torch.inference_mode()
def check_image(path: Path, generator: Generator) -> None:
    """Raises ValueError if an image of a fixed latent is not finite, or not of the generator's shape."""
    z = torch.randn(1, generator.latent_dim, generator=torch.Generator().manual_seed(0))
    label = torch.zeros(1, dtype=torch.int64) if generator.label_dim else None
    z, label = z.to(generator.device), None if label is None else label.to(generator.device)
    try:
        image = generator(z, label)
    except ValueError as error:
        raise ValueError(f"{path}: is damaged; no image can be drawn with it: {error}") from error
    expected = (1, *generator.image_shape)
    if image.shape != expected:
        raise ValueError(f"{path}: makes an image of shape {list(image.shape)}, expected {list(expected)}")
    if not image.isfinite().all():
        share = image.isfinite().float().mean().item()
        raise ValueError(
            f"{path}: makes images of which {1 - share:.0%} of the values are not finite; it is damaged, or "
            "training had diverged when it was saved"
        )


def _found(content: Content) -> str:
    """Returns what a message says of a file that no format recognises."""
    if not isinstance(content.value, Mapping):
        kind = printable(type(content.value).__name__)
        return f"a {kind}" + (f" of {len(content.value)}" if isinstance(content.value, tuple | list) else "")
    names = [printable(str(key), 60) for key in islice(content.value, 8)]
    more = f" and {len(content.value) - 8} more" if len(content.value) > 8 else ""
    return f"the names {', '.join(names)}{more}" if names else "nothing"

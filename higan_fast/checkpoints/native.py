"""Our own checkpoint: safetensors, with the architecture and the origin in its header."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from higan_fast.files import write_whole
from higan_fast.generators.base import Generator
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config

KEY = "higan_fast_generator"


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of itself: the family, its architecture, and where the weights come from."""

    family: str
    config: dict[str, Any]
    about: dict[str, Any]


def save_generator(generator: StyleGAN2, path: str | Path, about: dict[str, Any]) -> None:
    """Writes a generator; ``about`` says where its weights come from (JSON values)."""
    header = Header(generator.family, asdict(generator.config), about)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    with write_whole(path) as file:
        file.write(save(tensors, metadata={KEY: json.dumps(asdict(header))}))


def read_header(path: str | Path) -> Header:
    """The header alone, without the weights.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is not a checkpoint of ours.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error
    if text is None:
        raise ValueError(
            f"{path}: a safetensors file, but not a generator of higan_fast (no {KEY!r} in its header)"
        )
    header = Header(**json.loads(text))
    if header.family != StyleGAN2.family:
        raise ValueError(
            f"{path}: holds a generator of the family {header.family!r}, expected {StyleGAN2.family!r}"
        )
    return header


def load_native(path: str | Path) -> Generator:
    """Reads what ``save_generator`` wrote; in evaluation mode, without gradients.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is not a checkpoint of ours, or its tensors do not fit its architecture.
    """
    generator = StyleGAN2(StyleGAN2Config.from_json(read_header(path).config))
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    try:
        generator.load_state_dict(tensors)
    except RuntimeError as error:
        message = " ".join(str(error).split())
        raise ValueError(
            f"{path}: the tensors do not fit the architecture in the header: {message}"
        ) from error
    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        raise ValueError(f"{path}: {broken[0]} has values that are not finite; the file is damaged")
    return generator.eval().requires_grad_(False)

"""Our own checkpoint: safetensors, with the architecture and the origin in its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from higan_fast.checkpoints.contents import Content
from higan_fast.checkpoints.conversion import check_finite, expect_no_config, one_thread
from higan_fast.files import write_whole
from higan_fast.generators import FAMILIES
from higan_fast.generators.base import Generator

NAME = "higan_fast safetensors"
KEY = "higan_fast_generator"
# A header may ask for any number of layers; each takes some of the tensors that are there.
REPEATED = ("mapping_depth",)


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of itself: the family, its architecture, and where the weights come from."""

    family: str
    config: dict[str, Any]
    about: dict[str, Any]


def recognises(content: Content) -> bool:
    return content.kind == "safetensors" and KEY in content.metadata


def read(content: Content, config: Mapping[str, Any] | None) -> Generator:
    """What ``save_generator`` wrote. Its tensors stay in the file's memory, which is mapped."""
    expect_no_config(content.path, config)
    path, tensors, header = content.path, content.value, header_of(content)
    try:
        for name in REPEATED:
            if header.config.get(name, 0) > len(tensors):
                raise ValueError(f"{name} is {header.config[name]}")
        family, config_class = FAMILIES[header.family]
        with torch.device("meta"):
            generator = family(config_class.from_json(header.config))
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
    ) as error:
        problem = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: the architecture in its header is damaged ({problem})") from error
    try:
        generator.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        message = " ".join(str(error).split())
        raise ValueError(
            f"{path}: the tensors do not fit the architecture in the header: {message}"
        ) from error
    with one_thread():
        for name, tensor in tensors.items():
            check_finite(path, name, tensor)
    return generator


def header_of(content: Content) -> Header:
    """The header of a file that this format recognises.

    Raises:
        ValueError: when it is damaged, or of a family that is not known here.
    """
    try:
        header = Header(**json.loads(content.metadata[KEY]))
        parts = ((header.family, str), (header.config, dict), (header.about, dict))
        intact = all(isinstance(part, kind) for part, kind in parts)
    except (ValueError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise ValueError(f"{content.path}: the {KEY!r} in its header is damaged")
    if header.family not in FAMILIES:
        problem = f"the family {header.family!a:.40}, expected one of {', '.join(FAMILIES)}"
        raise ValueError(f"{content.path}: holds a generator of {problem}")
    return header


def save_generator(generator: Generator, path: str | Path, about: dict[str, Any]) -> None:
    """Writes a generator of any family; ``about`` says where its weights come from (JSON values)."""
    config: Any = generator.config
    header = Header(generator.family, asdict(config), about)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    with write_whole(path) as file:
        file.write(save(tensors, metadata={KEY: json.dumps(asdict(header))}))

"""Our own checkpoint: safetensors, with the architecture and the origin in its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from safetensors.torch import save

from higan_fast.checkpoints.contents import Content, shown
from higan_fast.checkpoints.conversion import assemble, expect_no_config, listed
from higan_fast.files import write_whole
from higan_fast.generators import FAMILIES
from higan_fast.generators.base import Generator
from higan_fast.wording import printable

NAME = "higan_fast safetensors"
KEY = "higan_fast_generator"
DEEPEST = 16  # levels of what a header says of its source


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of itself: the family, its architecture, and where the weights come from."""

    family: str
    config: dict[str, Any]
    about: dict[str, Any]


def recognises(content: Content) -> bool:
    return content.kind == "safetensors" and KEY in content.metadata


def read(content: Content, config: Mapping[str, Any] | None) -> Generator:
    """Returns what ``save_generator`` wrote. Its float32 tensors are those of ``content``, not copies."""
    expect_no_config(content.path, config)
    header = header_of(content)
    family, config_class = FAMILIES[header.family]
    architecture = _architecture(content.path, config_class, header.config)
    return assemble(family, architecture, content.path, content.value, copy=False)


def _architecture(path: Path, config_class: Any, values: dict[str, Any]) -> Any:
    known = {field.name for field in fields(config_class)}
    unknown = [name for name in values if name not in known]
    try:
        if unknown:
            raise ValueError(f"it has no setting {listed(unknown)}")
        return config_class.from_json(values)
    except (ValueError, TypeError, KeyError) as error:
        problem = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"{path}: the architecture in its header is damaged ({printable(problem)})"
        ) from error


def header_of(content: Content) -> Header:
    """The header of a file that this format recognises.

    Raises:
        ValueError: when it is damaged, or of a family that is not known here.
    """
    try:
        header = Header(**json.loads(content.metadata[KEY]))
        parts = ((header.family, str), (header.config, dict), (header.about, dict))
        intact = all(isinstance(part, kind) for part, kind in parts) and not _is_deep(header.about)
    except (ValueError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise ValueError(f"{content.path}: the {KEY!r} in its header is damaged")
    if header.family not in FAMILIES:
        problem = f"the family {shown(header.family)}, expected one of {', '.join(FAMILIES)}"
        raise ValueError(f"{content.path}: holds a generator of {problem}")
    return header


def _is_deep(value: Any, levels: int = DEEPEST) -> bool:
    """Whether JSON values are nested more deeply than whoever prints them can follow."""
    within = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deep(entry, levels - 1) for entry in within)


def save_generator(generator: Generator, path: str | Path, about: dict[str, Any]) -> None:
    """Writes a generator of any family; ``about`` says where its weights come from (JSON values)."""
    config: Any = generator.config
    header = Header(generator.family, asdict(config), about)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    with write_whole(path) as file:
        file.write(save(tensors, metadata={KEY: json.dumps(asdict(header))}))

"""Files with weights → generators, without ever executing what is in them."""

from __future__ import annotations

from higan_fast.checkpoints.formats.native import Header, save_generator
from higan_fast.checkpoints.live import from_model
from higan_fast.checkpoints.loading import (
    Description,
    convert,
    describe,
    generator_file,
    load_generator,
    read_header,
)

__all__ = [
    "Description",
    "Header",
    "convert",
    "describe",
    "from_model",
    "generator_file",
    "load_generator",
    "read_header",
    "save_generator",
]

"""The formats that can be read, in the order in which they are asked whether a file is theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from higan_fast.checkpoints.contents import Content
from higan_fast.checkpoints.formats import (
    biggan_deep_huggingface,
    biggan_pytorch,
    gan_zoo,
    genforce,
    native,
    nvlabs_tensorflow,
    nvlabs_torch,
    rosinality,
)
from higan_fast.generators.base import Generator


class Format(Protocol):
    """What each format's module has.

    Attributes:
        NAME: what people call it.
    """

    NAME: str

    def recognises(self, content: Content) -> bool:
        """Whether a file is of this format: from its structure and tensor names, never from its own name."""

    def read(self, content: Content, config: Mapping[str, Any] | None) -> Generator:
        """The generator in it.

        Args:
            content: a file that this format recognises.
            config: the architecture, for formats that do not store it; None: the user gave none.

        Raises:
            ValueError: when it is damaged, or holds no generator that can be read.
        """


FORMATS: tuple[Format, ...] = (
    native,
    nvlabs_torch,
    nvlabs_tensorflow,
    gan_zoo,
    rosinality,
    genforce,
    biggan_pytorch,
    biggan_deep_huggingface,
)

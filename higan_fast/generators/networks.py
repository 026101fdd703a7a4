"""Whether what someone gives as a network is one, and what to give instead."""

from __future__ import annotations

import os
import types
from collections.abc import Mapping

from torch import Tensor, nn

from higan_fast.wording import in_words, printable


def check_network(argument: str, given: object) -> None:
    """Raises TypeError if ``given`` is no live network; the line says what it is, and what to do.

    Args:
        argument: its name.
        given: what should be a ``torch.nn.Module``.
    """
    if not isinstance(given, nn.Module):
        what, instead = _described(given)
        raise TypeError(f"{argument}: got {what}, expected a network, a live torch.nn.Module; {instead}")


def _described(given: object) -> tuple[str, str]:
    """What something is that is no network, and what to give instead."""
    if isinstance(given, type):
        return f"the class {printable(given.__name__)}", "make a network of it first"
    if isinstance(given, str | os.PathLike):
        path = printable(str(given))
        return f"the path '{path}'", (
            "open it with the code that wrote it, or read it with higan_fast.load_generator(path)"
        )
    if isinstance(given, Mapping):
        return _of_mapping(given)
    if isinstance(given, types.ModuleType):
        return f"the module {printable(given.__name__)}", (
            "give one network of its code, or serve all of it with higan_fast.patch_namespace(module)"
        )
    if isinstance(given, types.MethodType) and isinstance(given.__self__, nn.Module):
        return f"the method {printable(given.__name__)} of a network", "give the network itself"
    if callable(given):
        return in_words(given), (
            "give the network that it calls; higan_fast.generators.wrap takes functions that draw images"
        )
    return "None" if given is None else in_words(given), "give a generator, a discriminator, or a part of one"


def _of_mapping(given: Mapping[object, object]) -> tuple[str, str]:
    networks = [name for name, value in given.items() if isinstance(value, nn.Module)]
    if networks:
        return "a dictionary of networks", f"give one of its entries: {', '.join(map(in_words, networks))}"
    if given and all(isinstance(value, Tensor) for value in given.values()):
        return "a state dict", "load it into a network of its code with load_state_dict(), and give that"
    return in_words(given), "give a generator, a discriminator, or a part of one"

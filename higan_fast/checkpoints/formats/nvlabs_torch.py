"""StyleGAN2 and StyleGAN3 as stylegan2-ada-pytorch and stylegan3 pickle them: modules with state and source.

Each module is a ``Record`` of ``_reconstruct_persistent_obj``, whose argument says the class, the state of
the object, and the Python source that would make it. Nobody reads that source here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from higan_fast.checkpoints.contents import Content, Record, refuse_unknown
from higan_fast.checkpoints.conversion import assemble, expect_no_config
from higan_fast.checkpoints.formats import stylegan3_names
from higan_fast.checkpoints.formats.stylegan2_names import read_config, sources_of, track_average
from higan_fast.checkpoints.formats.stylegan2_settings import Settings, check_settings
from higan_fast.generators.base import Generator
from higan_fast.generators.stylegan2 import StyleGAN2
from higan_fast.generators.stylegan3 import StyleGAN3
from higan_fast.wording import printable

NAME = "NVlabs PyTorch pickle"
PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
UNUSED = (r"synthesis\.b\d+\.resample_filter",)  # of a block that upsamples no RGB
XL = "mapping.embed_proj"  # of StyleGAN-XL alone
WRAP = "A live one can be probed as it is: higan_fast.generators.wrap(G_ema)"
# Modules, tensors and other parts, however many share one; characters of a name. A generator has about 60
# modules, four deep, and 200 tensors.
MOST_PARTS, MOST_DEPTH, LONGEST_NAME = 20_000, 16, 500


@dataclass
class Network:
    """A network taken apart.

    Attributes:
        class_name: of the network itself.
        tensors: all parameters and buffers, as ``"mapping.fc0.weight"``.
        settings: the attributes of each module, as ``settings["mapping.fc0"]["activation"]``.
        unknown: modules of classes that nobody knows.
    """

    path: Path
    class_name: str
    tensors: dict[str, Tensor] = field(default_factory=dict)
    settings: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    unknown: list[Record] = field(default_factory=list)


def recognises(content: Content) -> bool:
    return content.kind in ("pickle", "torch") and bool(_networks(content.value))


def read(content: Content, config: Mapping[str, Any] | None) -> Generator:
    """The moving average ``G_ema`` where there is one, else ``G``, else the one network that is there."""
    path, networks = content.path, _networks(content.value)
    name = next((name for name in ("G_ema", "G") if name in networks), next(iter(networks)))
    network = _taken_apart(path, networks[name])
    class_name = printable(network.class_name)
    _check_kind(network, f"{name}, a {class_name}" if name in ("G_ema", "G", "D") else f"a {class_name}")
    refuse_unknown(path, *network.unknown)
    is_3 = stylegan3_names.INPUT in network.settings
    generator = stylegan3_names.read(path, network.tensors, network.settings) if is_3 else _stylegan2(network)
    if "mapping.w_avg" not in network.tensors:
        track_average(generator)
    if isinstance(generator, StyleGAN3):
        stylegan3_names.move_image(path, generator, config)
    else:
        expect_no_config(path, config)
    return generator


def _stylegan2(network: Network) -> StyleGAN2:
    path, settings = network.path, Settings(network.path, network.settings)
    architecture = read_config(path, network.tensors, settings)
    check_settings(settings, architecture, network.tensors)
    sources = sources_of(architecture, network.tensors)
    generator = assemble(StyleGAN2, architecture, path, network.tensors, sources, UNUSED)
    assert isinstance(generator, StyleGAN2)
    return generator


def _networks(value: Any) -> dict[str, Record]:
    """The persistent objects at the top level, by name; one that is there alone has none."""
    entries = value if isinstance(value, Mapping) else {"": value}
    return {
        name: entry
        for name, entry in entries.items()
        if isinstance(name, str) and isinstance(entry, Record) and entry.is_a(PERSISTENT)
    }


def _taken_apart(path: Path, record: Record) -> Network:
    """Returns all that is in a network.

    Raises:
        ValueError: if it has more, or deeper, parts than any network: one object may be there many times.
    """
    class_name, _ = _opened(path, record)
    network, parts = Network(path, class_name), 0
    waiting: list[tuple[str, Any, int]] = [("", record, 0)]
    while waiting:
        name, module, depth = waiting.pop()
        if isinstance(module, Record) and not module.known:
            network.unknown.append(module)
            network.settings[name] = {}
            continue
        _, state = _opened(path, module)
        network.settings[name] = state
        tensors = _mappings(state, "_parameters", "_buffers")
        modules = _mappings(state, "_modules")
        parts += sum(map(len, (*tensors, *modules)))
        if parts > MOST_PARTS:
            raise ValueError(f"{path}: a network in it has more than {MOST_PARTS} parts; the file is damaged")
        for key, tensor in _named(path, name, tensors):
            if tensor is not None:  # a layer without a bias
                network.tensors[key] = tensor
        for key, inner in _named(path, name, modules):
            if depth == MOST_DEPTH:
                raise ValueError(
                    f"{path}: a network in it has modules more than {MOST_DEPTH} deep; it is damaged"
                )
            waiting.append((key, inner, depth + 1))
    return network


def _mappings(state: Mapping[str, Any], *keys: str) -> list[Mapping[Any, Any]]:
    return [value for value in map(state.get, keys) if isinstance(value, Mapping)]


def _named(path: Path, module: str, parts: list[Mapping[Any, Any]]) -> Iterator[tuple[str, Any]]:
    """Gives the parts of a module by their full names."""
    for key, part in ((key, part) for mapping in parts for key, part in mapping.items()):
        if isinstance(key, str):
            if len(module) + len(key) >= LONGEST_NAME:
                raise ValueError(
                    f"{path}: a part of a network in it has a name of {len(module) + len(key) + 1} "
                    "characters; the file is damaged"
                )
            yield f"{module}.{key}" if module else key, part


def _opened(path: Path, record: Any) -> tuple[str, Mapping[str, Any]]:
    """A module's class and state."""
    meta = record.args[0] if isinstance(record, Record) and record.is_a(PERSISTENT) and record.args else None
    if isinstance(meta, Mapping):
        class_name, state = meta.get("class_name"), meta.get("state")
        if isinstance(class_name, str) and isinstance(state, Mapping):
            return class_name, state
    raise ValueError(f"{path}: a module in it has no class and no state; the file is damaged")


def is_read(modules: Collection[str]) -> bool:
    """Whether a network of these modules is a generator that can be read."""
    known = "synthesis.b4.conv1" in modules or stylegan3_names.INPUT in modules
    return known and "mapping" in modules and XL not in modules


def _check_kind(network: Network, what: str) -> None:
    """Raises a ValueError for networks that are no StyleGAN2 or StyleGAN3 generator."""
    path, modules = network.path, network.settings
    if XL in modules or network.class_name == "SuperresGenerator":
        raise ValueError(
            f"{path}: this is a StyleGAN-XL generator ({what}). It has other layers "
            f"than StyleGAN3, and parts of other networks: it cannot be read. {WRAP}"
        )
    if "synthesis.init" in modules and "synthesis.to_big" in modules:
        raise ValueError(
            f"{path}: this is projected-gan's FastGAN generator ({what}), whose layers read no codes; "
            "of that code its StyleGAN2 generators can be read"
        )
    if "synthesis" not in modules:
        raise ValueError(f"{path}: holds {what} and no generator; expected a file with G_ema or G")
    if not is_read(modules):
        raise ValueError(
            f"{path}: holds {what}, which is built otherwise than StyleGAN2's and StyleGAN3's generators"
        )

"""NVlabs' TensorFlow pickles: PGGAN, StyleGAN and StyleGAN2 as they were published and as they are trained.

A file is the tuple (G, D, Gs) of ``Network`` objects, of which Gs, the moving average, makes the best images.
A network keeps its variables by name, its settings, its sub-networks, and the source of the function that
builds it, which nobody reads here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from higan_fast.checkpoints.contents import Content, Record, shown
from higan_fast.checkpoints.conversion import expect_no_config, listed
from higan_fast.checkpoints.formats import tensorflow_pggan, tensorflow_stylegan, tensorflow_stylegan2
from higan_fast.checkpoints.formats.karras import check_grown
from higan_fast.checkpoints.formats.tensorflow_variables import expect
from higan_fast.generators.base import Generator

NAME = "NVlabs TensorFlow pickle"
FAMILIES = (tensorflow_stylegan2, tensorflow_stylegan, tensorflow_pggan)
# A generator has two components, mapping and synthesis, and up to 200 variables.
MOST_COMPONENTS, MOST_VARIABLES, LONGEST_NAME = 8, 10_000, 500


def recognises(content: Content) -> bool:
    networks = _networks(content)
    return bool(networks) and all(_is_network(network) for network in networks)


def read(content: Content, config: Mapping[str, Any] | None) -> Generator:
    path, networks = content.path, _networks(content)
    expect_no_config(path, config)
    if len(networks) not in (1, 3):
        raise ValueError(f"{path}: holds {len(networks)} networks, expected G, D and Gs, or one alone")
    variables, own, of_components = _opened(path, networks[-1])
    for family in FAMILIES:
        if family.MARK in variables:
            settings = _joined(path, own, of_components, {*family.EXPECTED, *family.READ})
            expect(path, settings, family.EXPECTED)
            check_grown(path, variables.get("lod", 0))
            return family.read(path, variables, settings)
    if any("FromRGB" in name for name in variables):
        raise ValueError(f"{path}: holds a discriminator, expected a generator")
    raise ValueError(
        f"{path}: holds a TensorFlow network that is no PGGAN, StyleGAN or StyleGAN2 generator; its "
        f"variables are {listed(variables) or 'none'}"
    )


def _networks(content: Content) -> list[Any]:
    if content.kind != "pickle":
        return []
    return list(content.value) if isinstance(content.value, tuple | list) else [content.value]


def _is_network(value: Any) -> bool:
    return isinstance(value, Record) and value.module in ("dnnlib.tflib.network", "tfutil")


def _opened(path: Path, network: Record) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """Returns all variables of a network, and its settings and those of its components.

    The variables of a component are ``"mapping/…"``.

    Raises:
        ValueError: if there are more of either than in any network: one may be a component many times.
    """
    variables, settings = _own(path, network)
    components, of_components = _mapping(network.state, "components"), []
    if len(components) > MOST_COMPONENTS:
        raise ValueError(f"{path}: a network in it has {len(components)} components; the file is damaged")
    for name, component in components.items():
        if not _is_network(component) or not isinstance(name, str) or len(name) > LONGEST_NAME:
            raise ValueError(f"{path}: a component of its network is none; the file is damaged")
        inner, inner_settings = _own(path, component)
        variables |= {f"{name}/{key}": value for key, value in inner.items()}
        of_components.append(inner_settings)
    return variables, settings, of_components


def _joined(
    path: Path, own: dict[str, Any], of_components: list[dict[str, Any]], names: set[str]
) -> dict[str, Any]:
    """Returns the settings of some names: a network hands its own to its components, where they prevail.

    Raises:
        ValueError: if two components differ in one.
    """
    settings = {name: own[name] for name in names if name in own}
    for name in names - own.keys():
        found = [part[name] for part in of_components if name in part]
        if different := [value for value in found if shown(value) != shown(found[0])]:
            both = f"{shown(found[0])} in one component and {shown(different[0])} in another"
            raise ValueError(f"{path}: {name} is {both}; this variant cannot be read")
        if found:
            settings[name] = found[0]
    return settings


def _own(path: Path, network: Record) -> tuple[dict[str, Any], dict[str, Any]]:
    """A network's own variables and settings, without those of its sub-networks."""
    variables = network.state.get("variables") if isinstance(network.state, Mapping) else None
    if isinstance(variables, list | tuple) and len(variables) > MOST_VARIABLES:
        raise ValueError(f"{path}: a network in it has {len(variables)} variables; the file is damaged")
    if not isinstance(variables, list | tuple) or not all(map(_is_variable, variables)):
        raise ValueError(f"{path}: a network in it has no list of variables; the file is damaged")
    given = _mapping(network.state, "static_kwargs").items()
    settings = {name: value.item() if isinstance(value, np.generic) else value for name, value in given}
    return dict(variables), settings


def _mapping(state: Any, key: str) -> dict[str, Any]:
    value = state.get(key)
    return dict(value) if isinstance(value, Mapping) else {}


def _is_variable(pair: Any) -> bool:
    return (
        isinstance(pair, tuple | list)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and isinstance(pair[1], np.ndarray | np.generic | float | int)
    )

"""What a measurement was made by: networks and settings, which decide whether kept figures are of it."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from higan_fast.engine.engine import Engine
from higan_fast.engine.precision import Precision
from higan_fast.fingerprint import Fingerprint, fingerprint, warn_of_unseen
from higan_fast.generators.style_space import StyleSpace
from higan_fast.predictors.base import Predictor


class MadeBy(NamedTuple):
    """What scores depend on.

    Attributes:
        settings: what results say of themselves.
        kept: what must agree for kept figures to be reused: the settings, and a word that nothing else has
            where a fingerprint does not cover all of a network.
        networks: the fingerprints of generator and predictor.
    """

    settings: dict[str, Any]
    kept: dict[str, Any]
    networks: dict[str, Fingerprint]


def made_by(
    engine: Engine,
    predictor: Predictor,
    precision: Precision,
    *,
    seed: int,
    truncation_psi: float,
    truncation_layers: int | None,
    label: int | None,
    keeps: bool,
    **more: Any,
) -> MadeBy:
    """Returns what scores depend on.

    Args:
        engine: what measures.
        predictor: what scores, as it was given.
        precision: of the engine.
        seed: of the samples.
        truncation_psi: see ``Generator.map``.
        truncation_layers: see ``Generator.map``.
        label: the class of all samples.
        keeps: whether figures are kept; warns if they cannot be reused.
        more: further settings, as JSON values.
    """
    generator = engine.generator
    networks = {"generator": fingerprint(generator), "predictor": fingerprint(predictor)}
    if isinstance(generator, StyleSpace):  # whose samples and boundaries are of the network itself
        more["styles"] = str(networks["generator"])
        networks["generator"] = fingerprint(generator.network)
    settings: dict[str, Any] = {
        **more,
        "seed": int(seed),
        "truncation_psi": float(truncation_psi),
        "truncation_layers": None if truncation_layers is None else int(truncation_layers),
        "precision": precision,
        "features": str(engine.features_dtype).removeprefix("torch."),
        "semantics": list(predictor.names),
        **{name: str(found) for name, found in networks.items()},
    }
    if generator.label_dim:
        settings["label"] = None if label is None else int(label)
    if all(found.complete for found in networks.values()):
        return MadeBy(settings, settings, networks)
    if keeps:
        warn_of_unseen(**networks)
    return MadeBy(settings, settings | {"run": uuid.uuid4().hex}, networks)

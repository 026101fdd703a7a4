"""How boundaries are measured, whatever is measured: codes like their samples', an engine, and what it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from higan_fast.boundaries.boundary import Boundary
from higan_fast.boundaries.origin import Drawn, Label, check_origin, drawn_as
from higan_fast.checks import check_label, check_seed
from higan_fast.engine.engine import Engine
from higan_fast.engine.precision import Wish, chosen_precision
from higan_fast.fingerprint import Fingerprint
from higan_fast.generators.base import Generator
from higan_fast.predictors.base import LogitsOf, Predictor
from higan_fast.probing.made_by import made_by


class SetUp(NamedTuple):
    """What boundaries are measured with.

    Attributes:
        engine: of both networks.
        drawn: how base samples are drawn.
        settings: what results say of themselves.
        kept: what must agree for kept figures to be reused.
        networks: the fingerprints of generator and predictor.
    """

    engine: Engine
    drawn: Drawn
    settings: dict[str, Any]
    kept: dict[str, Any]
    networks: dict[str, Fingerprint]


def set_up(
    generator: Generator,
    predictor: Predictor,
    boundaries: Sequence[Boundary],
    *,
    seed: int | None,
    truncation_psi: float | None,
    truncation_layers: int | None,
    label: Label,
    precision: Wish,
    batch_size: int | None,
    keeps: bool,
    on_logits: bool = False,
    of_these_scores: bool = True,
    **more: Any,
) -> SetUp:
    """Puts both networks into evaluation mode, and checks that the boundaries are of them.

    Args:
        boundaries: say with what their samples were drawn, where the next four arguments are None.
        seed, truncation_psi, truncation_layers, label: as for ``verify``.
        precision, batch_size: as for ``verify``.
        keeps: whether figures are kept; warns if they cannot be reused.
        on_logits: whether the engine gives logits of the scores that have them.
        of_these_scores: whether the boundaries must be of the predictor too.
        more: further settings, as JSON values.

    Raises:
        ValueError: when the generator draws no such samples, or a boundary is of other networks.
    """
    drawn = drawn_as(
        boundaries,
        seed=seed,
        truncation_psi=truncation_psi,
        truncation_layers=truncation_layers,
        label=label,
    )
    check_seed(drawn.seed)
    generator.check_truncation(drawn.truncation_psi, drawn.truncation_layers)
    check_label(drawn.label, generator.label_dim)
    chosen = chosen_precision(precision, generator.device)
    scorer = LogitsOf(predictor) if on_logits and any(predictor.has_logits) else predictor
    engine = Engine(generator, scorer, batch_size=batch_size, precision=chosen)
    made = made_by(engine, predictor, chosen, **drawn._asdict(), keeps=keeps, **more)
    known = made.networks if of_these_scores else {"generator": made.networks["generator"]}
    for boundary in boundaries:
        check_origin(boundary, **known)
    return SetUp(engine, drawn, *made)

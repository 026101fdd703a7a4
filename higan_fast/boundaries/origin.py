"""Where a boundary comes from: the samples that it was fitted to, and so the networks that it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from higan_fast.boundaries.boundary import Boundary

RANDOM: Literal["random"] = "random"
Label = int | Literal["random"] | None


@dataclass(frozen=True)
class Origin:
    """The samples that a boundary was fitted to, and how. Those of the same samples are equal.

    Attributes:
        generator: fingerprint of the generator that made them.
        predictor: fingerprint of the predictor that scored them.
        seed: of their latents.
        truncation_psi: see ``Generator.map``.
        truncation_layers: see ``Generator.map``.
        label: the class of all of them; None: each drew its own, or the generator has none.
        method: how its normal was found, see ``methods.py``.
        C: how much that was regularised; None: not at all.
    """

    generator: str
    predictor: str
    seed: int
    truncation_psi: float
    truncation_layers: int | None
    label: int | None
    method: str | None = field(default=None, compare=False)
    C: float | None = field(default=None, compare=False)

    @property
    def described(self) -> str:
        """How the boundary was fitted, in words: ``"svm, C = 1"``; empty where that is not known."""
        return ", ".join(filter(None, [self.method, "" if self.C is None else f"C = {self.C:g}"]))

    @classmethod
    def of(cls, samples: Mapping[str, Any], **how: Any) -> Origin | None:
        """The origin of what is fitted to samples with these settings; None where they do not say enough.

        Args:
            how: ``method`` and ``C``.
        """
        known = {"label": None} | {f.name: samples[f.name] for f in fields(cls) if f.name in samples}
        needed = [f.name for f in fields(cls) if f.compare]
        return cls(**known, **how) if len(known) == len(needed) else None


class Drawn(NamedTuple):
    """How samples are drawn."""

    seed: int
    truncation_psi: float
    truncation_layers: int | None
    label: int | None


def check_origin(boundary: Boundary, **networks: str) -> None:
    """Raises ValueError where a boundary was fitted with other networks; one from a file has no origin.

    Args:
        networks: fingerprints, as ``generator`` and ``predictor``.
    """
    for name, found in networks.items():
        if boundary.origin is not None and getattr(boundary.origin, name) != found:
            raise ValueError(
                f"boundary {boundary.name!r}: was fitted to samples of another {name} (in code, attributes, "
                f"precision or weights); give the {name} of its samples, or sample and fit with this one; "
                "where it only remembers its calls, set its identity='…' before sampling"
            )


def drawn_as(
    boundaries: Sequence[Boundary],
    *,
    seed: int | None = None,
    truncation_psi: float | None = None,
    truncation_layers: int | None = None,
    label: Label = None,
) -> Drawn:
    """What is given, and for each None what the samples of the boundaries were drawn with.

    Boundaries from files were fitted to samples of which nothing is known: seed 1, no truncation, and
    a class at random for each.

    Raises:
        ValueError: when something is not given, and the samples of the boundaries differ in it.
    """
    given = {
        "seed": seed,
        "truncation_psi": truncation_psi,
        "truncation_layers": truncation_layers,
        "label": label,
    }
    found: dict[str, Any] = {"seed": 1, "truncation_psi": 1.0, "truncation_layers": None, "label": None}
    origins = [boundary.origin for boundary in boundaries if boundary.origin is not None]
    for name, value in given.items():
        if value is not None:
            found[name] = None if value == RANDOM else value
            continue
        values = {getattr(origin, name) for origin in origins}
        if len(values) > 1:
            raise ValueError(
                f"{name}: got None, and the boundaries were fitted to samples of {sorted(values, key=str)}; "
                "say which to use"
            )
        found[name] = values.pop() if values else found[name]
    return Drawn(**found)

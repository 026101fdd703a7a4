"""Boundaries: a unit normal for every semantic, between the samples that score high and low on it."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import ArrayLike, NDArray

from higan_fast.boundaries.entries import beside, parts_of
from higan_fast.boundaries.origin import Origin
from higan_fast.files import CHECKSUM, DamagedError, checksum, first_line, write_whole
from higan_fast.generators.base import Generator
from higan_fast.opening import check_file
from higan_fast.predictors.base import LEVELS, Level
from higan_fast.refusing import refusing
from higan_fast.tables import Table, shown
from higan_fast.wording import in_words, printable

Array = NDArray[np.float64]
Space = Literal["w", "layers", "z"]
SPACES: tuple[Space, ...] = get_args(Space)
StepUnit = Literal["norm", "sd"]
STEP_UNITS: tuple[StepUnit, ...] = get_args(StepUnit)
NO_BETTER = "no better than chance (0.5)"


@dataclass(frozen=True, eq=False)
class Boundary:
    """The unit normal of the hyperplane that separates high from low scores of one semantic.

    Attributes:
        name: the semantic.
        level: its level.
        space: where it was fitted: "w", "layers" (layer codes, one normal per layer) or "z".
        normal: float64, of one of three kinds. ``[D]``, of length 1. ``[L, D]`` with one normal per layer, as
            fitted in "layers": every ``[D]`` has length 1, or 0 on a layer that the boundary leaves as it is,
            because its code is the same for all samples; a step of 1 moves each other layer by 1. Or
            ``[L, D]`` as one direction through all layer codes together (a W+ direction of HiGAN): the whole
            has length 1, and a step of 1 moves each layer by its share, ``layer_lengths``.
        accuracy: on held-out samples; over layers, their mean. None: not known.
        remaining_accuracy: on the samples between top and bottom. None: not known, or there are none.
        num_per_side: how many samples each side was fitted and held out from.
        converged: whether the solver reached its tolerance; None: not known, or its method needs none.
        layers: the layers on which its author recommends to use it, such as "6-11".
        conditions: names of the semantics from which it was freed.
        deviation: the standard deviation of the semantic's score over the samples that it was fitted to, the
            unit in which effects compare. None: not known.
        origin: the samples that it was fitted to. None: not known, as of a boundary from HiGAN's files.
        code_deviations: standard deviation of the samples' codes along the normal, of each layer, or one
            where one normal serves all. None: not known, see ``measured_on``.
    """

    name: str
    level: Level
    space: Space
    normal: Array = field(repr=False)
    accuracy: float | None = None
    remaining_accuracy: float | None = None
    num_per_side: int | None = None
    converged: bool | None = None
    layers: str | None = None
    conditions: tuple[str, ...] = ()
    deviation: float | None = None
    origin: Origin | None = field(default=None, repr=False)
    code_deviations: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or printable(self.name) != self.name:
            got = in_words(self.name)
            raise ValueError(f"name of a boundary: got {got}, expected printable text, up to 200 characters")
        for what, got, known in (("level", self.level, LEVELS), ("space", self.space, SPACES)):
            if got not in known:
                raise ValueError(f"{what}: got {got!r}, expected one of {', '.join(known)}")
        if self.normal.ndim != 1 and not (self.space == "layers" and self.normal.ndim == 2):
            expected = "[D] or [num_layers, D]" if self.space == "layers" else "[D]"
            raise ValueError(
                f"normal of {self.name!r}: got shape {list(self.normal.shape)}, expected {expected}"
            )
        if not (has_unit_layers(self.normal) or is_unit(np.linalg.norm(self.normal))):
            raise ValueError(f"normal of {self.name!r}: its length is not 1; divide it by its length")

    @property
    def no_better_than_chance(self) -> bool:
        """Whether its held-out accuracy is at most that of a guess: both sides are equally large."""
        return self.accuracy is not None and self.accuracy <= 0.5

    @property
    def layer_lengths(self) -> Array:
        """How far a step of 1 moves the code of each layer, ``[L]``; ``[1]`` where one normal serves all."""
        lengths = np.linalg.norm(np.atleast_2d(self.normal), axis=-1)
        return (lengths > 0).astype(np.float64) if has_unit_layers(self.normal) else lengths

    def per_step(self, unit: StepUnit = "norm") -> Array:
        """What a step of 1 adds to a code in the boundary's space: ``[D]``, or ``[L, D]`` to each layer.

        Args:
            unit: "norm", the normal itself, as HiGAN's steps; or "sd", as many times as long as the standard
                deviation of the samples' codes along it, on each layer. A step of 2 is then equally far from
                the mean for every boundary, seen from how the codes spread.

        Raises:
            ValueError: when the unit is "sd", and the standard deviation is not known.
        """
        if unit == "norm":
            return self.normal
        if self.code_deviations is None:
            raise ValueError(
                f"step_unit (--step-unit): got 'sd', but how codes spread along boundary {self.name!r} is "
                "not known; higan_fast.probing.measured_on(samples, [boundary]) tells, or step in 'norm'"
            )
        lengths = np.asarray(self.code_deviations)
        return self.normal * (lengths[0] if len(lengths) == 1 else lengths[:, None])

    def _repr_html_(self) -> str:
        return _table((self,), {}).html()

    def conditional_on(self, *others: Boundary) -> Boundary:
        """The same boundary without what it shares with others, so that moving along it leaves them alone.

        Subtracts from the normal its projection on the span of the others' normals, and normalises the rest.
        A normal ``[L, D]`` is projected layer by layer, so that a step on any set of layers leaves the others
        alone; one of length 1 per layer keeps that length, and a W+ direction that of the whole.

        Raises:
            TypeError: when one is no boundary.
            ValueError: when a space differs, (almost) nothing of the normal is left, or the boundary has
                conditions already: a second projection would bring the first ones back.
        """
        if self.conditions:
            raise ValueError(
                f"{self.name!r} is already freed from {', '.join(self.conditions)}; "
                "start from the fitted boundary and give all conditions in one call"
            )
        if not others:
            return self
        for other in others:
            if not isinstance(other, Boundary):
                raise TypeError(
                    f"conditional_on: got {in_words(other)}, expected a boundary, as boundaries['bed']"
                )
            if (other.space, other.normal.shape) != (self.space, self.normal.shape):
                raise ValueError(
                    f"cannot free {self.name!r} ({self.space}, {self.normal.shape}) from {other.name!r} "
                    f"({other.space}, {other.normal.shape}): both must be fitted in the same space"
                )
        rows = self.normal.reshape(-1, self.normal.shape[-1])  # [L or 1, D]
        condition_rows = np.stack([other.normal.reshape(rows.shape) for other in others], axis=1)
        freed = np.stack(list(map(_reject, rows, condition_rows)))
        before, left = (np.linalg.norm(part, axis=-1, keepdims=True) for part in (rows, freed))  # [L or 1, 1]
        gone = left < 1e-6 * before
        names = tuple(other.name for other in others)
        each = has_unit_layers(self.normal)
        if gone.any() if each else (gone | (before == 0)).all():
            raise ValueError(f"nothing is left of {self.name!r} without {', '.join(names)}")
        freed = np.where(gone, 0, freed)  # and no direction of rounding errors
        freed /= np.where(before > 0, left, 1) if each else np.linalg.norm(freed)
        return replace(
            self,
            normal=freed.reshape(self.normal.shape),
            accuracy=None,
            remaining_accuracy=None,
            conditions=names,
            code_deviations=None,
        )

    def check_fits(self, generator: Generator) -> None:
        """Raises ValueError when the normal does not belong to codes like the generator's."""
        dims = {"z": generator.latent_dim, "w": generator.w_dim, "layers": generator.code_dim}
        fitting = [[dims[self.space]]]
        if self.space == "layers":
            fitting.append([generator.num_layers, generator.code_dim])
        if list(self.normal.shape) not in fitting:
            raise ValueError(
                f"boundary {self.name!r}: its normal has shape {list(self.normal.shape)}, and in {self.space}"
                f" this generator needs {' or '.join(map(str, fitting))}; was it fitted for another one?"
            )

    def check_moves_codes(self, generator: Generator) -> None:
        """Raises ValueError when no step along the boundary moves layer codes like the generator's."""
        if self.space == "z":
            raise ValueError(
                f"boundary {self.name!r} was fitted in z, which moves latents and not layer codes; "
                "fit one in w or layers"
            )
        self.check_fits(generator)


@dataclass(frozen=True, eq=False, repr=False)
class Boundaries(Mapping[str, Boundary]):
    """Boundaries by name, in order; and why some semantics have none.

    Attributes:
        skipped: name of a semantic → why no boundary was fitted for it.
        settings: how the boundaries were fitted.
    """

    boundaries: tuple[Boundary, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [boundary.name for boundary in self.boundaries]
        if len(set(names)) != len(names):
            twice = next(name for name, times in Counter(names).items() if times > 1)
            raise ValueError(f"boundaries: names must differ from each other, got {twice!r} twice")

    @cached_property
    def _by_name(self) -> dict[str, Boundary]:
        return {boundary.name: boundary for boundary in self.boundaries}

    def __getitem__(self, name: str) -> Boundary:
        if name in self._by_name:
            return self._by_name[name]
        near = [] if name in self.skipped else difflib.get_close_matches(str(name), self, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        there = f"there are {', '.join(self)}" if self.boundaries else "there is none at all"
        raise KeyError(f"{name!r}: {self.skipped.get(name, 'no such boundary')}{hint}; {there}")

    def __iter__(self) -> Iterator[str]:
        return (boundary.name for boundary in self.boundaries)

    def __len__(self) -> int:
        return len(self.boundaries)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self)

    @property
    def fitted_to(self) -> str:
        """What samples they were fitted to, in words; empty where that is not known."""
        if isinstance(labels := self.settings.get("labels"), dict):
            return f"fitted to labels of {len(labels)} semantic{'' if len(labels) == 1 else 's'}"
        if "num_samples" not in self.settings:
            return ""
        num, asked = self.settings["num_samples"], self.settings.get("num_asked", 0)
        how = "fitted to"
        if "num_gradients" in self.settings:
            most = self.settings["num_gradients"]
            how = f"averaged from gradients at {most:,} fresh samples at most, and their accuracies are over"
        if num < asked:
            return f"{how} {num:,} of {asked:,} samples; sampling was interrupted"
        return f"{how} {num:,} samples"

    def __repr__(self) -> str:
        return _table(tuple(self.boundaries), self.skipped).text()

    def _repr_html_(self) -> str:
        return _table(tuple(self.boundaries), self.skipped).html()

    def save(self, path: str | Path) -> None:
        """Writes a safetensors file: a normal per semantic, and everything else as JSON in its header."""
        entries = [{k: v for k, v in asdict(b).items() if k != "normal"} for b in self.boundaries]
        header = {"boundaries": entries, "skipped": self.skipped, "settings": self.settings}
        normals = {boundary.name: np.ascontiguousarray(boundary.normal) for boundary in self.boundaries}
        text = json.dumps(header)
        metadata = {"higan_fast": text, CHECKSUM: checksum({**normals, "": np.array(text)})}
        with write_whole(path) as file:
            file.write(safetensors.numpy.save(normals, metadata=metadata))

    @classmethod
    def load(cls, path: str | Path) -> Boundaries:
        """Reads what ``save`` wrote.

        Raises:
            DamagedError: when the file does not hold boundaries, or is damaged.
        """
        with refusing(Path(path)):
            check_file(Path(path))
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                normals = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            if not {"higan_fast", CHECKSUM} <= set(metadata):
                raise DamagedError("its header says nothing of any")
            text = metadata["higan_fast"]
            if metadata[CHECKSUM] != checksum({**normals, "": np.array(text)}):
                raise DamagedError("its checksum differs")
        except Exception as error:  # safetensors raises all kinds of them
            raise DamagedError(
                f"{path}: not a file of boundaries, or a damaged one ({first_line(error)}); "
                "run higan-fast fit again"
            ) from error
        with refusing(Path(path)):
            header = json.loads(text)
            if not isinstance(header, dict) or not isinstance(header.get("boundaries"), list):
                raise ValueError("its header does not list its boundaries; it is damaged")
            boundaries = (Boundary(**parts_of(entry, normals)) for entry in header["boundaries"])
            return cls(tuple(boundaries), *beside(header))


def by_reason(skipped: Mapping[str, str]) -> dict[str, list[str]]:
    """The semantics without a boundary, by the reason that they share."""
    found: dict[str, list[str]] = {}
    for name, reason in skipped.items():
        found.setdefault(reason, []).append(name)
    return found


def fingerprint_of(boundaries: Mapping[str, Boundary]) -> str:
    """A hash of all that results tell of boundaries, by which these know of which boundaries they are.

    Two fits may give the same normal, as gradients do whatever the samples, and other accuracies.
    """
    digest = hashlib.sha256()
    for name, boundary in sorted(boundaries.items()):
        told: list[Any] = [
            name,
            boundary.space,
            boundary.normal.shape,
            boundary.num_per_side,
            boundary.conditions,
        ]
        told += [boundary.accuracy, boundary.remaining_accuracy, boundary.deviation, boundary.code_deviations]
        digest.update(json.dumps(told).encode())
        digest.update(np.ascontiguousarray(boundary.normal, np.float64).data)
    return digest.hexdigest()[:32]


def _table(boundaries: tuple[Boundary, ...], skipped: Mapping[str, str]) -> Table:
    """How well each separates what it was not fitted to."""
    head = ("semantic", "level", "space", "held-out accuracy", "on the rest", "per side", "remarks")
    rows = []
    for one in boundaries:
        remarks = [f"freed from {', '.join(one.conditions)}"] if one.conditions else []
        remarks += [f"for layers {one.layers}"] if one.layers else []
        remarks += ["not converged"] if one.converged is False else []
        remarks += [NO_BETTER] if one.no_better_than_chance else []
        accuracies = shown(one.accuracy), shown(one.remaining_accuracy)
        per_side = "–" if one.num_per_side is None else f"{one.num_per_side:,}"
        rows.append((one.name, one.level, one.space, *accuracies, per_side, "; ".join(remarks)))
    num = len(boundaries)
    notes = [f"no boundary for {', '.join(names)}: {reason}" for reason, names in by_reason(skipped).items()]
    return Table(f"{num} boundar{'y' if num == 1 else 'ies'}", head, rows, notes)


def is_unit(lengths: ArrayLike) -> bool:
    """Whether lengths are 1, as exactly as float32 writes them."""
    return bool(np.allclose(lengths, 1, rtol=0, atol=1e-6))


def has_unit_layers(normal: Array) -> bool:
    """Whether every ``[D]`` of a normal has length 1, or 0 on some layers: no W+ direction."""
    lengths = np.atleast_1d(np.linalg.norm(normal, axis=-1))
    return bool(lengths.any()) and is_unit(lengths[lengths != 0])


def _reject(vector: Array, others: Array) -> Array:
    """``vector`` ``[D]`` minus its projection on the span of ``others`` ``[K, D]``."""
    _, sizes, directions = np.linalg.svd(others, full_matrices=False)
    basis = directions[sizes > 1e-9 * sizes[0]]  # conditions may repeat each other
    return vector - basis.T @ (basis @ vector)

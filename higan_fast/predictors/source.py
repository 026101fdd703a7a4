"""What names a predictor, with its options and files, so that a run finds it again and sees what changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

from higan_fast.opening import sha256
from higan_fast.predictors.base import Level, Predictor
from higan_fast.predictors.combined import combined
from higan_fast.predictors.kinds import kind_of, label_of
from higan_fast.predictors.loading import load_predictor, option_name, options_of, ready

OWN = "-"  # of several values of an option: the default of the predictor in that place


class Source(BaseModel):
    """One predictor of a run.

    Attributes:
        predictor: what one writes after ``--predictor``.
        options: those that it was given, as JSON values.
        files: the SHA-256 of each of its files, by their paths, as they were when the run was begun.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    predictor: str
    options: dict[str, Any] = {}
    files: dict[str, str] = {}

    @property
    def runs_code(self) -> bool:
        """Whether loading it runs code that a file holds; errors as of ``kind_of``."""
        kind, argument = kind_of(self.predictor)
        return kind.runs_code(argument)

    def check_files(self) -> None:
        """Raises where one of ``files`` is gone (FileNotFoundError) or has changed (ValueError)."""
        for path, digest in self.files.items():
            if sha256(Path(path)) != digest:
                raise ValueError(
                    f"{path}: has changed since the run was begun; put back what it was, or run a stage, "
                    "which says whether it scores otherwise"
                )

    def paths(self) -> list[Path]:
        """The files that decide its scores.

        Raises:
            FileNotFoundError: where the predictor or one of its files is not there.
            ValueError: where it is of no kind, or its files cannot be told.
        """
        kind, argument = kind_of(self.predictor)
        given = [str(self.options[name]) for name in kind.file_options if name in self.options]
        return [*kind.files(argument), *(Path(path) for path in given if Path(path).is_file())]

    def with_files(self) -> Source:
        """The same, with the SHA-256 of its files as they are now; errors as of ``paths``."""
        return self.model_copy(update={"files": {str(path): sha256(path) for path in self.paths()}})

    def moved(self, change: Callable[[str], str]) -> Source:
        """The same, with each path replaced by what ``change`` gives for it."""
        try:
            kind, argument = kind_of(self.predictor)
        except (FileNotFoundError, ValueError):  # whoever loads it says so
            return self.model_copy(update={"predictor": change(self.predictor)})
        named = f"{kind.name}:" if self.predictor.startswith(f"{kind.name}:") else ""
        text = named + kind.moved(argument, change) if argument else self.predictor
        files = {change(path): digest for path, digest in self.files.items()}
        options = {
            name: change(value) if name in kind.file_options and str(Path(value)) in self.files else value
            for name, value in self.options.items()
        }
        return self.model_copy(update={"predictor": text, "options": options, "files": files})


def sources(
    predictors: Sequence[str], options: Mapping[str, Sequence[Any]] | None = None
) -> tuple[Source, ...]:
    """Predictors and the options that were given for them → their sources.

    Args:
        predictors: what each is named by.
        options: values of each option. One is for every predictor that takes the option; several are for
            these in their order, and ``"-"`` among them is the default.

    Raises:
        ValueError: when nothing takes an option, or there are other numbers of values and predictors.
        FileNotFoundError: when an option is given, and a predictor is of no kind.
    """
    given: list[dict[str, Any]] = [{} for _ in predictors]
    for name, values in (options or {}).items():
        if not values:
            continue
        taking = [place for place, text in enumerate(predictors) if name in options_of(text)]
        if not taking:
            raise ValueError(f"{option_name(name)}: none of {', '.join(predictors)} takes it; leave it out")
        if len(values) not in (1, len(taking)):
            raise ValueError(
                f"{option_name(name)}: got {len(values)} of them for {len(taking)} predictors that take one; "
                f"give one for all, or one for each in their order ({OWN!r}: its default)"
            )
        for order, place in enumerate(taking):
            value = values[order if len(values) > 1 else 0]
            if value != OWN:
                given[place][name] = value
    return tuple(Source(predictor=text, options=own) for text, own in zip(predictors, given, strict=True))


def load_sources(
    given: Sequence[Source], levels: Mapping[str, Level], device: str | torch.device
) -> Predictor:
    """The predictors of a run as one; arguments and errors as of ``load_predictor``."""
    parts = []
    for source in given:
        names, others = source.options.get("names"), dict(source.options)
        others.pop("names", None)
        parts.append(load_predictor(source.predictor, names, **others))
    labels = [label_of(source.predictor) for source in given]
    return ready(combined(parts, labels), levels, device)


def named(given: Sequence[Source]) -> str:
    """Returns what a line says of predictors: ``"color, network.onnx"``."""
    return ", ".join(source.predictor for source in given)

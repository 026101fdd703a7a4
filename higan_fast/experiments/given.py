"""What experiments are given: checked before anything is measured, in one line each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, NamedTuple, ParamSpec

from higan_fast.boundaries.boundary import Boundaries, Boundary
from higan_fast.experiments.finding import Finding
from higan_fast.experiments.subject import Subject
from higan_fast.probing.directions_results import Directions
from higan_fast.probing.results import Verification
from higan_fast.sampling.samples import Samples
from higan_fast.wording import in_words

Given = ParamSpec("Given")


class Expected(NamedTuple):
    """What an argument must be.

    Attributes:
        words: what a message says of it.
        kind: its type.
        each: that of its values; None: it has none.
    """

    words: str
    kind: type
    each: type | None = None


# By the annotations of experiments.
EXPECTED = {
    "Subject": Expected("higan_fast.experiments.Subject(generator, predictor)", Subject),
    "Samples": Expected("what sample gives", Samples),
    "Boundaries": Expected("what fit_boundaries gives", Boundaries),
    "Mapping[str, Boundary]": Expected("what fit_boundaries gives", Mapping, Boundary),
    "Verification": Expected("what verify gives", Verification),
    "Sequence[Directions]": Expected(
        "a list of what verify_directions or verify_channels gives", Sequence, Directions
    ),
}


def checked(experiment: Callable[Given, Finding]) -> Callable[Given, Finding]:
    """Makes an experiment raise TypeError where an argument is nothing of what its annotation says."""
    signature = inspect.signature(experiment)

    @wraps(experiment)
    def measured(*arguments: Given.args, **options: Given.kwargs) -> Finding:
        for name, value in signature.bind(*arguments, **options).arguments.items():
            if (expected := EXPECTED.get(str(signature.parameters[name].annotation))) is not None:
                check_given(name, value, expected)
        return experiment(*arguments, **options)

    return measured


def check_given(name: str, value: Any, expected: Expected) -> None:
    """Raises TypeError where a value is not what is expected, or holds something else."""
    strange: list[Any] = [value]
    if isinstance(value, expected.kind):
        values: Any = () if expected.each is None else value.values() if isinstance(value, Mapping) else value
        strange = [one for one in values if not isinstance(one, expected.each or object)]
    if strange:
        raise TypeError(f"{name}: got {in_words(strange[0])}, expected {expected.words}")

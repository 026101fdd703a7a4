"""What ``patch`` gives: says what ours serve and served, and puts everything back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from higan_fast.compat.patched import Policy
from higan_fast.compat.tally import Report


class Found:
    """What was found in a model that ours replace.

    Attributes:
        families: the codebases that it is from.
        served: how many modules are one of the layers, or call one of the functions, of each name.
    """

    def __init__(self) -> None:
        self.families: set[str] = set()
        self.served: Counter[str] = Counter()

    def add(self, family: str, *names: str) -> None:
        self.families.add(family)
        self.served.update(names)


class Handle:
    """What ``patch`` gives: says what was served by what, and puts everything back.

    As a context manager it puts everything back at the end of the block. Its ``repr`` names the model, and
    each layer and function that ours replace there with the number of modules that have it.
    """

    def __init__(
        self, of: str, policy: Policy, found: Found, undo: Callable[[], None] | None, state: str = ""
    ) -> None:
        self._of, self._policy, self._found, self._undo, self._state = of, policy, found, undo, state

    @classmethod
    def turned_off(cls, of: str, policy: Policy) -> Handle:
        """Of a model in which the user wants nothing changed."""
        return cls(of, policy, Found(), None, "turned off by HIGAN_FAST_DISABLE=1")

    @property
    def families(self) -> tuple[str, ...]:
        """The codebases whose layers or functions were found."""
        return tuple(sorted(self._found.families))

    def report(self) -> Report:
        """By what the calls so far were served, and why some had to be served by the original."""
        return self._policy.tally.report()

    def unpatch(self) -> None:
        """Puts back exactly what was there, in copies of the model too. A second time does nothing."""
        if self._undo is not None:
            self._undo()
            self._undo, self._state = None, "unpatched"

    def __repr__(self) -> str:
        served = ", ".join(f"{name} ×{number}" for name, number in sorted(self._found.served.items()))
        return f"<Handle of {self._of}: {self._state or served or 'nothing found so far'}>"

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.unpatch()

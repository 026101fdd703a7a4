"""What the page asks for: a sample, its moves and mixed layers; read from JSON, and refused in one line."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from higan_fast.wording import printable

LARGEST_STEP = 1_000.0
MOST_MOVES, MOST_MIXED, MOST_LAYERS = 128, 64, 1_024

Layer = Annotated[int, Field(ge=0, lt=MOST_LAYERS)]
Layers = Annotated[list[Layer], Field(max_length=MOST_LAYERS)]
Step = Annotated[float, Field(ge=-LARGEST_STEP, le=LARGEST_STEP, allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=200)]
Read = TypeVar("Read", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Move(_Strict):
    """So many steps along the boundary of a semantic, on some layers."""

    semantic: Name
    step: Step
    layers: Layers


class Mix(_Strict):
    """The codes of some layers of another sample."""

    sample: int = Field(ge=0)
    layers: Layers


class State(_Strict):
    """All that decides a picture.

    Attributes:
        sample: which one.
        moves: what it is moved by; the same semantic may come several times.
        mix: which layers have codes of other samples, before the moves; of one layer the last counts.
        all_layers: whether every move that moves anything is on all layers.
    """

    sample: int = Field(ge=0)
    moves: list[Move] = Field(default=[], max_length=MOST_MOVES)
    mix: list[Mix] = Field(default=[], max_length=MOST_MIXED)
    all_layers: bool = False

    def unmoved(self) -> State:
        """The same sample, mixed as it is, without moves."""
        return State(sample=self.sample, mix=self.mix)


class Request(_Strict):
    """A picture that the page asks for: PNG at rest, and JPEG while something moves."""

    id: int = Field(ge=0, le=2**53)
    view: str = Field(pattern=r"^[A-Za-z0-9_-]{1,16}$")
    moving: bool
    state: State


class Animation(_Strict):
    """A semantic that goes from one step to another and back, in a state."""

    state: State
    semantic: Name
    start: Step = Field(alias="from")
    stop: Step = Field(alias="to")
    frames: int = Field(default=48, ge=2, le=240)
    format: Literal["mp4", "gif"] = "mp4"


def read(kind: type[Read], text: str | bytes) -> Read:
    """Reads JSON text.

    Raises:
        ValueError: when it is none of this kind; the message has one line.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        what = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise ValueError(printable(f"{where}: {what}" if where else what)) from None


def identified(text: str | bytes) -> dict[str, Any]:
    """The ``id`` and ``view`` of a request that could not be read, as far as they can be told."""
    try:
        found = _Identified.model_validate_json(text)
    except ValidationError:
        found = _Identified()
    return found.model_dump()


class _Identified(BaseModel):
    model_config = ConfigDict(strict=True)

    id: int | None = Field(default=None, ge=0, le=2**53)
    view: Annotated[str, Field(max_length=16)] | None = None

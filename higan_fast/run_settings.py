"""What ``run.json`` holds: of what a probe is, with which networks it was begun, and where these are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from higan_fast.devices import usable_device
from higan_fast.files import DamagedError, json_checksum
from higan_fast.predictors import Source
from higan_fast.predictors.base import Level

# What may differ when a folder has travelled: where the networks are, and where they run.
PLACES = ("network", "predictor", "config", "device")
Places = Mapping[str, str | Sequence[str] | None]

EMBEDDED = "scenes"  # a network that is no path


class Settings(BaseModel):
    """What a probe is of. The stages after sampling read it, so that they all speak of the same thing.

    Attributes:
        predictor: one source or several; a text is that of one without options, as older runs have it.
        bands: which channels of the network's images are kept; None: all.
        levels: of semantics whose predictor gives others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str
    config: str | None = None
    bands: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(None, min_length=1)
    predictor: tuple[Source, ...] = Field(min_length=1)
    levels: dict[str, Level] = {}
    seed: int = Field(0, ge=0)
    truncation_psi: float = 1.0
    truncation_layers: int | None = Field(None, ge=0)
    label: int | None = Field(None, ge=0)
    device: str = "cpu"

    @field_validator("predictor", mode="before")
    @classmethod
    def _one_text(cls, value: Any) -> Any:
        return ({"predictor": value},) if isinstance(value, str) else value

    @property
    def truncation(self) -> dict[str, Any]:
        return {"truncation_psi": self.truncation_psi, "truncation_layers": self.truncation_layers}

    def found_from(self, folder: Path) -> Settings:
        """The settings that a folder keeps, from here: relative paths start at the folder."""

        def found(place: str) -> str:
            return str(folder / place)

        return self._relocated(found, lambda source: source.moved(found))

    def kept_in(self, folder: Path) -> Settings:
        """The settings as a folder keeps them: another working directory and another machine can read them.

        Raises:
            FileNotFoundError: where a file of a predictor is missing.
        """

        def kept(place: str) -> str:
            path, within = Path(place).absolute(), folder.absolute()
            return str(path.relative_to(within) if path.is_relative_to(within) else path)

        return self._relocated(kept, lambda source: source.with_files().moved(kept))

    def elsewhere(self, places: Places) -> Settings:
        """The settings with the networks at other places.

        Args:
            places: of ``PLACES``, those that are elsewhere now.

        Raises:
            ValueError: where there are other numbers of predictors.
        """
        update: dict[str, Any] = {name: place for name, place in places.items() if place is not None}
        if (given := update.get("predictor")) is not None:
            texts = [given] if isinstance(given, str) else list(given)
            if len(texts) != len(self.predictor):
                raise ValueError(
                    f"predictor (--predictor): got {len(texts)}, and the run was begun with "
                    f"{len(self.predictor)} of them; give the place of each, in their order"
                )
            update["predictor"] = tuple(
                source.model_copy(update={"predictor": text, "files": {}})
                for source, text in zip(self.predictor, texts, strict=True)
            )
        return self.model_copy(update=update)

    def _relocated(self, place: Any, source: Any) -> Settings:
        network = self.network if self.network == EMBEDDED else place(self.network)
        config = self.config if self.config is None else place(self.config)
        sources = tuple(map(source, self.predictor))
        return self.model_copy(update={"network": network, "config": config, "predictor": sources})


class Begun(BaseModel):
    """What ``run.json`` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: Settings
    networks: dict[str, str]
    made_with: dict[str, Any]
    begun: str
    sha256: str  # of all this but the settings, which the samples know too


def read_begun(file: Path) -> Begun:
    """Reads ``run.json``.

    Raises:
        FileNotFoundError: when it is not there.
        DamagedError: when it is not as ``RunFolder.begin`` writes it; the message has one line.
    """
    try:
        begun = Begun.model_validate_json(file.read_bytes())
        sealed = json_checksum(begun.networks, begun.made_with, begun.begun)
        cause = None if begun.sha256 == sealed else "its checksum differs"
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        what = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        cause = f"{where}: {what}" if where else what
    if cause is not None:
        raise DamagedError(
            f"{file}: cannot be read ({cause}); run higan-fast sample again with the same settings, which "
            "writes it anew"
        )
    return begun


def device_here(places: Places, stored: str) -> str:
    """The device that is asked for; else the one of the last stage, if this machine has it, or any."""
    if (given := places.get("device")) is not None:
        return str(usable_device(str(given)))
    try:
        return str(usable_device(stored))
    except ValueError:
        return str(usable_device("auto"))

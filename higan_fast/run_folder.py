"""The folder of one probe: what each stage leaves there, and with which settings it was begun."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from higan_fast.checkpoints import load_generator
from higan_fast.checks import check_label
from higan_fast.environment import environment
from higan_fast.files import write_whole
from higan_fast.generators.base import Generator
from higan_fast.predictors import Predictor, load_predictor
from higan_fast.probing import Boundaries, Samples, Verification


class Settings(BaseModel):
    """What a probe is of. The stages after sampling read it, so that they all speak of the same thing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str
    config: str | None = None
    predictor: str
    seed: int = Field(0, ge=0)
    truncation_psi: float = 1.0
    truncation_layers: int | None = Field(None, ge=0)
    label: int | None = Field(None, ge=0)
    device: str = "cpu"

    @property
    def truncation(self) -> dict[str, Any]:
        return {"truncation_psi": self.truncation_psi, "truncation_layers": self.truncation_layers}


class RunFolder:
    """A probe on disk.

    ``run.json`` settings and versions; ``samples.zarr`` the samples; ``boundaries.safetensors``;
    ``verification/`` effects, direction by direction, and ``verification.npz`` all together;
    ``report.html``.
    """

    def __init__(self, path: str | Path, settings: Settings) -> None:
        self.path, self.settings = Path(path), settings

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """A folder in which sampling has begun.

        Raises:
            FileNotFoundError: when it is no run folder.
            ValueError: when its settings cannot be read.
        """
        file = Path(path) / "run.json"
        if not file.is_file():
            raise FileNotFoundError(
                f"{path}: no probe was begun here (no run.json); begin with higan-fast sample"
            )
        try:
            return cls(path, Settings.model_validate(json.loads(file.read_text())["settings"]))
        except (KeyError, json.JSONDecodeError, ValidationError) as error:
            raise ValueError(f"{file}: cannot be read ({error})") from error

    def begin(self) -> None:
        """Loads the networks; notes the settings, and with what the run is made, unless that was done before.

        Raises:
            FileNotFoundError: when there is no such network.
            ValueError: when a network cannot be read, or has no such class or truncation, or the folder
                belongs to a probe with other settings.
        """
        _ = self.generator, self.predictor  # what is wrong with them is said before a folder is made
        if not (self.path / "run.json").exists():
            begun = {
                "settings": self.settings.model_dump(),
                "made_with": environment(),
                "begun": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            with write_whole(self.path / "run.json") as file:
                file.write(json.dumps(begun, indent=2).encode())
        stored = RunFolder.open(self.path).settings.model_dump()
        for name, value in self.settings.model_dump().items():
            if stored[name] != value and name != "device":
                raise ValueError(
                    f"{self.path}: was begun with {name} = {stored[name]!r}, and this command has {value!r}; "
                    "use the same, or another folder"
                )

    @property
    def about(self) -> dict[str, Any]:
        """Settings, versions and date, flat, as the report shows them."""
        stored = json.loads((self.path / "run.json").read_text())
        return {**stored["settings"], **stored["made_with"], "begun": stored["begun"]}

    @cached_property
    def generator(self) -> Generator:
        generator = load_generator(self.settings.network, self.settings.device, self.settings.config)
        check_label(self.settings.label, generator.label_dim)
        generator.use_truncation(self.settings.truncation_psi)
        return generator

    @cached_property
    def predictor(self) -> Predictor:
        return load_predictor(self.settings.predictor, device=self.settings.device)

    @cached_property
    def samples(self) -> Samples:
        return Samples.open(self.path)

    @property
    def boundaries_file(self) -> Path:
        return self.path / "boundaries.safetensors"

    @cached_property
    def boundaries(self) -> Boundaries:
        self._need(self.boundaries_file, "fit")
        return Boundaries.load(self.boundaries_file)

    @property
    def verification_file(self) -> Path:
        return self.path / "verification.npz"

    @cached_property
    def verification(self) -> Verification:
        self._need(self.verification_file, "verify")
        return Verification.load(self.verification_file)

    def _need(self, file: Path, stage: str) -> None:
        if not file.exists():
            raise FileNotFoundError(f"{file}: is not there yet; make it with higan-fast {stage} {self.path}")

"""The folder of one probe: what each stage leaves there, and with which settings it was begun."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from higan_fast.boundaries.boundary import fingerprint_of
from higan_fast.checkpoints import load_generator
from higan_fast.checks import check_label
from higan_fast.devices import usable_device
from higan_fast.environment import environment
from higan_fast.files import DamagedError, json_checksum, write_whole
from higan_fast.fingerprint import check_same, fingerprint, first_difference
from higan_fast.generators.base import Generator
from higan_fast.predictors import Predictor, load_predictor
from higan_fast.probing import Attribution, Boundaries, Comparison, Samples, Sweep, Verification
from higan_fast.probing.result_files import ResultFiles
from higan_fast.probing.sweep import acting_layers
from higan_fast.sampling.samples import STORE

# Where the networks are, and where they run: what may differ when a folder has travelled. The names beside
# them are no paths.
PLACES: dict[str, tuple[str, ...]] = {
    "network": ("scenes",),
    "predictor": ("scenes", "color"),
    "config": (),
    "device": (),
}
# What run.json and the samples both say of how these were drawn.
DRAWN = ("seed", "truncation_psi", "truncation_layers", "label")
# What a stale result is of, where the values tell nobody anything.
OTHERS = {"boundaries": "other boundaries", "acting": "layers that act by another verification"}


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


class Begun(BaseModel):
    """What ``run.json`` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: Settings
    networks: dict[str, str]
    made_with: dict[str, Any]
    begun: str
    sha256: str  # of all this but the settings, which the samples know too


class RunFolder:
    """A probe on disk.

    ``run.json`` settings and versions; ``samples.zarr`` the samples; ``boundaries.safetensors``;
    ``verification/`` what was measured, and the result of every verification; ``verification.npz`` the
    current one; ``attribution/`` scores with one layer's code replaced, and ``attribution.npz`` what they say
    of layers; ``comparison/`` effects of the boundaries of several methods, and ``comparison.npz`` how the
    methods compare; ``sweep/`` scores at many steps, and ``sweep.npz`` what they say, which ``dose.csv``,
    ``dose.json`` and ``dose.svg`` show; ``report.html`` with ``report.csv``, ``report.layers.csv``,
    ``report.methods.csv`` and ``report.dose.csv``.
    """

    def __init__(self, path: str | Path, settings: Settings) -> None:
        self.path, self.settings = Path(path), settings

    @classmethod
    def open(cls, path: str | Path, **places: str | None) -> RunFolder:
        """A folder in which sampling has begun.

        Args:
            places: of ``network``, ``predictor``, ``config`` and ``device``, those that are elsewhere now.

        Raises:
            FileNotFoundError: when it is no run folder.
            ValueError: when its settings cannot be read, or this machine has no such device.
        """
        file = Path(path) / "run.json"
        if not file.is_file():
            raise FileNotFoundError(
                f"{path}: no probe was begun here (no run.json); begin with higan-fast sample"
            )
        stored = _read(file).settings
        given = {name: place for name, place in places.items() if place is not None}
        here = {name: _found_at(name, getattr(stored, name), Path(path)) for name in PLACES} | given
        return cls(path, stored.model_copy(update=here | {"device": _device(given, stored.device)}))

    def begin(self) -> None:
        """Loads the networks; notes the settings, and with what the run is made, unless that was done before.

        Raises:
            FileNotFoundError: when there is no such network.
            ValueError: when a network cannot be read, or has no such class or truncation, or the folder
                belongs to a probe with other settings.
        """
        _ = self.generator, self.predictor  # what is wrong with them is said before a folder is made
        file, stored = self.path / "run.json", None
        with suppress(FileNotFoundError, DamagedError):  # it is written below, or written anew
            stored = _read(file)
        differing = [] if stored is None else self._differing(stored.settings)
        if differing or (stored is None and file.exists()):
            drawn = self._drawn()
            if drawn is not None:  # they know better than a file that was changed
                check_same(self.path / STORE, drawn, {name: getattr(self.settings, name) for name in DRAWN})
            elif differing:
                name, old, new = differing[0]
                raise ValueError(
                    f"{self.path}: was begun with {name} = {old!r}, and this command has {new!r}; "
                    "use the same, or another folder"
                )
        sealed: dict[str, Any] = {
            "networks": {
                "generator": fingerprint(self.generator),
                "predictor": fingerprint(self.predictor),
            },
            "made_with": environment() if stored is None else stored.made_with,
            "begun": datetime.now(UTC).isoformat(timespec="seconds") if stored is None else stored.begun,
        }
        settings = self.settings.model_copy(update=self._stored_places())
        begun = Begun(settings=settings, **sealed, sha256=json_checksum(*sealed.values()))
        if begun != stored:
            with write_whole(file) as written:
                written.write(begun.model_dump_json(indent=2).encode())

    @property
    def about(self) -> dict[str, Any]:
        """Settings, versions and date, flat, as the report shows them."""
        stored = _read(self.path / "run.json")
        return {**stored.settings.model_dump(), **stored.made_with, "begun": stored.begun}

    @cached_property
    def generator(self) -> Generator:
        """The generator, which must be that of the samples where there are some."""
        with _elsewhere("--network"):
            generator = load_generator(self.settings.network, self.settings.device, self.settings.config)
        check_label(self.settings.label, generator.label_dim)
        generator.check_truncation(**self.settings.truncation)
        self._check_network("generator", "network", generator)
        return generator

    @cached_property
    def predictor(self) -> Predictor:
        """The predictor, which must be that of the samples where there are some."""
        with _elsewhere("--predictor"):
            predictor = load_predictor(self.settings.predictor, device=self.settings.device)
        self._check_network("predictor", "predictor", predictor)
        return predictor

    @cached_property
    def samples(self) -> Samples:
        """The samples, which must be drawn as ``run.json`` says."""
        samples = Samples.open(self.path)
        for name in DRAWN:
            said, drawn = getattr(self.settings, name), samples.settings.get(name)
            if said != drawn:
                raise ValueError(
                    f"{self.path / 'run.json'}: says {name} = {said!r}, and the samples were drawn with "
                    f"{drawn!r}; write that there, or sample into another folder"
                )
        return samples

    @property
    def boundaries_file(self) -> Path:
        return self.path / "boundaries.safetensors"

    @cached_property
    def boundaries(self) -> Boundaries:
        """The boundaries, which must be fitted to all the samples that there are."""
        self._need(self.boundaries_file, "fit")
        boundaries = Boundaries.load(self.boundaries_file)
        fitted_to = boundaries.settings.get("samples", self.samples.settings)  # HiGAN's do not know theirs
        if (differing := first_difference(fitted_to, self.samples.settings)) is not None:
            name, old, new = differing
            reason = f"to samples with {name} = {old!r}, and those here have {new!r}"
            raise ValueError(f"{self.boundaries_file}: was fitted {reason}; run higan-fast fit {self.path}")
        num = boundaries.settings.get("num_samples", len(self.samples))
        if num != len(self.samples):
            reason = f"to {num:,} samples, and there are {len(self.samples):,} now"
            raise ValueError(f"{self.boundaries_file}: was fitted {reason}; run higan-fast fit {self.path}")
        return boundaries

    @property
    def verification_file(self) -> Path:
        return ResultFiles(self.path).current

    @cached_property
    def verification(self) -> Verification:
        """The verification, which must be of the boundaries and of the samples that there are."""
        self._need(self.verification_file, "verify")
        verification = Verification.load(self.verification_file)
        made_from = {name: self.samples.settings.get(name) for name in ("generator", "predictor", *DRAWN)}
        made_from["boundaries"] = fingerprint_of(self.boundaries)
        self._check_made_from(self.verification_file, verification.settings, made_from, "verify")
        return verification

    @property
    def attribution_file(self) -> Path:
        return self.path / "attribution.npz"

    @cached_property
    def attribution(self) -> Attribution | None:
        """What is known of layers without a direction, if they were measured; as the samples are drawn."""
        if not self.attribution_file.exists():
            return None
        attribution = Attribution.load(self.attribution_file)
        made_from = {name: self.samples.settings.get(name) for name in ("generator", "predictor", *DRAWN)}
        self._check_made_from(self.attribution_file, attribution.settings, made_from, "layers")
        return attribution

    @property
    def comparison_file(self) -> Path:
        return self.path / "comparison.npz"

    @cached_property
    def comparison(self) -> Comparison | None:
        """How methods compare, if that was measured; with the boundaries and samples that there are."""
        if not self.comparison_file.exists():
            return None
        comparison = Comparison.load(self.comparison_file)
        made_from = {name: self.samples.settings.get(name) for name in ("generator", "predictor", *DRAWN)}
        made_from["boundaries"] = fingerprint_of(self.boundaries)
        self._check_made_from(self.comparison_file, comparison.settings, made_from, "methods")
        return comparison

    @property
    def sweep_file(self) -> Path:
        return self.path / "sweep.npz"

    @cached_property
    def sweep(self) -> Sweep | None:
        """The dose-response of boundaries, if it was measured; as the samples are drawn and verified."""
        if not self.sweep_file.exists():
            return None
        sweep = Sweep.load(self.sweep_file)
        made_from = {name: self.samples.settings.get(name) for name in ("generator", "predictor", *DRAWN)}
        made_from["boundaries"] = fingerprint_of(self.boundaries)
        self._check_made_from(self.sweep_file, sweep.settings, made_from, "dose")
        if sweep.settings["acting"] is not None:
            acting = acting_layers(self.verification, dict.fromkeys(sweep.boundary_names))
            self._check_made_from(self.sweep_file, sweep.settings, {"acting": acting}, "dose")
        return sweep

    def _check_made_from(
        self, file: Path, settings: dict[str, Any], expected: dict[str, Any], stage: str
    ) -> None:
        """Raises ValueError, naming the stage to run again, where a result was made from something else."""
        for name, value in expected.items():
            found = settings.get(name)
            if found != value:
                what = OTHERS.get(name, f"{name} = {found!r}, not {value!r}")
                raise ValueError(f"{file}: is of {what}; run higan-fast {stage} {self.path}")

    def _check_network(self, name: str, setting: str, network: Generator | Predictor) -> None:
        """Raises ValueError where the run was begun with another network than is at its place now."""
        expected = []
        with suppress(FileNotFoundError, DamagedError):  # begin makes it, and makes it anew
            expected.append(_read(self.path / "run.json").networks[name])
        if self._drawn_with is not None:
            expected.append(self._drawn_with[name])
        if set(expected) - {fingerprint(network)}:
            raise ValueError(
                f"{getattr(self.settings, setting)}: is not the {name} of {self.path} (its weights or "
                f"settings differ); put that back, give its place with --{setting}, or sample into "
                "another folder"
            )

    def _differing(self, stored: Settings) -> list[tuple[str, Any, Any]]:
        """What of the settings is another than was stored: name, stored value and ours. Places may be."""
        here = self.settings.model_dump()
        pairs = ((name, getattr(stored, name), here[name]) for name in here if name not in PLACES)
        return [(name, old, new) for name, old, new in pairs if old != new]

    def _drawn(self) -> dict[str, Any] | None:
        """How the samples say that they were drawn; None where there are none, or they cannot be read."""
        settings = self._drawn_with
        return None if settings is None else {name: settings.get(name) for name in DRAWN}

    @cached_property
    def _drawn_with(self) -> dict[str, Any] | None:
        """The settings of the samples, for which their scores are read once; None where there are none."""
        with suppress(FileNotFoundError, ValueError):
            return Samples.open(self.path).settings
        return None

    def _stored_places(self) -> dict[str, str | None]:
        """Paths as another working directory and another machine can read them."""
        stored: dict[str, str | None] = {}
        for name, words in PLACES.items():
            place = getattr(self.settings, name)
            if place is not None and name != "device" and place not in words:
                path, folder = Path(place).absolute(), self.path.absolute()
                place = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
            stored[name] = place
        return stored

    @cached_property
    def kept_beside(self) -> list[Verification]:
        """The other verifications of these boundaries; those with the current one's settings come first.

        Those of boundaries that were here before are no results of this run any more, and are left out.
        """
        found = [Verification.load(path) for path in ResultFiles(self.path).beside()]
        current = self.verification.settings
        of_these = [other for other in found if other.settings["boundaries"] == current["boundaries"]]
        return sorted(of_these, key=lambda other: other.settings != current)

    def _need(self, file: Path, stage: str) -> None:
        if not file.exists():
            raise FileNotFoundError(f"{file}: is not there yet; make it with higan-fast {stage} {self.path}")


def _read(file: Path) -> Begun:
    """Reads ``run.json``.

    Raises:
        FileNotFoundError: when it is not there.
        DamagedError: when it is not as ``begin`` writes it; the message has one line.
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


def _found_at(name: str, place: str | None, folder: Path) -> str | None:
    """A stored place, from here: relative paths start at the run folder."""
    return place if place is None or name == "device" or place in PLACES[name] else str(folder / place)


def _device(given: dict[str, str], stored: str) -> str:
    """The device that is asked for; else the one of the last stage, if this machine has it, or any."""
    if "device" in given:
        return str(usable_device(given["device"]))
    try:
        return str(usable_device(stored))
    except ValueError:
        return str(usable_device("auto"))


@contextmanager
def _elsewhere(option: str) -> Iterator[None]:
    """Within it, a missing file is said to be where an option can name it."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; if it is elsewhere now, give its place with {option}") from error

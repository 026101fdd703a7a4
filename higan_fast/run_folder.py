"""The folder of one probe: what each stage leaves there, and with which settings it was begun."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from higan_fast.boundaries.boundary import fingerprint_of
from higan_fast.checkpoints import load_generator
from higan_fast.checks import check_label
from higan_fast.engine.scoring import score
from higan_fast.environment import environment
from higan_fast.experiments import Finding
from higan_fast.files import DamagedError, json_checksum, write_whole
from higan_fast.fingerprint import check_same, fingerprint, first_difference
from higan_fast.generators.base import Generator
from higan_fast.opening import sha256
from higan_fast.predictors import Predictor
from higan_fast.predictors.source import load_sources, named
from higan_fast.probing import Attribution, Boundaries, Comparison, Directions, Samples, Sweep, Verification
from higan_fast.probing.directions_results import DIRECTIONS_FILES
from higan_fast.probing.result_files import ResultFiles, fingerprint_of_result
from higan_fast.probing.sweep import acting_layers
from higan_fast.progress import say
from higan_fast.run_settings import PLACES, Begun, Settings, device_here, read_begun
from higan_fast.sampling.samples import STORE

# What run.json and the samples both say of how these were drawn.
DRAWN = ("seed", "truncation_psi", "truncation_layers", "label")
# What a stale result is of, where the values tell nobody anything.
OTHERS = {
    "boundaries": "other boundaries",
    "verification": "another verification",
    "acting": "layers that act by another verification",
}


class RunFolder:
    """A probe on disk.

    ``run.json`` settings and versions; ``samples.zarr`` the samples; ``choice/`` what choosing C measured;
    ``boundaries.safetensors``; ``verification/`` what was measured, and the result of every verification;
    ``verification.npz`` the current one; ``attribution/`` scores with one layer's code replaced, and
    ``attribution.npz`` what they say of layers; ``comparison/`` effects of the boundaries of several
    methods, and ``comparison.npz`` how the methods compare; ``sweep/`` scores at many steps, and
    ``sweep.npz`` what they say, which ``dose.csv``, ``.json``, ``.svg``, ``.png`` and ``.pictures.png`` show;
    ``directions.npz`` what directions from elsewhere do, and ``channels.npz`` single channels;
    ``experiments/`` what experiments found, and measured for that; ``report.html`` with ``report.csv``,
    ``report.layers.csv``, ``report.methods.csv`` and ``report.dose.csv``.
    """

    def __init__(self, path: str | Path, settings: Settings) -> None:
        self.path, self.settings = Path(path), settings

    @classmethod
    def open(cls, path: str | Path, **places: str | Sequence[str] | None) -> RunFolder:
        """A folder in which sampling has begun.

        Args:
            places: of ``network``, ``predictor``, ``config`` and ``device``, those that are elsewhere now; of
                several predictors, all of them in their order.

        Raises:
            FileNotFoundError: when it is no run folder.
            ValueError: when its settings cannot be read, there are more or fewer predictors, or this machine
                has no such device.
        """
        file = Path(path) / "run.json"
        if not file.is_file():
            raise FileNotFoundError(
                f"{path}: no probe was begun here (no run.json); begin with higan-fast sample"
            )
        stored = read_begun(file).settings
        here = stored.found_from(Path(path)).elsewhere(
            {**places, "device": device_here(places, stored.device)}
        )
        return cls(path, here)

    def begin(self) -> None:
        """Loads the networks; notes the settings, and with what the run is made, unless that was done before.

        Raises:
            FileNotFoundError: when there is no such network.
            ValueError: when a network cannot be read, or has no such class or truncation, or the folder
                belongs to a probe with other settings.
        """
        # What is wrong with the networks is said before a folder is made.
        size = (1, 3, *[self.generator.resolution] * 2)
        with torch.inference_mode():
            score(self.predictor, torch.zeros(size, device=self.settings.device))
        file, stored = self.path / "run.json", None
        with suppress(FileNotFoundError, DamagedError):  # it is written below, or written anew
            stored = read_begun(file)
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
        settings = self.settings.kept_in(self.path)
        begun = Begun(settings=settings, **sealed, sha256=json_checksum(*sealed.values()))
        if begun != stored:
            with write_whole(file) as written:
                written.write(begun.model_dump_json(indent=2).encode())

    @property
    def about(self) -> dict[str, Any]:
        """Settings, versions and date, flat, as the report shows them."""
        stored = read_begun(self.path / "run.json")
        settings = stored.settings.model_dump() | {"predictor": named(stored.settings.predictor)}
        return {**settings, **stored.made_with, "begun": stored.begun}

    @cached_property
    def generator(self) -> Generator:
        """The generator, which must be that of the samples where there are some."""
        with _elsewhere("--network", self.path):
            generator = load_generator(self.settings.network, self.settings.device, self.settings.config)
        check_label(self.settings.label, generator.label_dim)
        generator.check_truncation(**self.settings.truncation)
        self._check_network("generator", generator, self.settings.network, "--network")
        return generator

    @cached_property
    def predictor(self) -> Predictor:
        """The predictor, which must be that of the samples where there are some."""
        with _elsewhere("--predictor", self.path):
            predictor = load_sources(self.settings.predictor, self.settings.levels, self.settings.device)
        self._check_network("predictor", predictor, named(self.settings.predictor), "--predictor")
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
    def scored_boundaries(self) -> list[str]:
        """Names of the boundaries whose semantic the predictor scores; others come from labels."""
        known = {semantic.name for semantic in self.samples.semantics}
        return [name for name in self.boundaries if name in known]

    @property
    def verification_file(self) -> Path:
        return ResultFiles(self.path).current

    @cached_property
    def verification(self) -> Verification:
        """The verification, which must be of the boundaries and of the samples that there are."""
        self._need(self.verification_file, "verify")
        verification = Verification.load(self.verification_file)
        made_from = self.origin(["boundaries"])
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
        made_from = self.origin()
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
        made_from = self.origin(["boundaries"])
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
        made_from = self.origin(["boundaries"])
        self._check_made_from(self.sweep_file, sweep.settings, made_from, "dose")
        if sweep.settings["acting"] is not None:
            acting = acting_layers(self.verification, dict.fromkeys(sweep.boundary_names))
            self._check_made_from(self.sweep_file, sweep.settings, {"acting": acting}, "dose")
        return sweep

    @property
    def directions_files(self) -> list[Path]:
        """What was measured of directions of codes, and of styles; the last one measured is the last."""
        files = filter(Path.exists, (self.path / name for name in DIRECTIONS_FILES))
        return sorted(files, key=lambda file: file.stat().st_mtime)

    def directions(self, file: Path) -> Directions:
        """What directions from elsewhere do, which must be measured as the samples are drawn."""
        found = Directions.load(file)
        stage = "directions (with --sefa, --pca, --stylespace or --file)"
        self._check_made_from(file, found.settings, self.origin(), stage)
        return found

    def origin(self, of: Sequence[str] = ()) -> dict[str, Any]:
        """What decides a result: the networks, how samples are drawn, and those that ``of`` names.

        Args:
            of: "samples" (how many there are), "boundaries" and "verification".

        Raises:
            FileNotFoundError: when one of these is not there yet.
            ValueError: when one does not belong to the rest.
        """
        found = {name: self.samples.settings.get(name) for name in ("generator", "predictor", *DRAWN)}
        if "samples" in of:
            found["num_samples"] = len(self.samples)
        if "boundaries" in of:
            found["boundaries"] = fingerprint_of(self.boundaries)
        if "verification" in of:
            found["verification"] = fingerprint_of_result(self.verification)
        return found

    @property
    def finding_files(self) -> list[Path]:
        """The files of the findings of experiments."""
        return sorted((self.path / "experiments").glob("*.json"))

    def finding(self, file: Path) -> Finding:
        """The finding of an experiment, which must be of what is in the folder.

        Raises:
            DamagedError: when the file is damaged, or of another version.
            ValueError: when it is stale.
        """
        found = Finding.load(file)
        known = {"num_samples": "samples", "boundaries": "boundaries", "verification": "verification"}
        of = [part for name, part in known.items() if name in found.made_from]
        stage = found.experiment.replace("-", " ", 1) + (f" (of {found.of})" if found.of else "")
        self._check_made_from(file, dict(found.made_from), self.origin(of), stage)
        return found

    def findings(self) -> tuple[list[Finding], list[str]]:
        """The findings that are of what is in the folder, and why others are not.

        Raises:
            DamagedError: when a file is damaged, or of another version.
        """
        found, stale = [], []
        for file in self.finding_files:
            try:
                found.append(self.finding(file))
            except DamagedError:
                raise
            except ValueError as error:
                stale.append(str(error))
        return found, stale

    def _check_made_from(
        self, file: Path, settings: dict[str, Any], expected: dict[str, Any], stage: str
    ) -> None:
        """Raises ValueError, naming the stage to run again, where a result was made from something else."""
        for name, value in expected.items():
            found = settings.get(name)
            if found != value:
                what = OTHERS.get(name, f"{name} = {found!r}, not {value!r}")
                raise ValueError(f"{file}: is of {what}; run higan-fast {stage} {self.path}")

    def _check_network(self, name: str, network: Generator | Predictor, place: str, option: str) -> None:
        """Raises ValueError where the run was begun with another network than is at its place now."""
        expected = []
        with suppress(FileNotFoundError, DamagedError):  # begin makes it, and makes it anew
            expected.append(read_begun(self.path / "run.json").networks[name])
        if self._drawn_with is not None:
            expected.append(self._drawn_with[name])
        if set(expected) - {fingerprint(network)}:
            changed = self._changed_file() if name == "predictor" else None
            why = f"its weights or settings differ{f'; {changed} has changed' if changed else ''}"
            if name == "predictor" and not any(source.paths() for source in self.settings.predictor):
                raise ValueError(
                    f"{place}: is not the predictor of {self.path} (that was another one, or this version "
                    f"of higan_fast scores otherwise); name it with {option}, or sample into another folder"
                )
            raise ValueError(
                f"{place}: is not the {name} of {self.path} ({why}); put that back, give its place with "
                f"{option}, or sample into another folder"
            )
        if name == "predictor" and expected and (changed := self._changed_file()):
            say(f"{changed}: has changed since the run was begun, but what can be seen of its code has not")

    def _changed_file(self) -> str | None:
        """A file of the predictor that is not what it was when the run was begun; None: there is none."""
        with suppress(OSError, ValueError):
            begun_with = read_begun(self.path / "run.json").settings.found_from(self.path).predictor
            now = {path.resolve() for source in self.settings.predictor for path in source.paths()}
            for file, digest in (pair for source in begun_with for pair in source.files.items()):
                if Path(file).resolve() in now and sha256(Path(file)) != digest:
                    return file
        return None

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


@contextmanager
def _elsewhere(option: str, run: Path) -> Iterator[None]:
    """Within it, a missing file of a run that was begun is said to be where an option can name it."""
    try:
        yield
    except FileNotFoundError as error:
        here = (
            f"; if it is elsewhere now, give its place with {option}" if (run / "run.json").exists() else ""
        )
        raise FileNotFoundError(f"{error}{here}") from error

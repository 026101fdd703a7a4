"""The folder of one probe: what each stage leaves there, and whether it belongs to the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from higan_fast.boundaries.boundary import fingerprint_of
from higan_fast.experiments import ORDER, Finding, Results
from higan_fast.files import DamagedError
from higan_fast.fingerprint import first_difference
from higan_fast.inversion import Inversion
from higan_fast.inversion.code_files import CODES, FOLDER
from higan_fast.probing import Attribution, Boundaries, Comparison, Directions, Sweep, Verification
from higan_fast.probing.directions_results import DIRECTIONS_FILES
from higan_fast.probing.result_files import ResultFiles, fingerprint_of_result
from higan_fast.probing.sweep import acting_layers
from higan_fast.run_networks import DRAWN, RunNetworks
from higan_fast.wording import argument

# What a stale result is of, where the values tell nobody anything.
OTHERS = {
    "boundaries": "other boundaries",
    "verification": "another verification",
    "acting": "layers that act by another verification",
}


class RunFolder(RunNetworks):
    """A probe on disk.

    ``run.json`` settings and versions; ``samples.zarr`` the samples; ``choice/`` what choosing C measured;
    ``boundaries.safetensors``; ``verification/`` what was measured, and the result of every verification;
    ``verification.npz`` the current one; ``attribution/`` scores with one layer's code replaced, and
    ``attribution.npz`` what they say of layers; ``comparison/`` effects of the boundaries of several
    methods, and ``comparison.npz`` how the methods compare; ``sweep/`` scores at many steps, and
    ``sweep.npz`` what they say, which ``dose.csv``, ``.json``, ``.svg``, ``.png`` and ``.pictures.png`` show;
    ``directions.npz`` what directions from elsewhere do, and ``channels.npz`` single channels;
    ``experiments/`` what experiments found, and measured for that; ``invert/`` codes of pictures, and how
    near they come; ``report.html`` with ``report.csv``,
    ``report.layers.csv``, ``report.methods.csv`` and ``report.dose.csv``.
    """

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
            raise ValueError(
                f"{self.boundaries_file}: was fitted {reason}; run higan-fast fit {argument(self.path)}"
            )
        num = boundaries.settings.get("num_samples", len(self.samples))
        if num != len(self.samples):
            reason = f"to {num:,} samples, and there are {len(self.samples):,} now"
            raise ValueError(
                f"{self.boundaries_file}: was fitted {reason}; run higan-fast fit {argument(self.path)}"
            )
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
        """The files of the findings of experiments, in the order of ``experiments.ORDER``."""

        def place(file: Path) -> tuple[int, str]:
            name = file.name.partition(".")[0]
            return ORDER.index(name) if name in ORDER else len(ORDER), file.name

        return sorted((self.path / "experiments").glob("*.json"), key=place)

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
        for place, origin in found.made_from_others.items():
            self._check_other_run(file, Path(place), origin, stage)
        return found

    @staticmethod
    def _check_other_run(file: Path, other: Path, origin: Mapping[str, Any], stage: str) -> None:
        """Raises ValueError where another run that a finding is of has changed, and not where it is gone."""
        if not other.exists():
            return
        of = [name for name in ("boundaries", "verification") if name in origin]
        reason = "has changed since"
        try:
            if RunFolder.open(other, device="cpu").origin(of) == dict(origin):
                return
        except (OSError, ValueError) as error:
            reason = f"cannot be read any more ({error})"
        raise ValueError(f"{file}: compares with {other}, which {reason}; run higan-fast {stage} RUN {other}")

    @cached_property
    def inversion(self) -> Inversion | None:
        """Codes of somebody's pictures, if ``invert`` has left some here for the network of the samples.

        Raises:
            DamagedError: when the file is damaged.
            ValueError: when they are of another network.
        """
        folder = self.path / FOLDER
        if not (folder / CODES).exists():
            return None
        found = Inversion.load(folder)
        if found.settings["generator"] != self.samples.settings["generator"]:
            raise ValueError(
                f"{folder / CODES}: are codes of another network; higan-fast invert finds those of this"
            )
        return found

    def results(self) -> tuple[Results, list[str]]:
        """What stages and experiments found, and why some of it is left out: it is of something else.

        Raises:
            FileNotFoundError: when there is no verification yet.
            DamagedError: when a file is damaged, or of another version.
            ValueError: when the verification or the attribution is not of what is in the folder.
        """
        verification = self.verification if self.scored_boundaries else None
        stale: list[str] = []
        for name in ("comparison", "sweep") if verification else ():
            try:
                getattr(self, name)
            except DamagedError:
                raise
            except ValueError as error:
                stale.append(str(error))
                self.__dict__[name] = None  # what the folder then says
        findings, others = self.findings()
        found = Results(verification, self.attribution, self.comparison, self.sweep, findings)
        return found, stale + others

    def findings(self) -> tuple[list[Finding], list[str]]:
        """What experiments found, and why some of it is left out: it is of something else.

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
                raise ValueError(f"{file}: is of {what}; run higan-fast {stage} {argument(self.path)}")

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
            raise FileNotFoundError(
                f"{file}: is not there yet; make it with higan-fast {stage} {argument(self.path)}"
            )

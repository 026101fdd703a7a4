"""What a run folder was begun with, its settings and its two networks, and the samples drawn of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch

from higan_fast.checkpoints import load_generator
from higan_fast.checks import check_label
from higan_fast.engine.scoring import score
from higan_fast.environment import environment
from higan_fast.files import DamagedError, json_checksum, write_whole
from higan_fast.fingerprint import check_same, fingerprint
from higan_fast.generators.base import Generator
from higan_fast.image_shapes import NAMES
from higan_fast.opening import sha256
from higan_fast.predictors import Predictor
from higan_fast.predictors.source import load_sources, named
from higan_fast.probing import Samples
from higan_fast.progress import say
from higan_fast.run_settings import PLACES, Begun, Settings, device_here, read_begun
from higan_fast.sampling.samples import STORE
from higan_fast.sampling.shards import open_samples

# What run.json and the samples both say of how these were drawn.
DRAWN = ("seed", "truncation_psi", "truncation_layers", "label")


class RunNetworks:
    """The networks of a run folder, which must be those that it was begun with, and its samples.

    ``run.json`` has the settings, versions, and fingerprints of the networks; ``samples.zarr`` the samples.
    """

    def __init__(self, path: str | Path, settings: Settings) -> None:
        self.path, self.settings = Path(path), settings

    @classmethod
    def open(cls, path: str | Path, **places: str | Sequence[str] | None) -> Self:
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
            advice = "begin with higan-fast sample"
            if file.with_name("samples.zarr").exists():  # of hf.sample, which takes no names
                advice = f"what hf.sample left is read by hf.Samples.open from Python; or {advice} elsewhere"
            raise FileNotFoundError(f"{path}: no probe was begun here (no run.json); {advice}")
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
        with torch.inference_mode():
            image = torch.zeros(1, *self.generator.image_shape, device=self.settings.device)
            score(self.predictor, image)
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
            generator = load_generator(
                self.settings.network, self.settings.device, self.settings.config, bands=self.settings.bands
            )
        if generator.image_shape[0] not in NAMES:
            say(
                f"{self.settings.network}: its images have {generator.image_shape[0]} channels, of which "
                "pictures show the first three; --bands of higan-fast sample chooses others"
            )
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
        samples = open_samples(self.path)
        for name in DRAWN:
            said, drawn = getattr(self.settings, name), samples.settings.get(name)
            if said != drawn:
                raise ValueError(
                    f"{self.path / 'run.json'}: says {name} = {said!r}, and the samples were drawn with "
                    f"{drawn!r}; write that there, or sample into another folder"
                )
        return samples

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

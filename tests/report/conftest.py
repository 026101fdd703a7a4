"""A small probe of the toy world, once for all tests of the report."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from higan_fast.boundaries.fitting import fit_boundaries
from higan_fast.probing.verification import verify
from higan_fast.report import write_report
from higan_fast.sampling.samples import sample
from tests.toy import toy


@pytest.fixture(scope="session")
def run() -> SimpleNamespace:
    generator, predictor = toy()
    samples = sample(generator, predictor, 1500, progress=False)
    boundaries = fit_boundaries(samples, method="svm", chosen_num=600, progress=False)
    verification = verify(
        generator,
        predictor,
        boundaries,
        num=60,
        null="isotropic",
        num_null=48,
        confidence=0.95,
        progress=False,
    )
    return SimpleNamespace(
        generator=generator,
        predictor=predictor,
        samples=samples,
        boundaries=boundaries,
        verification=verification,
    )


@pytest.fixture
def write(run, tmp_path) -> Callable[..., str]:
    """Writes the report of the run, some of it replaced, and returns the page."""

    def write_page(**changes: object) -> str:
        arguments = {
            "title": "Toy probe",
            "settings": {"network": "toy", "predictor": "toy", "seed": 0, "versions": {"torch": "2.9"}},
            "generator": run.generator,
            "samples": run.samples,
            "boundaries": run.boundaries,
            "verification": run.verification,
        } | changes
        path: Path = write_report(tmp_path / "report.html", **arguments, progress=False)
        assert path == tmp_path / "report.html"
        return path.read_text(encoding="utf-8")

    return write_page

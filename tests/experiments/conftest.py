"""The toy world with its verified boundaries, for all experiments."""

from types import SimpleNamespace

import pytest

from higan_fast.experiments import Subject
from higan_fast.probing import verify
from tests.toy import toy


@pytest.fixture(scope="session")
def probed(samples, boundaries) -> SimpleNamespace:
    """Networks, samples, boundaries, a verification, and the subject of an experiment that keeps nothing."""
    generator, predictor = toy()
    verification = verify(
        generator,
        predictor,
        boundaries,
        num=64,
        null="isotropic",
        num_null=48,
        confidence=0.95,
        progress=False,
    )
    subject = Subject(generator, predictor, progress=False)
    return SimpleNamespace(
        generator=generator, predictor=predictor, samples=samples, boundaries=boundaries,
        verification=verification, subject=subject,
    )  # fmt: skip

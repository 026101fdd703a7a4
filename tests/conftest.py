"""How tests share a machine; and the toy world with one set of its samples and boundaries, for all tests."""

import fcntl
import gc
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

# Of every process, and of those that it starts: jobs are small, and where tests run side by side on all
# cores, threads spend their time waiting for one another. OpenMP and BLAS read it when they are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

import higan_fast.boundaries.choice as choice
import higan_fast.probing as probing
from tests.toy import ToyGenerator, ToyPredictor, of_anyone, toy


def pytest_collection_finish(session):
    """Thousands of tests and torch's modules stay until the end: garbage is not looked for among them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """A test for the GPU has it to itself, whatever runs beside it."""
    if item.get_closest_marker("gpu") is None:
        return (yield)
    with the_gpu():
        return (yield)


@contextmanager
def the_gpu():
    """Waits until no other process of this user is within it."""
    with (Path(tempfile.gettempdir()) / f"higan-fast-gpu-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def networks() -> tuple[ToyGenerator, ToyPredictor]:
    return toy()


@pytest.fixture
def generator(networks) -> ToyGenerator:
    return networks[0]


@pytest.fixture
def predictor(networks) -> ToyPredictor:
    return networks[1]


@pytest.fixture(scope="session")
def samples() -> probing.Samples:
    return probing.sample(*toy(), 4000, progress=False)


@pytest.fixture(scope="session")
def boundaries(samples) -> probing.Boundaries:
    return of_anyone(probing.fit_boundaries(samples, method="svm", chosen_num=800, progress=False))


@pytest.fixture(scope="module")
def quick_choice():
    """C is chosen on 8 codes instead of 64: for modules that use what was chosen, and test something else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "NUM_CODES", 8)
        yield

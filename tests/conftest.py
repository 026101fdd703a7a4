"""The toy world and one set of its samples and boundaries, shared by the tests."""

import pytest
import torch

import higan_fast.probing as probing
from tests.toy import ToyGenerator, ToyPredictor, of_anyone, toy

# Their jobs are small: a second thread would only wait for the first.
ON_ONE_THREAD = {"engine", "sampling", "boundaries", "statistics", "probing"}


@pytest.fixture(scope="module", autouse=True)
def one_thread(request):
    if request.path.parent.name in ON_ONE_THREAD:
        torch.set_num_threads(1)


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
    return of_anyone(probing.fit_boundaries(samples, chosen_num=800, progress=False))

"""One verification of the toy world, shared by the tests."""

import pytest

from higan_fast.probing import verify
from tests.toy import toy


@pytest.fixture(scope="session")
def verification(boundaries):
    return verify(*toy(), boundaries, num=64, null="isotropic", confidence=0.9, progress=False)

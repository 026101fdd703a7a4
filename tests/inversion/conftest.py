"""Images of the toy world, whose codes are known."""

import pytest

from higan_fast.sampling.latents import make_codes
from tests.toy import toy


@pytest.fixture(scope="session")
def drawn():
    """Five images that the toy generator drew, and their codes."""
    generator, _ = toy()
    codes = make_codes(generator, 5, 0, 5).codes.detach()
    return generator.synthesize(codes).detach().clamp(-1, 1), codes

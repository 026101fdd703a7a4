"""What a stored result was made with: fingerprints of networks, and the comparison of settings."""

from higan_fast.fingerprint.network import Fingerprint, fingerprint, warn_of_unseen
from higan_fast.fingerprint.settings import check_same, first_difference

__all__ = ["Fingerprint", "check_same", "fingerprint", "first_difference", "warn_of_unseen"]

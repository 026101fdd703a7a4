"""Public implementations, from checkouts, that make the same images as ours, with our weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

ADA, HIGAN, STYLEGAN3 = "stylegan2-ada", "genforce/higan", "stylegan3"

# A file by which a checkout is recognised.
MARKS = {
    ADA: "training/networks.py",
    HIGAN: "models/stylegan2_generator_network.py",
    STYLEGAN3: "training/networks_stylegan3.py",
}

Peers = dict[str, Path]  # name → checkout


def peers_in(checkouts: Iterable[Path]) -> Peers:
    """Returns the checkout of each peer.

    Raises:
        ValueError: if a checkout is not that of a known peer.
    """
    peers = {}
    for checkout in checkouts:
        names = [name for name, mark in MARKS.items() if (checkout / mark).exists()]
        if not names:
            expected = " or ".join(f"one of {name}, with {mark}" for name, mark in MARKS.items())
            raise ValueError(f"{checkout}: not a known checkout; expected {expected}")
        peers[names[0]] = checkout
    return peers

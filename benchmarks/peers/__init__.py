"""Public code that makes the same images as our StyleGAN2, from checkouts of it, with our weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

ADA, HIGAN = "stylegan2-ada", "genforce/higan"

# A file that tells a checkout.
MARKS = {ADA: "training/networks.py", HIGAN: "models/stylegan2_generator_network.py"}

Peers = dict[str, Path]  # name → checkout


def peers_in(checkouts: Iterable[Path]) -> Peers:
    """Which peers the checkouts are of.

    Raises:
        ValueError: one is of none of them.
    """
    peers = {}
    for checkout in checkouts:
        names = [name for name, mark in MARKS.items() if (checkout / mark).exists()]
        if not names:
            expected = " or ".join(f"one of {name}, with {mark}" for name, mark in MARKS.items())
            raise ValueError(f"{checkout}: not a checkout that is known; expected {expected}")
        peers[names[0]] = checkout
    return peers

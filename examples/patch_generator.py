"""Draws with a generator of someone else's code, plain and patched, and says what that changed.

    python examples/patch_generator.py --code ~/stylegan2-ada-pytorch --network ffhq.pkl

The pickle is opened by the code it was made with (``legacy.py`` in ``--code``): that runs whatever is in the
file, so take one that you trust. ``higan_fast.load_generator`` reads the same files without running anything.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

import higan_fast as hf


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--code", required=True, type=Path, help="checkout of stylegan2-ada-pytorch or stylegan3"
    )
    parser.add_argument("--network", required=True, type=Path)
    parser.add_argument("--num", default=4, type=int, help="images at once")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)

    sys.path.insert(0, str(options.code))
    import legacy

    with options.network.open("rb") as file:
        G = legacy.load_network_pkl(file)["G_ema"].to(options.device)  # noqa: N806 (as that code calls it)
    z = torch.randn(options.num, G.z_dim, device=options.device)
    label = torch.zeros(options.num, G.c_dim, device=options.device)

    with torch.no_grad():
        plain, before = timed(lambda: G(z, label, noise_mode="const"))
        with hf.patch(G) as handle:
            patched, after = timed(lambda: G(z, label, noise_mode="const"))
            print(handle.report())
    difference = (patched - plain).abs().max() / plain.abs().max()
    print(f"plain {before:.3f} s, patched {after:.3f} s: {before / after:.1f} times as fast")
    print(f"largest difference {difference:.1e} of the largest value")


def timed(draw):
    """Returns what a second call gives, and its seconds; the first one prepares, and compares."""
    draw()
    begin = time.perf_counter()
    images = draw()
    if images.device.type == "cuda":
        torch.cuda.synchronize()
    return images, time.perf_counter() - begin


if __name__ == "__main__":
    main()

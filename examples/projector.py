"""Finds the code of an image in a generator of someone else's, with our ops in the loop.

    python examples/projector.py --code ~/stylegan2-ada-pytorch --network ffhq.pkl --target face.png

Every step draws one image and takes one gradient with respect to the code, which is all that a projector does
with a generator. The distance here is that of smaller images; put your own (LPIPS, VGG16) in its place.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import higan_fast as hf


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--code", required=True, type=Path, help="checkout of stylegan2-ada-pytorch or stylegan3"
    )
    parser.add_argument("--network", required=True, type=Path)
    parser.add_argument("--target", required=True, type=Path, help="a square image")
    parser.add_argument("--steps", default=200, type=int)
    parser.add_argument("--out", type=Path, help="where to save what was found")
    options = parser.parse_args(arguments)

    sys.path.insert(0, str(options.code))
    import legacy

    with options.network.open("rb") as file:
        G = legacy.load_network_pkl(file)["G_ema"].requires_grad_(False)  # noqa: N806 (as that code calls it)
    with Image.open(options.target) as file:
        picture = file.convert("RGB").resize((G.img_resolution, G.img_resolution))
    target = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
    *_, plain = project(G, target, 3)
    with hf.patch(G) as handle:
        code, (first, *_, last), patched = project(G, target, options.steps)
        print(f"distance {first:.3f} → {last:.3f}; {plain:.3f} s a step plain, {patched:.3f} s patched")
        print(handle.report())
        if options.out:
            with torch.no_grad():
                image = G.synthesis(code, noise_mode="const")[0].permute(1, 2, 0)
            Image.fromarray(((image + 1) * 127.5).clamp(0, 255).byte().numpy()).save(options.out)
    return first, last


def project(G, target: Tensor, steps: int) -> tuple[Tensor, list[float], float]:  # noqa: N803
    """Returns the code ``[1, num_ws, w_dim]``, the distance before each step, and the seconds of one."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        samples = G.mapping(torch.randn(256, G.z_dim, generator=random), torch.zeros(256, G.c_dim))
    code = samples.mean(0, keepdim=True).requires_grad_()
    optimiser, goal = torch.optim.Adam([code], lr=0.05), smaller(target)
    distances, seconds = [], []
    for _ in range(steps):
        begin = time.perf_counter()
        distance = (smaller(G.synthesis(code, noise_mode="const")) - goal).square().mean()
        optimiser.zero_grad()
        distance.backward()
        optimiser.step()
        distances.append(distance.item())
        seconds.append(time.perf_counter() - begin)
    return code.detach(), distances, sorted(seconds)[steps // 2]


def smaller(images: Tensor) -> Tensor:
    return F.interpolate(images, size=(min(64, images.shape[2]),) * 2, mode="area")


if __name__ == "__main__":
    main()

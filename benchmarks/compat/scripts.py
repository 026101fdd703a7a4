"""Scripts of public code from their own command line, plain and patched: a table of docs/compat.md.

``python -m benchmarks.compat.scripts stylegan2_ada=CHECKOUT stylegan3=CHECKOUT`` runs the scripts on a CPU,
as they are. Their networks are small ones that the checkout's own code makes and pickles. Their VGG16 comes
from the internet; a small TorchScript network with its interface lies in its place, in their cache of
downloads.
They need requests, imageio with imageio-ffmpeg, and for stylegan3 setuptools before version 81.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.compat.networks import PEERS

VGG16 = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/vgg16.pt"
SIZE = 64
# Of the values of all pictures; a patched network may round one to the level beside.
MOST_APART = 1e-3
DISTANCES = 0.02  # of a projector's last distance; noise makes its path differ from rounding on


@dataclass(frozen=True)
class Run:
    """One command line.

    Attributes:
        peer: key of ``PEERS``.
        script: in its checkout.
        network: options of the network of which it is given a pickle.
        arguments: of the script; ``{work}`` is a folder with ``target.png``, ``{out}`` one for results.
        options: of ``higan_fast.compat.run``.
    """

    peer: str
    script: str
    network: dict[str, Any]
    arguments: str
    options: tuple[str, ...] = ()


SKIP: dict[str, Any] = {}
CONDITIONAL: dict[str, Any] = {"classes": 3}
SECOND: dict[str, Any] = {"setting": "StyleGAN2", "num_fp16_res": 0}
RUNS = (
    Run("stylegan2_ada", "generate.py", SKIP, "--seeds=0-7 --trunc=0.7 --outdir={out}"),
    Run("stylegan2_ada", "generate.py", SKIP, "--seeds=0-7 --noise-mode=none --outdir={out}"),
    Run("stylegan2_ada", "generate.py", CONDITIONAL, "--seeds=0-7 --class=1 --outdir={out}"),
    Run("stylegan2_ada", "style_mixing.py", SKIP, "--rows=0,1,2 --cols=3,4 --styles=0-3 --outdir={out}"),
    Run("stylegan2_ada", "projector.py", SKIP,
        "--target={work}/target.png --num-steps=100 --save-video=false --outdir={out}"),
    Run("stylegan2_ada", "projector.py", SKIP,
        "--target={work}/target.png --num-steps=20 --outdir={out}", ("--gradients", "original")),
    Run("stylegan2_ada", "generate.py", SKIP, "--projected-w={work}/w.npz --outdir={out}"),
    Run("stylegan3", "gen_images.py", {"setting": "StyleGAN3-T"}, "--seeds=0-7 --trunc=0.7 --outdir={out}"),
    Run("stylegan3", "gen_images.py", {"setting": "StyleGAN3-T"},
        "--seeds=0-3 --translate=0.1,0.2 --rotate=20 --outdir={out}"),
    Run("stylegan3", "gen_images.py", SECOND, "--seeds=0-7 --outdir={out}"),
    Run("stylegan3", "gen_video.py", {"setting": "StyleGAN3-T"},
        "--seeds=0-3 --grid=2x1 --w-frames=6 --output={out}/lerp.mp4"),
)  # fmt: skip


class FeatureNetwork(nn.Module):
    """Random features with the interface of NVlabs' VGG16: five stages, each normalised and weighted."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 48, 64, 64)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, width, 3, padding=1), nn.ReLU())
            for before, width in pairwise(widths)
        )

    def forward(self, img: Tensor, resize_images: bool = True, return_lpips: bool = False) -> Tensor:
        x = img / 127.5 - 1
        if resize_images:
            x = nn.functional.interpolate(x, size=[224, 224], mode="area")
        features = []
        for stage in self.stages:
            x = stage(x)
            norm = x.square().sum(dim=1, keepdim=True).add(1e-8).sqrt()
            features.append((x / norm / (x.shape[2] * x.shape[3]) ** 0.5).flatten(1))
            x = nn.functional.max_pool2d(x, 2)
        return torch.cat(features, dim=1) if return_lpips else x.flatten(1)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", default="", help="Scripts with this in their name.")
@click.argument("peers", nargs=-1, required=True, metavar="PEER=CHECKOUT ...")
def main(only: str, peers: tuple[str, ...]) -> None:
    """Run scripts of stylegan2_ada and stylegan3 plain and patched, and compare what they wrote."""
    warnings.simplefilter("ignore")
    checkouts = dict(peer.split("=", 1) for peer in peers)
    bad = 0
    click.echo("| peer | script, arguments | pictures | most, 2 levels or more | calls | fell back |")
    click.echo("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as work:
        prepare(Path(work))
        for index, run in enumerate(run for run in RUNS if run.peer in checkouts and only in run.script):
            bad += not compared(run, Path(checkouts[run.peer]).resolve(), Path(work), index)
    if bad:
        raise click.ClickException(f"{bad} scripts failed, or gave something else when patched")


def prepare(work: Path) -> None:
    """Writes the target of a projection, its codes, and the network of features where it is looked for."""
    random = np.random.default_rng(0)
    small = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    small.resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(work / "target.png")
    downloads = work / "cache" / "downloads"
    downloads.mkdir(parents=True)
    torch.manual_seed(0)
    name = f"{hashlib.md5(VGG16.encode()).hexdigest()}_vgg16.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript, which their code loads
        scripted = torch.jit.script(FeatureNetwork().eval().requires_grad_(False))
        scripted.save(str(downloads / name))


def compared(run: Run, checkout: Path, work: Path, index: int) -> bool:
    """Runs one script both ways, prints its row, and returns whether both did the same."""
    network = work / f"{index}.pkl"
    write_network(run, checkout, network)
    if "w.npz" in run.arguments:
        num_ws = 2 * (SIZE.bit_length() - 2)
        np.savez(work / "w.npz", w=np.random.default_rng(1).normal(size=(2, num_ws, 512)).astype(np.float32))
    done = {}
    for way in ("plain", "patched"):
        out = work / f"{index}-{way}"
        out.mkdir()
        arguments = [f"--network={network}", *run.arguments.format(work=work, out=out).split()]
        done[way] = _run(run, checkout, arguments, work / "cache", way == "plain")
        if done[way].returncode:
            last = (done[way].stderr.strip().splitlines() or ["no message"])[-1]
            click.echo(f"| {run.peer} | `{run.script} {run.arguments}`, {way} | failed: {last} | | | |")
            return False
    plain, patched = (list(_pictures(work / f"{index}-{way}")) for way in done)
    apart = np.concatenate([np.abs(a - b).ravel() for a, b in zip(plain, patched, strict=True)])
    share = float((apart > 1).mean())
    found = re.search(r"(\d+) of (\d+) calls fell back", done["patched"].stderr)
    fallbacks, calls = found.groups() if found else ("?", "?")
    last = [_last_distance(process.stdout) for process in done.values()]
    distances = f"; last distance {last[0]:.4g} and {last[1]:.4g}" if last[0] else ""
    command = " ".join([*run.options, run.script, run.arguments])
    click.echo(
        f"| {run.peer} | `{command}` | {len(plain)} | {apart.max()} of 255, {share:.1%}{distances} | "
        f"{calls} | {fallbacks} |"
    )
    near = not last[0] or abs(last[0] - last[1]) <= DISTANCES * last[0]
    return bool(plain) and found is not None and near and (bool(last[0]) or share <= MOST_APART)


def write_network(run: Run, checkout: Path, path: Path) -> None:
    """Pickles a network as their training does, by their own classes."""
    with PEERS[run.peer](checkout) as subject:
        made = subject(SIZE, small=True, **{"setting": "", **run.network})
        network = made.made()
        other = network if made.discriminator is None else made.discriminator()
        kept = {"G": network, "D": other, "G_ema": network, "training_set_kwargs": None, "augment_pipe": None}
        path.write_bytes(pickle.dumps(kept))


def _run(
    run: Run, checkout: Path, arguments: list[str], cache: Path, plain: bool
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DNNLIB_CACHE_DIR": str(cache), "HIGAN_FAST_DISABLE": str(int(plain))}
    command = [sys.executable, "-m", "higan_fast.compat.run", "--cpu", *run.options]
    command += [str(checkout / run.script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def _pictures(folder: Path) -> Iterator[np.ndarray]:
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".png":
            with Image.open(path) as file:
                yield np.asarray(file, dtype=np.int16)
        elif path.suffix == ".mp4":
            import imageio  # which wrote it

            yield from (np.asarray(frame, dtype=np.int16) for frame in imageio.get_reader(path))


def _last_distance(output: str) -> float:
    """What a projector printed last; 0: it printed none."""
    found = re.findall(r"dist ([\d.]+)", output)
    return float(found[-1]) if found else 0.0


if __name__ == "__main__":
    main()

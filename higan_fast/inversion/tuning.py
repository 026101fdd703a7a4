"""Pivotal tuning: moves the weights of a generator a little, so that found codes draw their images."""

from __future__ import annotations

import copy
import json
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from higan_fast.checkpoints import load_generator, read_header, save_generator
from higan_fast.checks import check_batch_size, check_count, check_seed
from higan_fast.engine.inputs import prepare
from higan_fast.engine.precision import synthesis_in
from higan_fast.files import checksum, only_writer
from higan_fast.fingerprint import fingerprint
from higan_fast.generators.base import Generator
from higan_fast.inversion.code_files import TUNED
from higan_fast.inversion.distances import Distance, chosen_distance
from higan_fast.inversion.kept import Keeper
from higan_fast.inversion.results import Inversion, psnr_of
from higan_fast.inversion.targets import as_images
from higan_fast.progress import progress as show_progress
from higan_fast.sampling.latents import INVERSION, make_codes

RATE, BETAS, EPSILON = 3e-4, (0.9, 0.999), 1e-8  # of Adam, as in the paper
NEARBY, ELSEWHERE = 0.1, 1  # weight of what is drawn elsewhere, and of how many codes in each step
AT_ONCE = 8
STATE = "tuning.npz"


@torch.inference_mode(False)
@torch.no_grad()
def tune_around(
    generator: Generator,
    inversion: Inversion,
    images: Any,
    steps: int,
    *,
    distance: Distance | str | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> tuple[Generator, Inversion]:
    """Returns a copy of a generator that draws the images at their codes, and what then is reached.

    Roich et al., Pivotal Tuning for Latent-based Editing of Real Images, arXiv 2106.05744: Adam on the
    weights of the synthesis, at fixed codes, with a penalty for what changes elsewhere: at codes between
    those of an image and those of a random sample the copy is to draw what the generator draws. All images
    share one copy.

    Args:
        inversion: of these images, by this generator, without noise maps.
        images: as of ``invert``.
        steps: how many; each takes some of the images.
        distance: as of ``invert``.
        seed: of the order of images, and of codes elsewhere.
        batch_size: images in each step; None: 8.
        out: a folder that keeps the state every few seconds, and gets the network.
        progress: whether to show it.

    Raises:
        ValueError: when an argument is out of range, or the inversion is of another generator.
    """
    check_count("steps (--tune)", steps)
    check_seed(seed)
    check_batch_size(batch_size)
    targets = as_images(images, generator)
    if len(targets) != len(inversion) or inversion.noise:
        raise ValueError(
            f"inversion: is of {len(inversion)} images{' with noise maps' if inversion.noise else ''}, "
            f"expected one of these {len(targets)}, without"
        )
    prepare(generator)
    if inversion.settings["generator"] != fingerprint(generator):
        raise ValueError(
            "inversion: is of another generator (in code, attributes or weights) than is to be tuned"
        )
    distance = chosen_distance(distance, generator.device)
    settings = {"steps": steps, "seed": seed, "distance": distance.name, "batch_size": batch_size}
    about = {**settings, "of": str(fingerprint(generator)), "codes": checksum({"codes": inversion.codes})}
    folder, at_once = None if out is None else Path(out), batch_size or AT_ONCE
    with nullcontext() if folder is None else only_writer(folder), synthesis_in(generator, None):
        if folder is not None and _done_before(folder / TUNED, about):
            tuned = load_generator(folder / TUNED, generator.device)
        else:
            keeper = Keeper(None if folder is None else folder / STATE, json.dumps(about, sort_keys=True))
            tuning = _Tuning(generator, inversion, targets, distance, seed, at_once, keeper)
            tuned = tuning(steps, progress)
            if folder is not None:
                save_generator(tuned, folder / TUNED, about)
                keeper.drop()
        return tuned, _reached(tuned, inversion, targets, distance, at_once, steps)


def _done_before(file: Path, about: dict[str, Any]) -> bool:
    """Whether an earlier run left the same network."""
    with suppress(OSError, ValueError):
        return read_header(file).about == about
    return False


class _Tuning:
    """One tuning: weights that move, and where they are."""

    def __init__(
        self,
        generator: Generator,
        inversion: Inversion,
        targets: Tensor,
        distance: Distance,
        seed: int,
        at_once: int,
        keeper: Keeper,
    ) -> None:
        self.generator, self.targets, self.distance = generator, targets, distance
        self.codes = torch.from_numpy(inversion.codes).to(targets)
        self.seed, self.at_once, self.keeper = seed, min(at_once, len(targets)), keeper
        self.tuned = copy.deepcopy(generator)
        self.weights = {
            name: weight for name, weight in self.tuned.named_parameters()
            if not name.startswith(("mapping", "embed"))
        }  # fmt: skip
        self.optimizer = torch.optim.Adam(self.weights.values(), RATE, BETAS, EPSILON)

    def __call__(self, steps: int, progress: bool) -> Generator:
        done = self._restore()
        for weight in self.weights.values():
            weight.requires_grad_(True)
        with show_progress("tuning", steps, unit="steps", done=done, enabled=progress) as advance:
            for number in range(done, steps):
                self._step(number)
                advance(1)
                if self.keeper.is_due:
                    self.keeper.keep(self._arrays(number + 1))
        self.tuned.weights_changed()
        return self.tuned.requires_grad_(False)

    def _step(self, number: int) -> None:
        """One step of Adam on some of the images, and on codes elsewhere."""
        random = np.random.default_rng([self.seed, number])
        rows = torch.from_numpy(np.sort(random.permutation(len(self.targets))[: self.at_once])).to(
            self.codes.device
        )
        with torch.enable_grad():
            features = self.distance.features(self.targets[rows])
            loss = self.distance(self.tuned.draw(self.codes[rows]), features).mean()
            elsewhere = self._elsewhere(random, number)
            wanted = self.distance.features(self.generator.draw(elsewhere))
            loss = loss + NEARBY * self.distance(self.tuned.draw(elsewhere), wanted).mean()
            for weight in self.weights.values():
                weight.grad = None
            loss.backward()
        self.optimizer.step()

    def _elsewhere(self, random: np.random.Generator, number: int) -> Tensor:
        """Codes on the way from some images' to random samples', ``[n, L, D]``."""
        samples = make_codes(self.generator, self.seed, number, number + ELSEWHERE, stream=INVERSION).codes
        pivots = self.codes[
            torch.from_numpy(random.integers(0, len(self.codes), ELSEWHERE)).to(self.codes.device)
        ]
        share = torch.from_numpy(random.random(ELSEWHERE)).to(pivots)
        return torch.lerp(pivots, samples, share[:, None, None])

    def _arrays(self, done: int) -> dict[str, Any]:
        """The weights and Adam's moments, to be kept."""
        arrays: dict[str, Any] = {"done": np.array(done)}
        for name, weight in self.weights.items():
            arrays[f"weight.{name}"] = weight.detach().cpu().numpy()
            for part, value in self.optimizer.state[weight].items():
                arrays[f"{part}.{name}"] = value.cpu().numpy()
        return arrays

    def _restore(self) -> int:
        """Takes up what an earlier run kept; returns how many steps it had gone."""
        arrays = self.keeper.found()
        if arrays is None:
            return 0
        for name, weight in self.weights.items():
            where = {"step": "cpu"}
            weight.copy_(torch.from_numpy(arrays[f"weight.{name}"]))
            parts = ("step", "exp_avg", "exp_avg_sq")
            self.optimizer.state[weight] = {
                part: torch.from_numpy(arrays[f"{part}.{name}"]).to(where.get(part, weight.device))
                for part in parts if f"{part}.{name}" in arrays
            }  # fmt: skip
        return int(arrays["done"])


def _reached(
    tuned: Generator, inversion: Inversion, targets: Tensor, distance: Distance, at_once: int, steps: int
) -> Inversion:
    """The same codes, and how near the tuned network comes with them."""
    codes = torch.from_numpy(inversion.codes).to(targets)
    psnr, distances = [], []
    for rows in torch.arange(len(targets), device=targets.device).split(at_once):
        drawn = tuned.draw(codes[rows])
        psnr.append(psnr_of(drawn, targets[rows]))
        distances.append(distance(drawn, distance.features(targets[rows])))
    of_each, apart = (torch.cat(column).float().cpu().numpy() for column in (psnr, distances))
    settings = inversion.settings | {"tuned": steps}
    return replace(inversion, psnr=of_each, distance=apart, settings=settings)

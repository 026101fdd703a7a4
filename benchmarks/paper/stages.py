"""The stages of the study as a user runs them, and what shows that each was right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

import higan_fast as hf
from benchmarks.cases.verification import MARGIN, TOLERANCE
from benchmarks.paper.study import SHARD, Study
from benchmarks.paper.world import Scorer, planted_layer
from higan_fast.engine.precision import Wish, activation_dtype, chosen_precision
from higan_fast.generators.stylegan2 import StyleGAN2
from higan_fast.sampling.latents import make_codes

CHECKED = 32  # samples that are made again one by one, and samples on which decisions are checked
JUDGED = 3  # boundaries whose decisions are checked
CHANCE = 2.58  # by so many standard errors of one boundary the mean accuracy must exceed a half


@dataclass(frozen=True)
class Outcome:
    """What came of a stage.

    Attributes:
        work: how many units it did ...
        unit: ... of what.
        error: how far the result is off, as ``check`` of the stage says.
        tolerance: of the error.
        checked: what was checked, in words.
    """

    work: int
    unit: str
    error: float
    tolerance: float
    checked: str


class Stages:
    """The public calls, one for each stage, on a folder; what one leaves there the next one reads."""

    def __init__(
        self, study: Study, generator: StyleGAN2, scorer: Scorer, device: str, precision: Wish, folder: Path
    ) -> None:
        self.study, self.generator, self.scorer = study, generator, scorer
        self.device, self.folder = device, folder
        self.precision = chosen_precision(precision, generator.device)
        dtype = activation_dtype(self.precision, generator.device) or torch.float32
        self.dtype = str(dtype).removeprefix("torch.")

    @cached_property
    def samples(self) -> hf.Samples:
        return hf.Samples.open(self.folder)

    @cached_property
    def boundaries(self) -> hf.Boundaries:
        return hf.Boundaries.load(self.folder / "boundaries.safetensors")

    @cached_property
    def verification(self) -> hf.Verification:
        return hf.Verification.load(self.folder / "verification.npz")

    def run(self, stage: str) -> None:
        """Does a stage, or what an interrupted one has left of it."""
        study = self.study
        if stage == "sample":
            hf.sample(self.generator, self.scorer, study.samples, self.folder, precision=self.precision)
        elif stage == "fit":
            fitted = hf.fit_boundaries(
                self.samples, recipe="higan", chosen_num=study.per_side, device=self.device
            )
            fitted.save(self.folder / "boundaries.safetensors")
        else:
            hf.verify(
                self.generator, self.scorer, self.boundaries, max_samples=study.most_samples,
                num_null=study.null, precision=self.precision, out=self.folder,
            )  # fmt: skip

    def samples_done(self) -> int:
        """How many samples there are on the disk, by whole files."""
        shards = self.folder / "samples.zarr" / "scores" / "c"
        return SHARD * sum(1 for _ in shards.iterdir()) if shards.is_dir() else 0

    def outcome(self, stage: str) -> Outcome:
        return {"sample": self._sampled, "fit": self._fitted, "verify": self._verified}[stage]()

    @torch.inference_mode()
    def _sampled(self) -> Outcome:
        """Some samples are made again, each alone and in float32."""
        chosen = np.random.default_rng(0).choice(len(self.samples), CHECKED, replace=False).tolist()
        largest, off = 0.0, 0.0
        for index in chosen:
            kept = self.samples.part(index, index + 1)
            alone = make_codes(self.generator, 0, index, index + 1)
            if not np.array_equal(kept.codes, alone.codes.float().cpu().numpy()):
                off = np.inf
            scores = self.scorer(self.generator.synthesize(alone.codes)).float().cpu().numpy()
            largest = max(largest, float(np.abs(scores).max()))
            off = max(off, float(np.abs(kept.scores - scores).max()))
        if len(self.samples) != self.study.samples:
            off = np.inf
        what = f"{CHECKED} of them, made again alone in float32: codes equal, scores near"
        return Outcome(self.study.samples, "images", off / largest, TOLERANCE[self.dtype], what)

    def _fitted(self) -> Outcome:
        """Machines prove how near they are to the exact ones; boundaries must tell held-out samples apart."""
        boundaries = list(self.boundaries.values())
        accuracy = [boundary.accuracy or 0.0 for boundary in boundaries]
        least = 0.5 + CHANCE * math.sqrt(0.25 / self.study.held_out)
        good = sum(each.converged for each in boundaries)
        error = 1 - good / self.study.attributes
        if np.mean(accuracy) < least:
            error = np.inf
        what = (
            f"{good} of {self.study.attributes} proven to be near the exact ones; mean accuracy on held-out "
            f"samples {np.mean(accuracy):.2f}, by chance up to {least:.2f}"
        )
        return Outcome(self.study.attributes, "boundaries", float(error), 0.0, what)

    def _verified(self) -> Outcome:
        """Effects are compared with those on samples of another seed, and layers that were decided for, too.

        The error is the share of boundaries whose intervals on both do not meet; or what a layer falls
        short of the largest effect, as a share of it.
        """
        found = self.verification
        decided = [row for row in range(len(found.boundary_names)) if found.top_layer[row] >= 0]
        planted = sum(int(found.top_layer[row]) == planted_layer(self.generator) for row in decided)
        judged = (decided + [row for row in range(len(found.boundary_names)) if row not in decided])[:JUDGED]
        names = [found.boundary_names[row] for row in judged]
        again = hf.verify(
            self.generator, self.scorer, self.boundaries, semantics=names, num=CHECKED, num_null=2,
            precision=self.precision, seed=12345, progress=False,
        )  # fmt: skip
        apart, short = 0, 0.0
        for row, name in zip(judged, names, strict=True):
            other, column = again.row(name), self.scorer.names.index(name)
            entries = (found, (row, 0, column)), (again, (other, 0, column))
            least, most = (max(v.low[at] for v, at in entries), min(v.high[at] for v, at in entries))
            apart += not least <= most  # NaN is not
            if row in decided:
                effects = np.abs(again.effect[other, 1:, column])
                short = max(short, 1 - float(effects[found.top_layer[row]] / effects.max()))
        what = (
            f"{int(found.beats_null.sum())} of {len(found.boundary_names)} move their attribute; top layer "
            f"decided for {len(decided)}, {planted} times the one with the strongest style; effects of "
            f"{len(names)} and their layers measured again on {CHECKED} other samples"
        )
        return Outcome(found.images, "images", max(short, apart / len(names)), MARGIN, what)

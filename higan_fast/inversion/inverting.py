"""Images → the codes whose images come nearest to them, by optimisation: in w, or a code for each layer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from higan_fast.checks import (
    check_batch_size,
    check_choice,
    check_count,
    check_folder,
    check_label,
    check_seed,
)
from higan_fast.engine.budget import is_out_of_memory
from higan_fast.engine.inputs import prepare
from higan_fast.engine.precision import synthesis_in
from higan_fast.files import DamagedError, only_writer
from higan_fast.fingerprint import fingerprint, warn_of_unseen
from higan_fast.generators.base import Generator, check_generator
from higan_fast.inversion.code_files import CODES
from higan_fast.inversion.curves import Curves
from higan_fast.inversion.distances import Distance, chosen_distance
from higan_fast.inversion.distribution import distribution_of_codes, distribution_of_w
from higan_fast.inversion.kept import Keeper
from higan_fast.inversion.noise_maps import noise_inputs, standardised
from higan_fast.inversion.problem import MAP, Problem, possible
from higan_fast.inversion.results import Inversion, comparison, psnr_of
from higan_fast.inversion.search import Schedule, State, Variables, step, unfinished
from higan_fast.inversion.starts import starting_points
from higan_fast.inversion.targets import as_images
from higan_fast.pictures import save_picture
from higan_fast.progress import progress as show_progress
from higan_fast.progress import say
from higan_fast.sampling.latents import INVERSION_NOISE, latents
from higan_fast.wording import in_words

Space = Literal["w", "w+"]
SPACES: tuple[Space, ...] = get_args(Space)

STEPS, SAMPLES, STARTS = 250, 512, 4
FIRST_STEPS = 40  # of every start, before the best one of each image goes on
RATE, RATE_OF_LAYERS, NOISE = 0.1, 0.1, 0.01
PULL, PULL_OF_LAYERS, SPREAD = 1e-3, 3e-4, 1e-4  # weights of Problem
STEPS_AT_MOST = 2**24  # of one image; and as many starts and samples
STATE, PICTURE, SHOWN = "search.npz", "progress.png", 8
VERSION = 1  # increment it whenever the same settings come to another result


@torch.inference_mode(False)
@torch.no_grad()
def invert(
    generator: Generator,
    images: Any,
    space: Space = "w+",
    *,
    distance: Distance | str | None = None,
    steps: int = STEPS,
    starts: int = STARTS,
    samples: int = SAMPLES,
    noise_maps: bool = False,
    label: int | None = None,
    seed: int = 0,
    names: Sequence[str] | None = None,
    batch_size: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> Inversion:
    """Finds codes for images; one that is interrupted goes on where it was, to the same result.

    Every image starts from the mean of ``w`` and from the best of ``samples`` samples. The start that comes
    nearest in a few steps goes on, by Adam with the learning rates and the noise of StyleGAN2's projection
    (Karras et al., arXiv 1912.04958, appendix D), in coordinates in which samples have variance 1. For "w+"
    the code of each layer then goes its own way from there, held near the others.

    Args:
        generator: with stored noise; it is put into evaluation mode.
        images: ``[N, *image_shape]`` of the generator, uint8 or in [-1, 1], as torch, NumPy or CuPy array.
        space: "w", one code that all layers share, or "w+", one for each.
        distance: what is made small, or a text as ``distance_of`` takes it; None: ``Pixels()``.
        steps: at most so many for each image in "w", and as many again in "w+".
        starts: how many for each image.
        samples: how many are drawn to find them.
        noise_maps: find the noise inputs of each image too.
        label: the class of the samples, of a conditional generator; None: all classes.
        seed: of the noise on the codes.
        names: of the images, each another; None: numbers.
        batch_size: at most so many images at once; None: as many as are worth it.
        out: a folder that keeps the state every few seconds, shows how far it is in ``progress.png``, and
            gets the result; None: nothing is kept.
        progress: whether to show it.

    Raises:
        ValueError: when an argument is out of range, the images do not fit the generator, or it lets no
            gradients through.
    """
    check_inverting(
        space=space, steps=steps, starts=starts, samples=samples, label=label, seed=seed,
        batch_size=batch_size, out=out,
    )  # fmt: skip
    check_generator(generator)
    check_label(label, generator.label_dim)
    targets = as_images(images, generator)
    names = _names_of(names, len(targets))
    prepare(generator)
    distance = chosen_distance(distance, generator.device)
    whose, folder = fingerprint(generator), None if out is None else Path(out)
    settings: dict[str, Any] = {
        "generator": str(whose), "distance": distance.name, "space": space, "steps": steps,
        "starts": starts, "samples": samples, "noise_maps": noise_maps, "label": label, "seed": seed,
        "images": hashlib.sha256(targets.cpu().numpy().tobytes()).hexdigest(), "version": VERSION,
    }  # fmt: skip
    reusable = whose.complete and not distance.name.endswith("?")  # fingerprints of networks seen as a whole
    if folder is not None:
        warn_of_unseen(generator=whose)
    with nullcontext() if folder is None else only_writer(folder), synthesis_in(generator, None):
        if folder is not None and reusable and (found := _done_before(folder, settings, names)) is not None:
            return found
        keeper = Keeper(folder / STATE if folder and reusable else None, json.dumps(settings, sort_keys=True))
        job = _Job(
            generator, targets, distance, names, settings, keeper, folder, batch_size or _at_once(generator)
        )
        found = job.run(progress)
        if folder is not None:
            found.save(folder)
            keeper.drop()
    return found


def check_inverting(
    *,
    space: str,
    steps: int,
    starts: int,
    samples: int,
    label: int | None,
    seed: int,
    batch_size: int | None,
    out: str | Path | None,
) -> None:
    """Raises when ``invert`` would refuse these arguments, whatever the generator is.

    Raises:
        ValueError: when an argument is out of range.
        OSError: when ``out`` cannot be written to.
    """
    check_choice("space (--space)", space, SPACES)
    for name, count, at_least in (("steps", steps, 4), ("starts", starts, 1)):
        check_count(f"{name} (--{name})", count, at_least, STEPS_AT_MOST)
    check_count("samples (--samples)", samples, max(starts - 1, 1), STEPS_AT_MOST)
    check_label(label)
    check_seed(seed)
    check_batch_size(batch_size)
    if out is not None:
        check_folder(out)


def _names_of(names: Any, num: int) -> tuple[str, ...]:
    """The names of ``num`` images; raises ValueError unless there is another one for each."""
    if names is None:
        return tuple(map(str, range(num)))
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"names: got {in_words(names)}, expected a list of texts")
    if len(names) != num:
        raise ValueError(f"names: got {len(names)} for {num} images, expected one for each")
    if (twice := next((name for name in names if names.count(name) > 1), None)) is not None:
        raise ValueError(f"names: got {in_words(twice)} twice, expected each name once")
    return tuple(names)


class _Stage(NamedTuple):
    schedule: Schedule
    problem: Problem


class _Job:
    """One inversion: its stages one after the other, from where an earlier run was.

    The stages are: all starts of every image, for a few steps; the best start of each, in w; and each layer.
    """

    def __init__(
        self,
        generator: Generator,
        targets: Tensor,
        distance: Distance,
        names: tuple[str, ...],
        settings: dict[str, Any],
        keeper: Keeper,
        folder: Path | None,
        at_once: int,
    ) -> None:
        self.generator, self.targets, self.distance, self.names = generator, targets, distance, names
        self.settings, self.keeper, self.folder, self.at_once = settings, keeper, folder, at_once
        label = settings["label"]
        self.of_w = distribution_of_w(generator, label)
        self.of_codes = self.of_w if generator.shares_code else distribution_of_codes(generator, label)

    def run(self, progress: bool) -> Inversion:
        """Goes through the stages."""
        stages, kept = self._stages(), self.keeper.found()
        self.curves = Curves(len(self.targets), len(stages) - 1, self.settings["steps"], self.targets)
        if kept is not None:
            self.curves.restore(kept)
        done = 0 if kept is None else int(kept.pop("stage"))
        state = self._first() if kept is None else State.of(kept, self.generator.device)
        sizes = [len(stage.problem.targets) * stage.schedule.steps for stage in stages]
        earlier = sum(sizes[:done]) + int(state.clock.sum())
        with show_progress("inverting", sum(sizes), unit="steps", done=earlier, enabled=progress) as advance:
            for number, stage in enumerate(stages[done:], start=done):
                if number > done:
                    state = State.begin(self._next(number, state))
                self._search(number, stage, state, advance)
        return self._result(stages[-1], state)

    def _stages(self) -> list[_Stage]:
        settings, each = self.settings, self.targets.repeat_interleave(self.settings["starts"], dim=0)
        size = self.of_w.mean.shape[-1] ** 0.5  # the length of a whitened sample
        rates = {"codes": RATE} | {name: RATE for name in self._maps()}
        stages = [
            _Stage(Schedule(FIRST_STEPS, {"codes": RATE}), self._problem(each, self._codes_of_w, PULL)),
            _Stage(
                Schedule(settings["steps"], rates, NOISE * size),
                self._problem(self.targets, self._codes_of_w, PULL),
            ),
        ]
        if settings["space"] == "w+":
            schedule = Schedule(settings["steps"], rates | {"codes": RATE_OF_LAYERS})
            problem = self._problem(self.targets, self.of_codes.points, PULL_OF_LAYERS, SPREAD)
            stages.append(_Stage(schedule, problem))
        return stages

    def _problem(
        self, targets: Tensor, to_codes: Callable[[Tensor], Tensor], pull: float, spread: float = 0.0
    ) -> Problem:
        return Problem(self.generator, targets, self.distance, to_codes, pull, spread)

    def _codes_of_w(self, whitened: Tensor) -> Tensor:
        """Whitened w ``[n, 1, w_dim]`` → layer codes ``[n, L, D]``."""
        return self.generator.layer_codes(self.of_w.points(whitened)[:, 0])

    def _maps(self) -> dict[str, Tensor]:
        """The stored noise of every input, as a variable of each image, ``[N, 1, H, W]``."""
        if not self.settings["noise_maps"]:
            return {}
        inputs, num = noise_inputs(self.generator), len(self.targets)
        return {f"{MAP}{name}": standardised(each.repeat(num, 1, 1, 1)) for name, each in inputs.items()}

    def _first(self) -> State:
        """All starts of every image, ``[N · starts, 1, w_dim]``."""
        points = starting_points(
            self.generator, self.targets, self.distance, self.of_w, self.settings["starts"],
            self.settings["samples"], self.settings["label"],
        )  # fmt: skip
        return State.begin({"codes": points.flatten(0, 1)})

    def _next(self, number: int, state: State) -> Variables:
        """What a stage begins with: what the one before has found."""
        if number == 1:
            of_starts = state.distance.view(len(self.targets), -1)
            codes = state.variables["codes"].unflatten(0, of_starts.shape)
            best = of_starts.argmin(dim=1)
            return {"codes": codes[torch.arange(len(best)).to(best), best], **self._maps()}
        codes = self._codes_of_w(state.variables["codes"])
        return state.variables | {"codes": self.of_codes.whitened(codes)}

    def _search(self, number: int, stage: _Stage, state: State, advance: Callable[[int], None]) -> None:
        def noise(rows: Tensor, clock: Tensor) -> Tensor:
            return self._noise(rows, clock, state.variables["codes"])

        gone = int(state.clock.sum())
        while len(rows := unfinished(state, stage.schedule, self.at_once)):
            with _saying_what_is_too_much(len(rows)):
                step(state, rows, stage.schedule, stage.problem, noise, possible)
            if number:  # before, every image has several starts
                assert stage.problem.images_drawn is not None
                reached = psnr_of(stage.problem.images_drawn, self.targets[rows])
                self.curves.record(number - 1, rows, state.taken[rows], reached)
            gone, before = int(state.clock.sum()), gone
            advance(gone - before)
            if self.keeper.is_due:
                self.keeper.keep({"stage": np.array(number), **state.arrays(), **self.curves.arrays()})
                if number:
                    self._show(stage, state)

    def _noise(self, rows: Tensor, clock: Tensor, like: Tensor) -> Tensor:
        """Normal numbers that depend on (seed, image, step) alone: ``[n, P, D]``."""
        size = like[0].numel()
        drawn = [
            latents(self.settings["seed"], place, place + 1, size, stream=INVERSION_NOISE)
            for place in (rows * STEPS_AT_MOST + clock).tolist()
        ]
        return torch.from_numpy(np.concatenate(drawn)).to(like).view(len(rows), *like.shape[1:])

    def _show(self, stage: _Stage, state: State) -> None:
        """Draws the first images as they are now."""
        if self.folder is None:
            return
        some = slice(0, SHOWN)
        found = stage.problem.images({name: value[some] for name, value in state.variables.items()})
        save_picture(self.folder / PICTURE, comparison(self.names[some], self.targets[some], found))

    def _result(self, stage: _Stage, state: State) -> Inversion:
        codes, images, distances = [], [], []
        for rows in torch.arange(len(self.targets), device=self.targets.device).split(self.at_once):
            variables = {name: value[rows] for name, value in state.variables.items()}
            codes.append(stage.problem.to_codes(variables["codes"]))
            images.append(stage.problem.images(variables))
            distances.append(self.distance(images[-1], self.distance.features(self.targets[rows])))
        found, drawn = torch.cat(codes), torch.cat(images)
        if self.folder is not None:
            save_picture(self.folder / PICTURE, comparison(self.names, self.targets, drawn))
        from_mean = self.of_codes.distance(found)
        columns: dict[str, Any] = {
            "psnr": psnr_of(drawn, self.targets),
            "distance": torch.cat(distances),
            "from_mean": from_mean,
            "percentile": self.of_codes.percentile(from_mean),
        }
        maps = {name: value for name, value in state.variables.items() if name.startswith(MAP)}
        return Inversion(
            found.float().cpu().numpy(), self.names, steps=state.taken.cpu().numpy(), settings=self.settings,
            curves=self.curves.arrays()["curves"],
            noise={name.removeprefix(MAP): value.float().cpu().numpy() for name, value in maps.items()},
            **{name: column.float().cpu().numpy() for name, column in columns.items()},
        )  # fmt: skip


def _done_before(folder: Path, settings: dict[str, Any], names: tuple[str, ...]) -> Inversion | None:
    """What an earlier run with the same settings found, if it came to its end; else says what it replaces."""
    try:
        found = Inversion.load(folder)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        say(f"{error}; found anew")
        return None
    if found.settings == settings and found.names == names:
        return found
    say(f"{folder / CODES}: holds codes of {len(found)} images that were found otherwise, and is replaced")
    return None


@contextmanager
def _saying_what_is_too_much(num: int) -> Iterator[None]:
    """Within it, an error of memory says what to do."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        less = "take a smaller batch_size (--batch)" if num > 1 else "free some"
        raise RuntimeError(
            f"there is not enough memory for the gradients of {num} images at once; {less}"
        ) from error


def _at_once(generator: Generator) -> int:
    """So many images whose activations are kept for the gradient."""
    pixels = 2**20 if generator.device.type == "cpu" else 2**23
    _, height, width = generator.image_shape
    return int(max(1, min(32, pixels // (height * width))))

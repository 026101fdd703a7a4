"""Fits boundaries to samples: HiGAN's recipe, and other methods on the same two sides."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import SPACES, Boundaries, Boundary, Space
from higan_fast.boundaries.choice import STRENGTHS, choose_regularisation
from higan_fast.boundaries.deviations import codes_in, measured_on
from higan_fast.boundaries.gradient import mean_gradients
from higan_fast.boundaries.methods import (
    ITERATED,
    MACHINES,
    METHODS,
    ON_ALL,
    RECIPES,
    REGULARISED,
    WEIGHTS,
    Method,
    Recipe,
    Task,
    chooses_weight,
    fit_planes,
    method_of,
)
from higan_fast.boundaries.origin import Origin
from higan_fast.boundaries.sides import CannotFitError, Sides, choose_sides
from higan_fast.boundaries.svm import LOSSES, Loss
from higan_fast.checks import check_choice, check_count, check_names, check_number, check_seed
from higan_fast.devices import usable_device
from higan_fast.generators.base import Generator
from higan_fast.predictors.base import Predictor, Semantic
from higan_fast.progress import progress as show_progress
from higan_fast.sampling.samples import Samples
from higan_fast.wording import in_words

Weight = float | Literal["auto"]

LEAST_RATIO = 1e-9  # of samples per side
ROWS_AT_ONCE = 8192  # of codes, when the samples are classified

Array = NDArray[np.float64]


def check_fitting(
    *,
    chosen_num: int | float,
    space: Space | None,
    method: Method | None = None,
    C: Weight | None = None,  # noqa: N803 (the field's name for it)
    recipe: Recipe | None = None,
    held_out: float = 0.3,
    loss: Loss = "hinge",
    num_gradients: int = 1024,
    seed: int = 0,
) -> None:
    """Raises ValueError when ``fit_boundaries`` would refuse these arguments, whatever the samples are."""
    expected = "a positive whole number, or a ratio in (0, 1], from a billionth on"
    check_number("chosen_num (--chosen-num)", chosen_num, expected, at_least=LEAST_RATIO)
    if chosen_num > 1 and chosen_num != int(chosen_num):
        raise ValueError(f"chosen_num (--chosen-num): got {chosen_num!r}, expected {expected}")
    if space is not None:
        check_choice("space (--space)", space, SPACES)
    check_number("held_out", held_out, "a part between 0 and 1", above=0)
    if not held_out < 1:
        raise ValueError(f"held_out: got {held_out!r}, expected a part between 0 and 1")
    if method is not None:
        check_choice("method (--boundary)", method, METHODS)
    if C is not None and C != "auto":
        check_number("C (--C)", C, "a positive number, or 'auto'", above=0)
    check_choice("loss", loss, LOSSES)
    check_count("num_gradients (--gradients)", num_gradients)
    check_seed(seed)
    if recipe is not None:
        check_choice("recipe (--recipe)", recipe, RECIPES)
        if (method or "svm", C or 1.0, loss) != ("svm", 1.0, "hinge"):
            raise ValueError(
                f"recipe (--recipe): 'higan' is the method 'svm' with C = 1 and the hinge, and got method "
                f"{method!r}, C = {C!r}, loss {loss!r}; leave those out, or the recipe"
            )
    elif C is not None and method_of(method, recipe) not in REGULARISED:
        raise ValueError(
            f"C (--C): got {C!r}, but {method!r} has nothing to regularise; leave it out, or choose one of "
            f"{', '.join(REGULARISED)}"
        )


def fit_boundaries(
    samples: Samples,
    semantics: str | Sequence[str] | None = None,
    *,
    method: Method | None = None,
    C: Weight | None = None,  # noqa: N803 (the field's name for it)
    recipe: Recipe | None = None,
    chosen_num: int | float = 2000,
    space: Space | None = None,
    held_out: float = 0.3,
    loss: Loss = "hinge",
    generator: Generator | None = None,
    predictor: Predictor | None = None,
    num_gradients: int = 1024,
    seed: int = 0,
    device: str | torch.device | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> Boundaries:
    """Fits a boundary for each semantic: a unit normal along which its score is to rise.

    The samples with the highest and the lowest scores are the two sides, a part of which is held out, as
    HiGAN does (arXiv 1911.09267), and a method finds the direction from one to the other (``methods.py``
    lists them). All directions are fitted at once, in float64. A solver that iterates says how near each
    normal comes to the exact one; a boundary for which that is not near enough is not ``converged``, and
    named in a warning.

    Args:
        semantics: names, or one name; None: all that the samples have scores for.
        method: "svm", "logistic", "ridge", "lda", "difference", "pattern" or "gradient". None: "logistic",
            which moves what it names further than HiGAN's "svm"; "gradient" moves it furthest where the score
            can be differentiated (``python -m benchmarks.boundaries``).
        C: the weight of the data, or of its loss, against ½‖w‖²: the smaller, the more regularised, and the
            nearer the direction comes to "difference". "auto": the one of four strengths with which the
            boundaries move their semantics most, on 64 fresh codes that serve nothing else; 1 unless another
            surely moves more (see ``choice.py``). None: for "logistic" "auto" where both networks are given,
            and else 0.1; for the others 1, as HiGAN's. "difference" and "gradient" have none.
        recipe: "higan": the method, C and loss of HiGAN, whatever the defaults are. None: the defaults.
        chosen_num: samples per side: a count, or a ratio of all in (0, 1]. At most half of all.
        space: "w" and "z" give normals ``[D]``; "layers" gives one normal per layer, ``[L, D]``. None: "w"
            where all layers get one and the same code, and "layers" elsewhere, as for BigGAN: there a step
            in w moves each layer by the part of w that it reads.
        held_out: the part of each side on which the accuracy is measured.
        loss: "hinge" or "squared_hinge", of the machines of "svm" and "pattern".
        generator: the one that made the samples; for "gradient", and to choose C.
        predictor: the one that scored them; likewise. For "gradient" its scores must be differentiable.
        num_gradients: over how many fresh samples "gradient" takes the mean at most; fewer where a direction
            is known before (see ``gradient.py``). Each costs a pass forth, and one back for every semantic.
        seed: of the shuffle.
        device: where the machines of "svm" and "pattern" are solved; None: on the CPU. On any they come as
            near to the exact ones.
        out: run folder, which keeps the images that were scored to choose C: a call that was interrupted, or
            is made again, does not score them again.
        progress: whether to show it.

    Returns:
        The boundaries that can be fitted, and in ``skipped`` the reasons why others cannot.

    Raises:
        TypeError: when the samples are something else.
        ValueError: when an argument is out of range, a semantic is unknown, or a code or score is not finite.
    """
    if not isinstance(samples, Samples):
        got = in_words(type(samples).__name__)
        raise TypeError(
            f"samples: got {got}, expected what sample gives; fit_to_labels fits to scores of yours"
        )
    known = tuple(semantic.name for semantic in samples.semantics)
    names = known if semantics is None else (semantics,) if isinstance(semantics, str) else tuple(semantics)
    check_names(names, known, "the predictor of these samples")
    check_fitting(
        chosen_num=chosen_num, space=space, method=method, C=C, recipe=recipe, held_out=held_out, loss=loss,
        num_gradients=num_gradients, seed=seed,
    )  # fmt: skip
    method = method_of(method, recipe)
    if chooses_weight(method, C) and generator is not None and predictor is not None:
        C = "auto"  # noqa: N806
    if C == "auto":
        networks = _given(generator, predictor, "to choose C, images are made and scored")
        options: dict[str, Any] = {"chosen_num": chosen_num, "space": space, "held_out": held_out}
        options |= {"device": device, "method": method, "loss": loss, "seed": seed, "progress": progress}
        fits = [fit_boundaries(samples, names, C=strength, **options) for strength in STRENGTHS]
        kept_in = None if out is None else Path(out)
        return choose_regularisation(fits, *networks, samples.settings, progress, kept_in)
    weight = (WEIGHTS[method] if C is None else float(C)) if method in REGULARISED else None
    num = _num_per_side(chosen_num, len(samples))
    space = space or ("w" if samples.settings.get("shares_code", True) else "layers")
    codes, scores = codes_in(samples, space), samples.scores
    for what, values in ((f"the codes in {space}", codes), ("the scores", scores)):
        if not np.isfinite(values).all():
            raise ValueError(f"samples: {what} are not all finite (NaN or infinite)")
    chosen: dict[str, Sides] = {}
    skipped: dict[str, str] = {}
    columns_of = [scores[:, known.index(name)] for name in names]
    for name, sides in zip(names, _sides(columns_of, num, held_out, seed, method in ON_ALL), strict=True):
        if isinstance(sides, CannotFitError):
            skipped[name] = str(sides)
        else:
            chosen[name] = sides
    fitted: list[Boundary] = []
    if chosen:
        columns = [known.index(name) for name in chosen]
        gradients = None
        if method == "gradient":
            networks = _given(generator, predictor, "a gradient goes through both networks")
            gradients = mean_gradients(*networks, samples.settings, space, columns, num_gradients, progress)
        task = _task(list(chosen.values()), scores[:, columns].T)
        where = usable_device(device or "cpu")
        fit = _Fit(
            method,
            weight,
            loss,
            list(chosen.values()),
            task,
            gradients,
            None if where.type == "cpu" else where,
        )
        for (name, sides), own in zip(chosen.items(), fit.layers(codes, progress), strict=True):
            try:
                semantic = samples.semantics[known.index(name)]
                fitted.append(_boundary(semantic, space, method, codes, sides, own))
            except CannotFitError as reason:
                skipped[name] = str(reason)
    _warn_of_unconverged(fitted)
    origin = Origin.of(samples.settings, method=method, C=weight)
    deviation = dict(zip(known, samples.deviation.tolist(), strict=True))
    settings: dict[str, Any] = {
        "method": method,
        "C": weight,
        "chosen_num": float(chosen_num) if chosen_num <= 1 else int(chosen_num),
        "space": space,
        "held_out": float(held_out),
        "seed": int(seed),
        "num_samples": len(samples),
        "num_asked": samples.num_asked,
        "samples": samples.settings,
    }
    if method in MACHINES:
        settings["loss"] = loss
    if method == "gradient":
        settings["num_gradients"] = int(num_gradients)
    known_of = tuple(
        replace(each, origin=origin, deviation=deviation[each.name]) for each in measured_on(samples, fitted)
    )
    return Boundaries(known_of, skipped, settings)


def _sides(
    columns: Sequence[NDArray[np.float32]], num: int, held_out: float, seed: int, learn_from_all: bool
) -> list[Sides | CannotFitError]:
    """The sides of each semantic, or why it has none; several at once, for 100 sort millions of scores."""

    def of(column: NDArray[np.float32]) -> Sides | CannotFitError:
        try:
            return choose_sides(column, num, held_out, seed, learn_from_all)
        except CannotFitError as reason:
            return reason

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return list(pool.map(of, columns))


def _given(generator: Generator | None, predictor: Predictor | None, why: str) -> tuple[Generator, Predictor]:
    if generator is None or predictor is None:
        missing = "generator" if generator is None else "predictor"
        raise ValueError(f"{missing}: got None, but {why}; give generator=… and predictor=…")
    return generator, predictor


def _task(chosen: list[Sides], scores: NDArray[np.float32]) -> Task:
    """What is to be learnt, of scores ``[S, N]``."""
    sides, used = np.zeros(scores.shape, np.int8), np.zeros(scores.shape, np.bool_)
    for row, own in enumerate(chosen):
        rows, high = own.train
        sides[row, rows] = np.where(high, 1, -1)
        used[row, own.used] = True
    return Task(sides, used, scores)


class _Plane(NamedTuple):
    """A separating hyperplane in the codes of one layer."""

    weights: Array  # [D]
    accuracy: float
    remaining_accuracy: float
    converged: bool


class _Fit(NamedTuple):
    """A method, and what it is to learn for S semantics."""

    method: Method
    weight: float | None
    loss: Loss
    chosen: list[Sides]
    task: Task
    gradients: Array | None  # [S, D] or [S, L, D]
    device: torch.device | None

    def layers(self, codes: NDArray[np.float32], progress: bool) -> list[list[_Plane | None]]:
        """The planes of each semantic, one per layer, in codes ``[N, D]`` or ``[N, L, D]``.

        None stands for a layer whose code is the same for all samples.
        """
        layers = codes[:, None] if codes.ndim == 2 else codes  # [N, L or 1, D]
        of_layers: Any = [None] * layers.shape[1]
        if self.gradients is not None:
            of_layers = self.gradients.reshape(len(self.chosen), *layers.shape[1:]).swapaxes(0, 1)
        # A StyleGAN feeds all layers the same code: what repeats the layer before is not fitted again.
        new = [i == 0 or not np.array_equal(layers[:, i], layers[:, i - 1]) for i in range(layers.shape[1])]
        if self.gradients is not None:
            new = [True] * len(new)  # but each layer moves the score in its own way
        # A BigGAN may feed its blocks nothing but the class, and that may be the same for all samples.
        vary = [bool((layers[:, i] != layers[:1, i]).any()) for i in range(layers.shape[1])]
        planes: list[list[_Plane | None]] = []  # for each layer, of each semantic
        total = sum(map(all, zip(new, vary, strict=True))) * len(self.chosen)
        with show_progress("fitting", total, unit="normals", enabled=progress) as advance:
            for index, (is_new, varies) in enumerate(zip(new, vary, strict=True)):
                if not varies:
                    planes.append([None] * len(self.chosen))
                elif is_new:
                    planes.append(self.layer(layers[:, index], of_layers[index], advance))
                else:
                    planes.append(planes[-1])
        return [list(own) for own in zip(*planes, strict=True)]

    def layer(
        self, codes: NDArray[np.float32], gradients: Array | None, advance: Callable[[int], None]
    ) -> list[_Plane | None]:
        """The plane of each semantic in codes ``[N, D]``."""
        found = fit_planes(
            self.method, codes, self.task,
            weight=self.weight, loss=self.loss, gradients=gradients, device=self.device, advance=advance,
        )  # fmt: skip
        blocks = range(0, len(codes), ROWS_AT_ONCE)
        scores = (codes[i : i + ROWS_AT_ONCE] @ found.weights.T + found.intercepts for i in blocks)
        high = np.concatenate([block > 0 for block in scores]).T  # [S, N]
        planes: list[_Plane | None] = []
        for row, sides in enumerate(self.chosen):
            held_out, remaining = (
                float((high[row, rows] == labels).mean()) if len(rows) else math.nan
                for rows, labels in (sides.test, sides.remaining)
            )
            planes.append(_Plane(found.weights[row], held_out, remaining, bool(found.converged[row])))
        return planes


def _boundary(
    semantic: Semantic,
    space: Space,
    method: Method,
    codes: NDArray[np.float32],
    sides: Sides,
    planes: list[_Plane | None],
) -> Boundary:
    """The planes of one semantic, one for each layer, as a boundary."""
    if method == "gradient" and any(plane is not None and plane.weights.any() for plane in planes):
        # A layer that does not move the score is left alone, and the others are kept.
        planes = [plane if plane is not None and plane.weights.any() else None for plane in planes]
    fitted = [plane for plane in planes if plane is not None]
    if not fitted:
        raise CannotFitError("the codes do not vary")
    if not all(plane.weights.any() for plane in fitted):
        if method == "gradient":
            raise CannotFitError("its score has no gradient")
        raise CannotFitError("the two sides cannot be told apart")
    still = np.zeros(codes.shape[-1])  # where the codes do not vary
    normals = np.stack(
        [still if plane is None else plane.weights / np.linalg.norm(plane.weights) for plane in planes]
    )  # [L or 1, D]
    remaining = [plane.remaining_accuracy for plane in fitted]
    return Boundary(
        name=semantic.name,
        level=semantic.level,
        space=space,
        normal=normals if codes.ndim == 3 else normals[0],
        accuracy=float(np.mean([plane.accuracy for plane in fitted])),
        remaining_accuracy=float(np.mean(remaining)) if len(sides.remaining[0]) else None,
        num_per_side=sides.num,
        converged=all(plane.converged for plane in fitted) if method in ITERATED else None,
    )


def _warn_of_unconverged(boundaries: list[Boundary]) -> None:
    names = [boundary.name for boundary in boundaries if boundary.converged is False]
    if names:
        warnings.warn(
            f"the solver did not converge for {', '.join(names)}; a smaller C makes the problem easier",
            RuntimeWarning,
            stacklevel=3,
        )


def _num_per_side(chosen_num: int | float, num_samples: int) -> int:
    """A count, or a ratio in (0, 1] of the samples, as a count of at most half of them."""
    count = num_samples * chosen_num if chosen_num <= 1 else chosen_num
    return min(int(count), num_samples // 2)

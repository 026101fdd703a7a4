"""The engine: the one place that perturbs codes, synthesises and scores, as fast as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from higan_fast.engine.budget import Budget, is_out_of_memory
from higan_fast.engine.plan import Box, Plan
from higan_fast.engine.precision import Precision, activation_dtype, scoring_in, synthesis_in
from higan_fast.engine.scoring import score
from higan_fast.engine.streams import SecondStream, upload
from higan_fast.generators.base import Activation, Generator, check_generator, moved_codes
from higan_fast.graphs import Graphs, tape_for
from higan_fast.predictors.base import Predictor, check_predictor

T = TypeVar("T")


class Perturbed(NamedTuple):
    """What came of some samples with all steps along some directions on one set of layers.

    Attributes:
        samples: which of the base samples.
        layer_set: which of the plan's sets.
        directions: which of the plan's directions, ``[m]``.
        values: scores ``[n, m, T, S]``, or images ``[n, m, T, 3, R, R]``.
    """

    samples: slice
    layer_set: int
    directions: Tensor
    values: Tensor


class Replaced(NamedTuple):
    """What came of some samples when one layer was fed the code of another sample.

    Attributes:
        samples: which of the base samples.
        layer: which layer.
        values: scores ``[n, S]``, or images ``[n, 3, R, R]``.
    """

    samples: slice
    layer: int
    values: Tensor


class Engine:
    """A generator and a predictor, and how much of their work fits into memory at once.

    The layers are walked upward once for each batch of base samples. A perturbation leaves the layers below
    its first one as they were, so it forks off the base activation that enters that layer; all
    perturbations that fork there go through the layers above together, in batches. What comes out does not
    depend on how large the batches are, but for rounding.

    On CUDA, forks, whole images and scores are CUDA graphs once they come again in the same shapes, and one
    batch is scored while the next is synthesised. Nothing in ``perturbed_scores`` waits for the device then.

    Gradients are as the caller has them: the probe runs everything in ``torch.inference_mode``.

    Attributes:
        activation_dtype: dtype of the generator's features; None: that of its parameters.
        budget: how many images are in work at once; halved whenever memory runs out.
    """

    def __init__(
        self,
        generator: Generator,
        predictor: Predictor | None = None,
        *,
        batch_size: int | None = None,
        precision: Precision = "exact",
    ) -> None:
        """Puts the networks into evaluation mode, and measures the memory that they take.

        Args:
            predictor: None: for images only.
            batch_size: at most so many images at once; None: as many as are worth it.
            precision: "exact", float32 without TF32, or "fast", 16 bits where the device multiplies them.
        """
        prepare(generator, predictor)
        self.generator, self.predictor = generator, predictor
        self.activation_dtype = activation_dtype(precision, generator.device)
        with synthesis_in(generator, self.activation_dtype):
            self.budget = Budget.measure(generator, predictor, batch_size)
        # Apart, because both run at the same time, and recordings on one tape share their memory.
        self._synthesis = Graphs(generator, tape_for(generator.device))
        self._scoring = None if predictor is None else Graphs(predictor, tape_for(generator.device))
        self._second_stream = SecondStream(generator.device)

    @property
    def features_dtype(self) -> torch.dtype:
        """In what the generator's features are kept."""
        return self.activation_dtype or next(self.generator.parameters()).dtype

    def images(self, codes: Tensor) -> Tensor:
        """Layer codes ``[N, L, D]`` → images ``[N, 3, R, R]``."""
        return torch.cat(self._in_parts(lambda part: self._synthesized(codes[part]), len(codes)))

    def scores(self, codes: Tensor, advance: Callable[[int], None] = lambda count: None) -> Tensor:
        """Layer codes ``[N, L, D]`` → scores ``[N, S]``; ``advance`` hears of every image that is scored."""
        scores, start = [], 0
        while start < len(codes):
            batch = codes[start : start + self.budget.images]
            scores.append(self._score(self.images(batch)))
            start += len(batch)
            advance(len(batch))
        return torch.cat(scores)

    def perturbed_scores(
        self, base: Tensor, plan: Plan, to_codes: Callable[[Tensor], Tensor] | None = None
    ) -> Iterator[Perturbed]:
        """Scores of every perturbation of every sample, batch by batch, with all steps in each.

        On CUDA the next batch is being synthesised when one is handed out.

        Args:
            base: layer codes ``[N, L, D]``; or latents ``[N, latent_dim]`` where the plan moves those.
            plan: what to perturb.
            to_codes: latents → layer codes; needed where the plan moves latents.
        """
        batches = self.perturbed_images(base, plan, to_codes)
        for found, scores in self._second_stream.each(batches, lambda found: self._score_all(found.values)):
            yield found._replace(values=scores)

    def perturbed_images(
        self, base: Tensor, plan: Plan, to_codes: Callable[[Tensor], Tensor] | None = None
    ) -> Iterator[Perturbed]:
        """As ``perturbed_scores``, but images."""
        start = 0
        while start < len(base):
            samples = slice(start, min(start + self.budget.images, len(base)))
            if plan.in_latents:
                assert to_codes is not None
                batches = self._from_latents(base[samples], plan, to_codes)
            else:
                batches = self._walk(base[samples], plan)
            for found in batches:
                within = slice(start + found.samples.start, start + found.samples.stop)
                yield found._replace(samples=within)
            start = samples.stop

    def replaced_scores(self, base: Tensor, others: Tensor) -> Iterator[Replaced]:
        """Scores of every sample with the code of one layer replaced, for each layer in turn.

        As in ``perturbed_scores``, the layers below the replaced one run once for all of them.

        Args:
            base: layer codes ``[N, L, D]``.
            others: layer codes of as many other samples, ``[N, L, D]``: sample *i* gets those of
                ``others[i]``.
        """
        batches = self._replaced_images(base, others)
        for found, scores in self._second_stream.each(batches, lambda found: self._score(found.values)):
            yield found._replace(values=scores)

    def _replaced_images(self, base: Tensor, others: Tensor) -> Iterator[Replaced]:
        generator, start = self.generator, 0
        while start < len(base):
            samples = slice(start, min(start + self.budget.images, len(base)))
            codes, replacing = base[samples], others[samples]
            with synthesis_in(generator, self.activation_dtype):
                activation = generator.start(len(codes))
                most = [generator.samples_at_once(layer) for layer in range(generator.num_layers)]
            for layer in range(generator.num_layers):
                mixed = codes.clone()
                mixed[:, layer] = replacing[:, layer]
                run = partial(self._drawn_from, layer, activation, mixed)
                images = self._in_parts(run, len(codes), most[layer])
                yield Replaced(samples, layer, torch.cat(images))
                if layer < generator.num_layers - 1:
                    activation = self._next(layer, activation, codes, most[layer])
            start = samples.stop

    def _walk(self, codes: Tensor, plan: Plan) -> Iterator[Perturbed]:
        generator, steps = self.generator, _like(codes, plan.steps)
        first = [layers[0] for layers in plan.layer_sets]
        wanted = [index for index in range(len(first)) if plan.chosen[:, index].any()]
        highest = max((first[index] for index in wanted), default=-1)
        with synthesis_in(generator, self.activation_dtype):
            activation = generator.start(len(codes))
            most = [generator.samples_at_once(layer) for layer in range(highest + 1)]
        for layer in range(highest + 1):
            for index in wanted:
                if first[index] != layer:
                    continue
                directions = torch.as_tensor(plan.chosen[:, index]).nonzero().flatten()
                rows, layers = (
                    upload(torch.as_tensor(part), plan.moves.device)
                    for part in (directions, plan.layer_sets[index])
                )
                moves = plan.moves.new_zeros(len(directions), *plan.moves.shape[1:])
                moves[:, layers] = plan.moves[rows][:, layers]
                fork = partial(self._fork, layer, activation, codes, _like(codes, moves), steps)
                whole = Box.of(len(codes), len(directions), len(steps))
                for box, images in self._in_boxes(fork, whole, most[layer]):
                    yield Perturbed(box.samples, index, directions[box.directions], images)
            if layer < highest:
                activation = self._next(layer, activation, codes, most[layer])

    def _next(self, layer: int, activation: Activation, codes: Tensor, most: int | None) -> Activation:
        """Runs one layer on the base samples, at most ``most`` of them at once."""
        run = partial(_layer, self.generator, layer, activation, codes)
        parts = self._in_parts(run, len(codes), most)
        return parts[0] if len(parts) == 1 else Activation.joined(parts)

    def _from_latents(
        self, z: Tensor, plan: Plan, to_codes: Callable[[Tensor], Tensor]
    ) -> Iterator[Perturbed]:
        directions = torch.as_tensor(plan.chosen[:, 0]).nonzero().flatten()
        moves = _like(z, plan.moves[upload(directions, plan.moves.device)])
        steps = _like(z, plan.steps)

        def images_of(box: Box) -> Tensor:
            moved = moved_codes(z[box.samples], moves[box.directions], steps[box.steps])
            return self._synthesized(to_codes(moved))

        for box, images in self._in_boxes(images_of, Box.of(len(z), len(moves), len(steps))):
            yield Perturbed(box.samples, 0, directions[box.directions], images)

    def _in_boxes(
        self, images_of: Callable[[Box], Tensor], whole: Box, most: int | None = None
    ) -> Iterator[tuple[Box, Tensor]]:
        """A box in parts that are scored together, each with its images ``[n, m, T, 3, R, R]``.

        Args:
            images_of: a box of what is synthesised together → its images ``[n·m·T, 3, R, R]``.
            most: how many images are best synthesised together; None: as many as are scored together.
        """
        size = (3, self.generator.resolution, self.generator.resolution)
        for box in whole.split(max(self.budget.images, whole.shape[2])):
            result, pending = None, [box]
            while pending:
                part = pending.pop()
                at_once = min(self.budget.images, most or part.size)
                if part.size > at_once:
                    pending.extend(reversed(list(part.split(at_once))))
                    continue
                images = self._attempt(partial(images_of, part))
                if images is None:
                    pending.append(part)
                elif part == box:
                    result = images.unflatten(0, part.shape)
                else:
                    if result is None:
                        result = images.new_empty(*box.shape, *size)
                    result[part.within(box)] = images.unflatten(0, part.shape)
            assert result is not None
            yield box, result

    def _in_parts(self, run: Callable[[slice], T], num: int, most: int | None = None) -> list[T]:
        """What ``run`` gives for each part of ``num`` samples, as many at once as there is memory for."""
        results: list[T] = []
        start = 0
        while start < num:
            part = slice(start, min(start + min(self.budget.images, most or num), num))
            result = self._attempt(partial(run, part))
            if result is not None:
                results.append(result)
                start = part.stop
        return results

    def _attempt(self, run: Callable[[], T]) -> T | None:
        """What ``run`` gives; None when memory ran out, and then the budget is half of what it was."""
        try:
            with synthesis_in(self.generator, self.activation_dtype):
                return run()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Here, where the error no longer holds on to the tensors of its frames.
        self._synthesis.drop()
        if self._scoring is not None:
            self._scoring.drop()
        self.budget.halve()
        return None

    def _synthesized(self, codes: Tensor) -> Tensor:
        return self._synthesis.run("images", self.generator.draw, codes)

    def _fork(
        self, layer: int, activation: Activation, codes: Tensor, moves: Tensor, steps: Tensor, box: Box
    ) -> Tensor:
        """Images of the perturbations in a box, which fork at ``layer``."""
        inputs = codes[box.samples], moves[box.directions], steps[box.steps]
        function = partial(_fork, self.generator, layer)
        return self._synthesis.run(("fork", layer), function, *inputs, *activation.part(box.samples))

    def _drawn_from(self, layer: int, activation: Activation, codes: Tensor, part: slice) -> Tensor:
        """Images of a part of the samples, from the activation that enters ``layer``."""
        function = partial(_draw, self.generator, layer)
        return self._synthesis.run(("draw", layer), function, codes[part], *activation.part(part))

    def _score_all(self, images: Tensor) -> Tensor:
        """Images ``[n, m, T, 3, R, R]`` → scores ``[n, m, T, S]``."""
        return self._score(images.flatten(0, 2)).unflatten(0, images.shape[:3])

    def _score(self, images: Tensor) -> Tensor:
        """Images ``[N, 3, R, R]`` → scores ``[N, S]``, in float32 at least."""
        assert self.predictor is not None and self._scoring is not None, "this engine is for images only"
        predictor, graphs = self.predictor, self._scoring

        def scored(part: Tensor) -> Tensor:
            with scoring_in(self.generator.device, self.activation_dtype):
                scores = score(predictor, part)
            return scores if scores.dtype == torch.float64 else scores.float()

        name = "scores", self.activation_dtype
        return torch.cat(self._in_parts(lambda part: graphs.run(name, scored, images[part]), len(images)))


def as_codes(codes: Any, generator: Generator) -> Tensor:
    """Layer codes from torch, NumPy or CuPy → a tensor ``[N, L, D]`` as the generator wants it.

    Raises:
        ValueError: when the shape is not the generator's or a code is not finite.
    """
    check_generator(generator)
    tensor = torch.as_tensor(codes).to(next(generator.parameters()))
    if tensor.ndim != 3 or tensor.shape[1:] != (generator.num_layers, generator.code_dim):
        raise ValueError(
            f"codes: got shape {tuple(tensor.shape)}, expected [N, {generator.num_layers}, "
            f"{generator.code_dim}]; take samples.codes or generator.map(z)"
        )
    broken = (~tensor.isfinite()).flatten(1).any(dim=1).nonzero()
    if len(broken):
        raise ValueError(f"codes: sample {int(broken[0])} has a code that is not finite (NaN or infinite)")
    return tensor


def prepare(generator: Generator, predictor: Predictor | None = None) -> None:
    """Puts the networks into evaluation mode: batch statistics or dropout would make scores random.

    Raises:
        TypeError: if they are no generator and no predictor.
        ValueError: if the generator draws new noise for every image.
    """
    check_generator(generator)
    if getattr(generator, "noise_mode", None) == "random":
        raise ValueError(
            "generator: its noise_mode is 'random', so that codes do not decide an image; set "
            "generator.noise_mode = 'const' (the stored noise) or 'none'"
        )
    generator.eval()
    if predictor is not None:
        check_predictor(predictor)
        predictor.eval()


def _fork(
    generator: Generator, layer: int, codes: Tensor, moves: Tensor, steps: Tensor, *activation: Any
) -> Tensor:
    return generator.fork(layer, Activation(*activation), codes, moves, steps)


def _draw(generator: Generator, layer: int, codes: Tensor, *activation: Any) -> Tensor:
    return generator.draw(codes, layer, Activation(*activation))


def _layer(
    generator: Generator, layer: int, activation: Activation, codes: Tensor, part: slice
) -> Activation:
    return generator.layer(layer, activation.part(part), codes[part, layer])


def _like(codes: Tensor, tensor: Tensor) -> Tensor:
    """A tensor on the codes' device and in their dtype."""
    return upload(tensor, codes.device, codes.dtype)

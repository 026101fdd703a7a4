"""The engine: the one place that perturbs codes, synthesises and scores, as fast as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from higan_fast.engine.budget import Budget, is_out_of_memory
from higan_fast.engine.found import Drawn, Perturbed, Replaced, by_direction
from higan_fast.engine.inputs import prepare
from higan_fast.engine.journal import Journal
from higan_fast.engine.plan import Moved, Plan, Work
from higan_fast.engine.precision import Precision, activation_dtype, scoring_in, synthesis_in
from higan_fast.engine.scoring import score
from higan_fast.engine.streams import SecondStream
from higan_fast.generators.base import Activation, Generator
from higan_fast.graph_memory import Given, Rows
from higan_fast.graphs import Graphs, tape_for
from higan_fast.predictors.base import Predictor

T = TypeVar("T")


class Engine:
    """A generator and a predictor, and how much of their work fits into memory at once.

    The layers are walked upward once for each batch of base samples. A perturbation leaves the layers below
    its first one as they were, so it forks off the base activation that enters that layer. What forks there
    is a flat list of samples, directions and steps, of which any entries can go through the layers above as
    one batch. What comes out does not depend on how large the batches are, but for rounding.

    On CUDA every batch is a CUDA graph: one for each layer at which a list begins, whatever is in the list;
    the last batch is padded. One batch is scored while the next is synthesised. Nothing in
    ``perturbed_scores`` waits for the device then.

    Gradients are as the caller has them: the probe runs everything in ``torch.inference_mode``.

    Attributes:
        precision: as it was given.
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
        self.generator, self.predictor, self.precision = generator, predictor, precision
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
        """Layer codes ``[N, L, D]`` → images ``[N, C, H, W]``."""
        return torch.cat(self._in_parts(lambda part: self._synthesized(codes[part]), slice(0, len(codes))))

    def scores(self, codes: Tensor, advance: Callable[[int], None] = lambda count: None) -> Tensor:
        """Layer codes ``[N, L, D]`` → scores ``[N, S]``; ``advance`` hears of every image that is scored."""
        scores, start = [], 0
        while start < len(codes):
            batch = codes[start : start + self.budget.images]
            scores.append(self._score(self.images(batch)))
            start += len(batch)
            advance(len(batch))
        return torch.cat(scores)

    def activation(
        self, codes: Tensor, layer: int, first: int = 0, activation: Activation | None = None
    ) -> Activation:
        """Runs the layers of codes ``[N, L, D]`` from ``first`` on, and returns what enters ``layer``.

        Args:
            activation: what enters ``first``; None: that of ``start``, with which ``first`` is 0.
        """
        with synthesis_in(self.generator, self.activation_dtype):
            found = self.generator.start(len(codes)) if activation is None else activation
            most = [self.generator.samples_at_once(index) for index in range(layer)]
        for index in range(first, layer):
            found = self._next(index, found, codes, most[index])
        return found

    def images_from(self, codes: Tensor, layer: int, activation: Activation | None) -> Tensor:
        """Layer codes ``[N, L, D]`` → images ``[N, 3, R, R]``, from what enters ``layer``; None: all run."""
        if activation is None:
            return self.images(codes)
        draw = partial(self._drawn_from, layer, activation, codes)
        return torch.cat(self._in_parts(draw, slice(0, len(codes)), self.generator.samples_at_once(layer)))

    def scores_of(self, images: Tensor) -> Tensor:
        """Images ``[N, 3, R, R]`` → scores ``[N, S]``, in float32 at least."""
        return self._score(images)

    def perturbed_scores(
        self,
        base: Tensor,
        plan: Plan,
        to_codes: Callable[[Tensor], Tensor] | None = None,
        journal: Journal | None = None,
    ) -> Iterator[Perturbed]:
        """Scores of every perturbation of every sample, batch by batch, with all steps in each.

        On CUDA the next batch is being synthesised when one is handed out. What the journal has kept is not
        synthesised again; the batches of the rest, and so their scores, are what they would have been.

        Args:
            base: layer codes ``[N, L, D]``; or latents ``[N, latent_dim]`` where the plan moves those.
            plan: what to perturb.
            to_codes: latents → layer codes; needed where the plan moves latents.
            journal: of this engine, for this walk; None: the scores are not kept.
        """
        known = None if journal is None or journal.kept is None else journal.kept.to(base.device)
        drawn = self.perturbed_images(base, plan, to_codes, 0 if known is None else len(known))
        at_once, done = self.budget.images, 0

        def scores_of(batch: Drawn) -> Tensor:
            nonlocal done
            done += batch.work.num
            if known is not None and done <= len(known):
                return known[done - batch.work.num : done]
            scores = self._score(batch.images)
            if journal is not None and self.budget.images == at_once:  # fewer come in another order
                journal.add(scores)
            return scores

        return by_direction(self._second_stream.each(drawn, scores_of), len(plan.steps))

    def scores_between(
        self, base: Tensor, plan: Plan, to_codes: Callable[[Tensor], Tensor] | None, first: int, last: int
    ) -> Tensor:
        """Scores ``[last - first, S]`` of a stretch of what ``perturbed_scores`` walks, to the same bits.

        Args:
            base, plan, to_codes: as there.
            first, last: ends of batches, as ``batch_ends`` gives them, or 0.
        """

        def within() -> Iterator[Drawn]:
            done = 0
            for batch in self.perturbed_images(base, plan, to_codes, first):
                done += batch.work.num
                if done > first:
                    yield batch
                if done >= last:
                    return

        scored = self._second_stream.each(within(), lambda batch: self._score(batch.images))
        return torch.cat([scores for _, scores in scored])

    def batch_ends(self, plan: Plan, num: int) -> list[int]:
        """After how many images each batch of a walk over ``num`` base samples ends."""
        ends, done = [], 0
        for start in range(0, num, self.budget.images):
            samples = min(self.budget.images, num - start)
            for layer_sets in (sets for _, sets in sorted(plan.forks().items())):
                left = int(plan.chosen[:, layer_sets].sum()) * samples * len(plan.steps)
                while left:
                    done += (batch := self._at_once(left))
                    left -= batch
                    ends.append(done)
        return ends

    def journal(self, file: Path, key: str) -> Journal:
        """What keeps the scores of one walk, which ``key`` names, until ``file`` has what comes of it."""
        return Journal(file.parent / "in-work" / file.stem, f"{self.budget.images} at once {key}")

    def perturbed_images(
        self,
        base: Tensor,
        plan: Plan,
        to_codes: Callable[[Tensor], Tensor] | None = None,
        skip: int = 0,
    ) -> Iterator[Drawn]:
        """As ``perturbed_scores``, but images, as they come.

        Of the same base samples and set, all samples and steps of a direction come one after another. The
        first ``skip`` entries come without images.
        """
        start = 0
        while start < len(base):
            samples = slice(start, min(start + self.budget.images, len(base)))
            if plan.in_latents:
                assert to_codes is not None
                batches = self._from_latents(base[samples], plan, to_codes, skip)
            else:
                batches = self._walk(base[samples], plan, skip)
            for work, images in batches:
                yield Drawn(samples, work.of_samples_from(start), images)
            skip = max(0, skip - plan.images_per_sample * (samples.stop - start))
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
                images = self._in_parts(run, slice(0, len(codes)), most[layer])
                yield Replaced(samples, layer, torch.cat(images))
                if layer < generator.num_layers - 1:
                    activation = self._next(layer, activation, codes, most[layer])
            start = samples.stop

    def _walk(self, codes: Tensor, plan: Plan, skip: int) -> Iterator[tuple[Work, Tensor]]:
        generator, forks = self.generator, plan.forks()
        highest = max(forks, default=-1)
        with synthesis_in(generator, self.activation_dtype):
            activation = generator.start(len(codes))
            most = [generator.samples_at_once(layer) for layer in range(highest + 1)]
        for layer in range(highest + 1):
            if layer in forks:
                work = plan.work(forks[layer], len(codes))
                fork = partial(self._fork, layer, activation, Moved(plan, codes, work))
                for entries, images in self._in_batches(fork, work.num, most[layer], skip):
                    yield work.part(entries), images
                skip = max(0, skip - work.num)
            if layer < highest:
                activation = self._next(layer, activation, codes, most[layer])

    def _next(self, layer: int, activation: Activation, codes: Tensor, most: int | None) -> Activation:
        """Runs one layer on the base samples, at most ``most`` of them at once."""
        run = partial(_layer, self.generator, layer, activation, codes)
        parts = self._in_parts(run, slice(0, len(codes)), most)
        return parts[0] if len(parts) == 1 else Activation.joined(parts)

    def _from_latents(
        self, z: Tensor, plan: Plan, to_codes: Callable[[Tensor], Tensor], skip: int
    ) -> Iterator[tuple[Work, Tensor]]:
        work = plan.work([0], len(z))
        moved = Moved(plan, z, work)

        def draw(entries: slice) -> Tensor:
            return self._synthesized(to_codes(moved.of(entries)))

        for entries, images in self._in_batches(draw, work.num, skip=skip):
            yield work.part(entries), images

    def _in_batches(
        self, draw: Callable[[slice], Tensor], num: int, most: int | None = None, skip: int = 0
    ) -> Iterator[tuple[slice, Tensor]]:
        """A list of ``num`` entries in batches that are scored together, each with its images.

        Args:
            draw: some entries → their images.
            num: how many entries there are.
            most: how many images are best drawn together; None: as many as are scored together.
            skip: so many of the first entries are not drawn.
        """
        start = min(skip, num)
        if start:
            yield slice(0, start), torch.empty(0)
        while start < num:
            entries = slice(start, start + self._at_once(num - start))
            images = self._in_parts(draw, entries, most)
            yield entries, images[0] if len(images) == 1 else torch.cat(images)
            start = entries.stop

    def _at_once(self, num: int, most: int | None = None) -> int:
        """How many of ``num`` samples to take next: about equal parts, or as many as were recorded."""
        at_once = min(self.budget.images, most or num)
        return min(num, at_once) if self._synthesis.records else -(-num // -(-num // at_once))

    def _in_parts(self, run: Callable[[slice], T], whole: slice, most: int | None = None) -> list[T]:
        """What ``run`` gives for each part of some samples, as many at once as there is memory for."""
        results: list[T] = []
        start = whole.start
        while start < whole.stop:
            part = slice(start, start + self._at_once(whole.stop - start, most))
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
        return self._synthesis.run("images", self.generator.draw, codes, sizes=self._sizes)

    def _fork(self, layer: int, activation: Activation, moved: Moved, entries: slice) -> Tensor:
        """Images of entries of a list that begins at ``layer``, which ``activation`` enters."""
        samples = moved.samples[entries]
        rows = [None if part is None else Rows(part, samples) for part in activation]
        return self._draw(layer, moved.of(entries), rows)

    def _drawn_from(self, layer: int, activation: Activation, codes: Tensor, part: slice) -> Tensor:
        """Images of a part of the samples, from the activation that enters ``layer``."""
        return self._draw(layer, codes[part], activation.part(part))

    def _draw(self, layer: int, codes: Tensor, activation: Sequence[Given]) -> Tensor:
        function = partial(_draw, self.generator, layer)
        return self._synthesis.run(("draw", layer), function, codes, *activation, sizes=[self.budget.images])

    @property
    def _sizes(self) -> list[int]:
        """Numbers of images to record where a batch need not be full."""
        return sorted({max(1, self.budget.images // 2), self.budget.images})

    def _score(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` → scores ``[N, S]``, in float32 at least."""
        assert self.predictor is not None and self._scoring is not None, "this engine is for images only"
        predictor, graphs = self.predictor, self._scoring

        def scored(part: Tensor) -> Tensor:
            with scoring_in(self.generator.device, self.activation_dtype):
                scores = score(predictor, part)
            return scores if scores.dtype == torch.float64 else scores.float()

        name = "scores", self.activation_dtype

        def run(part: slice) -> Tensor:
            return graphs.run(name, scored, images[part], sizes=self._sizes)

        parts = self._in_parts(run, slice(0, len(images)))
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def _draw(generator: Generator, layer: int, codes: Tensor, *activation: Any) -> Tensor:
    return generator.draw(codes, layer, Activation(*activation))


def _layer(
    generator: Generator, layer: int, activation: Activation, codes: Tensor, part: slice
) -> Activation:
    return generator.layer(layer, activation.part(part), codes[part, layer])

"""Verification by the published loop, by full forward passes and by the engine, with the same differences.

Also times the whole decision: which layer moves each semantic the most, at 99 % confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, get_args

import torch
from torch import Tensor, nn

import higan_fast as hf
from benchmarks.boundaries import boundaries_along
from benchmarks.cases.case import Backend, Case
from benchmarks.cases.generator import random_generator
from benchmarks.cases.plain import PlainSynthesis, PublishedLoop
from benchmarks.cases.wide_resnet import WideResNet18
from benchmarks.peers import HIGAN, STYLEGAN3, Peers
from benchmarks.peers.process import load_peer
from higan_fast.boundaries.displacement import displacements
from higan_fast.engine.engine import Engine
from higan_fast.engine.plan import Plan, all_and_each
from higan_fast.engine.precision import Precision
from higan_fast.generators.stylegan2 import StyleGAN2
from higan_fast.ops import image_to_input
from higan_fast.predictors.base import ModulePredictor, Predictor
from higan_fast.probing import Boundary
from higan_fast.sampling.latents import VERIFICATION, make_codes

STEP, FIXED_NUM = 2.0, 2000  # HiGAN's λ and K
SEED = 1
MARGIN = 0.1  # share of the largest effect by which a decision may fall short (see Decisions)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# Pillow rounds resized images to bytes. float32 sums in another order, so some values round to other bytes.
# bfloat16 has eight bits and float16 eleven, through networks of fourteen to twenty layers.
TOLERANCE = {"loop": 0.05, "float32": 2e-3, "float16": 0.05, "bfloat16": 0.15}
REASON = "Pillow rounds to bytes, float32 sums in another order, and 16 bits round"


def verify_cases(device: str, peers: Peers, quick: bool = False) -> Iterator[Case]:
    """Yields a case on the embedded generator, then one on a random StyleGAN2 at 256² (see ``at_256``).

    ``quick``: without the published loop, and with fewer samples; decisions and 256² only on CUDA.
    """
    num, num_at_256 = (16, 4) if device == "cpu" else (64, 64)
    if quick:
        judged = None if device == "cpu" else 64
        yield verify_layers(embedded(device, 1000), num // 4, num_null=8, reference_num=judged, loops=False)
        if device != "cpu":
            world = at_256(device, {})
            yield verify_layers(world, num_at_256, num_null=8, reference_num=16, loops=False)
        return
    yield verify_layers(embedded(device), num, num_null=32, reference_num=500)
    yield verify_layers(at_256(device, peers), num_at_256, num_null=8, reference_num=32, loops_once=True)


@dataclass
class World:
    """A generator, its predictor and boundaries.

    Attributes:
        network: scores images ``[N, 3, size, size]``, normalised with ``mean`` and ``std``.
        peers: other implementations of the synthesis.
    """

    name: str
    generator: StyleGAN2
    predictor: Predictor
    network: nn.Module
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    boundaries: dict[str, Boundary]
    peers: Mapping[str, Callable[[Tensor], Tensor]]

    @property
    def images_per_sample(self) -> int:
        """Number of images that the published loop makes per sample and boundary."""
        return self.generator.num_layers + 2

    def loops(self) -> dict[str, PublishedLoop]:
        """Returns the published loop on every synthesis; first on its authors' network, if available."""
        ways = {"plain StyleGAN2": PlainSynthesis(self.generator), **self.peers}
        ways = dict(sorted(ways.items(), key=lambda item: item[0] != HIGAN))
        arguments = (self.network, self.size, self.mean, self.std)
        return {f"HiGAN's loop, {name}": PublishedLoop(way, *arguments) for name, way in ways.items()}


def embedded(device: str = "cpu", num: int = 4000) -> World:
    """Returns the world of the package's own generator of rooms; boundaries come of ``num`` samples."""
    generator, predictor = hf.load_generator("scenes").to(device), hf.load_predictor("scenes").to(device)
    assert isinstance(generator, StyleGAN2)
    network = _Function(lambda x: _of_logits(predictor, predictor.head(predictor.body(x))))
    samples = hf.sample(generator, predictor, num, progress=False)
    fitted = hf.fit_boundaries(samples, chosen_num=num // 5, progress=False)
    names = sorted(fitted, key=lambda name: -fitted[name].accuracy)[:6]
    boundaries = {name: fitted[name] for name in names}
    return World("64²", generator, predictor, network, 64, (0.5,) * 3, (0.25,) * 3, boundaries, {})


def _of_logits(predictor: Any, logits: Tensor) -> Tensor:
    return torch.where(predictor.is_binary, logits.sigmoid(), logits)


def at_256(device: str, peers: Peers, resolution: int = 256, base: int = 16384) -> World:
    """Returns random networks: StyleGAN2, and a residual network of the size of HiGAN's predictor.

    Boundaries follow the mean gradients of the scores, because scores of random networks are hard to fit.
    """
    generator = uneven_generator(device, base, resolution)
    with torch.no_grad():
        codes = make_codes(generator, 0, 0, 64).codes
        torch.manual_seed(0)
        network = WideResNet18(2).eval().requires_grad_(False).to(device)
        size = 224 * resolution // 256
        inputs = partial(image_to_input, size=size, mean=MEAN, std=STD)
        network.standardize(inputs(generator.synthesize(codes)))
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module = _Function(lambda images: network(inputs(images, round_to_uint8=True)), network)
    names = [f"semantic {index}" for index in range(2)]
    predictor = ModulePredictor(module, names, score_range=(0.0, 1.0))
    ways = {
        name: load_peer(name, checkout, generator) for name, checkout in peers.items() if name != STYLEGAN3
    }
    smooth = _Function(lambda images: network(inputs(images)))  # rounding to bytes has no gradient
    boundaries = _along_gradients(generator, ModulePredictor(smooth, names))
    return World(f"{resolution}²", generator, predictor, network, size, MEAN, STD, boundaries, ways)


@torch.no_grad()
def uneven_generator(device: str, base: int, resolution: int, dim: int = 512) -> StyleGAN2:
    """Returns a random StyleGAN2 of which one style, a third of the way up, answers five times as much."""
    generator = random_generator(device, base, resolution, dim)
    codes = make_codes(generator, 0, 0, 64).codes
    # In a trained generator, layers differ in how much they influence the scores.
    convs, rgbs = generator.synthesis.convs, generator.synthesis.rgbs
    for layer in (*convs, *rgbs):
        if layer is not convs[len(convs) // 3]:
            layer.affine.weight.mul_(0.2)
    spread = torch.cat([generator.synthesize(part) for part in codes.split(16)]).std()
    # Most pixels within [-1, 1]: clipping would hide what the codes change.
    for rgb in rgbs:
        rgb.weight.mul_(0.4 / spread)
        rgb.bias.mul_(0.4 / spread)
    return generator


def _along_gradients(generator: StyleGAN2, predictor: Predictor) -> dict[str, Boundary]:
    gradients = torch.zeros(predictor.num_semantics, generator.code_dim).to(generator.device, torch.float64)
    for w in make_codes(generator, 0, 0, 32).w.split(1):
        w = w.detach().clone().requires_grad_()
        scores = predictor(generator.synthesize(generator.layer_codes(w)))
        for row, score in zip(gradients, scores[0], strict=True):
            row += torch.autograd.grad(score, w, retain_graph=True)[0][0]
    return boundaries_along(predictor.names, gradients.cpu().numpy())


def verify_layers(
    world: World,
    num: int,
    num_null: int,
    reference_num: int | None,
    loops_once: bool = False,
    loops: bool = True,
) -> Case:
    """Times score changes of ``num`` samples: two boundaries, one step, on all layers and on each.

    Work is counted in images that the published loop makes for it. The last two backends do a different job:
    they find the layer that moves each semantic of the world the most. For that the published loop takes
    ``FIXED_NUM`` samples. One counts its images, the other those that it scored itself: as many in a second
    as "engine, fast" scores, but for rounds that end early.

    Args:
        world: the networks and boundaries.
        num: number of samples.
        num_null: number of random directions with which the last backend compares the boundaries.
        reference_num: number of samples on which its decisions are checked, in float32; None: leaves it out.
        loops_once: whether the published loop takes minutes, so that it is run only once.
        loops: whether it is run at all.
    """
    generator, predictor = world.generator, world.predictor
    codes = make_codes(generator, SEED, 0, num, stream=VERIFICATION).codes
    chosen = list(world.boundaries.values())[:2]
    moves = displacements(generator, chosen[0].space, [each.normal for each in chosen], STEP).to(codes)
    full = torch.inference_mode()(partial(_full_forwards, generator, predictor, codes, moves))
    backends = [
        Backend(name, partial(loop.differences, codes, moves), tolerance=TOLERANCE["loop"], once=loops_once)
        for name, loop in (world.loops().items() if loops else ())
    ]
    backends.append(Backend("full forwards", full, tolerance=TOLERANCE["float32"]))
    for precision in get_args(Precision):
        engine = Engine(generator, predictor, precision=precision)
        dtype = str(engine.features_dtype).removeprefix("torch.")
        run = torch.inference_mode()(partial(_by_engine, engine, codes, moves))
        backends.append(Backend(f"engine, {precision}", run, dtype, TOLERANCE[dtype]))
    if reference_num is not None:
        backends += _until_decided(world, dtype, num_null, reference_num)
    return Case(
        f"verify {world.name}", tuple(backends), REASON, num * len(moves) * world.images_per_sample, full
    )


def _until_decided(world: World, dtype: str, num_null: int, reference_num: int) -> tuple[Backend, Backend]:
    """Returns backends that verify at 99 % confidence and return the layers that they decide for.

    Their error is the share of the largest effect by which a layer falls short on the reference samples.
    """
    boundaries = world.boundaries
    verify = partial(hf.verify, world.generator, world.predictor, boundaries, seed=SEED, progress=False)

    @cache
    def shares() -> Tensor:
        effects = _layer_effects(world, reference_num).abs()
        return effects / effects.amax(1, keepdim=True)

    scored: list[int] = []

    def decide() -> Tensor:
        found = verify(max_samples=FIXED_NUM, num_null=num_null, precision="fast", step=STEP)
        scored[:] = [found.images]
        return torch.from_numpy(found.top_layer)

    def shortfall(layers: Tensor) -> float:
        found = shares().gather(1, layers.clip(0)[:, None])[:, 0]
        return float((1 - torch.where(layers < 0, 0, found)).max())

    replaced = len(boundaries) * FIXED_NUM * world.images_per_sample
    name = "engine, fast, sequential"
    decided = Backend(name, decide, dtype, MARGIN, images=replaced, judge=shortfall, once=True)
    return decided, replace(decided, name=f"{name}, own images", images=lambda: scored[0])


@torch.inference_mode()
def _layer_effects(world: World, num: int) -> Tensor:
    """Returns the effects of each boundary on its own semantic, layer by layer, in float32: ``[B, L]``."""
    generator, boundaries = world.generator, list(world.boundaries.values())
    layers, engine = range(generator.num_layers), Engine(generator, world.predictor)
    codes = make_codes(generator, SEED, 0, num, stream=VERIFICATION).codes
    moves = displacements(generator, boundaries[0].space, [each.normal for each in boundaries], STEP)
    plan = Plan(moves, tuple((layer,) for layer in layers), torch.tensor([1.0, -1.0]))
    columns = torch.tensor([world.predictor.names.index(each.name) for each in boundaries])
    effects = torch.zeros(len(moves), len(layers), dtype=torch.float64)
    for found in engine.perturbed_scores(codes, plan):
        changes = (found.values[:, :, 0] - found.values[:, :, 1]).double().sum(0).cpu() / (2 * num)  # [m, S]
        own = changes.gather(1, columns[found.directions][:, None])[:, 0]
        effects[found.directions, found.layer_set] += own
    return effects


def _full_forwards(generator: StyleGAN2, predictor: Predictor, codes: Tensor, moves: Tensor) -> Tensor:
    base = predictor(generator.synthesize(codes))
    changes = []
    for move in moves:
        for layers in all_and_each(generator.num_layers):
            moved = codes.clone()
            moved[:, list(layers)] += move[list(layers)]
            changes.append(predictor(generator.synthesize(moved)) - base)
    return torch.stack(changes).unflatten(0, (len(moves), -1))


def _by_engine(engine: Engine, codes: Tensor, moves: Tensor) -> Tensor:
    base = engine.scores(codes)
    plan = Plan(moves, all_and_each(codes.shape[1]), torch.tensor([1.0]))
    changes = base.new_empty(len(moves), len(plan.layer_sets), *base.shape)  # [M, 1 + L, N, S]
    for found in engine.perturbed_scores(codes, plan):
        values = found.values[:, :, 0].transpose(0, 1)  # [m, n, S]
        changes[found.directions, found.layer_set, found.samples] = values - base[found.samples]
    return changes


class _Function(nn.Module):
    """Wraps a function as a module that owns the networks it calls."""

    def __init__(self, function: Callable[[Tensor], Tensor], *networks: nn.Module) -> None:
        super().__init__()
        self.function, self.networks = function, nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)

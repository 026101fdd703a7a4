"""The whole synthesis of a 256² StyleGAN2: our reference, our kernels, and stylegan2-ada-pytorch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.cases.case import Backend, Case
from benchmarks.cases.ops import CHANNEL_BASES
from benchmarks.cases.shapes import stylegan2, widths
from benchmarks.peers import ADA, Peers
from benchmarks.peers.process import PeerProcess
from benchmarks.peers.stylegan2_ada import lacks_plugins, load_peer
from benchmarks.roofline import Work
from higan_fast.generators.stylegan2 import StyledConv, StyleGAN2, StyleGAN2Config
from higan_fast.ops import convolution_choice, implementation

BATCHES = {"cpu": (8, 1), "cuda": (64, 8, 1)}
DTYPES = {"cpu": ("float32", "bfloat16"), "cuda": ("float32", "float16", "bfloat16")}
BEST = {"cpu": "bfloat16", "cuda": "float16"}
# As shares of the image's largest magnitude. float32: thirteen convolutions, summed in another order. 16
# bits: thirteen layers round three times each (ten times in the reference). The worst of a million pixels is
# off by two to five roundings; ten leave a margin for other weights.
TOLERANCE = {"float32": 1e-4, "float16": 10 * 2.0**-11, "bfloat16": 10 * 2.0**-8}
REASON = "float32 sums in another order; in 16 bits, thirteen layers that round three times each"


def generator_cases(
    device: str,
    peers: Peers,
    quick: bool = False,
    channel_bases: tuple[int, ...] | None = None,
    resolution: int = 256,
) -> Iterator[Case]:
    """Yields a case for each number of channels and each batch size, with all dtypes.

    Ratios are relative to the first backend: the peer if there is one, otherwise our reference.
    ``quick``: no reference, and only the dtype that the device is best at.
    """
    for base in channel_bases or CHANNEL_BASES[device]:
        network = Network(_generators(device, base, resolution), base, peers.get(ADA))
        for batch in BATCHES[device]:
            yield network.case(batch, device, (BEST[device],) if quick else DTYPES[device], not quick)


class Network:
    """One network in all dtypes, and its peers.

    Attributes:
        generators: dtype → generator; all have the same weights.
        base: channel base.
        peers: name and dtype of each peer → the function that runs it.
    """

    def __init__(self, generators: dict[str, StyleGAN2], base: int, peer: Path | None) -> None:
        self.generators, self.base = generators, base
        self.exact = generators["float32"]
        self.peers: dict[tuple[str, str], Callable[[Tensor], Tensor]] = {}
        if peer is None:
            return
        if self.exact.device.type == "cpu":
            self.peers[ADA, "float32"] = PeerProcess(ADA, peer, self.exact)
        else:
            self._add_peer(ADA, "float32", load_peer(peer, self.exact))
            fast = load_peer(peer, self.exact, half=True)
            self._add_peer(f"{ADA}, channels-last", "float16", fast)

    def _add_peer(self, name: str, dtype: str, synthesis: torch.nn.Module) -> None:
        @torch.inference_mode()
        def run(codes: Tensor) -> Tensor:
            images: Tensor = synthesis(codes, noise_mode="const")
            return images

        run(torch.zeros(1, self.exact.num_layers, self.exact.code_dim, device=self.exact.device))
        if lacks_plugins():
            name += ", without its plugins"
        self.peers[name, dtype] = run

    def case(self, batch: int, device: str, dtypes: tuple[str, ...], with_reference: bool) -> Case:
        exact, resolution = self.exact, self.exact.resolution
        random = torch.Generator(device).manual_seed(batch)
        # A different code at each layer, so that swapped codes are detected.
        codes = torch.randn(batch, exact.num_layers, exact.code_dim, generator=random, device=device)
        layers = stylegan2(widths(self.base, resolution))

        def add(name: str, dtype: str, run: Callable[[], Tensor]) -> None:
            work: tuple[Work, ...] = tuple(
                layer.work(batch, getattr(torch, dtype).itemsize) for layer in layers
            )
            run = torch.inference_mode()(run)
            backends.append(Backend(name, run, dtype, TOLERANCE[dtype], work))

        backends: list[Backend] = []
        for (name, dtype), run in self.peers.items():
            add(name, dtype, partial(run, codes))
        for dtype in dtypes:
            generator = self.generators[dtype]
            if with_reference:
                add("reference", dtype, partial(_by_reference, generator, codes))
            add("native", dtype, partial(generator.synthesize, codes, replay=False))
            if device == "cuda":
                add("native, CUDA graph", dtype, _Graph(partial(generator.synthesize, replay=False), codes))
            if device == "cuda" and dtype == "float32":  # which "auto" takes only on cards that were timed so
                ours = partial(_by_our_convolution, generator)
                add("native, fused, CUDA graph", dtype, _Graph(ours, codes))
        return Case(
            f"StyleGAN2 {resolution}² of base {self.base}, batch {batch}",
            tuple(backends),
            REASON,
            images=batch,
            exact=torch.inference_mode()(partial(_by_reference, exact, codes)),
        )


def random_generator(device: str, base: int, resolution: int, dim: int = 512) -> StyleGAN2:
    """Returns a random network without parameters that are zero, whose codes have ``dim`` numbers."""
    torch.manual_seed(0)
    config = StyleGAN2Config(widths(base, resolution), latent_dim=dim, code_dim=dim, mapping_depth=8)
    generator = StyleGAN2(config).eval().requires_grad_(False)
    for module in generator.modules():
        if isinstance(module, StyledConv):  # the initial zeros would hide noise and biases
            module.noise_strength.fill_(0.1)
            module.bias.normal_(std=0.1)
    return generator.to(device)


def _generators(device: str, base: int, resolution: int) -> dict[str, StyleGAN2]:
    """Returns one copy of a random network per dtype, because each caches its own prepared weights."""
    generator = random_generator(device, base, resolution)
    copies = {}
    for dtype in DTYPES[device]:
        copies[dtype] = copy.deepcopy(generator)
        copies[dtype].activation_dtype = getattr(torch, dtype)
    return copies


def _by_reference(generator: StyleGAN2, codes: Tensor) -> Tensor:
    with implementation.only_reference():
        return generator.synthesize(codes, replay=False)


def _by_our_convolution(generator: StyleGAN2, codes: Tensor) -> Tensor:
    with convolution_choice.always("fused"):
        return generator.synthesize(codes, replay=False)


class _Graph:
    """The same synthesis as a CUDA graph, recorded at the first call: a replay needs one launch in all."""

    def __init__(self, synthesize: Callable[[Tensor], Tensor], codes: Tensor) -> None:
        self.synthesize, self.codes = synthesize, codes
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> Tensor:
        if self.graph is None:
            self._record()
        assert self.graph is not None
        self.graph.replay()
        return self.images

    def _record(self) -> None:
        # The check fills memory with NaN, and searches for no fast algorithm: neither is to be recorded.
        deterministic = torch.are_deterministic_algorithms_enabled()
        searching = torch.backends.cudnn.benchmark
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = True
        try:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                self.synthesize(self.codes)  # all one-time work goes before
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.images = self.synthesize(self.codes)
            self.graph = graph
        finally:
            torch.use_deterministic_algorithms(deterministic, warn_only=True)
            torch.backends.cudnn.benchmark = searching

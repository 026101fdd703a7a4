"""A generator and a predictor small enough to know by heart: which layer controls which semantic is given."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from higan_fast.boundaries.boundary import Boundaries
from higan_fast.generators.base import Activation, Generator, Group, Layer
from higan_fast.predictors.base import Predictor, Semantic

NUM_LAYERS, CODE_DIM, RESOLUTION = 5, 32, 16
GROUPS: tuple[Group, ...] = ("bottom", "lower", "lower", "upper", "top")

# The layer that controls each semantic. Layer 2 controls none, and no layer controls "constant".
LAYER_OF = {"view": 0, "bed": 1, "wood": 3, "hue": 4}
SEMANTICS = (
    Semantic("view", "layout"),
    Semantic("bed", "object"),
    Semantic("wood", "attribute"),
    Semantic("constant", "attribute"),
    Semantic("hue", "color"),
)


class ToyGenerator(Generator):
    """Layer l paints pattern l as strongly as its code reaches along direction l, and decorations besides.

    Nobody scores the decorations. A layer's gain depends on what the layers before it have painted, so
    that a prefix that is not kept as it was would show, and on its code, so that no effect is a constant.
    """

    family = "toy"

    def __init__(self) -> None:
        super().__init__()
        self.latent_dim, self.code_dim, self.resolution = 12, CODE_DIM, RESOLUTION
        self.layers = tuple(Layer(i, f"paint{i}", RESOLUTION, group) for i, group in enumerate(GROUPS))
        random = torch.Generator().manual_seed(7)
        self.first = torch.nn.Linear(self.latent_dim, 64)
        self.second = torch.nn.Linear(64, CODE_DIM)
        for parameter in self.parameters():
            fan_in = parameter.shape[-1] if parameter.ndim == 2 else 16
            parameter.data = torch.randn(parameter.shape, generator=random) * (2 / fan_in) ** 0.5
        directions = torch.linalg.qr(torch.randn(CODE_DIM, NUM_LAYERS, generator=random)).Q.T
        patterns = torch.linalg.qr(torch.randn(3 * RESOLUTION**2, 2 * NUM_LAYERS, generator=random)).Q.T
        patterns = patterns.reshape(2, NUM_LAYERS, 3, RESOLUTION, RESOLUTION).contiguous()  # orthonormal
        self.register_buffer("directions", directions.contiguous())  # [L, D], orthonormal
        decorations = patterns[1].flatten(1).expand(NUM_LAYERS, -1, -1)
        # [L, 1 + L, 3R²]: a layer's pattern, and the decorations that all of them paint
        self.register_buffer("painted", torch.cat([patterns[0].flatten(1)[:, None], decorations], dim=1))
        self.register_buffer("tastes", 0.1 * torch.randn(NUM_LAYERS, CODE_DIM, generator=random))
        with torch.no_grad():
            z = torch.randn(4096, self.latent_dim, generator=random)
            average = ToyGenerator.mapping(self, z).mean(0)  # whatever a subclass makes of it
        self.register_buffer("w_avg", average)

    @property
    def patterns(self) -> Tensor:
        """That of each layer, ``[L, 3, R, R]``; what is written here is painted."""
        return self.painted[:, 0].view(NUM_LAYERS, 3, RESOLUTION, RESOLUTION)

    def mapping(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return self.second(torch.nn.functional.leaky_relu(self.first(z), 0.2))

    def layer_codes(
        self, w: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        psi = torch.ones(NUM_LAYERS, 1).to(w)
        psi[:truncation_layers] = truncation_psi
        return self.w_avg + psi * (w - self.w_avg)[:, None]

    def start(self, num: int) -> Activation:
        return Activation(torch.zeros(num, 3, RESOLUTION, RESOLUTION).to(self.w_avg))

    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        painted = activation.features
        centred = code - self.w_avg
        gain = 1 + 0.1 * torch.tanh(painted.flatten(1).sum(1) + 0.1 * centred @ self.tastes[index])
        strength = gain * (centred @ self.directions[index])  # [N]
        strengths = torch.cat([strength[:, None], torch.tanh(centred @ self.tastes.T)], dim=1)
        return Activation(torch.addmm(painted.flatten(1), strengths, self.painted[index]).view_as(painted))

    def image(self, activation: Activation) -> Tensor:
        return activation.features


class ToyPredictor(Predictor):
    """Reads the strength of each pattern; "bed" through a sigmoid, and "constant" reads nothing."""

    def __init__(self, generator: ToyGenerator) -> None:
        super().__init__()
        self.semantics = SEMANTICS
        self.register_buffer("patterns", generator.patterns.clone())

    def forward(self, images: Tensor) -> Tensor:
        strengths = images.flatten(1) @ self.patterns.flatten(1).T  # [N, L]
        columns = {name: strengths[:, layer] for name, layer in LAYER_OF.items()}
        columns["bed"] = torch.sigmoid(2 * columns["bed"])
        columns["constant"] = torch.full_like(columns["view"], 0.5)
        return torch.stack([columns[semantic.name] for semantic in SEMANTICS], dim=1)


def of_anyone(boundaries: Boundaries) -> Boundaries:
    """The same boundaries as from a file, which does not say of which networks."""
    return replace(boundaries, boundaries=tuple(replace(b, origin=None) for b in boundaries.boundaries))


def toy() -> tuple[ToyGenerator, ToyPredictor]:
    """The same two networks, to the bit, on every call."""
    generator = ToyGenerator()
    return generator, ToyPredictor(generator)


def toy_by_name() -> tuple[ToyGenerator, ToyPredictor]:
    """The same, with a predictor whose scores count as its own whatever a test makes of its code."""
    generator, predictor = toy()
    predictor.identity = "toy"
    return generator, predictor

"""How far two images are apart: pixels at several scales, or features of a network."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from higan_fast.fingerprint import fingerprint
from higan_fast.image_shapes import with_channels
from higan_fast.predictors import load_predictor
from higan_fast.predictors.base import Predictor
from higan_fast.predictors.kinds import kind_of
from higan_fast.wording import in_words

Features = tuple[Tensor, ...]

COARSEST = 8  # pixels a side


def halving(images: Tensor, coarsest: int) -> tuple[int, int]:
    """What makes images ``[..., H, W]`` smaller: 2 for each side that is to be halved, else 1."""
    height, width = (1 + (side >= 2 * coarsest) for side in images.shape[-2:])
    return height, width


class Distance:
    """Images → features, whose mean squared differences add up to a distance.

    Attributes:
        name: says which it is; two of the same name give the same distances.
    """

    name: str

    def features(self, images: Tensor) -> Features:
        """Images ``[N, C, H, W]`` in [-1, 1] → tensors ``[N, ...]``."""
        raise NotImplementedError

    def __call__(self, images: Tensor, target: Features) -> Tensor:
        """Distance of each image from the features of its target, ``[N]``."""
        return sum(
            (
                (one - other).square().flatten(1).mean(dim=1)
                for one, other in zip(self.features(images), target, strict=True)
            ),
            torch.zeros(len(images)).to(images),
        )

    def between_all(self, some: Features, others: Features) -> Tensor:
        """Distances of N images from each of M, ``[N, M]``."""
        return sum(
            (_squares(one.flatten(1), other.flatten(1)) for one, other in zip(some, others, strict=True)),
            torch.zeros(len(some[0]), len(others[0])).to(some[0]),
        )


class Pixels(Distance):
    """Mean squared differences of pixels, averaged over scales: every one down to 8 pixels a side.

    The coarse ones tell where to go while the details still disagree.
    """

    name = "pixels"

    def features(self, images: Tensor) -> Features:
        levels = [images]
        while max(factors := halving(levels[-1], COARSEST)) > 1:
            levels.append(F.avg_pool2d(levels[-1], factors))
        return tuple(level * len(levels) ** -0.5 for level in levels)


class NetworkFeatures(Distance):
    """Features of a network at several resolutions, each of length 1 at every place, and pixels beside.

    As in LPIPS (Zhang et al., arXiv 1801.03924) but for its weights: of every resolution within the network
    the last features ``[N, C, H, W]``. Pixels count as much again, as in pivotal tuning (Roich et al., arXiv
    2106.05744).

    TorchScript shows nothing of its insides: what such a network gives is taken. NVlabs' ``vgg16.pt`` is
    asked for its ``return_lpips``.
    """

    def __init__(self, predictor: Predictor, called: str) -> None:
        """``called`` is what messages say of it."""
        self.predictor, self.called, self.pixels = predictor.eval(), called, Pixels()
        self.name = f"features of {called}, {fingerprint(predictor)}"

    def features(self, images: Tensor) -> Features:
        """As in ``Distance``; raises ValueError where there are none that can be differentiated."""
        seen = with_channels(images, self.predictor.channels, self.called)
        network = getattr(getattr(self.predictor, "module", None), "network", None)
        if isinstance(network, torch.jit.ScriptModule):
            found = _of_script(network, self.predictor, seen)
        else:
            found = _within(self.predictor, seen)
        if not found:
            raise ValueError(
                f"distance (--distance): {self.called} shows no features [N, C, H, W]; take pixels"
            )
        if images.requires_grad and not all(part.requires_grad for part in found):
            raise ValueError(
                f"distance (--distance): the features of {self.called} carry no gradient back to the images; "
                "take pixels, or a network that runs in torch"
            )
        return (*self.pixels.features(images), *found)


def _within(predictor: Predictor, images: Tensor) -> list[Tensor]:
    """The last features at each resolution, normalised."""
    found: dict[tuple[int, ...], Tensor] = {}

    def note(module: nn.Module, given: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.is_floating_point():
            found[tuple(output.shape[2:])] = output

    hooks = [module.register_forward_hook(note) for module in predictor.modules() if module is not predictor]
    run = getattr(predictor, "raw", predictor)  # a network from a file may have other outputs than names
    try:
        run(images)
    finally:
        for hook in hooks:
            hook.remove()
    parts = [F.normalize(part.float(), dim=1, eps=1e-8) for part in found.values()]
    # F.normalize makes the sum over channels at most 4, and a mean over channels would shrink it.
    return [part * part.shape[1] ** 0.5 / len(parts) ** 0.5 for part in parts]


def _of_script(network: Any, predictor: Any, images: Tensor) -> list[Tensor]:
    """What a TorchScript network gives: one tensor, or several."""
    names = [argument.name for argument in network.forward.schema.arguments]
    if "return_lpips" in names:  # of NVlabs: a vector whose squared differences sum up to LPIPS
        vector = network((images + 1) * 127.5, resize_images=False, return_lpips=True).float()
        return [vector * vector.shape[1] ** 0.5]
    output = predictor.raw(images)
    parts = list(output.values()) if isinstance(output, dict) else output
    parts = list(parts) if isinstance(parts, list | tuple) else [parts]
    found = [part.float() for part in parts if isinstance(part, Tensor) and part.ndim > 1]
    return [F.normalize(part, dim=1, eps=1e-8) * part.shape[1] ** 0.5 / len(found) ** 0.5 for part in found]


def _squares(one: Tensor, other: Tensor) -> Tensor:
    """Mean squared differences of rows ``[N, F]`` and ``[M, F]``: ``[N, M]``."""
    lengths = one.square().sum(dim=1)[:, None] + other.square().sum(dim=1)
    return (lengths - 2 * one @ other.T).clamp(min=0) / one.shape[1]


def chosen_distance(distance: Any, device: torch.device) -> Distance:
    """An argument ``distance``: one, a text as ``distance_of`` takes it, or None for pixels.

    Raises:
        ValueError: when it is anything else, or as ``distance_of`` does.
    """
    if distance is None:
        return Pixels()
    if isinstance(distance, str):
        return distance_of(distance, device)
    if not isinstance(distance, Distance):
        raise ValueError(
            f"distance (--distance): got {in_words(distance)}, expected a Distance, 'pixels', or what names "
            "a network"
        )
    return distance


def distance_of(text: str, device: torch.device) -> Distance:
    """``"pixels"``, or what names a predictor, or a file with a network → the distance.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it holds no network, or one that runs outside of torch.
    """
    if text == "pixels":
        return Pixels()
    if text.startswith("onnx:") or ".onnx" in text:
        raise ValueError(
            f"distance (--distance): {text} runs outside of torch and carries no gradient; take pixels, or a "
            "TorchScript file"
        )
    kind, _ = kind_of(text, "distance (--distance)")
    names = "features" if "names" in kind.options else None  # none is asked for a score
    return NetworkFeatures(load_predictor(text, names, device), text)

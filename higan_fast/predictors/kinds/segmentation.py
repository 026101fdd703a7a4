"""``segmentation:scenes`` or ``segmentation:FILE``: share, presence and position of what is seen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from higan_fast.predictors.ade20k import ADE20K
from higan_fast.predictors.kind import Change, Kind
from higan_fast.predictors.network import NetworkPredictor
from higan_fast.predictors.segmentation import SegmentationPredictor
from higan_fast.predictors.segmenter import load_room_segmenter
from higan_fast.weights import embedded

EMBEDDED = "scenes"
OWN_SUFFIX = ".safetensors"
OF_NETWORKS = (
    "names",
    "input_size",
    "mean",
    "std",
    "activation",
    "channels",
)  # which our own head has itself
OF_CLASSES = ("classes", "measures")


class NetworkMaps(nn.Module):
    """What a network from a file gives of images that are made as it wants them."""

    def __init__(self, network: NetworkPredictor) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Any:
        return self.network.raw(images)


def read(argument: str, options: Mapping[str, Any]) -> SegmentationPredictor:
    """The predictor of the embedded head, of a file of ``train_segmenter``, or of a network in a file.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when nothing is named, it holds no network, or something chosen is not there.
    """
    chosen, measures = (options.get(name) for name in OF_CLASSES)
    if argument != EMBEDDED and not argument.endswith(OWN_SUFFIX):
        kind = _kind_of_network(argument)
        given = {name: options[name] for name in OF_NETWORKS if name in options}
        activation, classes = given.pop("activation", "softmax"), given.pop("names", ADE20K)
        network = kind.read(argument, {"names": list(classes), **given})
        assert isinstance(network, NetworkPredictor)  # a Predictor of somebody's takes no names
        channels = None if network.channels == 3 else network.channels
        return SegmentationPredictor(
            NetworkMaps(network), classes, chosen, measures, activation, network.origin, channels
        )
    taken = next((name for name in OF_NETWORKS if name in options), None)
    if taken is not None:
        from higan_fast.predictors.loading import option_name

        raise ValueError(f"{option_name(taken)}: segmentation:{argument} has its own; leave it out")
    head = load_room_segmenter(embedded("segmenter") if argument == EMBEDDED else Path(argument))
    return SegmentationPredictor(head, head.classes, chosen, measures)


def files(argument: str) -> list[Path]:
    """The files that decide its scores; errors as of the kind of its network."""
    if argument == EMBEDDED:
        return []
    return [Path(argument)] if argument.endswith(OWN_SUFFIX) else _kind_of_network(argument).files(argument)


def moved(argument: str, change: Change) -> str:
    """The argument with another path, where it is one."""
    if argument == EMBEDDED:
        return argument
    own = argument.endswith(OWN_SUFFIX)
    return change(argument) if own else _kind_of_network(argument).moved(argument, change)


def runs_code(argument: str) -> bool:
    """Whether its network's kind runs code of a file."""
    own = argument == EMBEDDED or argument.endswith(OWN_SUFFIX)
    return not own and _kind_of_network(argument).runs_code(argument)


def _kind_of_network(argument: str) -> Kind:
    """The kind by which a network is read that gives maps; raises as ``kind_of`` does."""
    from higan_fast.predictors.kinds import kind_of

    expected = f"expected segmentation:{EMBEDDED}, or segmentation:FILE with a network in it"
    if not argument:
        raise ValueError(f"predictor (--predictor): got 'segmentation', {expected}")
    kind, rest = kind_of(argument)
    if rest != argument or "names" not in kind.options:
        raise ValueError(f"predictor (--predictor): got 'segmentation:{argument}', {expected}")
    return kind


KIND = Kind(
    name="segmentation",
    example="segmentation:scenes --classes sofa,picture,clutter",
    help="share, presence and position of each class, of any network with maps (a file of another kind)",
    read=read,
    options=(*OF_NETWORKS, *OF_CLASSES),
    files=files,
    moved=moved,
    runs_code=runs_code,
)

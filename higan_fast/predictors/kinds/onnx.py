"""``FILE.onnx`` or ``FILE.onnx:OUTPUT``: a network for ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from higan_fast.predictors.kind import Kind, moved_with_name, path_and_name
from higan_fast.predictors.network import OPTIONS, NetworkPredictor, sides
from higan_fast.wording import in_words

SUFFIX = ".onnx"


def read(argument: str, options: Mapping[str, Any]) -> NetworkPredictor:
    """The network in a file.

    Raises:
        FileNotFoundError: when the file or its external data are not there.
        ValueError: when it cannot be run, or gives another number of scores than there are names.
    """
    from higan_fast.predictors.onnx_network import OnnxNetwork

    path, output = path_and_name(argument, SUFFIX)
    network = OnnxNetwork(Path(path), output or None)
    others = {"input_size": network.size} | dict(options)
    if network.channels not in (None, 3):
        others = {"channels": network.channels} | others
    names, num = others.pop("names", None), network.num_scores
    if names is None:
        raise ValueError(
            f"semantics (--names): got none, and {path} gives {num or 'unnamed'} scores; name each"
        )
    predictor = NetworkPredictor(network, names, path, **others)
    if network.size not in (None, predictor.input_size):
        height, width = sides(network.size) or (0, 0)
        raise ValueError(
            f"input_size (--input-size): got {in_words(others['input_size'])}, and {path} takes images of "
            f"{height}×{width}; leave it out"
        )
    if network.channels not in (None, predictor.channels):
        raise ValueError(
            f"channels (--channels): got {predictor.channels}, and {path} takes images of "
            f"{network.channels}; leave it out"
        )
    if num not in (None, predictor.num_semantics):
        raise ValueError(
            f"semantics (--names): got {predictor.num_semantics}, and {path} gives {num} scores; name each"
        )
    return predictor


def files(argument: str) -> list[Path]:
    """The file and its external data; errors as of ``onnx_files``."""
    from higan_fast.predictors.onnx_network import onnx_files

    return onnx_files(Path(path_and_name(argument, SUFFIX)[0]))


KIND = Kind(
    name="onnx",
    example="network.onnx --names wood,lighting --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
    help="an ONNX network, run by ONNX Runtime (pip install 'higan_fast[onnx]'); it has no gradient",
    read=read,
    suffixes=(SUFFIX,),
    options=OPTIONS,
    files=files,
    moved=moved_with_name(SUFFIX),
)

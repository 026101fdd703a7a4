"""``places365:DIR``: the WideResNet-18 of Places365 with SUN attributes, from its four published files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from higan_fast.opening import check_file, opened
from higan_fast.predictors.kind import Kind
from higan_fast.predictors.places365 import FEATURES, Places365Predictor, WideResNet18
from higan_fast.refusing import refusing
from higan_fast.wording import in_words, printable

WEIGHTS, ATTRIBUTE_WEIGHTS = "wideresnet18_places365.pth.tar", "W_sceneattribute_wideresnet18.npy"
CATEGORIES, ATTRIBUTES = "categories_places365.txt", "labels_sunattribute.txt"
FILES = (WEIGHTS, ATTRIBUTE_WEIGHTS, CATEGORIES, ATTRIBUTES)
LONGEST = 2**20  # bytes of a list of names


def read(argument: str, options: Mapping[str, Any]) -> Places365Predictor:
    """The network and its attributes.

    Raises:
        FileNotFoundError: when a file is missing.
        ValueError: when one holds something else, or is damaged.
    """
    weights, attribute_weights, categories, attributes = files(argument)
    of_categories = [_category(categories, line) for line in _lines(categories)]
    of_attributes = _lines(attributes)
    network = _network(weights, len(of_categories))
    rows = _attribute_weights(attribute_weights, len(of_attributes))
    names = options.get("names")
    chosen = [names] if isinstance(names, str) else names
    return Places365Predictor(network, rows, of_attributes, of_categories, chosen)


def files(argument: str) -> list[Path]:
    """The four files; raises FileNotFoundError where one is missing."""
    if not argument:
        raise ValueError("predictor (--predictor): got 'places365' alone, expected the folder, places365:DIR")
    paths = [Path(argument) / name for name in FILES]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(
                f"predictor (--predictor): {printable(str(path))} is not there; places365:DIR wants "
                f"{WEIGHTS} and {ATTRIBUTE_WEIGHTS} from places2.csail.mit.edu/models_places365, and "
                f"{CATEGORIES} and {ATTRIBUTES} from github.com/CSAILVision/places365"
            )
        check_file(path)
    return paths


def _lines(path: Path) -> list[str]:
    """The lines of a list of names that are not empty, all different."""
    with opened(path) as file, refusing(path):
        text = file.read(LONGEST + 1)
        if len(text) > LONGEST:
            raise ValueError(f"has more than {LONGEST} bytes, expected a list of names")
        lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
        if not lines or len(set(lines)) < len(lines):
            raise ValueError(f"has {'a line twice' if lines else 'no line'}, expected a name in each")
        return lines


def _category(path: Path, line: str) -> str:
    """``"/b/bedroom 52"`` → ``"bedroom"``; lines are in the order of the outputs."""
    name, _, _ = line.partition(" ")
    if name[:1] != "/" or name[2:3] != "/" or not name[3:]:
        raise ValueError(f"{path}: has {in_words(line)}, expected lines such as '/b/bedroom 52'")
    return name[3:]


def _network(path: Path, num_categories: int) -> WideResNet18:
    """The network, from a file of Python 2 that is never unpickled."""
    from higan_fast.checkpoints.conversion import fill
    from higan_fast.checkpoints.sniffing import read_content

    content = read_content(path)
    value = content.value
    state = value.get("state_dict", value) if isinstance(value, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise ValueError(f"{path}: holds {in_words(value)}, expected a checkpoint with a state_dict")
    tensors = {name.removeprefix("module."): tensor for name, tensor in state.items()}  # of DataParallel
    with torch.device("meta"):
        network = WideResNet18(num_categories)
    no_count = torch.tensor(0)  # of batches: the file is older than that count
    sources = {
        name: no_count if name.endswith("num_batches_tracked") and name not in tensors else name
        for name in network.state_dict()
    }
    fill(network, path, tensors, sources)
    return network


def _attribute_weights(path: Path, num_attributes: int) -> torch.Tensor:
    from higan_fast.checkpoints.conversion import as_tensor
    from higan_fast.checkpoints.pickles.npy_files import read_npy

    rows = as_tensor(path, "its array", read_npy(path))
    if rows.shape != (num_attributes, FEATURES):
        raise ValueError(
            f"{path}: has an array of {in_words(list(rows.shape))}, expected {FEATURES} weights for each of "
            f"the {num_attributes} names in {ATTRIBUTES}"
        )
    return rows


KIND = Kind(
    name="places365",
    example="places365:DIR --names wood,glossy,bedroom",
    help="102 SUN attributes, and 365 scene categories by name, as HiGAN scores them",
    read=read,
    options=("names",),
    files=files,
)

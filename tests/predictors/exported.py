"""A small network in every form in which people hand one on."""

import warnings
from pathlib import Path

import onnx
import torch
from torch import nn

NAMES = ["red", "edges", "texture"]
MY_CODE = '''
"""A scorer of my own."""

import torch
from mine_beside import weights

STRENGTH = 2.0


class Net(torch.nn.Module):
    semantics = ("wood", "light")

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(3, 2)
        torch.nn.init.constant_(self.head.weight, STRENGTH)
        torch.nn.init.constant_(self.head.bias, weights())

    def forward(self, images):
        return self.head(images.mean([2, 3]))


def score(images):
    return images.mean([2, 3])[:, :2]


def make_predictor(strength=1.0):
    return Net()


def fails(images):
    return {}[len(images)]


network, number = Net(), 3
'''


def network() -> nn.Module:
    """A network of three scores, whose weights are always the same."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    ).eval()  # fmt: skip


def to_torchscript(path: Path) -> Path:
    with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated, and lies on people's disks
        torch.jit.script(network()).save(path)
    return path


def to_onnx(path: Path, size: int = 32, batch: int | None = None, model: nn.Module | None = None) -> Path:
    """Writes the network with any batch, or a fixed one, and with images of any size, or a fixed one."""
    axes = None if batch else {"images": {0: "n", 2: "h", 3: "h"}, "scores": {0: "n"}}
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            network() if model is None else model, (torch.zeros(batch or 1, 3, size, size),), path,
            dynamo=False, input_names=["images"], output_names=["scores"], dynamic_axes=axes,
        )  # fmt: skip
    return path


def with_external_data(path: Path, location: str = "weights.bin") -> Path:
    """Moves the weights of an ONNX file into a file beside it."""
    model = onnx.load(path)
    onnx.save_model(model, path, save_as_external_data=True, location=location, size_threshold=0)
    return path


def to_python(folder: Path) -> Path:
    """Writes a file with scorers of all kinds, which imports another that lies beside it."""
    (folder / "mine_beside.py").write_text("def weights():\n    return 0.25\n")
    (folder / "mine.py").write_text(MY_CODE)
    return folder / "mine.py"

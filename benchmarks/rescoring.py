"""Compares HiGAN's own re-scoring program with ours: ``python -m benchmarks.rescoring CHECKOUT``.

Runs the unmodified ``rescore.py`` of a genforce/higan checkout on its StyleGAN2 network and its wide residual
network, with random weights. Compares the printed figures with our ``higan_delta`` for the same weights,
latents, boundaries and scorer. Images are made in float64, so that no pixel rounds to another byte by chance.
Their model and predictor classes need downloads and torchvision, so thin wrappers around their networks take
their place.
"""

from __future__ import annotations

import re
import sys
import tempfile
import types
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import higan_fast as hf
from benchmarks.boundaries import random_boundaries
from benchmarks.parity.row import importing, randomize
from higan_fast.checkpoints import load_generator
from higan_fast.predictors.base import ModulePredictor
from higan_fast.probing import Boundary
from higan_fast.sampling.latents import VERIFICATION, make_codes

RESOLUTION, PSI, TRUNCATED_LAYERS, SEED = 64, 0.7, 6, 1
NAMES = ("natural_lighting", "wood", "cloth")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TOLERANCE = 1e-4  # rescore.py prints four digits


class Scorer(nn.Module):
    """Images → scores, as in their predictor: round to bytes, resize with Pillow, run their network."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.attributes = torch.randn(len(NAMES), 512)

    def of_bytes(self, images: NDArray[np.uint8]) -> Tensor:
        """``[N, H, W, 3]`` → ``[N, 3]``."""
        inputs = []
        for image in images:
            resized = Image.fromarray(image).resize((224, 224), Image.Resampling.BILINEAR)
            values = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
            inputs.append((values - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None])
        features = torch.cat([self.network(x[None])[1] for x in inputs])
        return features.flatten(1) @ self.attributes.T

    def forward(self, images: Tensor) -> Tensor:
        pixels = np.clip((images.numpy() + 1) * 255 / 2 + 0.5, 0, 255).astype(np.uint8)
        return self.of_bytes(pixels.transpose(0, 2, 3, 1))


class Model:
    """Their network behind the methods that their program calls on a model."""

    truncation_psi, truncation_layers = PSI, TRUNCATED_LAYERS

    def __init__(self, network: Any, z: Tensor) -> None:
        self.network, self.z, self.num_layers = network, z, network.num_layers
        strength = network.truncation.truncation
        strength.fill_(1)
        strength[:, :TRUNCATED_LAYERS] = PSI

    def easy_sample(self, num: int, **_: object) -> NDArray[np.float32]:
        return self.z[:num].numpy()

    def easy_synthesize(
        self, latent_codes: Any, latent_space_type: str, generate_image: bool, **_: object
    ) -> dict[str, Any]:
        codes = torch.as_tensor(latent_codes).double()
        if latent_space_type == "z":
            w = self.network.mapping(codes)
            codes = self.network.truncation(w)
            return {"z": latent_codes, "w": w.numpy(), "wp": codes.numpy()}
        assert generate_image
        images = torch.cat([self.network.synthesis(part) for part in codes.split(4)]).numpy()
        pixels = np.clip((images + 1) * 255 / 2 + 0.5, 0, 255).astype(np.uint8)
        return {"image": pixels.transpose(0, 2, 3, 1)}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("checkout", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--num", default=12, show_default=True, help="Samples.")
def main(checkout: Path, num: int) -> None:
    """Run HiGAN's rescore.py and compare its printed figures with our verification."""
    torch.manual_seed(0)
    theirs, program = _load(checkout.resolve())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.pth"
        torch.save(theirs["generator"].state_dict(), file)
        ours = load_generator(file).double()
        theirs["generator"].double()
        boundaries = random_boundaries(ours, NAMES)
        with torch.inference_mode():
            z = make_codes(ours, SEED, 0, num, stream=VERIFICATION).z.clone()
            scorer = Scorer(theirs["predictor"])
            printed = _rescore(program, Model(theirs["generator"], z), scorer, boundaries, Path(folder))
    found = hf.verify(
        ours, ModulePredictor(scorer, NAMES), boundaries, num=num, num_null=2, seed=SEED,
        truncation_psi=PSI, truncation_layers=TRUNCATED_LAYERS,
    )  # fmt: skip
    worst = 0.0
    for row, name in enumerate(NAMES):
        delta, expected = found.higan_delta[row, :, row], printed[name]
        worst = max(worst, float(abs(delta - expected).max()))
        click.echo(f"{name:16} ours {np.array2string(delta, precision=4)}")
        click.echo(f"{'':16} HiGAN {np.array2string(expected, precision=4)}")
    click.echo(f"largest difference {worst:.1e}")
    if not worst <= TOLERANCE:
        raise click.ClickException(f"they differ by more than {TOLERANCE:g}")


def _load(checkout: Path) -> tuple[dict[str, Any], Any]:
    """Returns their networks with random weights, and their program."""
    stubs = {name: types.ModuleType(name) for name in ("tqdm", "torchvision", "torchvision.transforms")}
    stubs["tqdm"].tqdm = lambda values, **_: values  # type: ignore[attr-defined]
    stubs["torchvision"].transforms = stubs["torchvision.transforms"]  # type: ignore[attr-defined]
    with importing(checkout, **stubs):
        networks = import_module("models.stylegan2_generator_network")
        generator = networks.StyleGAN2GeneratorNet(
            RESOLUTION, z_space_dim=64, w_space_dim=64, fmaps_base=2048, fmaps_max=64
        )
        predictor = import_module("predictors.scene_wideresnet").resnet18(num_classes=365)
        program = import_module("rescore")
    theirs = {"generator": generator, "predictor": predictor}
    for network in theirs.values():
        network.eval().requires_grad_(False)
    randomize(generator)
    return theirs, program


def _rescore(
    program: Any, model: Model, scorer: Scorer, boundaries: dict[str, Boundary], folder: Path
) -> dict[str, NDArray[np.float64]]:
    """Returns what their program prints per boundary, all layers together, then each: ``[1 + L]``."""
    lines: list[str] = []
    predictor = types.SimpleNamespace(
        attribute_name_to_idx={name: index for index, name in enumerate(NAMES)},
        easy_predict=lambda images: {"attribute": scorer.of_bytes(images).numpy()},
    )
    program.build_generator = lambda *_, **__: model
    program.build_predictor = lambda *_: predictor
    program.setup_logger = lambda *_: types.SimpleNamespace(info=lines.append)
    listed = []
    for name, boundary in boundaries.items():
        np.save(folder / f"{name}.npy", boundary.normal[None])
        listed.append(f"({name}, w): {folder / name}.npy\n")
    (folder / "boundaries.txt").write_text("".join(listed))
    arguments = ["x", str(folder / "boundaries.txt"), "-N", str(len(model.z)), "-o", str(folder)]
    _with_arguments(program.main, [*arguments, "--layerwise_rescoring"])
    return _parsed(lines, model.num_layers)


def _with_arguments(main: Any, arguments: Sequence[str]) -> None:
    before, sys.argv = sys.argv, ["rescore.py", *arguments]
    try:
        main()
    finally:
        sys.argv = before


def _parsed(lines: list[str], num_layers: int) -> dict[str, NDArray[np.float64]]:
    found = {name: np.full(1 + num_layers, np.nan) for name in NAMES}
    name = ""
    for line in lines:
        if boundary := re.match(r"Boundary `(\w+)`", line):
            name = boundary[1]
        elif layer := re.match(r"\s+Layer (\d+):\s+(\S+)", line):
            found[name][1 + int(layer[1])] = float(layer[2])
        elif (total := re.match(r"\s+(\w+)\s*:\s+(\S+)", line)) and total[1] in found:
            found[total[1]][0] = float(total[2])
    return found


if __name__ == "__main__":
    main()

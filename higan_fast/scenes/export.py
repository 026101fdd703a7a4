"""Exports a training run as the package's generator: ``python -m higan_fast.scenes.export RUN``."""

from __future__ import annotations

from pathlib import Path

import click
import torch

from higan_fast.checkpoints import save_generator
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.scenes.renderer import RENDERER_VERSION
from higan_fast.weights import embedded


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path), help="Default: the package's own weights.")
def main(run: Path, out: Path | None) -> None:
    """Write the averaged generator of a training run as a safetensors file."""
    state = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=True)
    generator = StyleGAN2(StyleGAN2Config.from_json(state["config"]))
    generator.load_state_dict(state["average"])
    about = {
        "trained_on": f"rooms of higan_fast.scenes, renderer version {RENDERER_VERSION}",
        "images": state["images_seen"],
        "steps": state["step_index"],
    }
    save_generator(generator, out or embedded("generator"), about)
    click.echo(f"{out or embedded('generator')}: {about['images']:,} images in {about['steps']:,} steps")


if __name__ == "__main__":
    main()

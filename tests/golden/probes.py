"""The small probes, and what is kept of their results.

Results that ought to change are written anew, with a note that says why:

    python -m tests.golden.probes --why "verify draws its null from …"
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import click
import torch

import higan_fast as hf
from higan_fast.generators import StyleGAN2, StyleGAN2Config
from tests.toy import toy

KEPT = Path(__file__).parent / "results.json"
VERIFIED = ("name", "effect", "low", "high", "p_adjusted", "status", "best_layer", "even", "samples")
ATTRIBUTED = ("name", "index", "low", "high", "top_layers")


def of_toy() -> dict[str, Any]:
    """Verification until the top layers are decided, and layers without a direction."""
    generator, predictor = toy()
    samples = hf.sample(generator, predictor, 1500, progress=False)
    boundaries = hf.fit_boundaries(samples, method="svm", chosen_num=300, progress=False)
    verification = hf.verify(generator, predictor, boundaries, max_samples=256, progress=False)
    attribution = hf.attribute_layers(generator, predictor, num=128, progress=False)
    return {
        "accuracy": {name: boundary.accuracy for name, boundary in boundaries.items()},
        "images": verification.images,
        "verification": _verified(verification),
        "attribution": [_chosen(row, ATTRIBUTED) for row in attribution.to_json()["semantics"]],
    }


def of_scenes() -> dict[str, Any]:
    """Effects in the embedded world, along differences of means, on a fixed number of samples."""
    generator, predictor = hf.load_generator("scenes"), hf.load_predictor("scenes")
    samples = hf.sample(generator, predictor, 256, progress=False)
    boundaries = hf.fit_boundaries(samples, method="difference", chosen_num=100, progress=False)
    chosen = [boundaries[name] for name in ("view", "lamp", "lighting", "warmth")]
    verification = hf.verify(
        generator, predictor, chosen, num=4, null="isotropic", num_null=2, progress=False
    )
    return {"images": verification.images, "verification": _verified(verification)}


def of_stylegan2() -> dict[str, Any]:
    """The dose-response of colours of a random network, truncated, with boundaries in its layer codes."""
    torch.manual_seed(0)
    config = StyleGAN2Config(channels={4: 8, 8: 8, 16: 8}, latent_dim=8, code_dim=8, mapping_depth=1)
    generator, predictor = StyleGAN2(config), hf.load_predictor("color")
    samples = hf.sample(generator, predictor, 200, truncation_psi=0.7, truncation_layers=3, progress=False)
    boundaries = hf.fit_boundaries(samples, method="lda", space="layers", chosen_num=60, progress=False)
    sweep = hf.sweep_steps(generator, predictor, boundaries, (-2, 1, 2), num=16, progress=False)
    return {"change": sweep.change.round(9).tolist(), "suggested": sweep.suggested()}


PROBES: dict[str, Callable[[], dict[str, Any]]] = {
    "toy": of_toy,
    "scenes": of_scenes,
    "stylegan2": of_stylegan2,
}


def _verified(verification: hf.Verification) -> list[dict[str, Any]]:
    found = verification.to_json()["semantics"]
    profiles = [[layer["effect"] for layer in row["profile"]] for row in found]
    return [_chosen(row, VERIFIED) | {"profile": each} for row, each in zip(found, profiles, strict=True)]


def _chosen(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row[name] for name in names if name in row}


@click.command()
@click.option("--why", required=True, help="What changed, and why that is right.")
def renew(why: str) -> None:
    """Write the results anew, with a note."""
    notes = json.loads(KEPT.read_text())["notes"] if KEPT.exists() else []
    notes.append({"date": date.today().isoformat(), "why": why})
    results = {name: probe() for name, probe in PROBES.items()}
    KEPT.write_text(json.dumps({"notes": notes, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    renew()

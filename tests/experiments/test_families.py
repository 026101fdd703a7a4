"""Experiments on BigGAN and BigGAN-deep with random weights: boundaries in each layer's code, and in w."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from higan_fast import experiments, load_predictor
from higan_fast.experiments import Subject
from higan_fast.probing import fit_boundaries, sample, sweep_steps, verify
from tests.test_cli_families import EXPECTED, FAMILIES

LEVELS = {"brightness": "layout", "contrast": "object", "colorfulness": "object", "saturation": "attribute"}
NAMES = (*LEVELS, "warmth")


@pytest.fixture(scope="module", params=["biggan", "biggan-deep"])
def made(request):
    """As if every effect were shown, and each boundary acted on a layer alone."""
    torch.manual_seed(1)
    generator = FAMILIES[request.param]()
    with torch.no_grad():
        for entry, tensor in generator.state_dict().items():
            if "variance" in entry:
                tensor.uniform_(0.5, 1.5)
            else:
                tensor += 0.1 * torch.randn_like(tensor)
    predictor = load_predictor("color", levels=LEVELS)
    samples = sample(generator, predictor, 320, truncation_psi=0.8, progress=False)
    boundaries = fit_boundaries(samples, semantics=NAMES, method="difference", chosen_num=0.3, progress=False)
    found = verify(generator, predictor, boundaries, num=24, num_null=4, confidence=0.8, progress=False)
    first = np.zeros_like(found.layer_beats_null)
    first[:, 0] = True
    verification = replace(
        found, beats_null=np.ones_like(found.beats_null), layer_beats_null=first,
        top_layer=np.zeros_like(found.top_layer),
    )  # fmt: skip
    assert (generator.num_layers, boundaries["warmth"].space) == EXPECTED[request.param][:2]
    subject = Subject(generator, predictor, progress=False)
    means = dict(zip(predictor.names, samples.scores.mean(axis=0), strict=True))
    larger = sorted(("brightness", "saturation"), key=means.get, reverse=True)
    return SimpleNamespace(
        subject=subject, larger=larger, samples=samples, boundaries=boundaries, verification=verification,
        of_probe=(subject, boundaries, verification), of_samples=(subject, samples, boundaries, verification),
    )  # fmt: skip


CALLS = {
    "hierarchy": lambda made: experiments.hierarchy(*made.of_probe, num=24),
    "transition": lambda made: experiments.transition(
        *made.of_probe, *made.larger, largest=True, num=16, steps=(1,), layers="own"
    ),
    "ablate-layers": lambda made: experiments.ablate_layers(*made.of_probe, num=24),
    "ablate-ranking": lambda made: experiments.ablate_ranking(*made.of_samples[:3], num=24),
    "ablate-space": lambda made: experiments.ablate_space(*made.of_samples[:3], method="difference", num=24),
    "correlate": lambda made: experiments.correlate(*made.of_samples, pairs=[("warmth", "contrast")], num=24),
    "falsify": lambda made: experiments.falsify(*made.of_samples, num=8, max_samples=8, num_null=2),
    "mix": lambda made: experiments.mix(*made.of_probe[:2], num=24),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_experiment_is_whole_in_every_space(name, made):
    finding = CALLS[name](made)
    assert finding.experiment == name and finding.sentences and finding.images
    assert finding.to_json()["rows"] and not re.search(r"\bnan\b", repr(finding))
    assert finding.draw().axes


def test_swapped_codes_are_followed_where_layers_read_their_own(made):
    rows = experiments.falsify(*made.of_samples, num=8, max_samples=8, num_null=2).rows
    there = [row for row in rows if row["sabotage"] == "codes swapped" and row["expected"] == "must stay"]
    assert {row["layers"] for row in there} != {"0"} and all(np.isfinite(row["measured"]) for row in there)


def test_a_dose_goes_through_the_class(made):
    generator, predictor = made.subject.generator, made.subject.predictor
    found = sweep_steps(
        generator, predictor, made.boundaries, (-2, 2), num=8, verification=made.verification, progress=False
    )
    assert len(found.curves()) == len(found.curves(acting=True)) == len(NAMES)
    assert "throughout the 3 steps that were measured" in repr(found)

"""Mixing layer codes in the toy world, where it is known which layer paints which semantic."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from higan_fast.experiments import mix
from higan_fast.sampling.latents import EXPERIMENT, codes_of
from tests.toy import GROUPS, LAYER_OF, SEMANTICS


def test_a_group_changes_exactly_the_semantics_of_its_layers(probed):
    mixed = probed.subject.mix(list(probed.boundaries.values()), [(0,), (1, 2), (3,), (4,)], num=16)
    codes = codes_of(probed.generator, 1, range(32), stream=EXPERIMENT).codes
    both = codes[::2].clone()
    both[:, 1:3] = codes[1::2, 1:3]
    with torch.no_grad():
        expected = probed.predictor(probed.generator.synthesize(both).clamp(-1, 1))
    np.testing.assert_allclose(mixed.mixed[:, 1], expected.double().numpy(), atol=1e-4)
    for place, layers in enumerate([(0,), (1, 2), (3,), (4,)]):
        change = np.abs(mixed.mixed[:, place] - mixed.base).max(axis=0)
        for column, semantic in enumerate(SEMANTICS):
            reads = LAYER_OF.get(semantic.name)
            if reads in layers:
                assert change[column] > 0.5, semantic.name
            elif reads is None or reads < layers[0]:
                assert change[column] < 0.02, semantic.name


def test_it_says_which_group_surely_changes_a_level_most(probed):
    finding = mix(probed.subject, probed.boundaries, num=96)
    expected = {semantic.level: GROUPS[LAYER_OF[semantic.name]] for semantic in SEMANTICS
                if semantic.name in LAYER_OF}  # fmt: skip
    assert len(finding.sentences) == len(expected) == 4 and len(finding.rows) == 16
    for sentence, (level, group) in zip(finding.sentences, expected.items(), strict=True):
        assert sentence.startswith(f"{level}: ") and f"the {group} layers" in sentence
        assert "surely change it most" in sentence and "not surely" not in sentence
    for row in finding.rows:  # where nearly nothing changes, an interval has no upper end
        assert 0 <= row["low"] <= row["change_in_deviations"]
        own = expected[row["level"]] == row["group"]
        assert (0.5 < row["low"] < row["high"]) if own else row["change_in_deviations"] < 0.1
    assert len(finding.draw().axes) == 1 and not finding.pictures


def test_the_grid_and_what_is_kept(probed, tmp_path, monkeypatch):
    subject = replace(probed.subject, out=tmp_path / "mix")
    like = list(probed.boundaries.values())
    grid = subject.mixed_images(like, (1, 2), [7, 8], [3, 4, 5])
    codes = codes_of(probed.generator, 1, [8, 5], stream=EXPERIMENT).codes
    codes[1, 1:3] = codes[0, 1:3]
    with torch.no_grad():
        source, both = probed.generator.synthesize(codes).clamp(-1, 1)
    torch.testing.assert_close(grid[2, 0], source, atol=1e-5, rtol=0)
    torch.testing.assert_close(grid[2, 3], both, atol=1e-5, rtol=0)
    assert grid.shape[:2] == (3, 4) and (grid[0, 0] == 1).all()
    first = subject.mix(like, [(0,)], num=40)
    assert len(list((tmp_path / "mix").glob("*.npz"))) == 2
    monkeypatch.setattr("higan_fast.experiments.subject.Subject._mixed_codes", None)
    np.testing.assert_array_equal(subject.mix(like, [(0,)], num=40).mixed, first.mixed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": "9"}, "there is no layer 9"),
        ({"layers": "1", "group": "top"}, "--layers, --group: got both"),
        ({"group": "middle"}, r"group \(--group\): got 'middle', expected one of bottom, lower, upper, top"),
        ({"samples": [1, 2]}, r"samples \(--samples\): got 2, expected more than 4"),
        ({"sources": 0}, r"sources \(--sources\): got 0"),
        ({"num": 1}, r"num \(--num\): got 1"),
    ],
)
def test_bad_input_is_one_clear_line(probed, change, message):
    with pytest.raises(ValueError, match=message) as raised:
        mix(probed.subject, probed.boundaries, **change)
    assert "\n" not in str(raised.value)


def test_one_group_has_nothing_to_mix(probed, monkeypatch):
    monkeypatch.setattr(probed.generator, "layers", probed.generator.layers[:1])
    with pytest.raises(ValueError, match="one group of layers, which has nothing to mix"):
        mix(probed.subject, probed.boundaries)

"""Share, presence and position of classes, against maps that say exactly what is where."""

from __future__ import annotations

import math
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from higan_fast.predictors.ade20k import ADE20K
from higan_fast.predictors.segmentation import MEASURES, SegmentationPredictor

CLASSES = ("wall", "bed", "table lamp")
IMAGES = torch.zeros(2, 3, 8, 8)
SURE = 20.0  # a logit: the others' probabilities are e⁻²⁰ each, 2e-9


def shown(masks: Tensor, sure: float = SURE) -> Tensor:
    """Masks ``[N, h, w]`` → logits of the classes ``[N, 3, h, w]``."""
    return torch.nn.functional.one_hot(masks, len(CLASSES)).movedim(3, 1).float() * sure


def predictor(maps: Any, **options: Any) -> SegmentationPredictor:
    return SegmentationPredictor(lambda images: maps, CLASSES, **options)


def some_masks() -> Tensor:
    masks = torch.zeros(2, 40, 50, dtype=torch.int64)
    masks[0, 10:20, 40:50] = 1  # 100 of 2,000 pixels: at the right edge, x from 0.6 to 1
    masks[1, :, :25] = 2  # the left half
    return masks


def test_measures_of_maps_that_are_sure_are_those_of_their_masks() -> None:
    ours = predictor(shown(some_masks()), chosen=("bed", "table lamp"))
    assert ours.names == tuple(
        f"{name}_{what}" for name in ("bed", "table_lamp") for what in ("share", "presence", "position")
    )
    assert [semantic.level for semantic in ours.semantics] == ["object", "object", "layout"] * 2
    assert ours.score_ranges == ((0, 1), (0, 1), (-1, 1)) * 2
    assert ours.has_logits == (False, True, False) * 2
    expected = torch.tensor([[0.05, 1, 0.8, 0, 0, 0], [0, 0, 0, 0.5, 1, -0.5]])
    torch.testing.assert_close(ours(IMAGES), expected, rtol=0, atol=1e-6)  # e⁻²⁰, 2,000 times at most


def test_of_wall_floor_and_ceiling_the_share_is_layout_and_alone() -> None:
    ours = predictor(shown(some_masks()))
    assert ours.names[:2] == ("wall_share", "bed_share") and len(ours.names) == 7
    assert ours.semantics[0].level == "layout"
    torch.testing.assert_close(ours(IMAGES)[:, 0], torch.tensor([0.95, 0.5]))
    asked = predictor(shown(some_masks()), chosen="wall", measures=("position", "presence"))
    assert asked.names == ("wall_position", "wall_presence")
    # the wall's pixels are all but 100 of 2,000, and those have their mean at 0.8
    torch.testing.assert_close(asked(IMAGES), torch.tensor([[-0.05 * 0.8 / 0.95, 1], [0.5, 1]]))


def test_presence_is_the_sigmoid_of_the_mean_log_odds_of_the_likeliest_thousandth() -> None:
    logits = torch.randn(2, 3, 60, 50, generator=torch.Generator().manual_seed(0)).double() * 3
    odds = logits[:, 1] - torch.logsumexp(logits[:, [0, 2]], dim=1)
    best = odds.flatten(1).sort(dim=1, descending=True).values[:, :3].mean(1)  # 3 of 3,000
    ours = predictor(logits, chosen="bed", measures="presence")
    torch.testing.assert_close(ours.logits(IMAGES)[:, 0], best.float())
    torch.testing.assert_close(ours(IMAGES)[:, 0], best.sigmoid().float())


def test_log_odds_keep_their_digits_where_a_class_is_sure() -> None:
    logits = shown(some_masks(), sure=60.0)
    ours = predictor(logits, chosen="bed", measures="presence").logits(IMAGES)[:, 0]
    # float32 has no probability between 1 − 1e-7 and 1, whose log-odds is 16
    expected = [60 - math.log(2), -60]  # there are two other classes in each pixel
    torch.testing.assert_close(ours, torch.tensor(expected), rtol=1e-5, atol=0)


def test_a_lone_pixel_is_no_presence_and_an_absent_class_is_nowhere() -> None:
    masks = torch.zeros(2, 64, 64, dtype=torch.int64)
    masks[0, 5, 60] = 1
    masks[1, 5:7, 60:62] = 1  # four pixels are a thousandth
    ours = predictor(shown(masks), chosen="bed", measures=("presence", "position"))(IMAGES)
    assert ours[0, 0] < 1e-3 and ours[0, 1].abs() < 1e-3
    assert ours[1, 0] > 0.999 and ours[1, 1] == pytest.approx((61 / 64) * 2 - 1, abs=1e-4)
    never = predictor(torch.stack([torch.full((8, 8), value) for value in (0.0, -1e4, -1e4)])[None])
    assert torch.equal(never(IMAGES[:1]), torch.tensor([[1.0, 0, 0, 0, 0, 0, 0]]))


@pytest.mark.parametrize("kind", ["out", "logits", "attribute", "none", "half"])
def test_maps_come_as_networks_give_them(kind: str) -> None:
    logits = shown(some_masks(), sure=3.0)
    given: Any = {
        "out": OrderedDict(out=logits, aux=logits * 0),
        "logits": {"logits": logits},
        "attribute": SimpleNamespace(logits=logits),
        "none": logits.softmax(1),
        "half": logits.half(),
    }[kind]
    ours = predictor(given, activation="none" if kind == "none" else "softmax")
    torch.testing.assert_close(ours(IMAGES), predictor(logits)(IMAGES))


def test_each_class_may_have_its_own_yes_or_no() -> None:
    masks = torch.stack([some_masks() > 0, some_masks() == 1], dim=1).float() * 2 - 1  # [2, 2, 40, 50]
    ours = SegmentationPredictor(lambda images: masks * 20, ("thing", "bed"), activation="sigmoid")
    expected = torch.tensor([[0.05, 1, 0.8, 0.05, 1, 0.8], [0.5, 1, -0.5, 0, 0, 0]])
    torch.testing.assert_close(ours(IMAGES), expected, rtol=0, atol=1e-6)
    alone = SegmentationPredictor(lambda images: masks[:, :1] * 20, "thing", activation="sigmoid")
    assert torch.equal(alone(IMAGES), ours(IMAGES)[:, :3])
    with pytest.raises(ValueError, match=r"activation \(--activation\): got 'relu'"):
        SegmentationPredictor(lambda images: masks, ("thing", "bed"), activation="relu")  # type: ignore[arg-type]


def test_gradients_reach_the_images_for_every_measure_and_agree_with_differences() -> None:
    torch.manual_seed(0)
    ours = SegmentationPredictor(torch.nn.Conv2d(3, 3, 3, padding=1), CLASSES, measures=MEASURES)
    images = torch.randn(2, 3, 12, 12).requires_grad_()
    step = torch.randn(2, 3, 12, 12) * 1e-3  # short: another pixel becomes the likeliest by a longer one
    for column, name in enumerate(ours.names):
        (gradient,) = torch.autograd.grad(ours(images)[:, column].sum(), images)
        with torch.no_grad():
            change = (ours(images + step) - ours(images - step))[:, column].sum().item() / 2
        # scores of about 1 are rounded by 6e-8, and four of them make the difference
        assert (gradient * step).sum().item() == pytest.approx(change, rel=0.01, abs=2.5e-7), name
        assert abs(change) > 1e-6, name


def test_scores_of_a_batch_are_those_of_its_images() -> None:
    torch.manual_seed(0)
    ours = SegmentationPredictor(torch.nn.Conv2d(3, 3, 3), CLASSES)
    images = torch.randn(5, 3, 16, 16)
    alone = torch.cat([ours(image[None]) for image in images])
    torch.testing.assert_close(ours(images), alone)


def test_sixteen_bits_are_for_the_network_and_not_for_the_measures() -> None:
    torch.manual_seed(0)
    ours = SegmentationPredictor(torch.nn.Conv2d(3, 3, 3, padding=1), CLASSES)
    images = torch.randn(2, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        scores = ours(images)
    assert scores.dtype == torch.float32
    # logits of about 1 carry 2⁻⁹; the mean of 4,096 pixels must not be rounded to that again
    shares = [name.endswith("share") for name in ours.names]
    torch.testing.assert_close(scores[:, shares], ours(images)[:, shares], rtol=0, atol=2e-4)


def test_of_many_classes_the_first_thirty_are_semantics() -> None:
    assert len(ADE20K) == len(set(ADE20K)) == 150
    assert [ADE20K.index(name) for name in ("wall", "bed", "windowpane", "sofa", "lamp", "flag")] == [
        *(0, 7, 8, 23, 36, 149)
    ]
    maps = torch.zeros(2, 150, 4, 4)
    ours = SegmentationPredictor(lambda images: maps, ADE20K)
    assert ours.chosen == ADE20K[:30]
    torch.testing.assert_close(ours(IMAGES)[:, 0], torch.full((2,), 1 / 150))
    chosen = SegmentationPredictor(lambda images: maps, ADE20K, chosen=("chest of drawers",))
    assert chosen.names[0] == "chest_of_drawers_share"


def test_what_cannot_be_is_said() -> None:
    maps = shown(some_masks())
    with pytest.raises(
        ValueError, match=r"classes \(--classes\): got 'sofa', expected some of wall, bed, table lamp"
    ):
        predictor(maps, chosen=("bed", "sofa"))
    with pytest.raises(
        ValueError, match=r"measures \(--measures\): got 'size', expected some of share, presence, position"
    ):
        predictor(maps, measures="size")
    with pytest.raises(ValueError, match=r"names \(--names\): got 'wall' twice"):
        SegmentationPredictor(lambda images: maps, ("wall", "wall", "bed"))
    with pytest.raises(ValueError, match=r"names \(--names\): got 1, expected one for each map, at least 2"):
        SegmentationPredictor(lambda images: maps, ("wall",))
    with pytest.raises(ValueError, match=r"maps of shape \[2, 3, 40, 50\] for 2 images and 2 names"):
        SegmentationPredictor(lambda images: maps, ("wall", "bed"))(IMAGES)
    with pytest.raises(ValueError, match=r"keys \['masks'\], expected 'out' or 'logits'"):
        predictor({"masks": maps})(IMAGES)
    with pytest.raises(ValueError, match=r"gave a builtins.list, expected a tensor of maps \[2, 3, h, w\]"):
        predictor([maps])(IMAGES)

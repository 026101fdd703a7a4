"""Colors by formula: values worked out by hand or in NumPy, ranges, and gradients where roots are steep."""

import itertools
import math

import numpy as np
import pytest
import torch

from higan_fast.fingerprint import fingerprint
from higan_fast.predictors import load_predictor
from higan_fast.predictors.color import HUES, RANGES, SHARPNESS, WINDOW, ColorPredictor
from higan_fast.sampling.samples import deviation_of

CORNERS = [np.array(corner, dtype=np.float64) for corner in itertools.product((0, 1), repeat=3)]
RED, BLUE, CYAN = np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), np.array([0, 1.0, 1.0])


def image(*parts):
    """An image of 100 pixels from (share in percent, color) pairs, in [-1, 1], float64."""
    pixels = np.concatenate([np.tile(color, (percent, 1)) for percent, color in parts])
    assert len(pixels) == 100
    return torch.from_numpy(pixels.T.reshape(1, 3, 10, 10) * 2.0 - 1)


def scored(images):
    predictor = ColorPredictor().double()
    return dict(zip(predictor.names, predictor(images)[0].tolist(), strict=True))


def lab(color):
    """CIELAB of one sRGB color, from the standards and without our code; XYZ as IEC 61966-2-1 rounds it."""
    light = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    rows = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    shares = [np.dot(row, light) / sum(row) for row in rows]
    x, y, z = (s ** (1 / 3) if s > 216 / 24389 else (24389 / 27 * s + 16) / 116 for s in shares)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def test_plain_colors():
    # L*, a*, b* of sRGB red under D65, as tables give them, by a white point of more digits.
    np.testing.assert_allclose(lab(RED), (53.24, 80.09, 67.20), atol=0.03)
    lightness, red_green, yellow_blue = lab(RED)
    chroma, hue = math.hypot(red_green, yellow_blue), math.atan2(yellow_blue, red_green)
    red = scored(image((100, RED)))
    assert red["brightness"] == pytest.approx(lightness / 100)
    assert red["contrast"] == 0
    assert red["saturation"] == pytest.approx(chroma / math.hypot(chroma, lightness), abs=0.001)
    warm = -0.5 + 0.02 * chroma**1.07 * math.cos(hue - math.radians(50))
    assert red["warmth"] == pytest.approx(warm, abs=0.001)
    # One of chroma + 1 is the share by which a hue fades towards gray.
    share = chroma / (chroma + 1)
    assert red["hue_red_green"] == pytest.approx(share * math.cos(hue), abs=0.002)
    assert red["hue_yellow_blue"] == pytest.approx(share * math.sin(hue), abs=0.002)
    found = math.atan2(red["dominant_yellow_blue"], red["dominant_red_green"])
    assert found == pytest.approx(hue, abs=math.radians(0.5))


@pytest.mark.parametrize("level", [0.0, 0.01, 0.5, 1.0])
def test_gray_has_no_color(level):
    found = scored(image((100, np.full(3, level))))
    assert found.pop("brightness") == pytest.approx(lab(np.full(3, level))[0] / 100, abs=1e-9)
    assert found.pop("warmth") == pytest.approx(-0.5, abs=1e-9)
    assert found == pytest.approx(dict.fromkeys(found, 0.0), abs=1e-6)


def test_contrast_of_a_ramp_and_of_two_halves():
    ramp = [(1, np.full(3, level)) for level in np.linspace(0, 1, 100)]
    lightness = np.array([lab(color)[0] for _, color in ramp]) / 100
    # Roots are smoothed by 0.001.
    smoothed = math.sqrt(lightness.var() + 0.001**2) - 0.001
    assert scored(image(*ramp))["contrast"] == pytest.approx(smoothed)
    halves = scored(image((50, np.zeros(3)), (50, np.ones(3))))
    assert halves["contrast"] == pytest.approx(0.499, abs=1e-5)
    assert halves["brightness"] == pytest.approx(0.5)


def test_colorfulness_by_hand_and_of_any_image():
    # Half red, half blue. R - G: 255 and 0. (R + G) / 2 - B: 127.5 and -255.
    by_hand = math.hypot(127.5, 191.25) + 0.3 * math.hypot(127.5, 63.75)
    assert scored(image((50, RED), (50, BLUE)))["colorfulness"] == pytest.approx(by_hand, abs=0.13)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 12)).astype(np.float64)
    red, green, blue = pixels
    rg, yb = red - green, (red + green) / 2 - blue
    metric = math.hypot(rg.std(), yb.std()) + 0.3 * math.hypot(rg.mean(), yb.mean())
    found = scored(torch.from_numpy(pixels)[None] / 127.5 - 1)["colorfulness"]
    assert found == pytest.approx(metric, abs=0.13)  # both roots are smoothed by 0.1


def test_dominant_hue_is_the_mode_where_the_mean_lies_between():
    teal = 0.7 * CYAN
    parts = (55, RED), (45, teal)
    found = scored(image(*parts))
    labs = np.array([lab(color) for _, color in parts])
    chroma, hue = np.hypot(labs[:, 1], labs[:, 2]), np.arctan2(labs[:, 2], labs[:, 1])
    weight = np.array([0.55, 0.45]) * chroma
    angles = np.arange(HUES) * 2 * np.pi / HUES
    window = np.cos((angles[:, None] - hue) / 2) ** (2 * WINDOW)
    density = (window * weight).sum(1) / (weight.sum() + 1)
    share = np.exp(SHARPNESS * density) / np.exp(SHARPNESS * density).sum()
    assert found["dominant_red_green"] == pytest.approx(share @ np.cos(angles), abs=0.01)
    assert found["dominant_yellow_blue"] == pytest.approx(share @ np.sin(angles), abs=0.01)
    assert np.hypot(found["dominant_red_green"], found["dominant_yellow_blue"]) > 0.9
    assert np.hypot(found["hue_red_green"], found["hue_yellow_blue"]) < 0.8
    turned = scored(image((20, RED), (80, teal)))
    assert turned["dominant_red_green"] < -0.8 < 0.7 < found["dominant_red_green"]


def test_hue_goes_around_without_a_jump():
    around = torch.linspace(0, 1, 721, dtype=torch.float64)
    pure = ((around[:, None] * 6 + torch.tensor([0.0, 4.0, 2.0])) % 6 - 3).abs().sub(1).clamp(0, 1)
    scores = ColorPredictor().double()((pure * 1.2 - 0.6)[:, :, None, None])
    assert torch.allclose(scores[0], scores[-1])
    hues = scores[:, [RANGES_AT["hue_red_green"], RANGES_AT["dominant_red_green"]]]
    assert hues.diff(dim=0).abs().max() < 0.05 and hues.amax() > 0.9 and hues.amin() < -0.9


RANGES_AT = {name: column for column, name in enumerate(RANGES)}


def test_scores_stay_within_their_ranges():
    axis = np.linspace(0, 1, 17)
    colors = torch.from_numpy(np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3, 1, 1))
    pairs = torch.stack([image((50, a), (50, b))[0] for a in CORNERS for b in CORNERS])
    predictor = ColorPredictor().double()
    scores = torch.cat([predictor(colors * 2 - 1), predictor(pairs)])
    low, high = torch.tensor(predictor.score_ranges, dtype=torch.float64).T
    assert (scores >= low).all() and (scores <= high).all()
    assert tuple(RANGES) == predictor.names
    # Those of warmth are no wider than the colors of sRGB: red is the warmest.
    warmth = scores[:, RANGES_AT["warmth"]]
    assert warmth.min() < low[RANGES_AT["warmth"]] + 0.03
    assert warmth.max() > high[RANGES_AT["warmth"]] - 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_where_directions_are_undefined(dtype):
    predictor = ColorPredictor().to(dtype)
    flat = [np.full(3, level) for level in (0.0, 1e-4, 0.5, 1.0)] + CORNERS
    images = torch.cat([image((100, color)) for color in flat] + [image((99, RED * 0), (1, RED))]).to(dtype)
    images.requires_grad_(True)
    for column, (name, (low, high)) in enumerate(RANGES.items()):
        (gradient,) = torch.autograd.grad(predictor(images)[:, column].sum(), images)
        assert gradient.isfinite().all(), name
        # One pixel of a hundred, as a share of all that the score can be.
        assert gradient.abs().max() / (high - low) < 1, name


def test_gradients_are_those_of_the_scores():
    torch.manual_seed(0)
    images = (torch.rand(2, 3, 4, 4, dtype=torch.float64) * 1.8 - 0.9).requires_grad_(True)
    assert torch.autograd.gradcheck(ColorPredictor().double(), images)


def test_precision_and_resolution_do_not_count():
    predictor = load_predictor("color")
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    exact = predictor.double()(images.double())
    predictor.float()
    with torch.autocast("cpu", torch.bfloat16):
        scores = predictor(images)
    torch.testing.assert_close(scores.double(), exact, rtol=1e-4, atol=1e-4)
    larger = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(predictor(larger), scores, rtol=1e-4, atol=1e-4)
    assert predictor(images.half()).dtype == torch.float16


def test_its_fingerprint_tells_its_definition():
    predictor, other = ColorPredictor(), ColorPredictor()
    assert fingerprint(predictor) == fingerprint(other) and fingerprint(predictor).complete
    other.definition += 1
    assert fingerprint(predictor) != fingerprint(other)


def test_scores_of_color_are_the_same_for_all_gray_images():
    predictor = load_predictor("color")
    gray = (torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1).expand(-1, 3, -1, -1)
    varies = deviation_of(predictor(gray).numpy()) > 0
    assert [name for name, does in zip(predictor.names, varies, strict=True) if does] == [
        "brightness",
        "contrast",
    ]

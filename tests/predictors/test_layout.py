"""Layout from lines: rooms that are drawn here and renders of the embedded world, whose cameras are known."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from benchmarks.layout import truth
from higan_fast.fingerprint import fingerprint
from higan_fast.predictors import load_predictor
from higan_fast.predictors.layout import LayoutPredictor
from higan_fast.predictors.lines import Edges
from higan_fast.scenes.factors import sample_factors
from higan_fast.scenes.renderer import render

PLAIN = ((0.45, 0.4, 0.4), (0.55, 0.55, 0.5), (0.7, 0.65, 0.6), (0.3, 0.25, 0.2), (0.9, 0.9, 0.9))


def drawn(view, pitch, field_of_view, left=-2.0, right=2.4, depth=4.0, resolution=64, height=(-1.4, 1.2)):
    """A bare room, ray by ray, and where its corners meet the horizon; the camera is at the origin."""
    reach = math.tan(math.radians(field_of_view / 2))
    rays = 4 * resolution
    place = reach * ((np.arange(rays) + 0.5) / rays * 2 - 1)
    across, up = np.meshgrid(place, -place)
    yaw, tilt = np.radians([view, pitch])
    forward = np.cos(tilt) - up * np.sin(tilt)
    x = across * np.cos(yaw) + forward * np.sin(yaw)
    y = up * np.cos(tilt) + np.sin(tilt)
    z = forward * np.cos(yaw) - across * np.sin(yaw)
    with np.errstate(divide="ignore"):
        distances = [left / x, right / x, np.where(z > 0, depth / z, np.inf), height[0] / y, height[1] / y]
    distances = [np.where(distance > 0, distance, np.inf) for distance in distances]
    image = np.array(PLAIN)[np.argmin(distances, axis=0)]
    image = image.reshape(resolution, 4, resolution, 4, 3).mean((1, 3))
    corners = [np.tan(np.arctan2(side, depth) - yaw) / np.cos(tilt) for side in (left, right)]
    images = torch.from_numpy(image.transpose(2, 0, 1)[None] * 2 - 1).float()
    return images, [(corner / reach + 1) / 2 for corner in corners]


@pytest.mark.parametrize("field_of_view", [60.0, 90.0])
@pytest.mark.parametrize(("view", "pitch"), [(0, 0), (14, -10), (-25, 8)])
def test_a_bare_room(view, pitch, field_of_view):
    images, corners = drawn(view, pitch, field_of_view)
    scores = LayoutPredictor(field_of_view)(images)[0].tolist()
    reach = math.tan(math.radians(field_of_view / 2))
    assert scores[0] == pytest.approx(view, abs=2.5)
    assert scores[1] == pytest.approx((1 - math.tan(math.radians(pitch)) / reach) / 2, abs=0.03)
    for found, corner in zip(scores[2:], corners, strict=True):
        if 0.05 < corner < 0.95:
            assert found == pytest.approx(corner, abs=0.03)


def test_a_mirrored_room_is_seen_from_the_other_side():
    images, _ = drawn(17, -8, 75.0)
    view, horizon, left, right = LayoutPredictor()(images)[0].tolist()
    mirrored = LayoutPredictor()(images.flip(3))[0].tolist()
    assert mirrored == pytest.approx([-view, horizon, 1 - right, 1 - left], abs=1e-3)


def test_it_finds_the_cameras_of_the_embedded_world():
    """Rank correlations with what the renderer was told, on 96 rooms as training draws them."""
    factors = sample_factors(11, range(96))
    scores = load_predictor("layout")(render(factors).float() / 127.5 - 1).numpy()
    expected = truth(factors)
    found = [spearmanr(scores[:, column], expected[:, column])[0] for column in range(4)]
    # 0.998, 0.994, 0.995 and 0.980 on 512 rooms (docs/predictors.md).
    assert found[0] > 0.98 and found[1] > 0.96 and found[2] > 0.95 and found[3] > 0.9, found
    error = np.sqrt(np.mean((scores - expected) ** 2, axis=0))
    assert error[0] < 1.5 and error[1] < 0.02 and (error[2:] < 0.05).all(), error


def test_scores_stay_within_their_ranges():
    torch.manual_seed(0)
    predictor = LayoutPredictor()
    noise = torch.rand(16, 3, 64, 64) * 2 - 1
    stripes = torch.cat([drawn(view, pitch, 75.0)[0] for view in (-44, 40) for pitch in (-31, 30)])
    scores = predictor(torch.cat([noise, stripes]))
    low, high = torch.tensor(predictor.score_ranges).T
    assert (scores >= low).all() and (scores <= high).all()
    assert predictor.score_ranges[0] == (-44.0, 44.0)


@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
def test_a_flat_image_has_the_mean_of_all_hypotheses_and_a_gradient(level):
    images = torch.full((1, 3, 64, 64), level, requires_grad=True)
    scores = LayoutPredictor()(images)
    assert scores[0].tolist() == pytest.approx([0, 0.5, 0.25, 0.75], abs=0.01)
    (gradient,) = torch.autograd.grad(scores.sum(), images)
    assert (gradient == 0).all()


def test_gradients_are_those_of_the_scores():
    images = drawn(10, -5, 75.0, resolution=64)[0].double()
    predictor = LayoutPredictor().double()
    direction = torch.randn(images.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    images.requires_grad_(True)
    for column in range(4):
        (gradient,) = torch.autograd.grad(predictor(images)[0, column], images)
        with torch.no_grad():
            step = 1e-6 * direction
            slope = (predictor(images + step) - predictor(images - step))[0, column] / 2e-6
        assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=1e-4)


def test_precision_batch_and_resolution():
    predictor = LayoutPredictor()
    small = torch.cat([drawn(view, -6, 75.0)[0] for view in (-20, 5, 30)])
    large = torch.cat([drawn(view, -6, 75.0, resolution=192)[0] for view in (-20, 5, 30)])
    scores = predictor(small)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(predictor(small), scores)
    for row in range(3):
        torch.testing.assert_close(predictor(small[row : row + 1])[0], scores[row], rtol=1e-4, atol=1e-4)
    difference = (predictor(large) - scores).abs().amax(0)
    assert difference[0] < 1 and (difference[1:] < 0.02).all()


def test_what_is_refused():
    with pytest.raises(ValueError, match="field_of_view: got 5, expected degrees between 20 and 140"):
        LayoutPredictor(5)
    for text in ("layout:wide", "layout:5", "layout:nan"):
        with pytest.raises(ValueError, match=f"got '{text}', expected 'layout', or .* as in 'layout:60'"):
            load_predictor(text)
    assert load_predictor("layout:60").field_of_view == 60
    with pytest.raises(ValueError, match="got 32 × 64 pixels, expected square ones"):
        LayoutPredictor()(torch.zeros(1, 3, 64, 32))


def test_its_fingerprint_tells_the_field_of_view():
    assert fingerprint(LayoutPredictor(60)) == fingerprint(LayoutPredictor(60.0))
    assert fingerprint(LayoutPredictor(60)) != fingerprint(LayoutPredictor(75))


@pytest.mark.parametrize("degrees", [0, 20, 45, 80, 110, 150, 179])
def test_edges_run_as_they_are_drawn(degrees):
    angle = math.radians(degrees)
    place = torch.arange(33.0) - 16
    across, up = place[None], -place[:, None]
    ramp = (across * -math.sin(angle) + up * math.cos(angle)) * 0.2  # 0 along the edge
    edges = Edges((ramp.clamp(-0.5, 0.5) + 0.5).expand(1, 3, 33, 33))
    centre = edges.cosine[0, 16, 16], edges.sine[0, 16, 16]
    found = math.degrees(math.atan2(centre[1], centre[0]) / 2) % 180
    assert min(abs(found - degrees), 180 - abs(found - degrees)) < 1.5
    assert edges.strength[0, 16, 16] > 0.99
    assert (edges.strength[0][ramp.abs() > 1.1] < 1e-6).all()  # flat, three pixels and more from it

"""Images moved along boundaries."""

import copy

import numpy as np
import pytest
import torch

from higan_fast.boundaries.boundary import Boundary
from higan_fast.probing import jitter, manipulate, verify
from higan_fast.probing.manipulation import manipulate_each_layer
from higan_fast.probing.moved import measure_move
from tests.toy import LAYER_OF, SEMANTICS

NAMES = [semantic.name for semantic in SEMANTICS]


def test_steps_move_the_semantic_and_step_0_leaves_the_image(generator, predictor, samples, boundaries):
    codes = samples.codes[:5]
    images = manipulate(generator, codes, boundaries["view"], layers="0", steps=(-3, 0, 3), batch_size=4)
    assert images.shape == (5, 3, 3, 16, 16)
    with torch.no_grad():
        plain = generator.synthesize(torch.tensor(codes))
        torch.testing.assert_close(images[:, 1], plain, rtol=0, atol=1e-5)
        scores = predictor(images.flatten(0, 1)).unflatten(0, (5, 3))[..., NAMES.index("view")]
    assert (scores.diff(dim=1) > 1).all()


def test_only_the_chosen_layers_move(generator, samples, boundaries):
    codes = torch.tensor(samples.codes[:2])
    images = manipulate(generator, codes, boundaries["wood"], layers="1,3", steps=(2.0,))
    moved = codes.clone()
    moved[:, [1, 3]] += 2.0 * torch.tensor(boundaries["wood"].normal).float()
    with torch.no_grad():
        torch.testing.assert_close(images[:, 0], generator.synthesize(moved), rtol=0, atol=1e-5)


def test_truncation_shortens_steps_in_w(generator, samples, boundaries):
    codes = samples.codes[:2]
    options = {"layers": "all", "steps": (2.0,), "truncation_psi": 0.5}
    short = manipulate(generator, codes, boundaries["view"], **options)
    torch.testing.assert_close(short, manipulate(generator, codes, boundaries["view"], steps=(1.0,)))
    layered = Boundary("view", "layout", "layers", np.tile(boundaries["view"].normal, (5, 1)))
    full = manipulate(generator, codes, layered, **options)
    torch.testing.assert_close(full, manipulate(generator, codes, boundaries["view"], steps=(2.0,)))


def test_several_boundaries_move_together(generator, samples, boundaries):
    codes = torch.tensor(samples.codes[:2])
    both = manipulate(generator, codes, [boundaries["view"], boundaries["hue"]], steps=(1.5,))
    normal = torch.tensor(boundaries["view"].normal + boundaries["hue"].normal).float()
    with torch.no_grad():
        torch.testing.assert_close(both[:, 0], generator.synthesize(codes + 1.5 * normal), rtol=0, atol=1e-5)


def test_a_direction_in_wp_moves_each_layer_by_its_share(generator, samples, boundaries):
    codes = torch.tensor(samples.codes[:2])
    shares = np.array([0.6, 0.0, 0.0, 0.8, 0.0])[:, None]
    direction = Boundary("wood", "attribute", "layers", boundaries["wood"].normal * shares)
    images = manipulate(generator, codes, direction, steps=(2.0,))
    moved = codes + 2.0 * torch.tensor(direction.normal).float()
    with torch.no_grad():
        expected = generator.synthesize(moved).clamp(-1, 1)
    torch.testing.assert_close(images[:, 0], expected, rtol=0, atol=1e-5)
    both = [jitter(generator, codes, one, "3", num=2, seed=5) for one in (direction, boundaries["wood"])]
    shorter = jitter(generator, codes, boundaries["wood"], "3", num=2, scale=0.8, seed=5)
    torch.testing.assert_close(both[0], shorter, rtol=0, atol=1e-5)
    assert not torch.allclose(both[0], both[1], atol=1e-3)


def test_jitter_moves_along_the_boundary_alone(generator, predictor, samples, boundaries):
    layer = LAYER_OF["hue"]
    images = jitter(generator, samples.codes[:6], boundaries["hue"], layer, num=20, scale=0.5, seed=3)
    assert images.shape == (6, 20, 3, 16, 16)
    with torch.no_grad():
        scores = predictor(images.flatten(0, 1)).unflatten(0, (6, 20))
    assert (scores[..., NAMES.index("hue")].std(dim=1) > 0.2).all()
    assert (scores[..., NAMES.index("view")].std(dim=1) < 0.1).all()
    again = jitter(
        generator, samples.codes[:6], boundaries["hue"], layer, num=20, scale=0.5, seed=3, batch_size=7
    )
    torch.testing.assert_close(again, images, rtol=0, atol=1e-5)
    fewer = jitter(generator, samples.codes[:2], boundaries["hue"], layer, num=20, scale=0.5, seed=3)
    torch.testing.assert_close(fewer, images[:2], rtol=0, atol=1e-5)
    assert not torch.equal(
        jitter(generator, samples.codes[:6], boundaries["hue"], layer, num=20, seed=4), images
    )
    halved = jitter(
        generator, samples.codes[:6], boundaries["hue"], layer, num=20, seed=3, truncation_psi=0.5
    )
    torch.testing.assert_close(halved, images, rtol=0, atol=1e-5)  # scale 1 at psi 0.5 is scale 0.5


def test_images_can_be_used_for_gradients_and_hold_none(generator, samples, boundaries):
    images = manipulate(generator, samples.codes[:1], boundaries["view"])
    assert not images.requires_grad
    (images * torch.ones(1, requires_grad=True)).sum().backward()


def test_what_does_not_fit_is_refused(generator, samples, boundaries):
    codes = samples.codes[:2]
    in_z = Boundary("view", "layout", "z", np.eye(12)[0])
    for arguments, message in [
        ((codes, in_z), "'view' was fitted in z, which moves latents"),
        ((codes, boundaries["view"], "5"), "no layer 5: this generator has layers 0 to 4"),
        ((codes[:, 0], boundaries["view"]), r"codes: got shape \(2, 32\)"),
        ((codes, Boundary("x", "object", "w", np.eye(8)[0])), r"normal has shape \[8\]"),
        ((codes, boundaries["view"], "all", ()), "got none, expected at least one"),
        ((codes[:0], boundaries["view"]), "codes: got no samples"),
    ]:
        with pytest.raises(ValueError, match=message):
            manipulate(generator, *arguments)
    with pytest.raises(ValueError, match=r"num \(--jitter\): got 0"):
        jitter(generator, codes, boundaries["view"], num=0)


def test_each_layer_at_once_gives_the_images_of_one_layer_after_the_other(generator, samples, boundaries):
    codes, steps = samples.codes[:3], (-2.0, 0.0, 1.0)
    together = manipulate_each_layer(generator, codes, boundaries["wood"], steps, batch_size=4)
    assert together.shape == (3, generator.num_layers, 3, 3, 16, 16)
    for layer in range(generator.num_layers):
        alone = manipulate(generator, codes, boundaries["wood"], layers=layer, steps=steps)
        torch.testing.assert_close(together[:, layer], alone, rtol=0, atol=1e-5)


def test_what_a_move_changes_is_measured_beside_what_samples_do(generator, predictor, samples, boundaries):
    verification = verify(generator, predictor, boundaries, num=64, num_null=4, progress=False)
    other = copy.deepcopy(generator)
    other.patterns[3] *= 0.5  # wood is drawn half as strongly
    for drawer, factor in ((None, 1.0), (other, 0.5)):
        found = measure_move(
            generator, predictor, samples.codes[:6], [boundaries["wood"]], verification, samples.deviation,
            step=2.0, drawn_by=drawer,
        )  # fmt: skip
        wood = found.semantics.index("wood")
        change = (found.after - found.before)[:, wood]
        assert np.allclose(change, factor * found.expected[wood], rtol=0.3), "the gain differs by samples"
        images = manipulate(generator, samples.codes[:6], boundaries["wood"], steps=(2.0,), drawn_by=drawer)
        assert torch.allclose(predictor(images[:, 0]).double(), torch.from_numpy(found.after), atol=1e-5)
        lines = found.lines([f"{row}.png" for row in range(6)])
        assert lines[0].startswith(
            f"0.png: wood {found.before[0, wood]:.3f} → {found.after[0, wood]:.3f} at +2, "
        )
        assert lines[-1] == "wood: moved 0.25 SD or more the way of the step in 6 of 6 images"
    unknown = measure_move(
        generator, predictor, samples.codes[:2], [boundaries["wood"]], None, samples.deviation
    )
    assert np.isnan(unknown.expected).all() and "samples" not in unknown.lines("ab")[0]

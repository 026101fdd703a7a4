"""A probe of every kind of generator: with classes, with a code of its own for each layer, with one layer."""

import numpy as np
import pytest
import torch

from higan_fast.generators.biggan_deep import BigGANDeep, BigGANDeepConfig
from higan_fast.predictors import load_predictor
from higan_fast.probing import Boundary, Verification, fit_boundaries, manipulate, sample, verify
from higan_fast.sampling.latents import VERIFICATION, make_codes
from tests.generators.biggan_checks import make
from tests.toy import LAYER_OF, NUM_LAYERS, SEMANTICS, of_anyone, toy
from tests.toy_families import (
    CHUNK,
    EMBEDDED,
    NUM_CLASSES,
    ChunkedToy,
    chunked_toy,
    conditional_toy,
    one_layer_toy,
)

NAMES = [semantic.name for semantic in SEMANTICS]
QUIET = {"progress": False}


@pytest.fixture(scope="module")
def conditional():
    return sample(*conditional_toy(), 2000, **QUIET)


@pytest.fixture(scope="module")
def chunked():
    return sample(*chunked_toy(), 2000, **QUIET)


@pytest.fixture(scope="module")
def one_layer():
    return sample(*one_layer_toy(), 2000, **QUIET)


def fitted(samples, **options):
    return fit_boundaries(samples, chosen_num=500, **QUIET, **options)


@pytest.mark.parametrize("label", [None, 2])
def test_steps_in_z_leave_every_sample_its_class(conditional, label):
    generator, predictor = (network.double() for network in conditional_toy())
    boundaries = of_anyone(fitted(conditional, space="z"))
    psi, truncated, num, step = 0.7, 2, 70, 1.5
    options = {"num": num, "num_null": 2, "step": step, "truncation_psi": psi, "label": label, **QUIET}
    found = verify(generator, predictor, boundaries, truncation_layers=truncated, batch_size=6, **options)
    with torch.no_grad():
        base = make_codes(generator, 1, 0, num, stream=VERIFICATION, label=label)
        assert set(base.label.tolist()) == (set(range(NUM_CLASSES)) if label is None else {label})
        for name in boundaries:
            move = step * torch.tensor(boundaries[name].normal)
            plus, minus = (
                predictor(generator.synthesize(generator.map(z, base.label, psi, truncated)).clamp(-1, 1))
                for z in (base.z + move, base.z - move)
            )
            expected = ((plus - minus) / 2).mean(dim=0)
            np.testing.assert_allclose(found.effect[found.row(name), 0], expected, rtol=0, atol=1e-9)


def test_a_conditional_generator_is_probed_like_any(conditional):
    boundaries = fitted(conditional)
    assert boundaries.settings["space"] == "w"
    found = verify(*conditional_toy(), boundaries, num=32, num_null=48, confidence=0.95, **QUIET)
    assert [found.best_layer(name) for name in LAYER_OF] == list(LAYER_OF.values())
    assert found.beats_null.all() and found.settings["label"] is None
    other = verify(*conditional_toy(), boundaries, num=32, num_null=2, batch_size=10, **QUIET)
    np.testing.assert_allclose(other.effect, found.effect, rtol=0, atol=1e-5)


def test_results_of_another_class_are_not_used(conditional, tmp_path):
    boundaries = fitted(conditional)
    options = {"num": 8, "num_null": 2, "out": tmp_path, **QUIET}
    of_all = verify(*conditional_toy(), boundaries, **options)
    of_one = verify(*conditional_toy(), boundaries, label=0, **options)
    assert of_one.settings["label"] == 0 and not np.array_equal(of_one.effect, of_all.effect)
    again = verify(*conditional_toy(), boundaries, label=0, **options)
    np.testing.assert_array_equal(again.effect, of_one.effect)


@pytest.mark.parametrize("networks", [toy, one_layer_toy])
def test_a_class_is_refused_where_there_are_none(networks):
    boundary = {"view": Boundary("view", "layout", "w", np.eye(32)[0])}
    with pytest.raises(ValueError, match="this generator is unconditional"):
        verify(*networks(), boundary, label=0, **QUIET)


def test_layers_with_codes_of_their_own_are_each_found(chunked):
    boundaries = fitted(chunked)
    assert boundaries.settings["space"] == "layers"
    assert boundaries["view"].normal.shape == (NUM_LAYERS, CHUNK + EMBEDDED)
    assert (boundaries["view"].normal[0, CHUNK:] == 0).all()
    found = verify(*chunked_toy(), boundaries, num=32, num_null=48, confidence=0.95, **QUIET)
    assert [found.best_layer(name) for name in LAYER_OF] == list(LAYER_OF.values())
    assert found.beats_null.all()
    for name, layer in LAYER_OF.items():
        assert found.layer_beats_null[found.row(name)].tolist() == [i == layer for i in range(NUM_LAYERS)]


def test_a_boundary_in_w_moves_each_layer_by_the_part_that_it_reads(chunked):
    boundaries = fitted(chunked, space="w")
    generator, predictor = chunked_toy()
    assert boundaries["view"].normal.shape == (generator.w_dim,)
    found = verify(generator, predictor, boundaries, num=32, num_null=48, confidence=0.95, **QUIET)
    assert [found.best_layer(name) for name in LAYER_OF] == list(LAYER_OF.values())
    assert found.beats_null.all()
    foreign = Boundary("view", "layout", "w", np.eye(generator.code_dim)[0])
    message = (
        rf"normal has shape \[{CHUNK + EMBEDDED}\], and in w this generator needs \[{generator.w_dim}\];"
    )
    with pytest.raises(ValueError, match=message):
        verify(generator, predictor, {"view": foreign}, **QUIET)
    with pytest.raises(ValueError, match=message):
        manipulate(generator, chunked.codes[:2], foreign)


def test_steps_in_z_move_all_chunks(chunked):
    boundaries = fitted(chunked, space="z")
    assert boundaries["view"].normal.shape == (NUM_LAYERS * CHUNK,)
    found = verify(*chunked_toy(), boundaries, num=64, **QUIET)
    assert found.beats_null.all() and found.layers == ()


class ClassOnlyToy(ChunkedToy):
    """As BigGAN without hierarchical latents: all layers but the first read nothing but the class."""

    def layer_codes(self, w, truncation_psi=1.0, truncation_layers=None):
        codes = super().layer_codes(w, truncation_psi, truncation_layers)
        codes[:, 1:, :CHUNK] = 0
        return codes


def test_layers_whose_code_never_differs_are_left_alone():
    generator = ClassOnlyToy()
    predictor = toy()[1]
    samples = sample(generator, predictor, 1000, label=1, **QUIET)
    boundaries = fit_boundaries(samples, chosen_num=300, **QUIET)
    view = boundaries["view"]
    assert np.linalg.norm(view.normal, axis=1) == pytest.approx([1, 0, 0, 0, 0]) and view.accuracy > 0.9
    found = verify(generator, predictor, {"view": view}, num=32, label=1, screening=4, **QUIET)
    assert found.beats_null.all() and found.best_layer("view") == 0
    assert (found.layer_profile("view")[1:] == 0).all()
    assert found.layer_beats_null.tolist() == [[True, False, False, False, False]]
    assert "bed" not in boundaries or not boundaries["bed"].normal[1:].any()
    freed = view.conditional_on(Boundary("x", "object", "layers", np.eye(5, CHUNK + EMBEDDED)))
    assert np.linalg.norm(freed.normal, axis=1) == pytest.approx([1, 0, 0, 0, 0])


@pytest.mark.parametrize("space", ["w", "layers"])
def test_one_layer_is_all_layers_and_measured_once(one_layer, space):
    boundaries = fitted(one_layer, space=space)
    num, num_null = 32, 16
    found = verify(*one_layer_toy(), boundaries, num=num, num_null=num_null, confidence=0.95, **QUIET)
    assert found.images == num + 2 * num * (len(boundaries) + 2 * num_null)
    assert found.effect.shape == (4, 2, len(SEMANTICS)) and found.null_high.shape == (2, len(SEMANTICS))
    np.testing.assert_array_equal(found.effect[:, 0], found.effect[:, 1])
    np.testing.assert_array_equal(found.layer_beats_null[:, 0], found.beats_null)
    assert found.beats_null.all() and found.mean_layer("view") == 0.0
    entry = found.to_json()["semantics"][0]
    assert entry["best_layer"] == 0 and [layer["layer"] for layer in entry["profile"]] == [0]
    assert entry["profile"][0]["effect"] == entry["effect"] > 0


@pytest.mark.parametrize("decide", [None, "effect", "top-layer", "ranking"])
def test_every_question_has_an_answer_on_one_layer(one_layer, decide, tmp_path):
    boundaries = fitted(one_layer)
    options = {
        "max_samples": 256,
        "num_null": 32,
        "confidence": 0.95,
        "out": tmp_path,
        "screening": 2,
        **QUIET,
    }
    found = verify(*one_layer_toy(), boundaries, decide=decide, **options)
    assert found.settings["decide"] == decide or (decide is None and found.settings["decide"] == "effect")
    assert found.beats_null.all() and found.num_undecided() == 0
    assert [found.best_layer(name) for name in boundaries] == [0] * 4
    assert sorted(found.rank()) == sorted(boundaries)
    assert (found.samples[:, 0] == found.samples[:, 1]).all() and found.images < found.images_fixed
    assert np.isfinite(found.screening).all()
    found.save(tmp_path / "verification.npz")
    assert Verification.load(tmp_path / "verification.npz").to_json() == found.to_json()
    again = verify(*one_layer_toy(), boundaries, decide=decide, **options)
    np.testing.assert_array_equal(again.effect, found.effect)


def test_what_a_generator_cannot_truncate_is_refused_before_an_image():
    generator, predictor = conditional_toy()

    def refuse(truncation_psi, truncation_layers=None):
        raise ValueError(f"no truncation of {truncation_psi} on {truncation_layers} layers")

    def start(num):
        raise AssertionError("an image before the truncation was looked at")

    generator.check_truncation, generator.start = refuse, start
    boundary = Boundary("view", "layout", "w", np.eye(32)[0])
    options = {"truncation_psi": 0.6, "truncation_layers": 2, **QUIET}
    with pytest.raises(ValueError, match=r"no truncation of 0\.6 on 2 layers"):
        sample(generator, predictor, 4, **options)
    with pytest.raises(ValueError, match=r"no truncation of 0\.6 on 2 layers"):
        verify(generator, predictor, {"view": boundary}, num=2, num_null=2, **options)


@pytest.mark.parametrize("space", ["w", "layers", "z"])
@torch.inference_mode()
def test_batch_statistics_of_the_truncation_in_a_whole_probe(space):
    """Every effect of BigGAN-deep, by hand, with codes that are truncated on two of three layers."""
    config = BigGANDeepConfig((8, 8, 4), (False, True), 6, 4, 3, num_statistics=11, bottom_width=8)
    generator, predictor = make(BigGANDeep, config), load_predictor("color").double()
    name, level = predictor.semantics[0].name, predictor.semantics[0].level
    normal = np.random.default_rng(0).normal(size={"w": 9, "layers": (3, 9), "z": 6}[space])
    if space == "layers":
        normal = np.pad(normal, ((0, 0), (0, 1)))  # the last entry is no direction
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    truncation = {"truncation_psi": 0.42, "truncation_layers": 2}
    found = verify(
        generator, predictor, {name: Boundary(name, level, space, normal)}, num=3, num_null=2, seed=5,
        label="random", **truncation, **QUIET,
    )  # fmt: skip
    base, move = (
        make_codes(generator, 5, 0, 3, stream=VERIFICATION),
        found.settings["step"] * torch.tensor(normal),
    )
    for place in range(1 if space == "z" else 4):
        layers = slice(None) if place == 0 else slice(place - 1, place)

        def moved(sign, layers=layers):
            if space == "z":
                return generator.map(base.z + sign * move, base.label, **truncation)
            codes = generator.layer_codes(base.w, **truncation)
            if space == "w":
                codes[:, layers] = generator.layer_codes(base.w + sign * move, **truncation)[:, layers]
            else:
                codes[:, layers] += sign * move[layers]
            return codes

        plus, minus = (predictor(generator.synthesize(moved(sign)).clamp(-1, 1)) for sign in (1, -1))
        expected = ((plus - minus) / 2).mean(dim=0)
        assert expected.abs().max() > 1e-4
        np.testing.assert_allclose(found.effect[0, place], expected, rtol=0, atol=1e-9)

"""Steps in standard deviations: how far codes spread along a boundary, and all that takes such steps."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from higan_fast.probing import Boundaries, Boundary, fit_boundaries, jitter, manipulate, measured_on, verify
from higan_fast.probing.null import directions_of
from higan_fast.probing.screening import screen
from higan_fast.sampling.latents import VERIFICATION, make_codes
from tests.toy import CODE_DIM, NUM_LAYERS, of_anyone, toy

QUIET = {"progress": False}
LITTLE = {"num": 4, "num_null": 3, "seed": 0, **QUIET}


@pytest.fixture
def view(samples):
    return of_anyone(fit_boundaries(samples, "view", chosen_num=200, **QUIET))["view"]


def test_a_step_is_as_long_as_the_codes_spread(samples, view):
    spread = (samples.w.astype(np.float64) @ view.normal).std()
    assert view.code_deviations == pytest.approx((spread,), rel=1e-9)
    np.testing.assert_allclose(view.per_step("sd"), spread * view.normal)
    np.testing.assert_array_equal(view.per_step("norm"), view.normal)
    layers = fit_boundaries(samples, "view", chosen_num=200, space="layers", **QUIET)["view"]
    each = np.einsum("nld,ld->nl", samples.codes.astype(np.float64), layers.normal).std(axis=0)
    np.testing.assert_allclose(layers.code_deviations, each, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(layers.per_step("sd"), axis=1), each, rtol=1e-6)


def test_what_is_not_known_can_be_measured(samples, view, tmp_path):
    other = fit_boundaries(samples, "bed", chosen_num=200, **QUIET)["bed"]
    freed = view.conditional_on(other)
    with pytest.raises(ValueError, match=r"step_unit \(--step-unit\): got 'sd', but how codes spread along"):
        freed.per_step("sd")
    (known,) = measured_on(samples, [freed])
    assert known.code_deviations == pytest.approx(((samples.w @ freed.normal).std(),), rel=1e-4)
    everywhere = Boundary("view", "layout", "layers", view.normal)
    (everywhere,) = measured_on(samples, [everywhere])
    assert everywhere.per_step("sd").shape == (NUM_LAYERS, CODE_DIM)
    Boundaries((everywhere,)).save(tmp_path / "b.safetensors")
    loaded = Boundaries.load(tmp_path / "b.safetensors")["view"]
    assert loaded.code_deviations == everywhere.code_deviations
    with pytest.raises(ValueError, match=r"'view': its normal has shape \[3\], and the codes"):
        measured_on(samples, [Boundary("view", "layout", "w", np.eye(3)[0])])


@pytest.mark.parametrize("space", ["w", "layers", "z"])
def test_effects_of_steps_in_either_unit_are_those_of_the_same_displacement(samples, space):
    fitted = fit_boundaries(samples, "view", chosen_num=200, space=space, **QUIET)["view"]
    fitted = replace(fitted, origin=None)
    (length,) = set(np.round(fitted.code_deviations, 9))  # the toy's layers share their code
    in_sd = verify(*toy(), {"view": fitted}, step=1.5, step_unit="sd", **LITTLE)
    in_norm = verify(*toy(), {"view": fitted}, step=1.5 * length, **LITTLE)
    np.testing.assert_allclose(in_sd.effect, in_norm.effect, rtol=0, atol=1e-5)
    assert (in_sd.settings["step"], in_sd.settings["step_unit"]) == (1.5, "sd")
    assert in_sd.step_in_sd("view") == 1.5
    assert in_norm.step_in_sd("view") == pytest.approx(1.5)
    unknown = verify(*toy(), {"view": replace(fitted, code_deviations=None)}, **LITTLE)
    assert np.isnan(unknown.step_in_sd("view"))


def test_random_directions_are_as_many_standard_deviations_long(samples, view):
    generator, _ = toy()
    codes = samples.w.astype(np.float64)

    def draw(start, stop):
        return make_codes(generator, 0, start, stop, stream=VERIFICATION)

    _, *random = directions_of([view], "sd", ("isotropic", "covariance"), 6, 3, draw)
    for direction in random:
        unit = direction.normal / np.linalg.norm(direction.normal)
        # Of 1,024 codes, whose own deviation has a standard error of 2 %, more with their heavy tails.
        assert np.linalg.norm(direction.normal) == pytest.approx((codes @ unit).std(), rel=0.12)
    shorter = directions_of([view], "norm", ("isotropic",), 6, 3, draw)
    assert [np.linalg.norm(direction.normal) for direction in shorter] == pytest.approx([1] * 7)


def test_pictures_and_guesses_take_the_same_steps(samples, view):
    generator, predictor = toy()
    codes, length = torch.tensor(samples.codes[:3]), view.code_deviations[0]
    in_sd = manipulate(generator, codes, view, steps=(-1, 2), step_unit="sd")
    torch.testing.assert_close(in_sd, manipulate(generator, codes, view, steps=(-length, 2 * length)))
    varied = jitter(generator, codes, view, scale=0.5, step_unit="sd")
    torch.testing.assert_close(varied, jitter(generator, codes, view, scale=0.5 * length))
    guessed = screen(generator, predictor, codes, {"view": view}, step=1.0, step_unit="sd", **QUIET)
    np.testing.assert_allclose(
        guessed, screen(generator, predictor, codes, {"view": view}, step=length, **QUIET), rtol=1e-6
    )
    for refused in (
        lambda: manipulate(generator, codes, view, step_unit="cm"),
        lambda: verify(generator, predictor, {"view": view}, step_unit="cm", **LITTLE),
    ):
        with pytest.raises(ValueError, match=r"step_unit \(--step-unit\): got 'cm', expected one of norm"):
            refused()

"""Verification on a world whose truth is known: layers recovered, the null beaten by what is real alone."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import higan_fast.probing.measurement as measurement
from higan_fast.predictors.base import ModulePredictor
from higan_fast.probing import Boundaries, Boundary, fit_boundaries, verify
from higan_fast.probing.effect_files import stored_keys
from higan_fast.probing.freed import FREED_SAMPLES
from higan_fast.sampling.latents import VERIFICATION, make_codes
from higan_fast.sampling.samples import sample
from tests.toy import CODE_DIM, LAYER_OF, NUM_LAYERS, SEMANTICS, toy

NAMES = [semantic.name for semantic in SEMANTICS]


def random_boundary(name, seed):
    normal = np.random.default_rng(seed).normal(size=CODE_DIM)
    return Boundary(name, "attribute", "w", normal / np.linalg.norm(normal))


def test_every_semantic_is_found_on_its_layer(verification):
    for name, layer in LAYER_OF.items():
        assert verification.best_layer(name) == layer
        profile = verification.layer_profile(name)
        assert profile.shape == (NUM_LAYERS,)
        assert profile[layer] > 5 * np.abs(np.delete(profile, layer)).max()
    assert verification.beats_null.all()
    found = [set(np.flatnonzero(row)) for row in verification.layer_beats_null]
    assert found == [{LAYER_OF[name]} for name in verification.boundary_names]
    levels = verification.mean_layer_by_level()
    assert levels == pytest.approx({"layout": 0.0, "object": 1.0, "attribute": 3.0, "color": 4.0})


def test_a_semantic_without_a_layer_of_its_own_has_no_mean_layer(verification):
    none = replace(verification, layer_beats_null=np.zeros_like(verification.layer_beats_null))
    assert none.mean_layer("view") is None
    assert none.mean_layer_by_level() == dict.fromkeys(("layout", "object", "attribute", "color"))
    two = np.zeros_like(verification.layer_beats_null)
    two[:, [0, 4]] = True
    found = replace(verification, layer_beats_null=two)
    profile = np.abs(verification.layer_profile("view"))
    assert found.mean_layer("view") == pytest.approx(4 * profile[4] / (profile[0] + profile[4]))


def test_a_random_boundary_does_not_beat_the_null():
    # Of 25 boundaries in 5 families, about 0.25 families err at the level of 5 %; with these seeds none does.
    for seed in range(5):
        randoms = Boundaries(tuple(random_boundary(name, [seed, i]) for i, name in enumerate(NAMES)))
        found = verify(*toy(), randoms, num=32, null="isotropic", confidence=0.95, progress=False)
        assert not found.beats_null.any()
        assert not found.layer_beats_null.any()
        assert (found.p_values > 0.005).all()
        assert found.mean_layer_by_level() == dict.fromkeys(("layout", "object", "attribute", "color"))


def test_what_random_directions_do_lies_in_the_null_band(verification):
    assert verification.null_low.shape == (1 + NUM_LAYERS, len(SEMANTICS))
    inside = total = 0
    for seed in range(10):
        randoms = Boundaries(tuple(random_boundary(name, [seed, i]) for i, name in enumerate(NAMES)))
        found = verify(*toy(), randoms, num=16, num_null=4, progress=False)
        effects = found.effect[:, 0, :3]
        inside += ((effects > verification.null_low[0, :3]) & (effects < verification.null_high[0, :3])).sum()
        total += effects.size
    assert abs(inside / total - 0.95) < 4 * np.sqrt(0.95 * 0.05 / total)


def plain_scores(generator, predictor, codes, layers, move):
    """One sample and one full forward pass at a time."""
    moved = codes.clone()
    moved[:, list(layers)] += move
    with torch.no_grad():
        return torch.cat([predictor(generator.synthesize(code[None]).clamp(-1, 1)) for code in moved]).numpy()


def test_figures_equal_a_plain_loop_of_full_forward_passes(boundaries):
    generator, predictor = (network.double() for network in toy())
    psi, truncated, step, num = 0.7, 2, 1.5, 32
    found = verify(
        generator,
        predictor,
        boundaries,
        num=num,
        step=step,
        num_null=2,
        truncation_psi=psi,
        truncation_layers=truncated,
        confidence=0.95,
        batch_size=6,
        progress=False,
    )
    with torch.no_grad():
        codes = make_codes(generator, 1, 0, num, psi, truncated, VERIFICATION).codes
    for row, name in enumerate(found.boundary_names):
        for layer_set, layers in enumerate([range(NUM_LAYERS), *([layer] for layer in range(NUM_LAYERS))]):
            strength = np.array([psi if layer < truncated else 1.0 for layer in layers])[:, None]
            move = torch.tensor(step * strength * boundaries[name].normal)
            base = plain_scores(generator, predictor, codes, layers, 0)
            plus = plain_scores(generator, predictor, codes, layers, move)
            minus = plain_scores(generator, predictor, codes, layers, -move)
            effects = (plus - minus) / 2
            even = (plus + minus) / 2 - base
            rises = np.maximum(plus - base, 0)
            error, even_error = (part.std(axis=0, ddof=1) / np.sqrt(num) for part in (effects, even))
            for array, expected in (
                (found.effect, effects.mean(axis=0)),
                (found.higan_delta, rises.mean(axis=0)),
                (found.standard_error, error),
                (found.even, even.mean(axis=0)),
                (found.even_error, even_error),
            ):
                np.testing.assert_allclose(array[row, layer_set], expected, rtol=0, atol=1e-9)
            for radius, expected in (
                (found.even_high - found.even, even_error),
                (found.high - found.effect, error),
                (found.effect - found.low, error),
            ):
                changes = expected > 1e-6  # the others may be the same in so many samples that there is none
                assert np.isinf(radius[row, layer_set, NAMES.index("constant")])
                np.testing.assert_allclose(  # Student's t, 31 degrees of freedom
                    radius[row, layer_set][changes], 2.0395134464 * expected[changes], rtol=0, atol=1e-9
                )


def test_batch_sizes_change_nothing_but_rounding(boundaries, verification):
    options = {"num": 64, "null": "isotropic", "confidence": 0.9, "progress": False}
    other = verify(*toy(), boundaries, batch_size=18, **options)
    np.testing.assert_allclose(other.effect, verification.effect, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(other.layer_beats_null, verification.layer_beats_null)


def test_base_samples_are_not_those_that_were_fitted():
    fitted = sample(*toy(), 64, seed=1, progress=False)
    with torch.no_grad():
        base = make_codes(toy()[0], 1, 0, 64, stream=VERIFICATION)
    assert not np.isin(base.z.numpy(), fitted.z).any()


def test_boundaries_per_layer_and_in_z_are_verified(samples):
    layered = fit_boundaries(samples, chosen_num=800, space="layers", progress=False)
    found = verify(*toy(), layered, num=32, truncation_psi=0.5, progress=False)
    assert [found.best_layer(name) for name in LAYER_OF] == list(LAYER_OF.values())
    in_z = verify(
        *toy(), fit_boundaries(samples, chosen_num=800, space="z", progress=False), num=32, progress=False
    )
    assert in_z.layers == ()
    assert in_z.effect.shape == (4, 1, 5)
    assert (in_z.effect[range(4), 0, [0, 1, 2, 4]] > 0).all()
    assert in_z.best_layer("view") is None
    assert in_z.images == 32 + (4 + 32 + len(in_z.freed)) * 2 * 32
    assert in_z.to_json()["semantics"][0]["profile"] == []


def test_ranking_puts_what_beats_the_null_first(boundaries):
    mixed = Boundaries((*boundaries.boundaries, random_boundary("constant", 0)))
    found = verify(*toy(), mixed, num=32, progress=False)
    assert found.rank()[-1] == "constant"
    relative = found.in_deviations()
    own = [relative[found.boundary_names.index(n), 0, NAMES.index(n)] for n in found.rank()[:-1]]
    assert own == sorted(own, reverse=True)
    assert found.p_values[-1] == 0.5  # of one side: it moves nothing
    assert verify(*toy(), mixed, semantics=["hue", "bed"], num=8, progress=False).boundary_names == (
        "hue",
        "bed",
    )


def files_of(folder):
    """What is kept of effects on a fixed number of samples: file → key."""
    (of_settings,) = (path for path in (folder / "verification").iterdir() if path.name != "results")
    return stored_keys(of_settings)


def count_measured(monkeypatch, stop_after=None):
    """Lists the directions that are measured; interrupts before a chunk when there are enough."""
    names, tally = [], measurement.Measurement.tally

    def counting(self, directions, *arguments, **options):
        if stop_after is not None and len(names) >= stop_after:
            raise KeyboardInterrupt
        names.extend(direction.name for direction in directions)
        return tally(self, directions, *arguments, **options)

    monkeypatch.setattr(measurement.Measurement, "tally", counting)
    return names


def test_a_run_resumes_with_the_directions_that_are_missing(boundaries, verification, tmp_path, monkeypatch):
    options = {"num": 64, "null": "isotropic", "confidence": 0.9, "out": tmp_path, "progress": False}
    monkeypatch.setattr(measurement, "DIRECTIONS_AT_ONCE", 4)
    count_measured(monkeypatch, stop_after=8)
    with pytest.raises(KeyboardInterrupt):
        verify(*toy(), boundaries, **options)
    monkeypatch.undo()
    monkeypatch.setattr(measurement, "DIRECTIONS_AT_ONCE", 4)
    kept = {len(stored["normals"]): path for path, stored in files_of(tmp_path).items()}
    assert len(files_of(tmp_path)) == 2 and set(kept) == {4}
    leftover = kept[4].with_name(f"{kept[4].name}.dead.partial")
    leftover.write_bytes(b"left by a dead writer")
    measured = count_measured(monkeypatch)
    resumed = verify(*toy(), boundaries, **options)
    freed = [name for name in measured if " without " in name]
    assert measured == [*(f"random direction {index} (isotropic)" for index in range(4, 32)), *freed]
    # directions go through the networks in other company, so that float32 sums round differently
    np.testing.assert_allclose(resumed.effect, verification.effect, rtol=0, atol=1e-6)
    np.testing.assert_allclose(resumed.null_high, verification.null_high, rtol=0, atol=1e-6)
    assert resumed.images == verification.images
    assert not list(tmp_path.rglob("*.partial"))
    measured.clear()
    verify(*toy(), boundaries, **options | {"confidence": 0.95})
    assert measured == []
    next(iter(files_of(tmp_path))).write_bytes(b"torn by another program")
    verify(*toy(), boundaries, **options | {"confidence": 0.8})
    assert len(measured) == 4, "what was in one file is measured again"


@pytest.mark.parametrize(
    "change",
    [{"step": 1.0}, {"num": 8}, {"seed": 2}, {"truncation_psi": 0.7}, {"precision": "fast"}],
)
def test_results_of_other_settings_are_not_used(boundaries, tmp_path, monkeypatch, change):
    options = {"num": 4, "null": "isotropic", "num_null": 2, "out": tmp_path, "progress": False}
    verify(*toy(), boundaries, **options)
    measured = count_measured(monkeypatch)
    verify(*toy(), boundaries, **options | change)
    assert len(measured) == 6


def test_results_of_other_networks_and_boundaries_are_not_used(boundaries, tmp_path, monkeypatch):
    options = {"num": 4, "null": "isotropic", "num_null": 2, "out": tmp_path, "progress": False}
    verify(*toy(), boundaries, **options)
    measured = count_measured(monkeypatch)
    freed = {name: boundaries[name] for name in boundaries}
    freed["hue"] = freed["hue"].conditional_on(freed["wood"])
    verify(*toy(), freed, **options)
    assert measured == ["hue"]
    generator, predictor = toy()
    generator.w_avg += 1e-3
    measured.clear()
    verify(generator, predictor, freed, **options)
    assert len(measured) == 6


def test_names_of_semantics_make_safe_file_names(boundaries, tmp_path):
    generator, predictor = toy()
    odd = "../direct sun/sunny"
    predictor.semantics = (type(SEMANTICS[0])(odd, "attribute"), *SEMANTICS[1:])
    verify(
        generator, predictor, {odd: random_boundary(odd, 0)}, num=4, num_null=2, out=tmp_path, progress=False
    )
    assert len(files_of(tmp_path)) == 1
    assert not any("sun" in str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num": 1}, "num: got 1, expected a whole number of at least 2"),
        ({"num_null": 0}, r"num_null \(--num-null\): got 0"),
        ({"batch_size": 0}, r"batch_size \(--batch\): got 0"),
        (
            {"precision": "rough"},
            r"precision \(--precision\): got 'rough', expected one of auto, exact, fast",
        ),
        ({"decide": "colour"}, r"decide \(--decide\): got 'colour'"),
        ({"max_samples": 1}, r"max_samples \(--max-samples\): got 1"),
        ({"step": 0.0}, r"step \(--step\): got 0.0"),
        ({"confidence": 95}, r"confidence \(--confidence\): got 95, .* did you mean 0.95"),
        ({"seed": -3}, r"seed \(--seed\): got -3"),
        ({"truncation_layers": 9}, r"truncation_layers \(--trunc-layers\): got 9"),
        ({"semantics": "sofa"}, "'sofa' is not one that this set of boundaries knows: view, bed, wood, hue"),
    ],
)
def test_bad_arguments_are_named(boundaries, arguments, message):
    with pytest.raises(ValueError, match=message):
        verify(*toy(), boundaries, **{"progress": False} | arguments)


def test_boundaries_that_do_not_fit_are_refused(boundaries):
    refused = [
        ({}, "boundaries: got none"),
        ({"sofa": random_boundary("sofa", 0)}, "'sofa' is not one that the predictor knows"),
        (
            {"bed": Boundary("bed", "object", "w", np.eye(7)[0])},
            r"normal has shape \[7\], and in w this generator needs \[32\];",
        ),
        (
            {"bed": Boundary("bed", "object", "layers", np.eye(7)[:4])},
            r"normal has shape \[4, 7\], and in layers this generator needs \[32\] or \[5, 32\];",
        ),
        (
            {"view": boundaries["view"], "bed": Boundary("bed", "object", "layers", np.eye(32)[:5])},
            "'bed' was fitted in layers and 'view' in w; verify one space at a time",
        ),
    ]
    for given, message in refused:
        with pytest.raises(ValueError, match=message):
            verify(*toy(), given, progress=False)


def test_one_boundary_or_a_list_of_some_is_enough(boundaries):
    options = {"num": 8, "progress": False}
    whole = verify(*toy(), boundaries, semantics=["view", "bed"], **options)
    listed = verify(*toy(), [boundaries["view"], boundaries["bed"]], **options)
    np.testing.assert_array_equal(listed.effect, whole.effect)
    alone = verify(*toy(), boundaries["view"], **options)
    assert alone.boundary_names == ("view",)
    for given, shown in (
        ("view", "'view'"),
        (None, "None"),
        ({"view": 3.0}, "3.0"),
        ([np.eye(3)], "a ndarray"),
    ):
        with pytest.raises(TypeError, match=rf"^boundaries: got {shown}, expected what fit_boundaries gives"):
            verify(*toy(), given, **options)
    with pytest.raises(TypeError, match=r"^conditional_on: got 'bed', expected a boundary"):
        boundaries["view"].conditional_on("bed")


def test_a_score_that_is_no_number_is_named(boundaries):
    generator, predictor = toy()
    healthy = predictor.forward
    predictor.forward = lambda images: torch.where(healthy(images) > 3, torch.nan, healthy(images))
    with pytest.raises(ValueError, match="NaN or infinity for semantic 'view' on images moved along view"):
        verify(generator, predictor, boundaries, num=16, progress=False)


def test_what_it_will_take_is_said_before(boundaries, capfd):
    verify(*toy(), boundaries, num=4, null="isotropic", num_null=2)
    verify(*toy(), boundaries, decide="effect", max_samples=8, null="isotropic", num_null=2)
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith(f"verifying: {4 * (1 + 2 * 6 * (1 + NUM_LAYERS))} images, 0.0 TFLOP, about ")
    likely, most = 8 * (1 + 2 * 6), 8 * (1 + 2 * 6 + 2 * 4 * 3)
    said = rf"verifying: likely about \d+ s \({likely} images\), at most \d+ s \({most} images\) if .*"
    assert re.fullmatch(said, lines[2])
    assert lines[3].startswith("verifying: ")
    assert "of 4 boundaries decided; 8 of at most 8 samples, took 0:" in lines[3]


def test_the_likely_time_is_of_what_is_decided_and_the_bound_of_what_is_not(boundaries, capfd):
    found = verify(*toy(), boundaries, num_null=8, confidence=0.95)
    line = capfd.readouterr().err.splitlines()[0]
    likely, most = (int(number.replace(",", "")) for number in re.findall(r"\(([\d,]+) images\)", line))
    said = r"verifying: likely about \d+ s \(.*\), at most \d+ \w+ \(.*\) if nothing is decided"
    assert re.fullmatch(said, line)
    pairs = 4 * 3 - len(found.freed)  # that might have been freed too
    assert most == found.images_fixed + 2 * FREED_SAMPLES * pairs
    assert found.images / 3 < likely < 3 * found.images < most


def test_screened_profiles_stand_beside_the_measured_ones(boundaries):
    options = {"num": 32, "num_null": 16, "confidence": 0.9, "progress": False}
    without, found = (verify(*toy(), boundaries, **options, screening=num) for num in (0, 8))
    assert np.isnan(without.screening).all() and without.screening_correlation("view") is None
    np.testing.assert_array_equal(found.effect, without.effect)
    assert found.beats_null.all()
    for name, layer in LAYER_OF.items():
        assert int(np.abs(found.screening[found.row(name)]).argmax()) == layer
        assert found.screening_correlation(name) > 0.95
    entry = found.to_json()["semantics"][0]
    assert entry["screening_correlation"] > 0.95 and len(entry["profile"]) == NUM_LAYERS
    assert all(isinstance(layer["screened"], float) for layer in entry["profile"])


def test_a_score_that_jumps_needs_a_range(boundaries):
    generator, predictor = toy()

    def jumps(images):
        return (predictor(images) > 0.3).float()

    options = {"semantics": "view", "decide": "effect", "max_samples": 256}
    options |= {"num_null": 16, "confidence": 0.9, "progress": False}
    found = verify(generator, ModulePredictor(jumps, SEMANTICS, identity="jumps"), boundaries, **options)
    ranged = ModulePredictor(jumps, SEMANTICS, score_range=(0.0, 1.0), identity="jumps")
    known = verify(generator, ranged, boundaries, **options)
    assert not found.beats_null.any() and known.beats_null.all()
    assert found.asymptotic.all() and not known.asymptotic.any()
    assert "fewer than 24 of them changed the score, each differently" in found.reason("view")
    assert "fewer than" not in known.reason("view")
    own = 0, 0, NAMES.index("view")
    assert np.isinf(found.low[own]) and known.low[own] > 0

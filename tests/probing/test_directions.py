"""Directions without a semantic: planted ones are found on their layer, random ones are taken for nothing."""

import csv
import io
import json

import numpy as np
import pytest

from higan_fast.boundaries.boundary import Boundary
from higan_fast.files import DamagedError
from higan_fast.probing import Directions, verify_directions
from higan_fast.statistics.proportions import proportion_interval
from tests.probing.same import same
from tests.toy import CODE_DIM, LAYER_OF, toy, toy_by_name

QUIET = {"progress": False}


def direction(name, normal, space="w"):
    return Boundary(name, "attribute", space, np.asarray(normal, np.float64) / np.linalg.norm(normal))


def planted():
    """What moves each semantic in the toy world, the second of them backwards; and what nobody scores."""
    normals = toy()[0].directions.double().numpy()
    found = [direction(f"towards {name}", normals[layer]) for name, layer in LAYER_OF.items()]
    found[1] = direction("away from bed", -normals[1])
    return [*found, direction("decoration", normals[2])]


@pytest.fixture(scope="module")
def found():
    return verify_directions(*toy(), planted(), num=64, num_null=32, confidence=0.95, **QUIET)


def test_planted_directions_are_found_on_their_layer(found):
    names = [semantic.name for semantic in found.semantics]
    for row, (name, layer) in enumerate(LAYER_OF.items()):
        column = names.index(name)
        assert found.moved_by(found.boundary_names[row])[0] == name
        assert found.sign[row, column] == (-1 if name == "bed" else 1)
        assert (found.top_layer[row, column], found.top_layer_sure[row, column]) == (layer, True)
        assert found.low[row, 0, column] < found.effect[row, 0, column] < found.high[row, 0, column]
    assert (found.sign[:, names.index("constant")] == 0).all() and found.moved_by("decoration") == []


def test_what_is_open_does_not_count_as_settled(capsys):
    """With 64 samples nothing may be given up: what moves nothing for sure stays open at the last look."""
    chosen = planted()[-2:]
    few = verify_directions(*toy(), chosen, max_samples=64, null="isotropic", confidence=0.9)
    num = int(few.undecided.sum())
    assert few.undecided[1].all() and num >= 4
    said = [line for line in capsys.readouterr().err.splitlines() if "settled" in line][-1]
    assert f"verifying: {int((~few.undecided.any(axis=1)).sum())} of 2 directions settled; " in said
    assert f"0 given up, {num} open; 64 of at most 64 samples" in said
    assert f"{num} pairs are open: more samples might tell more" in few.table().notes


@pytest.fixture(scope="module")
def decided():
    return verify_directions(*toy(), planted(), max_samples=128, null="isotropic", confidence=0.9, **QUIET)


def test_rounds_find_the_same_on_the_same_layers_with_fewer_images(found, decided):
    """Layers are measured of what moves something alone, and of these those that may be the top ones."""
    names = [semantic.name for semantic in decided.semantics]
    for row, (name, layer) in enumerate(LAYER_OF.items()):
        column = names.index(name)
        assert decided.sign[row, column] == found.sign[row, column] != 0
        assert (decided.top_layer[row, column], decided.top_layer_sure[row, column]) == (layer, True)
        assert decided.p_adjusted[row, column] <= decided.p_required[row, column]
    assert decided.moved_by("decoration") == [] and decided.undecided[4].all()  # only 256 would give it up
    assert np.isnan(decided.effect[4, 1:]).all() and (decided.top_layer[4] == -1).all()
    assert decided.images < 0.75 * 128 * (1 + 2 * 5 * 6 + 2 * 32)  # which exhaustive would take
    assert "at most 128 samples" in repr(decided) and "pairs are open" in repr(decided)
    json.dumps(decided.to_json(), allow_nan=False)
    inside = (decided.low <= decided.effect) & (decided.effect <= decided.high)
    assert (inside | np.isnan(decided.effect)).all()


def test_rounds_that_are_stopped_go_on_to_the_same_bits(tmp_path):
    options = {"max_samples": 64, "num_null": 4, "confidence": 0.9, **QUIET}
    expected = verify_directions(*toy_by_name(), planted(), **options)
    for limit in (500, 1200):
        generator, predictor = toy_by_name()
        forward, seen = predictor.forward, []

        def stopping(images, forward=forward, seen=seen, limit=limit):
            if sum(seen) >= limit:
                raise KeyboardInterrupt
            seen.append(len(images))
            return forward(images)

        predictor.forward = stopping
        with pytest.raises(KeyboardInterrupt):
            verify_directions(generator, predictor, planted(), out=tmp_path, **options)
    same(verify_directions(*toy_by_name(), planted(), out=tmp_path, **options), expected)


def test_random_directions_move_something_no_more_often_than_stated():
    """192 directions that point anywhere, in 12 families: p-values are as uniform as their null says."""
    random, claims, p_values = np.random.default_rng(5), 0, []
    for seed in range(12):
        normals = random.standard_normal((16, CODE_DIM))
        chosen = [direction(f"random {i}", normal) for i, normal in enumerate(normals)]
        own = verify_directions(
            *toy(), chosen, num=8, num_null=16, null="isotropic", confidence=0.8, seed=seed, **QUIET
        )
        claims += bool(own.sign.any())
        p_values.append(own.p_values[:, own.deviation > 0])
    assert proportion_interval(claims / 12, 12, 0.99)[0] <= 0.2
    assert 0.05 < (np.array(p_values) <= 0.1).mean() < 0.15  # the 768 share 48 nulls: 0.014 to either side


def test_shown_kept_and_read_again(found, tmp_path):
    lines = repr(found).splitlines()
    assert lines[0].startswith("5 directions, 5 semantics, a step of 2 in norm, 64 samples")
    assert lines[-1] == "nothing is shown to be moved by decoration"
    assert found._repr_html_().count("<tr>") == 1 + int((found.sign != 0).sum())
    as_json = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert as_json["directions"][1]["moves"][0] == "bed"
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert len(rows) == 5 * 6 * 5
    bed = next(row for row in rows if (row["direction"], row["semantic"]) == ("away from bed", "bed"))
    assert (bed["moves"], bed["top_layer"], bed["layers"]) == ("-1", "1", "all")
    found.save(tmp_path / "found.npz")
    same(Directions.load(tmp_path / "found.npz"), found)
    (tmp_path / "found.npz").write_bytes(b"no array")
    with pytest.raises(DamagedError, match="not a file of directions"):
        Directions.load(tmp_path / "found.npz")


def test_nothing_is_measured_twice(tmp_path):
    options = {"num": 8, "num_null": 2, "out": tmp_path, **QUIET}
    one = verify_directions(*toy_by_name(), planted()[:2], **options)
    generator, predictor = toy_by_name()
    other = verify_directions(generator, predictor, planted()[:2], **options)
    same(other, one)
    of_own, of_random = 2 * 2 * 6 * 8, 2 * 4 * 8  # on six sets of layers, and on all layers together
    assert one.images == 8 + of_own + of_random
    same(Directions.load(tmp_path / "directions.npz"), one)


def test_in_z_and_layer_by_layer():
    generator, predictor = toy()
    z = verify_directions(
        generator, predictor, direction("z", np.arange(12) + 1, "z"), num=8, num_null=4, **QUIET
    )
    assert z.layers == () and (z.top_layer == -1).all() and z.effect.shape == (1, 1, 5)
    normal = np.zeros((5, CODE_DIM))
    normal[3] = generator.directions[3].double().numpy()
    own = verify_directions(
        generator, predictor, direction("wood alone", normal, "layers"), num=64, confidence=0.95, **QUIET
    )
    assert own.moved_by("wood alone") == ["wood"] and own.effect[0, 1].max() == 0  # layer 0 stays


def test_what_does_not_fit_is_refused():
    for chosen, options, message in (
        ([], {}, "boundaries: got none"),
        (["bed"], {}, "expected what fit_boundaries gives"),
        (planted()[:1], {"null": "shuffled"}, "no direction is fitted to scores"),
        (direction("short", np.ones(3)), {}, "was it fitted for another one"),
        ([planted()[0], direction("z", np.ones(12), "z")], {}, "verify one space at a time"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            verify_directions(*toy(), chosen, **options, **QUIET)

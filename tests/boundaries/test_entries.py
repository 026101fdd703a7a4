"""Files of boundaries that somebody else wrote, with a checksum that is right."""

import json

import numpy as np
import pytest
import safetensors.numpy

from higan_fast.files import CHECKSUM, checksum
from higan_fast.probing import Boundaries, Boundary

ENTRY = {"name": "wood", "level": "attribute", "space": "layers", "accuracy": 0.9, "conditions": []}
NORMALS = {"wood": np.eye(2)}


def written(path, header, normals=NORMALS):
    text = json.dumps(header)
    metadata = {"higan_fast": text, CHECKSUM: checksum({**normals, "": np.array(text)})}
    safetensors.numpy.save_file(normals, path, metadata=metadata)
    return path


def header(**changed):
    return {"boundaries": [ENTRY | changed], "skipped": {}, "settings": {}}


def test_what_is_left_out_is_not_known(tmp_path):
    (boundary,) = Boundaries.load(written(tmp_path / "b", header(code_deviations=[1, 2]))).values()
    assert (boundary.accuracy, boundary.deviation, boundary.origin) == (0.9, None, None)
    np.testing.assert_array_equal(boundary.per_step("sd"), [[1, 0], [0, 2]])


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("accuracy", "0.9"),
        ("accuracy", float("nan")),
        ("remaining_accuracy", 10**400),
        ("deviation", [1]),
        ("num_per_side", 1.5),
        ("converged", "yes"),
        ("layers", "6\x1b[2J"),
        ("conditions", "wood"),
        ("conditions", ["a\nError: b"]),
        ("origin", {"seed": 1}),
        ("code_deviations", []),
        ("code_deviations", ["x", "y"]),
        ("code_deviations", [1.0, -1.0]),
        ("code_deviations", [1.0, 1.0, 1.0]),
        ("name", "a\x1b[2J"),
        ("name", "another"),
        ("colour", "red"),
        ("space", "q"),
    ],
)
def test_a_part_of_another_kind_is_refused(tmp_path, part, value):
    path = written(tmp_path / "b", header(**{part: value}))
    with pytest.raises(ValueError, match=r"^.*/b: .*(boundary|space|of 'wood')") as raised:
        Boundaries.load(path)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    "changed",
    [
        {"boundaries": 3},
        {"boundaries": [ENTRY, ENTRY]},
        {"boundaries": ["wood"]},
        {"skipped": ["wood"]},
        {"skipped": {"wood": 3}},
        {"settings": []},
        {"settings": {"num_samples": "many"}},
    ],
)
def test_a_header_of_another_kind_is_refused(tmp_path, changed):
    with pytest.raises(ValueError, match=r"^.*/b: its header .*damaged$"):
        Boundaries.load(written(tmp_path / "b", header() | changed))


@pytest.mark.parametrize("dtype", [np.int64, np.bool_])
def test_a_normal_of_whole_numbers_is_refused(tmp_path, dtype):
    with pytest.raises(ValueError, match="expected floating-point numbers"):
        Boundaries.load(written(tmp_path / "b", header(), {"wood": np.eye(2).astype(dtype)}))


def test_reasons_stand_on_one_line(tmp_path):
    loaded = Boundaries.load(written(tmp_path / "b", header() | {"skipped": {"a\x1b": "b\nc"}}))
    assert loaded.skipped == {r"a\x1b": r"b\nc"}
    assert loaded["wood"].normal.dtype == np.float64


def test_one_of_many_is_found_at_once(tmp_path):
    names = [str(index) for index in range(3_000)]  # each looked for among all others took a second
    entries = [ENTRY | {"name": name, "space": "w"} for name in names]
    path = written(tmp_path / "b", {**header(), "boundaries": entries}, {n: np.ones(1) for n in names})
    loaded = Boundaries.load(path)
    assert [boundary.name for boundary in loaded.values()] == names


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201, 3])
def test_names_are_printable(name):
    with pytest.raises(ValueError, match=r"name of a boundary: got .*, expected printable text"):
        Boundary(name, "attribute", "w", np.array([1.0]))

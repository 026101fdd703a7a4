"""What one verification leaves in a run folder stays there, whatever is verified afterwards."""

import pytest

import higan_fast.probing.measurement as measurement
from higan_fast.files import read_arrays, write_arrays
from higan_fast.probing import Verification, verify
from higan_fast.probing.result_files import ResultFiles
from tests.probing.same import same
from tests.toy import toy

OPTIONS = {"num": 16, "num_null": 4, "confidence": 0.9, "progress": False}


@pytest.fixture
def measured(monkeypatch):
    """The directions that are measured."""
    names, tally = [], measurement.Measurement.tally

    def counting(self, directions, *arguments):
        names.extend(direction.name for direction in directions)
        return tally(self, directions, *arguments)

    monkeypatch.setattr(measurement.Measurement, "tally", counting)
    return names


def current(folder):
    return Verification.load(folder / "verification.npz")


def beside(folder):
    return [Verification.load(path) for path in ResultFiles(folder).beside()]


def test_one_semantic_replaces_nothing(boundaries, tmp_path):
    everything = verify(*toy(), boundaries, out=tmp_path, **OPTIONS)
    bed = verify(*toy(), boundaries, semantics="bed", out=tmp_path, **OPTIONS)
    assert bed.boundary_names == ("bed",)
    same(current(tmp_path), everything)
    (other,) = beside(tmp_path)
    same(other, bed)
    # as many tests as were verified together, and no other number
    row = everything.row("bed")
    assert other.p_values[0] == pytest.approx(everything.p_values[row])


def test_a_wider_verification_becomes_the_current_one(boundaries, tmp_path):
    bed = verify(*toy(), boundaries, semantics="bed", out=tmp_path, **OPTIONS)
    same(current(tmp_path), bed)
    hue = verify(*toy(), boundaries, semantics="hue", out=tmp_path, **OPTIONS)
    same(current(tmp_path), hue)
    everything = verify(*toy(), boundaries, out=tmp_path, **OPTIONS)
    verify(*toy(), boundaries, semantics="bed", out=tmp_path, **OPTIONS)
    same(current(tmp_path), everything)
    assert {found.boundary_names for found in beside(tmp_path)} == {("bed",), ("hue",)}


@pytest.mark.parametrize(
    "change",
    [
        {"step": 1.0},
        {"confidence": 0.8},
        {"precision": "fast"},
        {"seed": 2},
        {"num": 8},
        {"num_null": 2},
        {"num": None, "max_samples": 16},
        {"num": None, "max_samples": 16, "decide": "effect"},
    ],
)
def test_other_settings_are_kept_beside_and_nothing_is_measured_twice(boundaries, tmp_path, measured, change):
    first = verify(*toy(), boundaries, out=tmp_path, **OPTIONS)
    second = verify(*toy(), boundaries, out=tmp_path, **OPTIONS | change)
    same(current(tmp_path), second)
    (other,) = beside(tmp_path)
    same(other, first)
    measured.clear()
    same(verify(*toy(), boundaries, out=tmp_path, **OPTIONS), first)
    same(current(tmp_path), first)
    same(verify(*toy(), boundaries, out=tmp_path, **OPTIONS | change), second)
    assert measured == []
    assert len(list((tmp_path / "verification" / "results").glob("*.npz"))) == 2


def test_boundaries_that_were_fitted_anew_are_verified_anew(boundaries, tmp_path, measured):
    verify(*toy(), boundaries, out=tmp_path, **OPTIONS)
    measured.clear()
    freed = dict(boundaries) | {"hue": boundaries["hue"].conditional_on(boundaries["wood"])}
    found = verify(*toy(), freed, out=tmp_path, **OPTIONS)
    assert measured == ["hue"]
    same(current(tmp_path), found)
    assert len(beside(tmp_path)) == 1


def test_damaged_results_are_made_again(boundaries, tmp_path, measured):
    found = verify(*toy(), boundaries, out=tmp_path, **OPTIONS)
    (path,) = (tmp_path / "verification" / "results").glob("*.npz")
    measured.clear()
    for damaged in (path, tmp_path / "verification.npz"):
        content = damaged.read_bytes()
        damaged.write_bytes(content[: len(content) // 2])
        same(verify(*toy(), boundaries, out=tmp_path, **OPTIONS), found)
        assert damaged.read_bytes() == content
    assert measured == []
    path.unlink()
    (tmp_path / "verification.npz").unlink()
    same(verify(*toy(), boundaries, out=tmp_path, **OPTIONS), found)
    same(current(tmp_path), found)


def test_results_of_another_version_are_measured_anew_and_stand_beside_nothing(boundaries, tmp_path):
    everything = verify(*toy(), boundaries, out=tmp_path, **OPTIONS)
    bed = verify(*toy(), boundaries, semantics="bed", out=tmp_path, **OPTIONS)
    for path in ResultFiles(tmp_path).folder.glob("*.npz"):
        older = read_arrays(path)
        del older["deviation"]
        write_arrays(path, older)
    same(verify(*toy(), boundaries, semantics="bed", out=tmp_path, **OPTIONS), bed)
    same(current(tmp_path), bed)  # the wider one cannot be read any more
    assert beside(tmp_path) == []
    same(verify(*toy(), boundaries, out=tmp_path, **OPTIONS), everything)
    assert [found.boundary_names for found in beside(tmp_path)] == [("bed",)]

"""What an experiment found, in files."""

import csv

import pytest

from higan_fast.experiments import Finding
from higan_fast.experiments.drawing import write_figures
from higan_fast.files import DamagedError
from higan_fast.tables import Table


def finding(**changes):
    values = {
        "experiment": "hierarchy", "title": "Title", "sentences": ("One <thing>.",), "limits": ("Not all.",),
        "table": Table("Caption", ("name", "value"), (("a", "1"),), ("note",)),
        "rows": ({"name": "a", "value": 1.25}, {"name": "b", "value": None}), "images": 7,
        "settings": {"num": 3},
    }  # fmt: skip
    return Finding(**values | changes)


def test_it_is_read_as_it_was_written(tmp_path):
    finding(made_from={"generator": "x"}).save(str(tmp_path))
    found = Finding.load(f"{tmp_path}/hierarchy.json")
    assert found.to_json() == finding(made_from={"generator": "x"}).to_json()
    assert repr(found) == repr(finding()) and "&lt;thing&gt;" in found._repr_html_()
    rows = list(csv.DictReader((tmp_path / "hierarchy.csv").read_text().splitlines()))
    assert rows == [{"name": "a", "value": "1.25"}, {"name": "b", "value": ""}]


@pytest.mark.parametrize("change", ["{", '{"sha256": 1}', "[]", None])
def test_a_damaged_file_is_one_line(tmp_path, change):
    finding().save(tmp_path)
    path = tmp_path / "hierarchy.json"
    path.write_text(path.read_text().replace("1.25", "9.25") if change is None else change)
    with pytest.raises(
        DamagedError, match=r"hierarchy.json: not a finding .* run higan-fast hierarchy again"
    ):
        Finding.load(path)


def test_a_number_that_is_none_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        finding(rows=({"value": float("nan")},)).save(tmp_path)


def test_without_matplotlib_an_old_figure_does_not_stay(tmp_path, monkeypatch):
    (tmp_path / "hierarchy.svg").write_text("old")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert write_figures(finding(), tmp_path) == [] and not (tmp_path / "hierarchy.svg").exists()
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'higan_fast\[figures\]'"):
        finding(figures={"groups": {}}, rows=()).draw()

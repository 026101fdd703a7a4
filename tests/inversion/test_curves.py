"""How near pictures came step by step: what is recorded, kept, written and drawn."""

import csv
import io
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import higan_fast as hf
from higan_fast.inversion import Inversion, inverting
from higan_fast.inversion.curves import NAMED, Curves, figure, rows_of
from higan_fast.inversion.kept import Keeper
from tests.toy import toy

QUICK = {"steps": 8, "samples": 8, "starts": 1, "progress": False}
SVG = "{http://www.w3.org/2000/svg}"
STEPS = {"steps": 250}


def test_a_point_is_the_last_of_its_steps_and_survives_being_kept():
    curves, again = (Curves(2, 2, 250, torch.zeros(1)) for _ in range(2))
    assert curves.every == 3 and curves.values.shape == (2, 2, 84)
    for taken in (1, 2, 3, 4):
        curves.record(1, torch.tensor([1]), torch.tensor([taken]), torch.tensor([float(taken)]))
    assert curves.values[1, 1, :3].tolist()[:2] == [3, 4] and curves.values.isfinite().sum() == 2
    kept = {**curves.arrays(), "stage": 1}
    again.restore(kept)
    assert torch.equal(again.values.nan_to_num(), curves.values.nan_to_num()) and list(kept) == ["stage"]
    again.restore({})  # of an older version


def test_every_point_is_in_the_table_and_every_picture_in_the_figure():
    values = np.full((3, 2, 84), np.nan, np.float32)
    values[:, 0, :84], values[:2, 1, :10] = 20, np.arange(30, 40)
    names = ["a.png", "<b>.png", "c.png"]
    rows = list(rows_of(names, values, STEPS))
    assert len(rows) == 3 * 84 + 2 * 10
    assert rows[83] == {"image": "a.png", "space": "w", "step": 250, "psnr": 20.0}
    assert rows[84] == {"image": "a.png", "space": "w+", "step": 3, "psnr": 30.0}
    drawn = ElementTree.fromstring(figure(names, values, STEPS))
    texts = [each.text for each in drawn.iter(f"{SVG}text")]
    assert set(names) <= set(texts) and "280" in texts
    assert len(list(drawn.iter(f"{SVG}circle"))) == 2, "the third stayed in w"
    many = ElementTree.fromstring(figure(["x"] * (NAMED + 1), values[[0] * (NAMED + 1)], STEPS))
    assert "x" not in [each.text for each in many.iter(f"{SVG}text")]


def test_an_inversion_has_its_curves_also_after_it_was_killed(drawn, tmp_path, monkeypatch):
    images = drawn[0][:2]
    whole = hf.invert(toy()[0], images, **QUICK, out=tmp_path / "whole")
    assert whole.curves.shape == (2, 2, 8) and np.isfinite(whole.curves).all()
    assert abs(whole.curves[:, 1, -1] - whole.psnr).max() < 3, "the last step comes after the last point"
    table = list(csv.DictReader(io.StringIO((tmp_path / "whole/curves.csv").read_text())))
    assert len(table) == whole.curves.size and (tmp_path / "whole/curves.svg").is_file()
    assert np.array_equal(Inversion.load(tmp_path / "whole").curves, whole.curves)

    class KilledError(Exception):
        pass

    moved, gone = inverting.step, []

    def killed(*given):
        gone.append(moved(*given))
        if len(gone) == 40 + 8 + 3:  # in w+
            raise KilledError

    monkeypatch.setattr(Keeper, "is_due", True)
    monkeypatch.setattr(inverting, "step", killed)
    with pytest.raises(KilledError):
        hf.invert(toy()[0], images, **QUICK, out=tmp_path / "killed")
    monkeypatch.undo()
    found = hf.invert(toy()[0], images, **QUICK, out=tmp_path / "killed")
    assert np.array_equal(found.curves, whole.curves) and np.array_equal(found.codes, whole.codes)
    replace(found, curves=None).save(tmp_path / "older")
    assert Inversion.load(tmp_path / "older").curves is None and not (tmp_path / "older/curves.csv").exists()

"""The figures beside the page, as CSV."""

import csv
import io

import pytest

from higan_fast.boundaries.boundary import Boundaries
from higan_fast.probing.tables import COLUMNS, to_csv
from tests.report.page import Page
from tests.toy import SEMANTICS


def test_the_figures_lie_beside_the_page_which_links_to_them(write, run, tmp_path):
    page = Page(write())
    (link,) = [link for link in page.find("a") if "download" in link]
    text = (tmp_path / link["href"]).read_text(encoding="utf-8")
    assert link["href"] == "report.csv" and text == to_csv([run.verification])
    rows = list(csv.DictReader(io.StringIO(text)))
    found = run.verification
    layers = ["all", *(str(layer.index) for layer in found.layers)]
    assert len(rows) == len(found.boundary_names) * len(layers) * len(SEMANTICS)
    for entry in found.to_json()["semantics"]:
        (row,) = [
            r
            for r in rows
            if (r["boundary"], r["layers"], r["semantic"]) == (entry["name"], "all", entry["name"])
        ]
        assert float(row["effect"]) == pytest.approx(entry["effect"])
        assert float(row["low"]) == pytest.approx(entry["low"])
        assert row["beats_null"] == str(entry["beats_null"]).lower()
        alone = [r for r in rows if r["boundary"] == r["semantic"] == entry["name"] and r["layers"] != "all"]
        assert [float(r["effect"]) for r in alone] == pytest.approx(
            found.layer_profile(entry["name"]).tolist()
        )


def test_figures_of_an_earlier_run_do_not_stay_beside_a_page_without_any(write, tmp_path):
    write()
    none = Boundaries((), {semantic.name: "40 samples a side" for semantic in SEMANTICS})
    page = Page(write(boundaries=none, verification=None))
    assert not [link for link in page.find("a") if "download" in link]
    assert (tmp_path / "report.csv").read_text(encoding="utf-8") == ",".join(COLUMNS) + "\n"

"""Results as tables: readable in a terminal and in a notebook, and safe for names from files."""

from dataclasses import replace

import numpy as np

from higan_fast.boundaries.boundary import Boundaries, Boundary
from higan_fast.predictors.base import Semantic
from higan_fast.probing import sample, verify
from higan_fast.tables import Table, shown
from tests.toy import toy

EVIL = "<script>alert('x')</script>"


def test_text_is_aligned_and_html_escaped():
    table = Table("two & two", ("name", "n"), [("a", "1"), (EVIL, "22")], ["a < b"])
    assert [line[2 + len(EVIL) + 2 :] for line in table.text().splitlines()[1:4]] == ["n", "1", "22"]
    html = table.html()
    assert (
        "<script" not in html and "&lt;script&gt;" in html and "two &amp; two" in html and "a &lt; b" in html
    )
    assert Table("none", ("name",), []).text() == "none"
    assert (shown(None), shown(float("nan")), shown(-0.25, ".2f")) == ("–", "–", "−0.25")


def test_a_verification_shows_its_ranking(boundaries):
    found = verify(*toy(), boundaries, num=32, num_null=8, confidence=0.95, progress=False)
    lines = repr(found).splitlines()
    assert lines[0] == f"Verification of 4 boundaries: 4 effects shown at 0.95 ({found.images:,} images)"
    assert [line.split()[1] for line in lines[2:-1]] == found.rank()
    assert lines[-1].startswith("Ranked by effect in standard deviations")
    row = next(line for line in lines if " wood " in line)
    assert (
        f"{found.effect[found.row('wood'), 0, 2]:.3f}" in row
        and "3 (paint3)" in row
        and row.endswith("shown")
    )
    html = found._repr_html_()
    assert html.count("<tr>") == 5 and ">shown<" in html
    semantics = tuple(Semantic(EVIL, s.level) if s.name == "bed" else s for s in found.semantics)
    names = tuple(EVIL if name == "bed" else name for name in found.boundary_names)
    named = replace(found, semantics=semantics, boundary_names=names, beats_null=np.zeros(4, bool))
    assert "<script" not in named._repr_html_()
    assert "0 effects shown" in repr(named)
    beyond = "not shown: beyond random directions (on 32 samples), but not surely above 0"
    assert repr(named).count(beyond) == 1, "one line for all four"


def test_boundaries_show_their_accuracies(boundaries):
    text = repr(boundaries)
    assert text.splitlines()[0] == "4 boundaries"
    assert f"{boundaries['wood'].accuracy:.3f}" in text and "no boundary for constant: " in text
    assert boundaries._repr_html_().count("<tr>") == 5
    one = Boundary(EVIL, "object", "w", np.eye(3)[0], layers="6-11", conditions=("bed",), converged=False)
    assert "freed from bed; for layers 6-11; not converged" in repr(Boundaries((one,)))
    guess = replace(one, converged=True, conditions=(), accuracy=0.47)
    assert "for layers 6-11; no better than chance (0.5)" in repr(Boundaries((guess,)))
    assert "no better" not in repr(Boundaries((replace(guess, accuracy=0.51),)))
    few = repr(Boundaries((), {"bed": "too few", "sofa": "constant", "lamp": "too few"}))
    assert "no boundary for bed, lamp: too few\nno boundary for sofa: constant" in few
    for html in (one._repr_html_(), Boundaries((one,), {EVIL: EVIL})._repr_html_()):
        assert "<script" not in html and "&lt;script&gt;" in html


def test_samples_show_their_scores():
    samples = sample(*toy(), 64, progress=False)
    assert repr(samples).startswith("Samples(64")
    html = samples._repr_html_()
    assert "64 samples, seed 0" in html and html.count("<tr>") == 6
    assert shown(float(samples.scores[:, 0].mean())) in html

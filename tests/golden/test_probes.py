"""That the results of small probes are what they were; where they ought to change, ``probes.py`` says how."""

import json

import pytest

from tests.golden.probes import KEPT, PROBES

# Other instruction sets and libraries sum in another order: float32, through ten layers.
CLOSE = 2e-4


@pytest.mark.parametrize("name", PROBES)
def test_results_change_only_with_a_note(name):
    expected = json.loads(KEPT.read_text())["results"][name]
    found = json.loads(json.dumps(PROBES[name]()))
    changed = list(differences(found, expected, name))
    assert not changed, (
        f"{len(changed)} results changed, such as {changed[0]}; if that is right, "
        "python -m tests.golden.probes --why '…' writes them anew"
    )


def test_a_figure_that_differs_is_named():
    before = {"rows": [{"name": "a", "effect": 1.0}], "images": 3}
    after = {"rows": [{"name": "a", "effect": 1.001}], "images": 3}
    assert list(differences(after, before, "toy")) == ["toy.rows[0].effect: 1.0 is now 1.001"]
    assert list(differences({"rows": [], "images": 4}, before, "toy"))
    assert not list(differences(before, before, "toy"))


def differences(found, expected, where):
    """Yields where two trees of JSON values differ by more than rounding does."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in expected.keys() | found.keys():
            yield from differences(found.get(key), expected.get(key), f"{where}.{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        for index, pair in enumerate(zip(found, expected, strict=True)):
            yield from differences(*pair, f"{where}[{index}]")
    elif isinstance(expected, float) and isinstance(found, float):
        if abs(found - expected) > CLOSE * max(1, abs(expected)):
            yield f"{where}: {expected} is now {found}"
    elif found != expected:
        yield f"{where}: {expected} is now {found}"

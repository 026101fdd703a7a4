import json
import re
from dataclasses import asdict

import pytest

from tests.checkpoints.exhaustion import main
from tests.checkpoints.hostile import HOSTILE
from tests.checkpoints.sprawling import KINDS
from tests.processes import exit_code


def read_all(to):
    to.write_text(json.dumps([asdict(outcome) for outcome in main()]))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What a process with nothing else in it says of all hostile files."""
    folder = tmp_path_factory.mktemp("outcomes")
    code = exit_code(read_all, folder / "outcomes.json", log=folder / "log")
    assert code == 0, (folder / "log").read_text()[-2000:]
    return {outcome["name"]: outcome for outcome in json.loads((folder / "outcomes.json").read_text())}


@pytest.mark.parametrize("name", [*HOSTILE, *KINDS])
def test_hostile_files_keep_the_promise(outcomes, name):
    """Of time, memory and words; ``tests.checkpoints.exhaustion`` has its figures."""
    assert not outcomes[name]["wrong"], outcomes[name]


REFUSED = {
    "a text encoded often": "copies more than any file of weights needs",
    "an OrderedDict of pairs, often": "copies more than any file of weights needs",
    "a storage nested often": "copies more than any file of weights needs",
    "long keys that are equal": "a key of 1000000 characters",
    "keys that collide": "larger numbers for keys, or more of them",
    "indices of the memo that hash alike": "numbers its objects higher",
    "a number of many digits": "a number of 1000000 digits",
    "a tensor without end": "[0, 140737488355328, 140737488355328] as a tensor's size",
    "a long name of a class": "refused a class whose name has 2000000 characters",
    "escapes in the name of a class": r"refused a\x1b[2J\nError: b\ud800\u202e.a\x1b[2J",
    "escapes in the key of a storage": r"the storage data/a\x1b[2J\nError: b\ud800\u202e of 1 values",
    "a member before the file": "is not where it says",
    "too many members": "a zip archive of 600000 members; no file of weights has more than 100000",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_was_too_much(outcomes, name):
    assert REFUSED[name] in outcomes[name]["message"]


@pytest.mark.parametrize("name", KINDS)
def test_small_files_that_claim_much_are_refused_for_what_they_claim(outcomes, name):
    assert re.search(KINDS[name][1], outcomes[name]["message"]), outcomes[name]

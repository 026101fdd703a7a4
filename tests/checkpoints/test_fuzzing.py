import json

import pytest

from tests.checkpoints.fuzzing import main
from tests.processes import exit_code

PROCESSES, EACH = 2, 1000


def fuzz(folder, seed):
    (folder / "found.json").write_text(json.dumps(main(folder, seed, EACH)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(PROCESSES))
def test_mutated_files_load_or_are_refused(tmp_path, seed):
    """Two thousand in all: no crash, no execution, none that takes seconds or more than a little memory."""
    code = exit_code(fuzz, tmp_path, seed, log=tmp_path / "log")
    assert code == 0, f"ended with {code}: {(tmp_path / 'log').read_text()[-2000:]}"
    found = json.loads((tmp_path / "found.json").read_text())
    assert not found["wrong"], "\n".join(found["wrong"])
    assert found["loaded"] + found["refused"] == EACH
    assert found["refused"] > EACH / 4 and found["loaded"] > EACH / 50, found
    assert found["slowest"] < 5

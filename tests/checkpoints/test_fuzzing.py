import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROCESSES, EACH = 4, 500


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(PROCESSES))
def test_mutated_files_load_or_are_refused(tmp_path, seed):
    """Two thousand in all: no crash, no execution, none that takes seconds or more than a little memory."""
    command = [sys.executable, "-m", "tests.checkpoints.fuzzing", str(tmp_path), str(seed), str(EACH)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, timeout=290, cwd=root, env=environment)
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr[-2000:]}"
    found = json.loads(done.stdout)
    assert not found["wrong"], "\n".join(found["wrong"])
    assert found["loaded"] + found["refused"] == EACH
    assert found["refused"] > EACH / 4 and found["loaded"] > EACH / 50, found
    assert found["slowest"] < 5

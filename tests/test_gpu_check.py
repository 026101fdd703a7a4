"""The command for a bare GPU machine: what it keeps when a step fails or is stopped, without any GPU."""

import os
import subprocess
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"

# Stands in for Python: what is asked of it succeeds, but for what STUB names.
STUB = """#!/bin/sh
case "$*" in
    *dirname*) echo /nonexistent ;;
    *"$FAILING"*) echo "$* was asked for"; exit "$STATUS" ;;
esac
case "$1" in -) cat > /dev/null ;; esac
"""


def check(folder, *arguments, failing="nothing", status=0):
    stub = folder / "python"
    stub.write_text(STUB)
    stub.chmod(0o755)
    environment = os.environ | {"PYTHON": str(stub), "OUT": str(folder / "out"), "FAILING": failing}
    environment |= {"STATUS": str(status)}
    command = ["bash", str(BENCHMARKS / "gpu_check.sh"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["nonsense"], "nonsense: expected --minutes N, --peer CHECKOUT, --rehearse or one of build tests"),
        (["--minutes", "few"], "--minutes: got few, expected a whole number"),
        (["--peer"], "--peer: a folder is missing"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path, arguments, said):
    done = check(tmp_path, *arguments)
    assert done.returncode == 2 and said in done.stderr and not (tmp_path / "out").exists()


def test_a_step_that_is_stopped_leaves_its_log_and_the_next_one_runs(tmp_path):
    done = check(tmp_path, "--rehearse", "tests", "benchmarks", failing="tests/test_gpu.py", status=124)
    assert done.returncode == 1, done.stderr
    machine, tests, benchmarks = (tmp_path / "out" / "summary.txt").read_text().splitlines()
    assert machine.startswith("ok          machine") and benchmarks.startswith("ok          benchmarks")
    assert tests.startswith("OUT OF TIME tests") and tests.endswith("status 124, see tests.log")
    log = (tmp_path / "out" / "tests.log").read_text()
    assert "was asked for" in log and "stopped after 120 s" in log
    assert all(line in done.stdout for line in (machine, tests, benchmarks))


def test_nothing_follows_a_build_that_fails(tmp_path):
    done = check(tmp_path, "--rehearse", failing="setup.py", status=3)
    _, build = (tmp_path / "out" / "summary.txt").read_text().splitlines()
    assert done.returncode == 1 and build.startswith("FAILED      build")


def test_wheels_are_asked_for_by_version_and_folder():
    done = subprocess.run(["bash", str(BENCHMARKS / "gpu_wheels.sh"), "3"], capture_output=True, text=True)
    assert done.returncode == 2 and "got 3, expected: benchmarks/gpu_wheels.sh PYTHON_VERSION" in done.stderr

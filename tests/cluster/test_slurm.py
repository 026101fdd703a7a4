"""Workers as SLURM jobs, by submitit's local executor: one that is killed is replaced."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from higan_fast.cluster.slurm_crew import SlurmCrew, _stderr_into, run_job
from higan_fast.sampling.samples import sample
from tests.cluster.dying import Dying
from tests.sampling.test_shards import contents
from tests.toy import toy_by_name

ROOT = Path(__file__).parents[2]
SAMPLING = {"shard_size": 64, "progress": False}
ASKED = {"session": "a test"}


class FailedSubmissionError(RuntimeError):
    """As submitit's."""


def refuse():
    raise ValueError("generator.pkl: is damaged\nand more")


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    pytest.importorskip("submitit", reason="submitit is not installed (extra slurm)")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of jobs, who import the toy


def test_a_job_is_killed_and_replaced(tmp_path, capsys):
    sample(*toy_by_name(), 600, tmp_path / "alone", **SAMPLING)
    marker, run = tmp_path / "marker", tmp_path / "run"
    marker.touch()
    with SlurmCrew(run, Dying(marker), 1, ASKED, cluster="local", timeout_min=5) as crew:
        sample(*toy_by_name(), 600, run, crew=crew, **SAMPLING)
    assert contents(run) == contents(tmp_path / "alone")
    assert "of worker 1/1 ended" in capsys.readouterr().err
    assert not marker.exists()


def test_the_line_of_a_job_is_the_commands(tmp_path, monkeypatch):
    line = run_job(tmp_path, refuse, ASKED, index=1, of=1)
    assert line == r"generator.pkl: is damaged\nand more"
    crew = SlurmCrew(tmp_path, refuse, 1, ASKED, cluster="local", timeout_min=5)
    paths = SimpleNamespace(result_pickle=ROOT)  # exists
    job = SimpleNamespace(done=lambda force_check=False: True, result=lambda: line, paths=paths)
    submitting = SimpleNamespace(batch=nullcontext, submit=lambda *_, **__: job)
    monkeypatch.setattr(crew, "_executor", submitting)
    with pytest.raises(ValueError, match=r"^generator.pkl: is damaged\\nand more$"), crew:
        sample(*toy_by_name(), 600, tmp_path, crew=crew, **SAMPLING)


def test_no_job_where_nothing_is_to_do(tmp_path, monkeypatch):
    sample(*toy_by_name(), 64, tmp_path, **SAMPLING)
    crew = SlurmCrew(tmp_path, toy_by_name, 2, ASKED, cluster="local")
    monkeypatch.setattr(crew, "_executor", None)
    with crew:
        sample(*toy_by_name(), 64, tmp_path, crew=crew, **SAMPLING)


def test_a_job_that_slurm_refuses_is_said_in_one_line(tmp_path, monkeypatch):
    def submit(*_, **__):
        raise FailedSubmissionError(
            "sbatch: error: invalid partition specified: gpuu\nsbatch: error: and more"
        )

    crew = SlurmCrew(tmp_path, toy_by_name, 2, ASKED, cluster="local")
    monkeypatch.setattr(crew, "_executor", SimpleNamespace(batch=nullcontext, submit=submit))
    line = r"^slurm \(--slurm\): no job is taken: sbatch: error: invalid partition specified: gpuu$"
    with pytest.raises(RuntimeError, match=line), crew:
        sample(*toy_by_name(), 64, tmp_path, crew=crew, **SAMPLING)


def test_what_holds_a_job_here_writes_no_traceback_between_our_lines(tmp_path, capfd):
    with _stderr_into(tmp_path / "file"):
        subprocess.run("echo a traceback >&2", shell=True, check=True)
    subprocess.run("echo a line >&2", shell=True, check=True)
    assert (tmp_path / "file").read_text() == "a traceback\n"
    assert capfd.readouterr().err == "a line\n"


def test_what_submitit_refuses_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match=r"slurm \(--slurm\): submitit refuses this: .*"):
        SlurmCrew(tmp_path, toy_by_name, 2, ASKED)
    with pytest.raises(ValueError, match=r"submitit refuses this: .*slurm_partitoin"):
        SlurmCrew(tmp_path, toy_by_name, 2, ASKED, cluster="local", slurm_partitoin="gpu")
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ImportError, match=r"submitit is not installed; pip install 'higan_fast\[slurm\]'"):
        SlurmCrew(tmp_path, toy_by_name, 2, ASKED)

"""``benchmarks.run --base`` on a repository of its own, whose commits say how long their cases took."""

import subprocess

import pytest
from click.testing import CliRunner

from benchmarks import base, run

RUN = """
import pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
folder.mkdir(exist_ok=True)
rows = ["case,dtype,backend,ms", "adain,float32,native,{ours}", "adain,float32,torch,8.0", "{extra},,a,1.0"]
(folder / "machine.csv").write_text("\\n".join(rows))
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "ROOT", tmp_path)
    monkeypatch.setattr(base, "TREES", tmp_path / "build" / "base")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "setup.py").write_text("")
    (tmp_path / ".gitignore").write_text("build\n__pycache__\n.built\n")
    git(tmp_path, "init", "--quiet")
    for ours, extra in ((4.0, "old"), (2.0, "new")):
        (tmp_path / "benchmarks" / "run.py").write_text(RUN.format(ours=ours, extra=extra))
        git(tmp_path, "add", ".")
        git(tmp_path, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", extra)
    return tmp_path


def git(folder, *arguments):
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def invoked(*arguments):
    return CliRunner().invoke(run.main, ["ops", *arguments])


def test_two_commits_in_turn(repository):
    result = invoked("--base", "HEAD~1", "--rounds", "2")
    assert result.exit_code == 0, result.output
    lines = {tuple(line.split()[:3]): line.split()[3:] for line in result.output.splitlines()}
    assert lines["adain", "float32", "native"] == ["4", "2", "2.00", "2.00", "to", "2.00"]
    assert lines["adain", "float32", "torch"][2] == "1.00"
    assert "but in base: old" in result.output and "but in this checkout: new" in result.output
    assert ", with uncommitted changes" not in result.output
    (repository / "setup.py").write_text("raise SystemExit('built again')")
    assert invoked("--base", "HEAD~1", "--rounds", "1").exit_code == 0  # what is built is found again


def test_what_cannot_be_compared(repository):
    assert "--base v9: this repository has no such commit" in invoked("--base", "v9").output
    assert "leave out --out" in invoked("--base", "HEAD", "--out", str(repository)).output
    (repository / "setup.py").write_text("raise SystemExit('no compiler')")
    git(repository, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-am", "broken")
    assert "its build ended with 1:\nno compiler" in invoked("--base", "HEAD").output
    (repository / "setup.py").write_text("")
    (repository / "benchmarks" / "run.py").write_text("raise SystemExit('wrong case')")
    git(repository, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-am", "fails")
    assert "benchmarks.run in the base ended with 1:\nwrong case" in invoked("--base", "HEAD").output

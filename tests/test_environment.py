"""The commit that results carry is the package's own, and says whether its code was changed."""

import subprocess

import pytest

from higan_fast import environment


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with the package's layout, which ``environment`` takes for its own."""
    for name in ("higan_fast/environment.py", "benchmarks/results/machine.csv"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("first\n")
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "higan_fast" / "environment.py"))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "all")
    return tmp_path


def git(folder, *arguments):
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_rows_that_a_benchmark_appends_do_not_count_as_changes(checkout):
    commit = git(checkout, "rev-parse", "--short", "HEAD")
    assert environment._commit() == commit
    (checkout / "benchmarks/results/machine.csv").write_text("first\nsecond\n")
    assert environment._commit() == commit
    (checkout / "higan_fast/environment.py").write_text("second\n")
    assert environment._commit() == f"{commit}+"


def test_the_repository_around_an_installed_package_is_not_its_own(checkout, monkeypatch):
    installed = checkout / ".venv" / "site-packages" / "higan_fast" / "environment.py"
    installed.parent.mkdir(parents=True)
    monkeypatch.setattr(environment, "__file__", str(installed))
    assert environment._commit() is None

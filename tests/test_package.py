"""The sdist has all that a build needs, and the wheel works where nothing else of the checkout is."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import higan_fast
from release import check_wheel

ROOT = Path(__file__).resolve().parents[1]


def sources(folder):
    """Files of a folder that were not built, relative to the checkout."""
    files = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    built = (".so", ".pyc")
    return {path.relative_to(ROOT).as_posix() for path in files if path.suffix not in built}


def test_an_sdist_has_the_package_the_sources_of_the_extension_and_nothing_else(tmp_path):
    command = ["setup.py", "-q", "egg_info", "--egg-base", tmp_path, "sdist", "--dist-dir", tmp_path]
    subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=True, capture_output=True)
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {member.name.split("/", 1)[1] for member in archive if member.isfile()}
    about = {"LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg", "setup.py"}
    assert names == sources("higan_fast") | sources("csrc") | about


def test_every_place_that_says_version_and_needs_says_the_same():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text())
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert recipe["context"]["version"] == citation["version"] == higan_fast.__version__ == project["version"]
    needs = {need.lower().replace("torch>", "pytorch>") for need in project["dependencies"]}
    assert {need.replace(" ", "") for need in recipe["requirements"]["run"]} == needs | {
        "python" + project["requires-python"]
    }


def test_an_image_copies_what_a_build_needs():
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = {
        name
        for line in re.findall(r"^COPY (?!--)(.*) \S+$", dockerfile, re.MULTILINE)
        for name in line.split()
    }
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    assert copied == allowed and all((ROOT / name).exists() for name in copied)
    assert {"csrc", "higan_fast", "setup.py"} <= copied


@pytest.mark.slow
@pytest.mark.skipif(
    "HIGAN_FAST_WHEELS" not in os.environ, reason="make wheel runs it, with HIGAN_FAST_WHEELS=FOLDER"
)
def test_a_wheel_works_in_an_empty_folder(tmp_path):
    """The wheel of this Python, with this environment's torch and the other packages that it needs."""
    this = f"cp{sys.version_info.major}{sys.version_info.minor}"
    (wheel,) = (ROOT / os.environ["HIGAN_FAST_WHEELS"]).resolve().glob(f"*-{this}-{this}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert sources("higan_fast") <= set(archive.namelist())
    target = tmp_path / "installed"
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([sys.executable, *install, target, wheel], check=True, cwd=tmp_path)
    assert {path.name.split("-")[0] for path in target.iterdir()} == {"bin", "higan_fast"}
    done = subprocess.run(
        [sys.executable, ROOT / "release" / "probe.py", target],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(target)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "8 samples scored" in done.stdout


EXTENSION = "higan_fast/_extension.cp.so"


@pytest.mark.parametrize(
    "tag, size, contents, said",
    [
        ("manylinux_2_28_x86_64", 59, [EXTENSION], []),
        ("manylinux_2_28_x86_64", 61, [EXTENSION], ["at most 60"]),
        ("linux_x86_64", 1, [EXTENSION], ["repair it", "HIGAN_FAST_GLIBC"]),
        ("manylinux_2_34_x86_64", 1, [EXTENSION], ["HIGAN_FAST_GLIBC"]),
        ("manylinux_2_28_x86_64", 1, ["higan_fast/__init__.py"], ["_extension"]),
        (
            "manylinux_2_27_x86_64.manylinux_2_28_x86_64",
            1,
            [EXTENSION, "a.libs/libgomp.so"],
            ["torch brings"],
        ),
    ],
)
def test_a_wheel_that_must_not_be_released_is_refused(tmp_path, tag, size, contents, said):
    path = tmp_path / f"higan_fast-1-cp311-cp311-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member in contents:
            archive.writestr(member, "")
    found = check_wheel.faults(path, size, tag, "manylinux_2_28")
    assert len(found) == len(said)
    for line, words in zip(found, said, strict=True):
        assert words in line


def test_a_release_has_the_kernels_of_all_its_gpus(tmp_path):
    path = tmp_path / "higan_fast-1-cp311-cp311-manylinux_2_28_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(EXTENSION, "")
    tag = "manylinux_2_28_x86_64"
    assert check_wheel.gpus(path) == (set(), set())
    assert check_wheel.faults(path, 1, tag, None, check_wheel.CUBINS, check_wheel.PTX) == []
    (fault,) = check_wheel.faults(path, 1, tag, None, check_wheel.CUBINS - {"sm_90a"}, check_wheel.PTX)
    assert "sm_90a" in fault and "HIGAN_FAST_CUDA_ARCHS=release" in fault

"""The check of the C++ sources under every compiler: what it reads, refuses and prints."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def compilers():
    spec = importlib.util.spec_from_file_location("compilers", ROOT / "csrc" / "compilers.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_what_cmake_compiles_is_read(compilers):
    command = '/usr/bin/c++ -DA="b c" -x c++ -O1 -o objects/a.cu.o -c /src/a.cu'
    (unit,) = compilers.read_commands([{"directory": "/build", "command": command, "file": "/src/a.cu"}])
    assert unit == compilers.Unit(Path("/src/a.cu"), ("-DA=b c", "-x", "c++", "-O1"), Path("/build"))


@pytest.mark.parametrize("syntax", [False, True])
def test_a_warning_is_refused_and_shown(compilers, tmp_path, syntax):
    good, bad = tmp_path / "good.cu", tmp_path / "bad.cu"
    good.write_text("int f(int x) { return x; }\n")
    bad.write_text("int f(int x) { return 1; }\n")
    units = [compilers.Unit(path, ("-x", "c++", "-O1"), tmp_path) for path in (good, bad)]
    found = compilers.compile_all("c++", units, syntax, jobs=2)
    ((unit, said),) = found.refused
    assert unit.source == bad and "unused parameter" in said and found.units == 2
    assert set(tmp_path.iterdir()) == {good, bad}
    head, line = compilers.table({"c++": found}).splitlines()
    assert head.split()[:3] == ["compiler", "sources", "refused"] and line.split()[:3] == ["c++", "2", "1"]


def test_a_compiler_that_fails_in_silence_is_refused(compilers, tmp_path):
    unit = compilers.Unit(tmp_path / "any.cpp", (), tmp_path)
    assert compilers.compile_one("false", unit, True) == "exit status 1"


def test_each_compiler_on_path_is_named_once(compilers, tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    for path in (first / "g++-13", first / "clang++-19", second / "g++-13"):
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    (first / "g++").symlink_to("g++-13")
    (first / "g++-old").touch(0o755)
    monkeypatch.setenv("PATH", f"{first}:{second}:{tmp_path / 'missing'}")
    assert compilers.on_path() == ["clang++-19", "g++-13"]
    monkeypatch.setattr(sys, "argv", ["compilers.py", "g++-99"])
    assert compilers.main() == 2

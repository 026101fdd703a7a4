"""Compiles every host source under every C++ compiler on PATH, with warnings as errors (``make compilers``).

The sources and their options are those of CMake's build: the extension, and the CUDA kernels as the emulator
compiles them. Nothing is linked. Prints one line per compiler; fails where one of them warns.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

CSRC = Path(__file__).resolve().parent
NAMES = re.compile(r"(g\+\+|clang\+\+)(-\d+)?")
SHOWN = 40  # lines of a source's messages
AS_ERRORS = ["-Wall", "-Wextra", "-Werror"]


@dataclass(frozen=True)
class Unit:
    """One source as CMake compiles it; ``options`` name neither the compiler nor the output."""

    source: Path
    options: tuple[str, ...]
    folder: Path


@dataclass(frozen=True)
class Result:
    """What one compiler said: ``refused`` holds each unit that it refused, with what it printed."""

    version: str
    units: int
    refused: list[tuple[Unit, str]]
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("compilers", nargs="*", help="names or paths; default: all on PATH")
    parser.add_argument("--syntax", action="store_true", help="without optimising: faster, and warns of less")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers' processes at once")
    options = parser.parse_args()
    compilers = options.compilers or on_path()
    missing = [name for name in compilers if shutil.which(name) is None]
    if missing or not compilers:
        print(f"compilers: not found on PATH: {', '.join(missing) or 'g++ or clang++'}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        units = units_of(Path(folder))
        results = {}
        for name in compilers:
            results[name] = compile_all(name, units, options.syntax, options.jobs)
            for unit, messages in results[name].refused:
                print(f"{name}: {unit.source}\n{messages}", file=sys.stderr)
    print(table(results))
    return 1 if any(result.refused for result in results.values()) else 0


def on_path() -> list[str]:
    """Returns each g++ and clang++ of PATH once, those with a version in their name first."""
    names = {
        path.name
        for folder in os.environ.get("PATH", "").split(os.pathsep)
        if Path(folder).is_dir()
        for path in Path(folder).iterdir()
        if NAMES.fullmatch(path.name) and shutil.which(path.name)
    }
    found: dict[Path, str] = {}
    for name in sorted(names, key=lambda name: ("-" not in name, name)):
        found.setdefault(Path(shutil.which(name) or name).resolve(), name)
    return list(found.values())


def units_of(build: Path) -> list[Unit]:
    """Returns what CMake compiles, without CUDA.

    Args:
        build: an empty folder, where CMake configures.

    Raises:
        subprocess.CalledProcessError: if it cannot; what it printed is shown.
    """
    import pybind11

    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # as in setup.py
    defines = {
        "CMAKE_EXPORT_COMPILE_COMMANDS": "ON",
        "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": pybind11.get_cmake_dir(),
        "HIGAN_FAST_CUDA": "0",
    }
    command = ["cmake", "-S", str(CSRC), "-B", str(build), "-G", "Ninja", "--log-level=ERROR"]
    command += [f"-D{name}={value}" for name, value in defines.items()]
    subprocess.run(command, check=True, env={**os.environ, "PATH": path}, stdout=subprocess.DEVNULL)
    return list(read_commands(json.loads((build / "compile_commands.json").read_text())))


def read_commands(commands: list[dict[str, str]]) -> Iterator[Unit]:
    """Yields a unit for each entry of ``compile_commands.json``."""
    for entry in commands:
        words = shlex.split(entry["command"])[1:]
        for flag in ("-o", "-c"):
            at = words.index(flag)
            del words[at : at + 2]
        yield Unit(Path(entry["file"]), tuple(words), Path(entry["directory"]))


def compile_all(compiler: str, units: list[Unit], syntax: bool = False, jobs: int = 1) -> Result:
    """Compiles all units to nothing; ``syntax``: without optimising."""
    begin = time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        said = list(pool.map(lambda unit: compile_one(compiler, unit, syntax), units))
    refused = [(unit, text) for unit, text in zip(units, said, strict=True) if text]
    return Result(version_of(compiler), len(units), refused, time.monotonic() - begin)


def compile_one(compiler: str, unit: Unit, syntax: bool) -> str:
    """Returns what the compiler printed of a unit; empty if it is content."""
    what = ["-fsyntax-only"] if syntax else ["-S", "-o", os.devnull]
    command = [compiler, *unit.options, *AS_ERRORS, *what, str(unit.source)]
    done = subprocess.run(
        command,
        cwd=unit.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    said = "\n".join(done.stdout.splitlines()[:SHOWN])
    return said or (f"exit status {done.returncode}" if done.returncode else "")


def version_of(compiler: str) -> str:
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, errors="replace")
    return next(iter(done.stdout.splitlines()), "unknown")


def table(results: dict[str, Result]) -> str:
    """Returns an aligned line for each compiler."""
    rows = [["compiler", "sources", "refused", "seconds", "version"]]
    for name, found in results.items():
        counts = [str(found.units), str(len(found.refused)), f"{found.seconds:.0f}"]
        rows.append([name, *counts, found.version])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 0 < i < 4 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


if __name__ == "__main__":
    sys.exit(main())

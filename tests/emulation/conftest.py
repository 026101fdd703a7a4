"""Compiles the emulator with small kernels, in three ways, with nothing but a C++ compiler."""

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

NUM = 256  # elements of a case's output
HERE = Path(__file__).parent
CSRC = HERE.parent.parent / "csrc"
COMPILER = os.environ.get("CXX", "c++")
FLAGS = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-fPIC", "-fvisibility=hidden", "-DHIGAN_FAST_EMULATION"]

Compile = Callable[..., list[Path]]


class Emulator:
    """Small kernels under the emulator."""

    forward, reverse, shuffled = range(3)

    def __init__(self, library: Path):
        self._library = ctypes.CDLL(str(library))

    def run(self, case: str, order: int = forward, seed: int = 0) -> np.ndarray:
        """The output of a case, [NUM]; raises RuntimeError when its kernel is caught at something wrong."""
        output = np.zeros(NUM + 4, np.float32)[:NUM]
        self.output = output
        message = ctypes.create_string_buffer(1024)
        if self._library.run(
            case.encode(),
            ctypes.c_int(order),
            ctypes.c_uint64(seed),
            ctypes.c_void_p(output.ctypes.data),
            message,
            ctypes.c_int(len(message)),
        ):
            raise RuntimeError(message.value.decode())
        return output


@pytest.fixture(scope="session")
def compile_all(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """A function that compiles sources with the given flags, to object files in a folder of their own."""

    def compile_all(paths: list[Path], *flags: str) -> list[Path]:
        folder = tmp_path_factory.mktemp("objects")
        objects = [folder / f"{path.stem}.o" for path in paths]
        for path, to in zip(paths, objects, strict=True):
            files = [f"-I{CSRC / 'include'}", "-c", str(path), "-o", str(to)]
            subprocess.run([COMPILER, "-x", "c++", *FLAGS, *flags, *files], check=True)
        return objects

    return compile_all


@pytest.fixture(scope="session")
def emulator_objects(compile_all: Compile) -> list[Path]:
    return compile_all([*sorted((CSRC / "emulation").glob("*.cpp")), HERE / "kernels" / "harness.cpp"])


@pytest.fixture(scope="session")
def watched_objects(compile_all: Compile) -> list[Path]:
    return compile_all(sorted((HERE / "kernels").glob("*.cu")), "-fsanitize=thread")


def link(objects: list[Path], library: Path) -> Emulator:
    command = [COMPILER, "-shared", "-Wl,--no-undefined", *map(str, objects), "-o", str(library)]
    subprocess.run(command, check=True)
    return Emulator(library)


@pytest.fixture(scope="session")
def watched(
    emulator_objects: list[Path], watched_objects: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Emulator:
    """With every access to shared memory watched, as the emulated kernels are built."""
    return link(emulator_objects + watched_objects, tmp_path_factory.mktemp("watched") / "kernels.so")


@pytest.fixture(scope="session")
def plain(
    compile_all: Compile, emulator_objects: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Emulator:
    """Without that: orders, poison and guards alone."""
    objects = compile_all(sorted((HERE / "kernels").glob("*.cu")))
    return link(emulator_objects + objects, tmp_path_factory.mktemp("plain") / "kernels.so")


@pytest.fixture(scope="session")
def portable(
    compile_all: Compile,
    emulator_objects: list[Path],
    watched_objects: list[Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Emulator:
    """With fibers switched by ucontext, as on machines other than x86-64."""
    others = [path for path in emulator_objects if path.stem != "fiber"]
    fiber = compile_all([CSRC / "emulation" / "fiber.cpp"], "-DHIGAN_FAST_UCONTEXT")
    return link(others + fiber + watched_objects, tmp_path_factory.mktemp("portable") / "kernels.so")


@pytest.fixture(params=["watched", "plain", "portable"])
def emulator(request: pytest.FixtureRequest) -> Emulator:
    """Each of the three."""
    chosen: Emulator = request.getfixturevalue(request.param)
    return chosen

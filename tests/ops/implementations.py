"""The implementations that every op is tested in: reference, native CPU, emulated CUDA, native CUDA."""

from __future__ import annotations

import fcntl
import functools
import importlib.util
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from higan_fast import _native

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Implementation:
    """One way to run an op: what is passed as ``impl``, on which device, with which kernels."""

    name: str
    impl: str
    device: str = "cpu"

    @contextmanager
    def active(self, order: str = "shuffled", seed: int = 0):
        """Within it, ``impl`` on ``device`` means this implementation."""
        if self.name != "emulated":
            yield
            return
        module = emulated()
        module.set_order(getattr(module.Order, order), seed)
        before, _native._stand_in = _native._stand_in, module.cuda
        try:
            yield
        finally:
            _native._stand_in = before


REFERENCE = Implementation("reference", "reference")
NATIVE = Implementation("native", "native")
EMULATED = Implementation("emulated", "native")
CUDA = Implementation("cuda", "native", "cuda")

needs_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
KERNELS = [NATIVE, EMULATED, pytest.param(CUDA, marks=needs_gpu)]
ALL = [REFERENCE, *KERNELS]


@functools.cache
def emulated():
    """The CUDA kernels compiled for the host, built where ``make setup`` has built the extension."""
    build = ROOT / "build" / "native"
    if not (build / "CMakeCache.txt").exists():
        pytest.fail(f"{build.relative_to(ROOT)} is missing: `make setup` configures it")
    cmake = Path(sys.executable).parent / "cmake"
    command = [
        str(cmake) if cmake.exists() else "cmake",
        "--build",
        str(build),
        "--target",
        "higan_fast_emulated",
    ]
    with (build / "tests.lock").open("w") as lock:  # two builds in one folder would tear each other's files
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    [path] = (build / "emulation").glob("higan_fast_emulated*.so")
    spec = importlib.util.spec_from_file_location("higan_fast_emulated", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

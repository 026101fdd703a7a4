"""The environment in which a result was made: versions, machine, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import higan_fast

PACKAGES = ("torch", "numpy", "scikit-learn", "zarr", "safetensors", "cupy-cuda13x")


def environment() -> dict[str, Any]:
    """Returns versions, processor, devices and commit as plain values."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "higan_fast": higan_fast.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu_threads": torch.get_num_threads(),
        "cuda_devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        if cuda
        else [],
    }


def native() -> dict[str, Any]:
    """Returns how the extension was built, what it finds here, and what each op runs on each device."""
    import torch

    from higan_fast import _native, ops
    from higan_fast.ops.convolution_choice import describe
    from higan_fast.ops.implementation import why_reference

    extension, problem = _native.load()
    found: dict[str, Any] = {"extension": problem or "loaded"}
    if extension is not None:
        found["instruction_set"] = extension.cpu.instruction_set
        found["compiled_instruction_sets"] = list(extension.cpu.compiled_instruction_sets)
        found["cuda"] = _cuda(extension)
    devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    found["convolution"] = {device: describe(torch.device(device)) for device in devices}
    found["ops"] = {}
    for op in ops.OPS:
        found["ops"][op] = {}
        for device in devices:
            reason = why_reference(op, torch.empty(0, device=device))
            found["ops"][op][device] = f"reference: {reason}" if reason else "native"
    return found


def _cuda(extension: Any) -> dict[str, Any]:
    from higan_fast import _native

    if not hasattr(extension, "cuda"):
        return {"compiled": f"no, CPU kernels only: {_native.HOW_TO_GET_CUDA}"}
    devices, problem = extension.cuda.devices()
    driver = extension.cuda.driver_version()
    if not driver:
        problem = "none"  # CUDA itself speaks of a driver that is too old
    return {
        "compiled": f"for {extension.cuda.architectures}",
        "runtime": _dotted(extension.cuda.runtime_version()),
        "driver": _dotted(driver) if driver else "none",
        "devices": [f"{name} (sm_{major}{minor})" for name, major, minor in devices] or problem,
    }


def _dotted(version: int) -> str:
    """CUDA's 13000 → 13.0."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Returns the commit of the package's own checkout, None without one.

    ``+`` follows if files other than benchmark results were changed: a benchmark appends to these as it goes.
    """
    checkout = Path(__file__).resolve().parent.parent
    if not (checkout / ".git").exists():  # the repository of somebody who installed the package into it
        return None
    commit = _git(checkout, "rev-parse", "--short", "HEAD")
    changed = _git(
        checkout, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results"
    )
    return f"{commit}+" if commit and changed else commit or None


def _git(checkout: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=checkout, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()

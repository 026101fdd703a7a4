"""Says what wheels are: tag, size, GPUs, what they link; ends with an error where a release must not have it.

python release/check_wheel.py WHEEL … [--expect manylinux_2_28]
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

LARGEST = 60  # MB of 10⁶ bytes
CUBINS = {"sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120"}
PTX = {"sm_120"}  # for GPUs that are newer
EXTENSION = re.compile(r"higan_fast/_extension\..*\.so")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheels", type=Path, nargs="+", metavar="WHEEL")
    parser.add_argument("--expect", metavar="TAG", help="manylinux tag that each must have")
    options = parser.parse_args(argv)
    wrong = 0
    for wheel in options.wheels:
        size = wheel.stat().st_size / 1e6
        tag = wheel.stem.split("-")[-1]
        cubins, ptx = gpus(wheel)
        kernels = f"{' '.join(sorted(cubins))}, PTX {' '.join(sorted(ptx))}" if cubins else "CPUs"
        print(f"{wheel.name}: {size:.1f} MB, {tag}, for {kernels}")
        for fault in faults(wheel, size, tag, options.expect, cubins, ptx):
            print(f"{wheel.name}: {fault}", file=sys.stderr)
            wrong += 1
    return 1 if wrong else 0


def faults(
    wheel: Path,
    size: float,
    tag: str,
    expected: str | None = None,
    cubins: set[str] | None = None,
    ptx: set[str] | None = None,
) -> list[str]:
    """Returns what is wrong with a wheel, a line each.

    Args:
        size: MB of 10⁶ bytes.
        tag: its platform tag, or several with dots between.
        expected: a manylinux tag without the architecture that ``tag`` must have.
        cubins, ptx: the architectures of :func:`gpus`; without any, the wheel is for CPUs.
    """
    found = []
    if size > LARGEST:
        found.append(f"got {size:.1f} MB, expected at most {LARGEST}: build for fewer architectures")
    if not tag.startswith("manylinux"):
        found.append(f"got the tag {tag}, expected manylinux: repair it with auditwheel")
    if expected and not re.search(rf"(^|\.){re.escape(expected)}_[a-z]", tag):
        found.append(f"got the tag {tag}, expected {expected}: build it with HIGAN_FAST_GLIBC")
    if (cubins or ptx) and (cubins, ptx) != (CUBINS, PTX):
        expected_gpus = f"{' '.join(sorted(CUBINS))}, PTX {' '.join(sorted(PTX))}"
        found.append(f"expected kernels for {expected_gpus}: build it with HIGAN_FAST_CUDA_ARCHS=release")
    with zipfile.ZipFile(wheel) as archive:
        bundled = [name for name in archive.namelist() if ".libs/" in name]
        if bundled:
            found.append(
                f"got {', '.join(bundled)}, expected no bundled library: torch brings the OpenMP runtime"
            )
        if not any(EXTENSION.fullmatch(name) for name in archive.namelist()):
            found.append("expected higan_fast/_extension.*.so in it")
    return found


def gpus(wheel: Path) -> tuple[set[str], set[str]]:
    """Returns for which architectures a wheel's extension has machine code, and for which PTX.

    Raises:
        FileNotFoundError: without cuobjdump, if the extension has CUDA kernels.
    """
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        extensions = [name for name in archive.namelist() if EXTENSION.fullmatch(name)]
        if not extensions:
            return set(), set()
        extension = archive.extract(extensions[0], folder)
        if b".nv_fatbin" not in Path(extension).read_bytes():
            return set(), set()
        listed = subprocess.run(
            [cuobjdump(), "--list-elf", "--list-ptx", extension], capture_output=True, text=True, check=True
        ).stdout
    found = re.findall(r"\.(sm_\w+)\.(cubin|ptx)$", listed, re.MULTILINE)
    return {name for name, kind in found if kind == "cubin"}, {name for name, kind in found if kind == "ptx"}


def cuobjdump() -> str:
    """Returns where CUDA's tool is: on PATH, or of PyPI's package."""
    on_path = shutil.which("cuobjdump")
    if on_path:
        return on_path
    try:
        packaged = files("nvidia-cuda-cuobjdump") or []
    except PackageNotFoundError:
        packaged = []
    for path in packaged:
        if path.name == "cuobjdump":
            return str(path.locate())
    raise FileNotFoundError("cuobjdump is neither on PATH nor installed: pip install nvidia-cuda-cuobjdump")


if __name__ == "__main__":
    sys.exit(main())

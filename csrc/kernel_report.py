"""What each CUDA kernel takes of a GPU: registers, shared memory, stack, spills (``make kernel-report``).

Compiles ``csrc/kernels/*.cu`` with warnings as errors. Fails where one does not compile, and where a kernel
of ``modulated_conv2d`` spills registers.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

KERNELS = Path(__file__).parent / "kernels"
ARCHITECTURES = ("80", "90a")
AT_ONCE = 2
MUST_NOT_SPILL = "modulated_conv2d"
# as csrc/CMakeLists.txt compiles them
OPTIONS = ["-std=c++17", "-O3", "-DNDEBUG", "--expt-relaxed-constexpr", "-Xcompiler=-Wall,-Wextra,-fPIC"]
OPTIONS += ["-Werror", "all-warnings"]  # ptxas's and the host compiler's too


@dataclass(frozen=True)
class Kernel:
    """What ptxas says of one kernel on one architecture; memory in bytes per block (shared) or thread."""

    name: str
    architecture: str
    registers: int
    shared: int
    stack: int
    spill_stores: int
    spill_loads: int

    @property
    def spills(self) -> bool:
        return self.spill_stores > 0 or self.spill_loads > 0


def main() -> int:
    nvcc = os.environ.get("CUDACXX") or shutil.which("nvcc")
    if nvcc is None:
        print("kernel report: nvcc was not found: put it on PATH, or set CUDACXX", file=sys.stderr)
        return 1
    kernels, failed = compile_all(nvcc, sorted(KERNELS.glob("*.cu")))
    names = demangled([kernel.name for kernel in kernels])
    print(table(kernels, names))
    if not kernels:
        print("kernel report: nothing that nvcc printed describes a kernel", file=sys.stderr)
    spilling = [kernel for kernel in kernels if MUST_NOT_SPILL in kernel.name and kernel.spills]
    for kernel in spilling:
        print(f"{names[kernel.name]} spills registers on {kernel.architecture}", file=sys.stderr)
    for source in failed:
        print(f"{source.name} does not compile without warnings", file=sys.stderr)
    return 1 if spilling or failed or not kernels else 0


def compile_all(nvcc: str, sources: list[Path]) -> tuple[list[Kernel], list[Path]]:
    """All kernels in ``sources``, and those sources that nvcc refuses; says what it is at on stderr."""
    found: dict[Path, list[Kernel]] = {}
    failed: list[Path] = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = {pool.submit(compile_one, nvcc, source, Path(folder)): source for source in sources}
        for count, job in enumerate(as_completed(jobs), 1):
            source, (output, status) = jobs[job], job.result()
            print(f"{count}/{len(sources)} {source.name}", file=sys.stderr)
            found[source] = list(parse(output))
            if status:
                failed.append(source)
                print(output, file=sys.stderr)
    return [kernel for source in sources for kernel in found[source]], failed


def compile_one(nvcc: str, source: Path, folder: Path) -> tuple[str, int]:
    """What nvcc and ptxas print of one file for all architectures, and nvcc's exit status."""
    targets = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in ARCHITECTURES]
    command = [nvcc, *OPTIONS, *targets, "-Xptxas", "-v", "-c", str(source)]
    command += ["-o", str(folder / f"{source.stem}.o")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout, done.returncode


def parse(output: str) -> Iterator[Kernel]:
    """What ptxas prints → kernels; it tells of each the entry, then the stack and spills, then the rest."""
    entry = re.compile(
        r"Compiling entry function '(?P<name>\w+)' for '(?P<architecture>\w+)'.*?"
        r"Function properties for (?P=name)\s+"
        r"(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, "
        r"(?P<loads>\d+) bytes spill loads.*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
        re.DOTALL,
    )
    for found in entry.finditer(output):
        shared = re.search(r"(\d+) bytes smem", found["rest"])
        yield Kernel(
            found["name"],
            found["architecture"],
            registers=int(found["registers"]),
            shared=int(shared[1]) if shared else 0,
            stack=int(found["stack"]),
            spill_stores=int(found["stores"]),
            spill_loads=int(found["loads"]),
        )


def table(kernels: list[Kernel], names: dict[str, str]) -> str:
    """One line for each kernel and architecture, aligned."""
    head = ["kernel", "on", "registers", "shared", "stack", "spill stores", "spill loads"]
    rows = [
        [
            names[kernel.name],
            kernel.architecture,
            *map(str, (kernel.registers, kernel.shared, kernel.stack)),
            *map(str, (kernel.spill_stores, kernel.spill_loads)),
        ]
        for kernel in sorted(kernels, key=lambda kernel: (names[kernel.name], kernel.architecture))
    ]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(row: list[str]) -> str:
        text = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        return "  ".join(text + [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)])

    return "\n".join(map(line, [head, *rows]))


def demangled(names: list[str]) -> dict[str, str]:
    """Symbols → short readable names; as they are where no demangler is at hand."""
    tool = shutil.which("cu++filt") or shutil.which("c++filt")
    if tool is None:
        return {name: name for name in names}
    done = subprocess.run([tool], input="\n".join(names), capture_output=True, text=True, check=True)
    return {name: shortened(full) for name, full in zip(names, done.stdout.splitlines(), strict=True)}


def shortened(name: str) -> str:
    """``void higan_fast::(anonymous namespace)::f<__half, 8>(Params)`` → ``f<half, 8>``."""
    name = name.removeprefix("void ")
    for pattern, short in (
        (r"\(anonymous namespace\)::|\b\w+::|\(\w+\)(?=\d)", ""),
        (r"__nv_bfloat16", "bfloat16"),
        (r"__half", "half"),
    ):
        name = re.sub(pattern, short, name)
    depth = 0
    for index, letter in enumerate(name):  # the arguments begin at the first parenthesis outside of <…>
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "(" and depth == 0:
            return name[:index]
    return name


if __name__ == "__main__":
    sys.exit(main())

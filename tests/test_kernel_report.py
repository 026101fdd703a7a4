"""What the compiler says of the CUDA kernels, read and judged."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def kernel_report():
    spec = importlib.util.spec_from_file_location("kernel_report", ROOT / "csrc" / "kernel_report.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look there
    spec.loader.exec_module(module)
    return module


# nvcc 13.0 on one kernel of ours and one made to spill, with shared memory
PTXAS = """\
ptxas info    : Overriding maximum register limit 256 for '_Z5spillILi3EEvPfi' with  64 of maxrregcount option
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z5spillILi3EEvPfi' for 'sm_80'
ptxas info    : Function properties for _Z5spillILi3EEvPfi
    2424 bytes stack frame, 3284 bytes spill stores, 3432 bytes spill loads
ptxas info    : Used 64 registers, used 1 barriers, 2424 bytes cumulative stack size, 256 bytes smem, \
364 bytes cmem[0]
ptxas info    : Compile time = 144.067 ms
ptxas info    : Compiling entry function \
'_ZN10higan_fast12_GLOBAL__N_123modulated_conv2d_kernelI6__halfLi8EEEvT_' for 'sm_90a'
ptxas info    : Function properties for \
_ZN10higan_fast12_GLOBAL__N_123modulated_conv2d_kernelI6__halfLi8EEEvT_
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 240 registers, used 1 barriers
ptxas info    : Compile time = 47.002 ms
"""


def test_ptxas_is_read(kernel_report):
    spilling, ours = kernel_report.parse(PTXAS)
    assert spilling == kernel_report.Kernel("_Z5spillILi3EEvPfi", "sm_80", 64, 256, 2424, 3284, 3432)
    assert spilling.spills and not ours.spills
    assert (ours.architecture, ours.registers, ours.shared, ours.stack) == ("sm_90a", 240, 0, 0)
    lines = kernel_report.table([spilling, ours], {spilling.name: "spill", ours.name: "ours"}).splitlines()
    assert lines[1].split() == ["ours", "sm_90a", "240", "0", "0", "0", "0"]
    assert lines[2].split() == ["spill", "sm_80", "64", "256", "2424", "3284", "3432"]


def test_names_are_shortened(kernel_report):
    full = (
        "void higan_fast::(anonymous namespace)::f<__nv_bfloat16, higan_fast::Tile<(int)64, 32>, (bool)1>"
        "(higan_fast::Problem<__nv_bfloat16>, int (*)(int))"
    )
    assert kernel_report.shortened(full) == "f<bfloat16, Tile<64, 32>, 1>"


@pytest.mark.parametrize("stores, status", [(0, 0), (4, 1)])
def test_only_the_convolution_must_not_spill(kernel_report, monkeypatch, capsys, stores, status):
    kernels = [
        kernel_report.Kernel("modulated_conv2d_kernel", "sm_80", 240, 0, 0, stores, 0),
        kernel_report.Kernel("upfirdn2d_kernel", "sm_80", 80, 0, 8, 4, 4),
    ]
    monkeypatch.setenv("CUDACXX", "nvcc")
    monkeypatch.setattr(kernel_report, "compile_all", lambda nvcc, sources: (kernels, []))
    assert kernel_report.main() == status
    printed = capsys.readouterr()
    assert "upfirdn2d_kernel" in printed.out and ("spills" in printed.err) == bool(status)


def test_a_warning_fails_the_report(kernel_report, monkeypatch, capsys):
    kernel = kernel_report.Kernel("f", "sm_80", 1, 0, 0, 0, 0)
    monkeypatch.setenv("CUDACXX", "nvcc")
    for found in (([kernel], [Path("a.cu")]), ([], [])):
        monkeypatch.setattr(kernel_report, "compile_all", lambda nvcc, sources, found=found: found)
        assert kernel_report.main() == 1


def test_a_report_without_nvcc(kernel_report, monkeypatch, capsys):
    monkeypatch.delenv("CUDACXX", raising=False)
    monkeypatch.setenv("PATH", "")
    assert kernel_report.main() == 1
    assert capsys.readouterr().err.count("\n") == 1

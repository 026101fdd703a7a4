"""The extension: it loads without torch and without a GPU, and says what is missing."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from higan_fast import _native
from higan_fast.environment import _cuda
from higan_fast.ops import bias_act


def test_it_loads_without_torch_and_links_neither_torch_nor_the_cuda_runtime():
    code = "import sys; from higan_fast import _extension; assert 'torch' not in sys.modules; "
    code += "print(_extension.__file__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    linked = subprocess.run(["ldd", done.stdout.strip()], capture_output=True, text=True, check=True).stdout
    assert "libgomp" in linked
    assert "torch" not in linked and "libcudart" not in linked and "libc10" not in linked


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(_native, "load", lambda: (None, "the extension has not been built"))
    assert bias_act(torch.ones(2), gain=2).tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="bias_act: impl='native' cannot run: the extension has not been"):
        bias_act(torch.ones(2), impl="native")
    monkeypatch.setattr(_native, "load", lambda: (SimpleNamespace(cpu=None), ""))
    assert "built without CUDA" in _native.backend(torch.device("cuda"))[1]
    assert "no kernels for meta devices" in _native.backend(torch.device("meta"))[1]


def test_what_cannot_be_loaded_is_named(monkeypatch):
    def fails(name):
        raise ImportError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr(_native.importlib, "import_module", fails)
    assert "cannot open shared object file; install libgomp1 (Debian)" in _native.load.__wrapped__()[1]


def test_a_build_without_cuda_says_how_to_get_it():
    compiled = _cuda(SimpleNamespace())["compiled"]
    assert "CPU kernels only" in compiled and "pip install --no-binary higan_fast" in compiled


def test_a_machine_without_a_driver_has_no_devices():
    cuda = SimpleNamespace(
        devices=lambda: ([], "CUDA driver version is insufficient"), driver_version=lambda: 0,
        runtime_version=lambda: 13000, architectures="80",
    )  # fmt: skip
    assert _cuda(SimpleNamespace(cuda=cuda))["devices"] == "none"
    cuda.driver_version = lambda: 12040
    assert _cuda(SimpleNamespace(cuda=cuda))["devices"] == "CUDA driver version is insufficient"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((torch.ones(1, 2, 3), None, torch.ones(2, 3)), "out: got 2, expected rank 3"),
        ((torch.ones(1, 1, 6), None, torch.ones(1, 1, 6, dtype=torch.float16)), "out: got float16"),
    ],
)
def test_kernels_refuse_what_they_cannot_read(arguments, message):
    with pytest.raises(ValueError, match=message):
        _native.launch("bias_act", torch.device("cpu"), *arguments, 0, 0.0, 1.0, -1.0)


def test_doctor_lists_instruction_sets():
    extension, _ = _native.load()
    assert extension.cpu.instruction_set in extension.cpu.compiled_instruction_sets
    assert "baseline" in extension.cpu.compiled_instruction_sets

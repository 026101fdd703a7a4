"""Someone else's script, run as it is with our ops in its models."""

import sys

import pytest
import torch
from click.testing import CliRunner

from higan_fast.compat import rosinality
from higan_fast.compat.run import main

SCRIPT = """
import argparse, sys, torch
from tests.compat.stand_ins import ada, shaken
import beside
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int)
torch.manual_seed(parser.parse_args().seed)
G = shaken(ada.Generator())
with torch.no_grad():
    w = G.mapping(torch.randn(2, 10), None)
    print(f"mean {G.synthesis(w, noise_mode='const').mean():.4f} {__name__} {beside.here}")
    print(f"mean {G(torch.randn(2, 10)).mean():.4f}")
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "beside.py").write_text("here = True\n")
    path = tmp_path / "generate.py"
    path.write_text(SCRIPT)
    yield path
    sys.modules.pop("beside", None)


def test_a_script_with_its_arguments(script, monkeypatch):
    run = CliRunner()
    patched = run.invoke(main, ["--check", "never", str(script), "--seed", "3"])
    assert patched.exit_code == 0, patched.output
    assert "__main__ True" in patched.stdout
    assert "; 0 of " in patched.stderr
    assert "SynthesisBlock  kernel     6" in patched.stderr
    monkeypatch.setenv("HIGAN_FAST_DISABLE", "1")
    plain = run.invoke(main, ["--quiet", str(script), "--seed", "3"])
    assert plain.stdout == patched.stdout
    assert not plain.stderr
    assert not torch.nn.modules.module._global_forward_pre_hooks


FOR_CUDA = """
import sys, torch
from tests.compat.stand_ins import ada, shaken
device = torch.device("cuda")
torch.manual_seed(0)
G, features = shaken(ada.Generator()).to(device), torch.jit.load(sys.argv[1]).to("cuda:0")
z = torch.cat([torch.randn(1, 10).cuda(), torch.zeros([1, 10], device=device)])
with torch.no_grad():
    images = G(z, noise_mode="const")
    print(images.device, features(images).shape, torch.tensor(3, device="cuda").item())
"""


def test_a_script_for_cuda_on_the_cpu(tmp_path, script):
    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.script"):
        torch.jit.script(torch.nn.Conv2d(3, 2, 3)).save(str(tmp_path / "features.pt"))
    script.write_text(FOR_CUDA)
    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.load"):
        done = CliRunner().invoke(main, ["--cpu", str(script), str(tmp_path / "features.pt")])
    assert done.exit_code == 0, (done.output, done.exception)
    assert done.stdout == "cpu torch.Size([2, 2, 14, 14]) 3\n"
    assert "higan_fast: <Handle of every model: SynthesisBlock ×3, " in done.stderr
    assert "×10>; 0 of " in done.stderr


def test_rosinalitys_package_of_ops(monkeypatch):
    for name in ("op", "op.conv2d_gradfix"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    rosinality.install()
    try:
        from op import FusedLeakyReLU, conv2d_gradfix, fused_leaky_relu, upfirdn2d
        from op.conv2d_gradfix import no_weight_gradients

        assert (fused_leaky_relu, upfirdn2d) == (rosinality.fused_leaky_relu, rosinality.upfirdn2d)
        with no_weight_gradients():
            y = conv2d_gradfix.conv2d(FusedLeakyReLU(2)(torch.ones(1, 2, 3, 3)), torch.ones(1, 2, 3, 3))
        torch.testing.assert_close(y, torch.full((1, 1, 1, 1), 18 * 2**0.5))
    finally:
        for name in ("op", "op.conv2d_gradfix"):
            sys.modules.pop(name, None)

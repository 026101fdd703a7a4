"""Patched stand-ins of public code draw what they drew; everything can be put back, copied and kept."""

import copy
import pickle
import threading
import warnings
from collections import Counter

import pytest
import torch

import higan_fast as hf
from tests.compat.stand_ins import ada, genforce, imported_again, pickled, rosinality, shaken, stylegan3


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def codes(num=2, length=12, layers=6, seed=0):
    return torch.randn(num, layers, length, generator=torch.Generator().manual_seed(seed))


def latents(num=2, length=10):
    return codes(num, length)[:, 0]


# name → the network, one of its calls, the layers that serve it
FAMILIES = {
    "ada": (ada.Generator, lambda g: g(latents(), noise_mode="random"), {"SynthesisBlock"}),
    "ada, clamped": (lambda: ada.Generator(clamp=0.5), lambda g: g(latents()), {"SynthesisBlock"}),
    "ada, layers": (lambda: ada.SynthesisLayer(8, 6, 12, 8, up=2, activation="swish"),
                    lambda g: g(torch.ones(2, 8, 4, 4), codes()[:, 0], gain=0.5), {"SynthesisLayer"}),
    "stylegan3": (stylegan3.SynthesisNetwork, lambda g: g(codes(layers=4)), {"SynthesisLayer"}),
    "rosinality": (rosinality.Generator, lambda g: g([latents(length=12)])[0], {"StyledConv", "ToRGB"}),
    "genforce": (genforce.SynthesisModule, lambda g: g(codes(), randomize_noise=True)["image"],
                 {"ModulateConvBlock", "UpsamplingLayer"}),
    "higan": (genforce.HiganSynthesis, lambda g: g(codes()[:, 0]), {"ModulateConvBlock"}),
}  # fmt: skip


def drawn(network, call):
    torch.manual_seed(0)
    with torch.no_grad():
        return call(network), torch.get_rng_state()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_images_from_the_same_random_numbers(family):
    make, call, served = FAMILIES[family]
    network = shaken(make())
    expected, state = drawn(network, call)
    classes = [type(module) for module in network.modules()]
    with hf.patch(network) as handle:
        for _ in range(2):  # the first call compares
            found, after = drawn(network, call)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
            assert torch.equal(after, state)
            assert found.is_contiguous()
        lines = handle.report()
    assert {line.what for line in lines if line.served == "kernel"} >= served
    assert lines.fallbacks == 0
    assert [type(module) for module in network.modules()] == classes
    assert all("forward" not in vars(module) for module in network.modules())
    assert torch.equal(drawn(network, call)[0], expected)


def test_an_odd_filter_and_a_hook_are_served_otherwise_and_counted():
    network = shaken(ada.Generator(taps=(1, 2, 1)))
    expected = drawn(network, FAMILIES["ada"][1])[0]
    handle = hf.patch(network)
    seen = []
    hook = network.synthesis.b8.conv0.register_forward_hook(lambda *args: seen.append(args[2].shape))
    torch.testing.assert_close(drawn(network, FAMILIES["ada"][1])[0], expected, atol=1e-5, rtol=1e-5)
    hook.remove()
    handle.unpatch()
    reasons = {(line.what, line.served, line.reason) for line in handle.report()}
    assert ("SynthesisBlock", "original", "a hook on one of its layers") in reasons
    assert ("SynthesisBlock", "reference", "a filter that is not 4 taps for both axes") in reasons
    assert seen == [(2, 6, 8, 8)]


def test_a_layer_that_differs_is_put_back_with_one_warning():
    network = shaken(ada.SynthesisLayer(8, 6, 12, 8, up=2))
    original = type(network).forward

    class Changed(ada.SynthesisLayer):
        def forward(self, x, w, noise_mode="random", fused_modconv=True, gain=1):
            return 2 * original(self, x, w, noise_mode, fused_modconv, gain)

    network.__class__ = Changed
    call = FAMILIES["ada, layers"][1]
    expected, state = drawn(network, call)
    handle = hf.patch(network)
    with pytest.warns(RuntimeWarning, match="SynthesisLayer differs from the original .*, which is put back"):
        found, after = drawn(network, call)
    assert torch.equal(found, expected)
    assert torch.equal(after, state)
    assert torch.equal(drawn(network, call)[0], expected)  # filterwarnings: no second warning
    lines = handle.report()  # what ours gave at the first call was thrown away
    served = {line[:2]: line.calls for line in lines}
    assert served == {("SynthesisLayer", "original"): 2, ("bias_act", "kernel"): 2}
    assert "of its largest value" in next(line.reason for line in lines if line.served == "original")


def test_instances_from_modules_of_their_own():
    """NVlabs' pickles run their source anew: patching the importable module changes none of the calls."""
    again = imported_again("ada")
    network, other = shaken(again.Generator()), shaken(again.Generator(), 1)
    expected, function = drawn(network, FAMILIES["ada"][1])[0], again.modulated_conv2d
    handle = hf.patch(network)
    torch.testing.assert_close(drawn(network, FAMILIES["ada"][1])[0], expected, atol=1e-5, rtol=1e-5)
    assert handle.report().fallbacks == 0
    drawn(other, FAMILIES["ada"][1])
    calls = sum(line.calls for line in handle.report())
    drawn(other, FAMILIES["ada"][1])
    assert sum(line.calls for line in handle.report()) == calls  # only this instance
    assert again.modulated_conv2d is function


class Conv(torch.nn.Module):
    """A layer that nobody knows, with functions that are known."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = (
            torch.nn.Parameter(torch.randn(4, 3, 3, 3)),
            torch.nn.Parameter(torch.randn(4)),
        )

    def forward(self, x):
        y = ada.modulated_conv2d(x, self.weight, torch.ones(len(x), 3), padding=1)
        return self.activated(y)

    def activated(self, y):
        return bias_act.bias_act(y, self.bias, act="lrelu")


bias_act, modulated_conv2d = ada.bias_act, ada.modulated_conv2d


def test_single_functions_of_unknown_layers():
    layer, x = shaken(Conv()), torch.randn(2, 3, 5, 5)
    expected = layer(x)
    with hf.patch(layer) as handle:
        torch.testing.assert_close(layer(x), expected)
    assert {line[:2] for line in handle.report()} == {("bias_act", "kernel"), ("modulated_conv2d", "kernel")}
    assert repr(handle) == "<Handle of Conv: unpatched>"
    with hf.patch(layer, ops=["bias_act"]) as handle:
        layer(x)
    assert {line.what for line in handle.report()} == {"bias_act"}
    assert bias_act.bias_act is ada._bias_act


def test_a_namespace_and_everyone_who_uses_it():
    again = imported_again("ada")
    network, before = shaken(again.Generator()), dict(vars(again))
    expected = drawn(network, FAMILIES["ada"][1])[0]
    with hf.patch_namespace(again) as handle:
        assert repr(handle).endswith(": bias_act ×1, modulated_conv2d ×1, upfirdn2d ×1, upsample2d ×1>")
        with pytest.raises(ValueError, match=r"module: \S* is patched already; call unpatch"):
            hf.patch_namespace(again)
        torch.testing.assert_close(drawn(network, FAMILIES["ada"][1])[0], expected, atol=1e-5, rtol=1e-5)
    assert {line.what for line in handle.report()} == {"modulated_conv2d", "bias_act", "upfirdn2d"}
    assert vars(again) == before
    with pytest.raises(
        ValueError, match="module: pickle has no function that is known; expected one of bias_act"
    ):
        hf.patch_namespace(pickle)


def test_copies_are_patched_and_pickles_hold_the_original():
    network = shaken(ada.Generator())
    call = FAMILIES["ada"][1]
    expected = drawn(network, call)[0]
    handle = hf.patch(network)
    drawn(network, call)
    copied = copy.deepcopy(network)
    with torch.no_grad():
        copied.synthesis.b4.const.add_(1)  # a copy has weights of its own
        network.synthesis.b8.conv0.weight.data.mul_(1)
    calls = sum(line.calls for line in handle.report())
    changed = drawn(copied, call)[0]
    assert sum(line.calls for line in handle.report()) > calls
    assert not torch.allclose(changed, expected)
    kept = pickled(copied)
    assert type(kept.synthesis.b8) is ada.SynthesisBlock
    torch.testing.assert_close(drawn(kept, call)[0], changed, atol=1e-5, rtol=1e-5)
    handle.unpatch()
    handle.unpatch()
    assert type(copied.synthesis.b8) is ada.SynthesisBlock
    torch.testing.assert_close(drawn(copied, call)[0], changed, atol=1e-5, rtol=1e-5)


def test_parallel_traced_and_shared_by_threads():
    network = shaken(ada.Generator())
    z = latents()
    expected = network(z, noise_mode="const")
    with hf.patch(network) as handle:
        results = [None] * 4

        def draw(index):
            with torch.no_grad():
                results[index] = network(z, noise_mode="const")

        threads = [threading.Thread(target=draw, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for found in (*results, torch.nn.DataParallel(network)(z, noise_mode="const")):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert handle.report().fallbacks == 0

        class Drawing(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.network = network

            def forward(self, z):
                return self.network(z, noise_mode="const")

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own, that it is deprecated
            traced = torch.jit.trace(Drawing(), z, check_trace=False)
        torch.testing.assert_close(traced(z), expected, atol=1e-5, rtol=1e-5)
        with torch.no_grad():
            for parameter in network.synthesis.b16.parameters():
                parameter.mul_(0.5)
        torch.testing.assert_close(  # the graph reads the weights where they are
            traced(z), network(z, noise_mode="const"), atol=1e-5, rtol=1e-5
        )


def test_gradients_of_ours_and_of_the_original():
    network = shaken(ada.Generator()).double().requires_grad_()
    z = latents().double()

    def gradients():
        torch.manual_seed(0)
        mean = network(z, noise_mode="const").square().mean()
        some = list(network.parameters())[:9]
        first = torch.autograd.grad(mean, some, create_graph=True, allow_unused=True, materialize_grads=True)
        penalty = sum(gradient.square().sum() for gradient in first)
        return torch.autograd.grad(penalty, [network.synthesis.b8.conv0.weight])[0]

    network.synthesis.b4.to(torch.float64)
    expected = gradients()
    with hf.patch(network, ops=["modulated_conv2d", "bias_act"]) as handle:
        torch.testing.assert_close(gradients(), expected, atol=1e-9, rtol=1e-9)
    assert {line.reason for line in handle.report()} == {"a gradient is needed"}
    with hf.patch(network, gradients="original") as handle:
        assert torch.equal(gradients(), expected)  # bit for bit
    assert {line.served for line in handle.report()} == {"original"}


NOT_NETWORKS = {
    "None": None,
    "the class Generator": ada.Generator,
    "the path 'network.pkl'": "network.pkl",
    "a state dict": {"weight": torch.ones(2)},
    "a dictionary of networks, .*: 'G_ema'$": {"G_ema": torch.nn.Linear(2, 2), "step": 7},
    "the module pickle, .*patch_namespace": pickle,
    "the method forward of a network": torch.nn.Linear(2, 2).forward,
    "a function": drawn,
    "a Tensor": torch.ones(2),
}


@pytest.mark.parametrize("what", NOT_NETWORKS)
def test_what_is_no_network_is_refused_in_one_line(what):
    for take in (hf.patch, hf.generators.from_model):
        with pytest.raises(TypeError, match=rf"^model: got {what}") as refused:
            take(NOT_NETWORKS[what])
        assert "expected a network, a live torch.nn.Module; " in str(refused.value)
    if NOT_NETWORKS[what] is not pickle:
        with pytest.raises(TypeError, match=r"^module: got .*, expected a module, such as "):
            hf.patch_namespace(NOT_NETWORKS[what])


def test_refusals(monkeypatch):
    with pytest.raises(ValueError, match="model: got a Linear, in which no layer and no function is known"):
        hf.patch(torch.nn.Linear(2, 2))
    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.script"):
        scripted = torch.jit.script(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"model: got a .*ScriptModule, in which no layer"):
        hf.patch(scripted)
    network = ada.Generator()
    with pytest.raises(ValueError, match="model: got a StyleGAN2 of higan_fast, which runs our ops already"):
        hf.patch(hf.generators.from_model(network))
    for ops, shown in (("everything", "'everything'"), (5, "5"), ([["layers"]], "."), (None, "None")):
        with pytest.raises(ValueError, match=f"ops: got {shown}.*, expected 'auto' or some of bias_act, "):
            hf.patch(network, ops=ops)
    with pytest.raises(ValueError, match=r"check: got 'always', expected one of \['first_call', 'never'\]"):
        hf.patch(network, check="always")
    handle = hf.patch(network)
    served = "SynthesisBlock ×3, SynthesisLayer ×5, ToRGBLayer ×3, bias_act ×10"
    assert repr(handle) == f"<Handle of Generator: {served}>"
    with pytest.raises(ValueError, match="model: it is patched already"):
        hf.patch(network)
    handle.unpatch()
    monkeypatch.setenv("HIGAN_FAST_DISABLE", "1")
    with hf.patch(network) as handle:
        assert type(network.synthesis) is ada.SynthesisNetwork
        assert not handle.report()
        assert str(handle.report()) == "no calls yet"
        assert repr(handle) == "<Handle of Generator: turned off by HIGAN_FAST_DISABLE=1>"


def test_compiled_and_exported_without_a_break():
    network = shaken(rosinality.Generator(widths=(6, 5)))
    with torch.no_grad(), hf.patch(network):
        z = latents(length=12)
        expected = network([z], randomize_noise=False)[0]
        compiled = torch.compile(
            lambda z: network([z], randomize_noise=False)[0], backend="eager", fullgraph=True
        )
        torch.testing.assert_close(compiled(z), expected, atol=1e-5, rtol=1e-5)
    block = shaken(ada.SynthesisBlock(5, 4, 12, 8, is_last=True))
    arguments = (torch.randn(2, 5, 4, 4), torch.randn(2, 3, 4, 4), codes(layers=3))
    with torch.no_grad(), hf.patch(block):
        expected = block(*arguments, noise_mode="const")
        program = torch.export.export(block, arguments, {"noise_mode": "const"})
        torch.testing.assert_close(program.module()(*arguments, noise_mode="const"), expected)
    targets = Counter(str(node.target) for node in program.graph.nodes)
    ours = {name.split(".")[1]: num for name, num in targets.items() if name.startswith("higan_fast.")}
    assert ours == {"bias_act": 3, "modulated_conv2d": 2, "to_rgb": 1}

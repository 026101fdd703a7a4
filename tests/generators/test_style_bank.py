"""The styles of all layers at once: as layer by layer, of the weights as they are now, in few calls."""

import copy
from collections import Counter

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from higan_fast import _native
from higan_fast.generators import prepared, style_bank
from higan_fast.generators.style_bank import all_styles
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config

CONFIG = StyleGAN2Config(channels={4: 12, 8: 10, 16: 8}, latent_dim=16, code_dim=20, mapping_depth=1)


def made(config=CONFIG):
    """Random weights in which nothing is zero."""
    torch.manual_seed(0)
    generator = StyleGAN2(config).eval().requires_grad_(False)
    for name, parameter in generator.named_parameters():
        if name.endswith(("bias", "noise_strength")):
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return generator


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("architecture", ["skip", "resnet"])
def test_they_are_those_of_each_layer(architecture, dtype):
    generator = made(
        StyleGAN2Config(CONFIG.channels, 16, code_dim=20, mapping_depth=1, architecture=architecture)
    )
    synthesis, codes = generator.synthesis, torch.randn(3, 6, 20)
    whole = all_styles(synthesis, synthesis.bank, codes, dtype)
    for first in range(7):
        found = all_styles(synthesis, synthesis.bank, codes, dtype, first)
        for index, conv in enumerate(synthesis.convs):
            if index < first:
                assert found.convs[index] is None
                continue
            style = found.convs[index]
            alone = conv.style(codes[:, index], dtype).styles
            torch.testing.assert_close(style.styles, alone, rtol=1e-5, atol=1e-6)
            weight = conv.prepared(dtype)
            factors = (alone.square() @ weight.square.T + 1e-8).rsqrt()
            factors = factors if weight.gain is None else factors * weight.gain
            torch.testing.assert_close(style.demod, factors, rtol=1e-5, atol=0)
            torch.testing.assert_close(style.styles, whole.convs[index].styles, rtol=1e-6, atol=1e-6)
        for index in range(1, 6, 2):
            if (block := synthesis.rgb_at(index)) is not None:
                alone = synthesis.rgbs[block].styles(codes[:, index])
                if index < first:
                    assert found.rgbs[block] is None
                else:
                    torch.testing.assert_close(found.rgbs[block], alone, rtol=1e-5, atol=1e-6)
    part = whole.part(slice(1, 3))
    assert all(
        torch.equal(one.styles, style.styles[1:]) for one, style in zip(part.convs, whole.convs, strict=True)
    )
    assert all(
        torch.equal(one.demod, style.demod[1:]) for one, style in zip(part.convs, whole.convs, strict=True)
    )


@torch.inference_mode()
def test_a_change_of_any_weight_is_seen_and_nothing_else_makes_it_anew(monkeypatch):
    calls = []
    joined = style_bank._joined
    monkeypatch.setattr(style_bank, "_joined", lambda *given: calls.append(1) or joined(*given))
    generator, codes = made(), torch.randn(2, 6, 20)
    weights = [*generator.synthesis.named_parameters(), *generator.synthesis.named_buffers()]
    weights = [one for one in weights if not one[0].endswith("resample_filter")]  # not all are read
    before, count = generator.synthesize(codes), 1
    for name, weight in weights:
        assert torch.equal(generator.synthesize(codes), before) and len(calls) == count, name
        weight.mul_(1.5)
        after = generator.synthesize(codes)
        assert not torch.equal(after, before), name
        before, count = after, len(calls)
    assert count == 1 + 2 * 8 + 5  # affines of five convolutions and three RGB layers; five weights


# Kernels that each op of ours launches on CUDA, as in its .cu file.
LAUNCHES = {"layer_styles": 2, "modulate": 1, "conv_epilogue": 1, "finish_block": 1}


# Of what torch's profiler lists, these launch nothing: they call others, view memory, or allocate some.
@torch.inference_mode()
def test_a_gain_that_changes_changes_the_styles():
    generator = StyleGAN2(StyleGAN2Config({4: 16, 8: 16}, latent_dim=8, code_dim=16, mapping_depth=1)).eval()
    codes = torch.randn(2, generator.num_layers, 16)
    before = generator.synthesize(codes)
    generator.synthesis.convs[1].affine.weight_gain *= 2
    changed = generator.synthesize(codes)
    assert not torch.equal(changed, before)
    torch.testing.assert_close(changed, copy.deepcopy(generator).synthesize(codes))


NOTHING = {
    "aten::_convolution", "aten::_nnpack_available", "aten::_slow_conv2d_forward", "aten::as_strided",
    "aten::clone", "aten::contiguous", "aten::empty", "aten::empty_like", "aten::expand",
    "aten::mkldnn_convolution", "aten::new_empty", "aten::resize_", "aten::select",
    "aten::slow_conv_transpose2d", "aten::split_with_sizes", "aten::thnn_conv2d", "aten::to",
    "aten::transpose",
}  # fmt: skip
INSIDE = {"aten::fill_", "aten::zero_"}  # of the CPU's convolutions


@torch.inference_mode()
def test_an_image_takes_few_calls(monkeypatch):
    """All ops in torch's profile, those inside others too; all launches, one for a library's convolution."""
    channels = {4: 64, 8: 64, 16: 64, 32: 64, 64: 64, 128: 32, 256: 16}
    generator = StyleGAN2(StyleGAN2Config(channels, latent_dim=8, code_dim=64, mapping_depth=1)).eval()
    codes, launched, launch = torch.randn(1, 14, 64), Counter(), _native.launch
    monkeypatch.setattr(prepared, "weight_at_points", lambda *_: None)  # Winograd's convolution is for CPUs
    monkeypatch.setattr(
        _native, "launch", lambda name, *given: launched.update([name]) or launch(name, *given)
    )
    generator.synthesize(codes)
    launched.clear()
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        generator.synthesize(codes)
    ops = Counter(event.name for event in watched.events() if "::" in event.name)
    assert ops["aten::convolution"] == 13 and ops["higan_fast::layer_styles"] == 1
    assert ops.total() <= 200, ops
    ours = sum(LAUNCHES[name] * count for name, count in launched.items())
    torchs = sum(count for name, count in ops.items() if name not in NOTHING | INSIDE and "higan" not in name)
    assert launched == {"layer_styles": 1, "modulate": 1, "conv_epilogue": 6, "finish_block": 7}
    assert ours == 16 and ours + torchs <= 40, (launched, ops)

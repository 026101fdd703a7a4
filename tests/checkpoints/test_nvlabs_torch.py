import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from higan_fast.checkpoints import describe, load_generator
from higan_fast.generators.stylegan2 import StyleGAN2Config
from tests.checkpoints.writers import (
    DISCRIMINATOR,
    Call,
    module_tree,
    persistent,
    random_stylegan2,
    stylegan2_ada,
)

CONFIG = StyleGAN2Config({4: 9, 8: 7, 16: 5}, latent_dim=6, code_dim=8, mapping_depth=3)
CONFIGS = {
    "skip": CONFIG,
    "orig": replace(CONFIG, architecture="orig"),
    "resnet": replace(CONFIG, architecture="resnet", conv_clamp=0.5),
    "conditional": replace(CONFIG, label_dim=3, embed_dim=4, hidden_dim=10, mapping_lr_multiplier=0.1),
    "small": StyleGAN2Config({4: 3}, latent_dim=2, code_dim=2, mapping_depth=1),
}


def assert_same(loaded, generator):
    """The same tensors, codes and images."""
    state, expected = loaded.state_dict(), generator.state_dict()
    assert list(state) == list(expected)
    for name, tensor in expected.items():
        # A filter is stored as the product with itself.
        exact = not name.endswith("resample_filter")
        torch.testing.assert_close(state[name], tensor, atol=0 if exact else 1e-7, rtol=0)
    z = torch.randn(3, generator.latent_dim)
    label = torch.tensor([0, 2, 1]) if generator.label_dim else None
    for psi, layers in ((1.0, None), (0.7, 2)):
        codes = generator.map(z, label, psi, layers)
        torch.testing.assert_close(loaded.map(z, label, psi, layers), codes, atol=0, rtol=0)
        torch.testing.assert_close(
            loaded.synthesize(codes), generator.synthesize(codes), atol=1e-6, rtol=1e-6
        )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_moving_average_is_read_and_nothing_executed(tmp_path, name, protocol):
    generator, mark = random_stylegan2(CONFIGS[name]), tmp_path / "mark"
    path = stylegan2_ada(tmp_path / "network.safetensors", generator, mark, protocol)
    loaded = load_generator(path)
    assert_same(loaded, generator)
    assert replace(loaded.config, embed_dim=None, hidden_dim=None) == replace(
        CONFIGS[name], embed_dim=None, hidden_dim=None
    )
    assert not loaded.training and not any(parameter.requires_grad for parameter in loaded.parameters())
    path.unlink()
    assert_same(loaded, generator)  # nothing of the file's memory is kept
    assert not mark.exists()


def test_saved_by_torch_or_alone_or_without_an_average(tmp_path):
    generator, mark = random_stylegan2(CONFIG), tmp_path / "mark"
    for name in (None, "G_ema", "G", "anything"):
        path = persistent(tmp_path / "network.pkl", module_tree(generator), mark, name)
        assert_same(load_generator(path), generator)
    assert not mark.exists()


def test_what_may_be_missing(tmp_path):
    """A network that was trained without noise or without tracking the average of w."""
    generator, mark = random_stylegan2(CONFIG), tmp_path / "mark"

    def without(tree):
        blocks, mapping = tree[3]["synthesis"][3], tree[3]["mapping"]
        for block in blocks.values():
            for name in ("conv0", "conv1"):
                if name in block[3]:
                    del block[3][name][2]["noise_const"], block[3][name][2]["noise_strength"]
                    block[3][name][1]["use_noise"] = False
        del mapping[2]["w_avg"]

    loaded = load_generator(stylegan2_ada(tmp_path / "a.pkl", generator, mark, change=without))
    codes = torch.randn(2, 6, 8)
    generator.noise_mode = "none"
    torch.testing.assert_close(loaded.synthesize(codes), generator.synthesize(codes))
    mean = generator.mapping(torch.randn(200_000, 6)).mean(0)
    torch.testing.assert_close(loaded.mapping_network.w_avg, mean, atol=0.02, rtol=0)


def test_it_is_described(tmp_path):
    path = stylegan2_ada(tmp_path / "a.pkl", random_stylegan2(CONFIGS["conditional"]), tmp_path / "mark")
    found = describe(path)
    assert (found.family, found.resolution, found.latent_dim, found.code_dim) == ("stylegan2", 16, 6, 8)
    assert (found.label_dim, len(found.layers), found.format) == (3, 6, "NVlabs PyTorch pickle")
    assert found.source == {"source": "a.pkl"}


def conv(tree):
    """The module of a layer."""
    return tree[3]["synthesis"][3]["b8"][3]["conv0"]


DAMAGE = {
    "missing": (lambda tree: conv(tree)[2].pop("bias"), "lacks synthesis.b8.conv0.bias"),
    "left over": (lambda tree: conv(tree)[2].update(extra=torch.ones(2)), "holds synthesis.b8.conv0.extra"),
    "shape": (
        lambda tree: conv(tree)[2].update(bias=torch.ones(3)),
        r"synthesis.b8.conv0.bias has shape \[3\], expected \[7\]",
    ),
    "axes": (lambda tree: conv(tree)[2].update(weight=torch.ones(7)), r"b8.conv0.weight has shape \[7\]"),
    "NaN": (
        lambda tree: conv(tree)[2].update(bias=torch.full([7], torch.nan)),
        "synthesis.b8.conv0.bias has values that are not finite",
    ),
    "infinite": (lambda tree: conv(tree)[2]["weight"][0].fill_(torch.inf), "b8.conv0.weight has values"),
    "no tensor": (
        lambda tree: conv(tree)[1].update(_buffers={**conv(tree)[2], "bias": "text"}),
        "b8.conv0.bias is a str, expected a tensor",
    ),
    "activation": (
        lambda tree: tree[3]["synthesis"][3]["b8"][3]["conv1"][1].update(activation="relu"),
        "b8.conv1.activation is 'relu', expected lrelu",
    ),
    "architecture": (
        lambda tree: tree[3]["synthesis"][3]["b16"][1].update(architecture="odd"),
        "b16.architecture is 'odd', expected skip or orig or resnet",
    ),
    "gain": (
        lambda tree: tree[3]["mapping"][3]["fc0"][1].update(bias_gain="1"),
        "fc0.bias_gain is '1', expected a number",
    ),
    "filter": (
        lambda tree: conv(tree)[2].update(resample_filter=torch.eye(4)),
        r"resample_filter has shape \[4, 4\], which does not fit \(it is not the product",
    ),
    "block": (lambda tree: tree[3]["synthesis"][3].pop("b8"), r"resolutions 4, 16; expected 4, 8, 16"),
    "no mapping": (lambda tree: tree[3]["mapping"][3].clear(), "mapping.fc0.weight is missing"),
    "gray, but not throughout": (
        lambda tree: tree[3]["synthesis"][3]["b16"][3]["torgb"][2].update(weight=torch.ones(1, 5, 1, 1)),
        r"synthesis\.b4\.img_channels is 3, expected 1",
    ),
    "a constant of another size": (
        lambda tree: tree[3]["synthesis"][3]["b4"][2].update(const=torch.ones(9, 4, 2)),
        r"synthesis\.b4\.conv1\.noise_const has shape \[4, 4\], expected \[4, 2\]",
    ),
    "a constant that is too large": (
        lambda tree: tree[3]["synthesis"][3]["b4"][2].update(const=torch.ones(1, 4, 1000)),
        "start_size: got 1000, expected 1 to 64",
    ),
    "no modules": (
        lambda tree: tree[3].update(mapping=("Mapping", {"_modules": {"a": 3}}, {}, {})),
        "no class and no state",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told(tmp_path, name):
    change, message = DAMAGE[name]
    path = stylegan2_ada(tmp_path / "a.pkl", random_stylegan2(CONFIG), tmp_path / "mark", change=change)
    with pytest.raises(ValueError, match=message) as raised:
        load_generator(path)
    assert str(path) in str(raised.value)


def module(tree, name):
    for part in name.split("."):
        tree = tree[3][part]
    return tree


FC, B8, RGB = "mapping.fc1", "synthesis.b8", "synthesis.b16.torgb"
# Of one module among several: the attribute, what it is, and what the line says was expected.
SETTINGS = [
    ("mapping", "num_layers", 2, "3"), ("mapping", "c_dim", 5, "0"), ("mapping", "z_dim", 5, "6"),
    (FC, "bias_gain", 1.0, "0.01"), (FC, "weight_gain", np.float64(0.01), "0.0035355"),
    (FC, "activation", "relu", "lrelu"), (B8, "architecture", "orig", "skip"), (B8, "resolution", 16, "8"),
    (B8, "is_last", True, "False"), (B8, "in_channels", 7, "9"), (B8, "img_channels", 4, "3"),
    (f"{B8}.conv0", "activation", "linear", "lrelu"), (f"{B8}.conv0", "up", 1, "2"),
    (f"{B8}.conv1", "up", 2, "1"), (f"{B8}.conv1", "use_noise", False, "True"),
    (f"{B8}.conv1", "conv_clamp", 256, "None"), (f"{B8}.conv1", "act_gain", 1, "1.41421356"),
    (f"{B8}.conv1", "padding", 0, "1"), (f"{B8}.conv1", "resolution", 4, "8"),
    (f"{B8}.conv1.affine", "bias_gain", 0.5, "1.0"), (f"{B8}.conv1.affine", "activation", "lrelu", "linear"),
    (RGB, "conv_clamp", 256, "None"), (RGB, "weight_gain", float("nan"), "0.4472"),
    (f"{RGB}.affine", "weight_gain", 1.0, "0.3535"),
    ("synthesis", "block_resolutions", [4, 8], r"\[4, 8, 16\]"),
]  # fmt: skip
SKIP = [
    ("up", 1, "2"), ("down", 2, "1"), ("padding", 1, "0"), ("conv_clamp", 9.0, "None"),
    ("act_gain", 2.0, "1"), ("activation", "lrelu", "linear"), ("weight_gain", float("inf"), "0.333"),
]  # fmt: skip


@pytest.mark.parametrize("name, attribute, value, expected", SETTINGS)
def test_an_attribute_that_makes_one_layer_another_is_told(tmp_path, name, attribute, value, expected):
    """Some were read from the first layer alone, and others not at all: images were silently wrong."""

    def change(tree):
        module(tree, name)[1][attribute] = value

    path = stylegan2_ada(tmp_path / "a.pkl", random_stylegan2(CONFIG), tmp_path / "mark", change=change)
    with pytest.raises(ValueError, match=rf"a\.pkl: {name}\.{attribute} is .*, expected {expected}"):
        load_generator(path)


@pytest.mark.parametrize("attribute, value, expected", SKIP)
def test_so_is_one_of_a_residual_block(tmp_path, attribute, value, expected):
    def change(tree):
        module(tree, f"{B8}.skip")[1][attribute] = value

    generator = random_stylegan2(replace(CONFIG, architecture="resnet", conv_clamp=0.5))
    path = stylegan2_ada(tmp_path / "a.pkl", generator, tmp_path / "mark", change=change)
    with pytest.raises(ValueError, match=rf"{B8}\.skip\.{attribute} is .*, expected {expected}"):
        load_generator(path)


def test_other_networks_are_told(tmp_path):
    path, mark = tmp_path / "a.pkl", tmp_path / "mark"
    with pytest.raises(ValueError, match="holds D, a Discriminator and no generator"):
        load_generator(persistent(path, DISCRIMINATOR, mark, "D"))
    with pytest.raises(ValueError, match="holds a Discriminator and no generator"):
        load_generator(persistent(path, DISCRIMINATOR, mark))
    other = ("TriPlaneGenerator", {}, {}, {"synthesis": ("Other", {}, {}, {})})
    with pytest.raises(ValueError, match="a TriPlaneGenerator, which is built otherwise"):
        load_generator(persistent(path, other, mark, "G_ema"))
    assert not mark.exists()


def test_payloads_are_refused_wherever_they_lie(tmp_path):
    generator, mark = random_stylegan2(CONFIG), tmp_path / "mark"
    payload = Call(os.system, f"touch {mark}")
    for extra in ({"G": payload}, {"augment_pipe": [{"deep": (payload,)}]}):
        path = stylegan2_ada(tmp_path / "a.pkl", generator, mark, extra=extra)
        with pytest.raises(ValueError, match=r"refused posix\.system in .*a\.pkl"):
            load_generator(path)
    path = stylegan2_ada(
        tmp_path / "a.pkl", generator, mark, change=lambda tree: conv(tree)[1].update(hook=payload)
    )
    with pytest.raises(ValueError, match=r"refused posix\.system"):
        load_generator(path)
    assert not mark.exists()
    with pytest.raises((ImportError, AttributeError)):
        pickle.loads(path.read_bytes())  # the names in it belong to code that is not here


def test_cut_files_are_told(tmp_path):
    path = stylegan2_ada(tmp_path / "a.pkl", random_stylegan2(CONFIG), tmp_path / "mark")
    whole = path.read_bytes()
    for share in (0.001, 0.3, 0.9, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match="truncated"):
            load_generator(path)


@pytest.mark.parametrize(
    "names, message", [(["a"], "modules more than 16 deep"), (list("abcdefgh"), "deep|more than 20000 parts")]
)
def test_modules_that_hold_themselves_end(tmp_path, names, message):
    call = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
    meta = b"}(S'class_name'\nS'Loop'\nS'state'\n}(S'_modules'\ng0\nuu"
    within = b"".join(b"S'%s'\ng1\n" % name.encode() for name in names)
    (tmp_path / "a.pkl").write_bytes(b"}p0\n0" + call + b"(" + meta + b"tRp1\ng0\n(" + within + b"u0.")
    with pytest.raises(ValueError, match=message):
        load_generator(tmp_path / "a.pkl")

"""What lies beside a generator: never a reason to refuse it, unless it could do harm; and never executed."""

import collections
import functools
import os
import pickle
import subprocess
import types
from dataclasses import replace

import pytest
import torch

from higan_fast.checkpoints import load_generator
from higan_fast.checkpoints.contents import Record
from higan_fast.checkpoints.sniffing import read_content
from higan_fast.generators.stylegan2 import StyleGAN2Config
from tests.checkpoints.test_nvlabs_torch import assert_same, conv
from tests.checkpoints.writers import (
    Call,
    persistent,
    random_stylegan2,
    rosinality,
    stand_ins,
    stylegan2_ada,
)

CONFIG = StyleGAN2Config({4: 9, 8: 7, 16: 5}, latent_dim=6, code_dim=8, mapping_depth=3)


@pytest.mark.parametrize("archive", [False, True])
def test_a_discriminator_of_other_code_is_passed_over(tmp_path, archive):
    generator, mark = random_stylegan2(CONFIG), tmp_path / "mark"
    names = "timm.models.efficientnet.EfficientNet", "timm.layers.Swish"
    with stand_ins(*names) as (efficient_net, swish):
        network = efficient_net()
        network.features = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        network.act, network.act_class, network.function = swish(), swish, torch.nn.functional.relu
        network.make = functools.partial(torch.nn.Conv2d, kernel_size=3)
        network.counts = collections.defaultdict(list, a=[1])
        network.options = types.SimpleNamespace(dtype=torch.float16, kind=int)
        extra = {"D": network, "augment_pipe": None}
        path = stylegan2_ada(tmp_path / "a.pkl", generator, mark, extra=extra)
        assert_same(load_generator(path), generator)
        generator = random_stylegan2(replace(CONFIG, latent_dim=8, mapping_lr_multiplier=0.01))
        path = rosinality(tmp_path / "b.pt", generator, archive=archive)
        content = torch.load(path, weights_only=False)
        expected = load_generator(path)
        torch.save(content | {"d": network}, path, _use_new_zipfile_serialization=archive)
    assert_same(load_generator(path), expected)
    record = read_content(path).value["d"]
    assert isinstance(record, Record) and not record.known and record.name == "EfficientNet"
    assert not mark.exists()


def test_a_neighbour_that_could_do_harm_is_still_refused(tmp_path):
    generator, mark = random_stylegan2(CONFIG), tmp_path / "mark"
    with stand_ins("timm.models.Net") as (net,):
        for payload in (Call(os.system, f"touch {mark}"), Call(subprocess.run, "x"), Call(getattr, "x", "y")):
            network = net()
            network.hook = payload
            path = stylegan2_ada(tmp_path / "a.pkl", generator, mark, extra={"D": network})
            with pytest.raises(ValueError, match=r"refused \S+\.(system|run|getattr) in .*a\.pkl"):
                load_generator(path)
    assert not mark.exists()


def test_what_is_read_must_not_hold_an_unknown_object(tmp_path):
    generator, mark = random_stylegan2(CONFIG), tmp_path / "mark"
    named = r"refused timm\.models\.Net in .*: the part that is read .*; nothing was executed.*state_dict\(\)"
    with stand_ins("timm.models.Net") as (net,):
        path = stylegan2_ada(
            tmp_path / "a.pkl",
            generator,
            mark,
            change=lambda tree: conv(tree)[1].update(_modules={"x": net()}),
        )
        with pytest.raises(ValueError, match=named):
            load_generator(path)
        path = stylegan2_ada(
            tmp_path / "a.pkl",
            generator,
            mark,
            change=lambda tree: conv(tree)[1].update(_buffers={**conv(tree)[2], "bias": net()}),
        )
        with pytest.raises(ValueError, match=named):
            load_generator(path)
        for content in (net(), {"model": net()}):
            torch.save(content, path)
            with pytest.raises(ValueError, match=named):
                load_generator(path)
    assert not mark.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_placeholders_keep_nothing_and_call_nothing(tmp_path, protocol):
    with stand_ins("other.code.Thing", "other.code.make") as (thing, make):
        one = thing()
        one.x = 1
        data = pickle.dumps([one, Call(make, 1, 2), thing], protocol)
    (tmp_path / "a.pkl").write_bytes(data)
    found, made, named = read_content(tmp_path / "a.pkl").value
    assert (found.module, found.name, found.state, found.known) == ("other.code", "Thing", {"x": 1}, False)
    assert (made.name, made.args, made.known) == ("make", (1, 2), False)
    assert named.name == "Thing"
    items = b"cother.code\nThing\n)R(S'a'\nI1\nuI1\na(I1\nI2\ne."  # as of a dict, and of a list
    (tmp_path / "a.pkl").write_bytes(items)
    assert read_content(tmp_path / "a.pkl").value.state is None


def test_the_kind_of_a_generator_that_cannot_be_read_is_told(tmp_path):
    path, mark = tmp_path / "a.pkl", tmp_path / "mark"
    synthesis = ("SynthesisNetwork", {}, {}, {"input": ("SynthesisInput", {}, {"freqs": torch.ones(2)}, {})})
    mapping = ("MappingNetwork", {}, {}, {"embed_proj": ("FullyConnectedLayer", {}, {}, {})})
    xl = ("Generator", {}, {}, {"synthesis": synthesis, "mapping": mapping})
    with pytest.raises(ValueError, match=r"this is a StyleGAN-XL generator .*generators\.wrap\(G_ema\)"):
        load_generator(persistent(path, xl, mark, "G_ema"))
    mapping = ("MappingNetwork", {}, {}, {})
    layer = ("Layer", {}, {}, {})
    fast = ("FastganSynthesis", {}, {}, {"init": layer, "to_big": layer})
    with pytest.raises(ValueError, match="this is projected-gan's FastGAN generator"):
        load_generator(persistent(path, ("Generator", {}, {}, {"synthesis": fast, "mapping": mapping}), mark))

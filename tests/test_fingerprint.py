"""Fingerprints: whatever decides a network's output counts, and nothing else does."""

import copy
import functools
import subprocess
import sys
import textwrap
import threading
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import higan_fast as hf
from higan_fast.fingerprint import fingerprint
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.predictors import ModulePredictor, load_predictor
from tests.toy import toy

SCALE = 2.0
QUIET = {"progress": False}


class Mean(nn.Module):
    def forward(self, x):
        return x.mean((1, 2, 3))[:, None]


class Max(nn.Module):
    def forward(self, x):
        return 7 + x.amax((1, 2, 3))[:, None]


class Scaled(nn.Module):
    def __init__(self, **attributes):
        super().__init__()
        self.linear = nn.Linear(2, 1)
        nn.init.ones_(self.linear.weight)
        nn.init.ones_(self.linear.bias)
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.linear(helper(x)) * SCALE


def helper(x):
    return x.mean((2, 3))[:, :2]


def of(function, **names):
    """A module that calls a function."""
    module = Mean()
    module.forward = function
    return fingerprint(module)


def defined(source, name="net", module="of_a_user"):
    """What a user's file defines, without a file."""
    names = {"__name__": module, "nn": nn, "torch": torch}
    exec(compile(textwrap.dedent(source), "<user>", "exec"), names)
    return names[name]


def test_another_module_of_the_same_names_gets_its_own_scores(tmp_path):
    generator, _ = toy()
    first = hf.sample(generator, load_predictor(Mean(), ["a"]), 64, tmp_path, **QUIET)
    with pytest.raises(ValueError, match=r"was made with predictor = .* identity="):
        hf.sample(generator, load_predictor(Max(), ["a"]), 64, tmp_path, **QUIET)
    again = hf.sample(generator, load_predictor(Mean(), ["a"]), 64, tmp_path, **QUIET)
    np.testing.assert_array_equal(again.scores, first.scores)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"gain": 1.0}, {"gain": 2.0}),
        ({"gain": 1}, {"gain": True}),
        ({"options": {"mode": ["a", None]}}, {"options": {"mode": ["b", None]}}),
        ({"names": {"a", "b"}}, {"names": {"a", "c"}}),
        ({"kept": torch.zeros(3)}, {"kept": torch.ones(3)}),
        ({"kept": [np.zeros(3)]}, {"kept": [np.ones(3)]}),
        ({"config": SimpleNamespace(size=1)}, {"config": SimpleNamespace(size=2)}),
        ({"act": torch.relu}, {"act": torch.tanh}),
        ({"act": nn.ReLU()}, {"act": nn.GELU()}),
        ({"act": nn.LeakyReLU(0.1)}, {"act": nn.LeakyReLU(0.2)}),
        ({"act": [lambda x: x + 1, lambda x: x + 2][0]}, {"act": [lambda x: x + 1, lambda x: x + 2][1]}),
        ({"act": functools.partial(helper, 1)}, {"act": functools.partial(helper, 2)}),
        ({"dtype": torch.float32}, {"dtype": torch.float16}),
        ({"act": np.sin}, {"act": np.cos}),
    ],
)  # fmt: skip
def test_attributes_count(one, other):
    assert fingerprint(Scaled(**one)) == fingerprint(Scaled(**one))
    assert fingerprint(Scaled(**one)) != fingerprint(Scaled(**other))
    assert fingerprint(Scaled(**one)).complete and fingerprint(Scaled(**other)).complete


def test_weights_buffers_hooks_and_names_count():
    found = {fingerprint(Scaled())}
    for change in (
        lambda m: nn.init.zeros_(m.linear.bias),
        lambda m: m.register_buffer("kept", torch.ones(2), persistent=False),
        lambda m: m.register_buffer("kept", torch.zeros(2), persistent=False),
        lambda m: m.register_forward_hook(lambda module, inputs, output: output + 1),
        lambda m: m.linear.register_forward_pre_hook(lambda module, inputs: inputs),
        lambda m: m.linear.double(),
        lambda m: setattr(m.linear, "forward", lambda x: x),
        lambda m: nn.utils.parametrizations.weight_norm(m.linear),
    ):
        module = Scaled()
        change(module)
        found.add(fingerprint(module))
    assert len(found) == 9


def test_code_counts_and_what_it_calls(monkeypatch):
    plain = """
        OFFSET = {offset}
        def above(x):
            "{doc}"
            return x > {level}  # {doc}
        class Base:
            def score(self, x): return above(x) + OFFSET
        class net(Base, nn.Module):
            {member}
            def forward(self, x): return self.score(x)
    """
    written = {"offset": 1, "level": 2, "doc": "", "member": "gain = 1"}
    changes = ({"offset": 2}, {"level": 3}, {"member": "gain = 2"}, {"member": "def other(self): return 1"})
    found = {fingerprint(defined(plain.format(**written | change))()) for change in ({}, *changes)}
    assert len(found) == 5
    described = written | {"doc": "Says whether it lies above."}
    assert fingerprint(defined(plain.format(**described))()) in found, "comments and docstrings do not count"
    before = fingerprint(Scaled())
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert fingerprint(Scaled()) != before


def test_what_is_read_of_a_users_module_counts(monkeypatch):
    tools = ModuleType("tools_of_a_user")
    monkeypatch.setitem(sys.modules, "tools_of_a_user", tools)
    tools.scale, tools.never_read = 1.0, 1.0
    network = defined(
        """
        def net(x):
            import tools_of_a_user as tools
            return x * tools.scale
        """
    )
    before = of(network)
    tools.never_read = 2.0
    assert of(network) == before
    tools.scale = 2.0
    assert of(network) != before


def test_closures_and_defaults_count():
    def scaled(by):
        return lambda x: by * x

    assert of(scaled(1)) == of(scaled(1)) != of(scaled(2))
    assert of(lambda x, by=1: by * x) != of(lambda x, by=2: by * x)
    assert of(torch.no_grad()(lambda x: x)) != of(torch.no_grad()(lambda x: x + 1))


def test_what_decides_nothing_does_not_count():
    module = Scaled(device=torch.device("cpu"), lock=threading.Lock())
    before = fingerprint(module)
    module.eval().requires_grad_(False)
    module.device = torch.device("cuda:1")
    module.lock = threading.RLock()
    module(torch.zeros(1, 3, 4, 4))
    assert fingerprint(module) == before and before.complete
    plain = Scaled(kept=[torch.ones(2)])
    assert fingerprint(copy.deepcopy(plain)) == fingerprint(plain)


def test_it_is_the_same_in_every_process():
    """Sets, ids and compiled files differ from process to process."""
    program = (
        "from tests.test_fingerprint import *\n"
        "print(fingerprint(ModulePredictor(Scaled(a={'x', 'yy', 'z'}, f=helper, g={1: torch.relu}), ['n'])),"
        " *map(fingerprint, toy()))"
    )
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    here = ModulePredictor(Scaled(a={"x", "yy", "z"}, f=helper, g={1: torch.relu}), ["n"])
    assert found == " ".join(map(fingerprint, (here, *toy()))) + "\n"


def test_ways_of_running_a_generator_count():
    torch.manual_seed(0)
    config = StyleGAN2Config(channels={4: 8, 8: 8}, latent_dim=8, code_dim=8, mapping_depth=1)
    generator = StyleGAN2(config)
    found = {fingerprint(generator)}
    for name, value in (("noise_mode", "none"), ("activation_dtype", torch.bfloat16)):
        before = getattr(generator, name)
        setattr(generator, name, value)
        found.add(fingerprint(generator))
        setattr(generator, name, before)
    assert len(found) == 3 and fingerprint(generator) in found
    generator.synthesize(torch.zeros(1, generator.num_layers, 8))  # leaves prepared weights behind
    assert fingerprint(generator) in found
    found.add(fingerprint(generator.double()))
    assert len(found) == 4


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
def test_scripted_networks_count_by_their_code():
    def scripted(network):
        return fingerprint(torch.jit.script(network))

    found = [scripted(nn.LeakyReLU(slope)) for slope in (0.1, 0.2)] + [scripted(nn.ReLU())]
    assert len(set(found)) == 3 and scripted(nn.ReLU()) == found[2] and found[2].complete


def hidden():
    """Something that nobody can look into."""
    return (number for number in range(3))


def test_what_cannot_be_seen_is_named_and_made_anew(tmp_path):
    generator, predictor = toy()
    predictor.session = hidden()
    found = fingerprint(predictor)
    assert found.unseen == ("session (builtins.generator)",) and found.endswith("?")
    hf.sample(generator, predictor, 64, tmp_path, **QUIET)
    scored = []
    predictor.register_forward_hook(lambda module, inputs, output: scored.append(len(output)))
    with (
        pytest.raises(ValueError, match="was made with predictor"),
        pytest.warns(RuntimeWarning, match=r"predictor: session \(builtins.generator\) may .* identity="),
    ):
        hf.sample(generator, predictor, 64, tmp_path, **QUIET)
    assert len(hf.probing.Samples.open(tmp_path)) == 64, "a predictor that differs deletes nothing"
    other = tmp_path / "other"
    with pytest.warns(RuntimeWarning) as warned:
        for _ in range(2):
            scored.clear()
            hf.sample(generator, predictor, 64, other, **QUIET)
            assert sum(scored) == 64, "scored anew"
    assert len(warned) == 1
    normal = np.eye(generator.code_dim)[0]
    chosen = {"view": hf.probing.Boundary("view", "layout", "w", normal)}
    for _ in range(2):
        scored.clear()
        with pytest.warns(RuntimeWarning, match="session"):
            hf.verify(generator, predictor, chosen, num=2, num_null=2, out=other, **QUIET)
        assert sum(scored) > 2


def test_the_identity_of_a_part_stands_for_it_and_for_nothing_else():
    part = Scaled(session=hidden())
    whole = ModulePredictor(part, ["a"])
    assert not fingerprint(whole).complete
    part.identity = "part 1"
    before = fingerprint(whole)
    part.session = hidden()
    assert before.complete and fingerprint(whole) == before
    part.linear.weight.data += 1
    assert fingerprint(whole) != before, "weights count as they are"
    part.linear.weight.data -= 1
    assert fingerprint(ModulePredictor(part, ["b"])) != before, "and so does what is around it"
    part.identity = nn.Identity()  # a name that networks use for a layer
    assert not fingerprint(whole).complete


def test_an_identity_settles_what_cannot_be_seen(tmp_path):
    generator, predictor = toy()
    predictor.session, predictor.identity = hidden(), "toy 1"
    assert fingerprint(predictor).complete
    hf.sample(generator, predictor, 64, tmp_path, **QUIET)
    _, other = toy()
    other.identity, other.forward = "toy 1", None  # nothing is scored
    assert len(hf.sample(generator, other, 64, tmp_path, **QUIET)) == 64
    other.identity = "toy 2"
    with pytest.raises(ValueError, match="was made with predictor"):
        hf.sample(generator, other, 64, tmp_path, **QUIET)
    other.identity, other.patterns = "toy 1", other.patterns + 1
    with pytest.raises(ValueError, match="was made with predictor"):
        hf.sample(generator, other, 64, tmp_path, **QUIET)
    assert load_predictor(Mean(), ["a"], identity="b").identity == "b"
    assert fingerprint(load_predictor(Mean(), ["a"], identity="b")) == fingerprint(
        load_predictor(Max(), ["a"], identity="b")
    )

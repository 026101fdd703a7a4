"""What is prepared from weights is made once, and never stays when a weight has changed."""

import copy

import pytest
import torch

from higan_fast.fingerprint import fingerprint
from higan_fast.generators.prepared import Kept
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.graphs import Graphs
from tests.engine.emulated_cuda import EmulatedTape

CONFIG = StyleGAN2Config(channels={4: 8, 8: 6}, latent_dim=8, code_dim=10, mapping_depth=1)


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def get(kept):
    """Calls ``kept.get`` with the sum of some tensors, and counts how often it is made."""

    def get(*tensors, options=None):
        def make():
            get.calls += 1
            return sum(tensor.double().sum() for tensor in tensors)

        return kept.get(tensors, options, make)

    get.calls = 0
    return get


def tensors():
    """Of every shape that weights have: conv weights, affines, biases, images, numbers, none."""
    shapes = [(16, 12, 3, 3), (12, 20), (33,), (1, 8, 4, 4), (), (0, 4)]
    return [torch.randn(shape) for shape in shapes] + [torch.randn(9, 5).to(torch.bfloat16)]


def test_it_is_made_once(get):
    given = tensors()
    with torch.inference_mode():
        given += tensors()
    for _ in range(3):
        with torch.inference_mode():
            found = get(*given)
        assert torch.equal(found, get(*given)) and not found.is_inference()
    assert get.calls == 1
    get(*given, options=torch.float16)
    assert get.calls == 2


def doubled(tensor):
    tensor.mul_(2)


def doubled_unseen_by_torch(tensor):
    tensor.data.mul_(2)


def doubled_elsewhere(tensor):
    tensor.data = tensor.data * 2


def doubled_by_numpy(tensor):
    tensor.detach().numpy()[...] *= 2


CHANGES = [doubled, doubled_unseen_by_torch, doubled_elsewhere, doubled_by_numpy]


@torch.inference_mode()
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("made_there", [False, True])
def test_every_change_of_a_whole_tensor_is_seen(get, change, made_there):
    with torch.inference_mode(made_there):
        given = [tensor for tensor in tensors() if tensor.numel() and tensor.dtype == torch.float32]
    for index, tensor in enumerate(given):
        before = get(*given)
        change(tensor)
        assert not torch.equal(get(*given), before) and get.calls == index + 2


def test_new_memory_at_an_old_address_does_not_pass_for_the_old(get):
    parameter = torch.nn.Parameter(torch.ones(64, 64), requires_grad=False)
    get(parameter)
    for value in range(2, 12):  # each frees its predecessor, whose memory the next would get
        parameter.data = torch.full((64, 64), float(value))
        assert get(parameter) == 64 * 64 * value


def test_nothing_is_kept_while_a_gradient_is_needed_and_copies_begin_with_nothing(get, kept):
    weight = torch.ones(4, 4, requires_grad=True)
    assert get(weight).requires_grad and get(weight).requires_grad and get.calls == 2
    with torch.no_grad():
        assert not get(weight).requires_grad and get(weight) == 16 and get.calls == 3
    assert copy.deepcopy(kept)._last is None
    kept.forget()
    with torch.no_grad():
        assert get(weight) == 16 and get.calls == 4


def test_a_generator_made_in_inference_mode_counts_its_changes():
    with torch.inference_mode():
        generator = StyleGAN2(CONFIG).eval()
        tensors = [*generator.parameters(), *generator.buffers()]
        assert not any(tensor.is_inference() for tensor in tensors)
        codes = torch.randn(2, generator.num_layers, 10)
        before = generator.synthesize(codes)
        generator.synthesis.convs[1].weight[0, 0, 0, 0] += 1  # a single number
        assert not torch.equal(generator.synthesize(codes), before)
    with torch.no_grad():
        assert not StyleGAN2(CONFIG).synthesize(codes).requires_grad and not torch.is_grad_enabled()


@torch.inference_mode()
@pytest.mark.parametrize("made_there", [False, True])
def test_changes_that_cannot_be_seen_can_be_said(made_there):
    """One number through ``.data``, or of a tensor made in inference mode: it lies between the glimpses."""
    torch.manual_seed(0)
    generator = StyleGAN2(CONFIG).eval()
    conv = generator.synthesis.convs[0]
    if made_there:
        conv.weight = torch.nn.Parameter(conv.weight.clone(), requires_grad=False)
        assert conv.weight.is_inference()
    codes, tape = torch.randn(2, generator.num_layers, 10), EmulatedTape()
    graphs, named = Graphs(generator, tape), fingerprint(generator)
    first, *_, again = (graphs.run("images", generator.draw, codes) for _ in range(3))
    torch.testing.assert_close(again, first)
    assert fingerprint(generator) == named
    named = fingerprint(generator)
    conv.weight.data[:, :, 0] *= 3
    generator.weights_changed()
    assert fingerprint(generator) != named  # by the weight
    changed = generator.draw(codes)
    assert (changed - first).abs().max() > 0.1
    for _ in range(3):
        torch.testing.assert_close(graphs.run("images", generator.draw, codes), changed)
    assert tape.recorded == 2
    state = {name: tensor / 3 for name, tensor in generator.state_dict().items()}
    generator.load_state_dict(state)
    assert (generator.draw(codes) - changed).abs().max() > 0.1
    named = fingerprint(generator)
    generator.weights_changed()
    assert fingerprint(generator) == named

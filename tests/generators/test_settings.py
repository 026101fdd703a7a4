"""What a configuration may be, for the library and for headers and settings in files alike."""

import json
from dataclasses import asdict, fields, replace

import pytest

from higan_fast.generators import FAMILIES
from higan_fast.generators.biggan import BigGANConfig
from higan_fast.generators.biggan_deep import BigGANDeepConfig
from higan_fast.generators.pggan import PGGANConfig
from higan_fast.generators.stylegan import StyleGANConfig
from higan_fast.generators.stylegan2 import StyleGAN2Config
from higan_fast.generators.stylegan3_config import StyleGAN3Config

INTACT = {
    "pggan": PGGANConfig({4: 5, 8: 4}, latent_dim=6),
    "stylegan": StyleGANConfig({4: 5, 8: 4}, latent_dim=6, code_dim=6, mapping_depth=2, hidden_dim=7),
    "stylegan2": StyleGAN2Config({4: 5, 8: 4}, latent_dim=6, code_dim=6, mapping_depth=2, embed_dim=3),
    "stylegan3": StyleGAN3Config(16, (8, 6), 6, 6, embed_dim=3, hidden_dim=7, num_critical=1),
    "biggan": BigGANConfig((16, 8, 8), 6, 3, embed_dim=4, attention=(1,)),
    "biggan-deep": BigGANDeepConfig((16, 16, 8), (False, True), 6, 3, embed_dim=4, attention=(1,)),
}
NUMBERS = {"mapping_lr_multiplier": 1e6, "conv_clamp": 1e6, "epsilon": 1, "last_epsilon": 1}
NUMBERS |= dict.fromkeys(["first_cutoff", "first_stopband", "last_stopband", "output_scale"], 1e6)
FLAGS = {"tanh", "hierarchical", "radial"}
FROM_ZERO = {"pggan": {"label_dim"}, "stylegan": {"label_dim"}, "stylegan2": {"label_dim"},
             "stylegan3": {"label_dim", "margin", "num_critical"}}  # fmt: skip
OPTIONAL = {"hidden_dim", "embed_dim", "conv_clamp"}
ELSEWHERE = {"channels", "up", "attention", "architecture"}


def refused(config, message, **changes):
    with pytest.raises(ValueError, match=message) as raised:
        replace(config, **changes)
    assert len(str(raised.value)) < 300 and str(raised.value).isprintable()


@pytest.mark.parametrize("name", INTACT)
def test_every_number_is_one_that_works(name):
    config = INTACT[name]
    for field in {field.name for field in fields(config)} - ELSEWHERE:
        optional = field in OPTIONAL and not (name == "biggan-deep" and field == "embed_dim")
        wrong = ["6", [6], {}, float("nan"), float("inf"), -1, 10**5_000, *([] if optional else [None])]
        if field in FLAGS:
            wrong = ["true", 1, None, 0.0]
        elif field in NUMBERS:
            wrong += [True, 0, 0.0, NUMBERS[field]]
        else:
            wrong += [True, 6.0, 2**16 + 1, *([] if field in FROM_ZERO.get(name, ()) else [0])]
        for value in wrong:
            refused(config, f"^{field}: got ", **{field: value})


@pytest.mark.parametrize("name", ["pggan", "stylegan", "stylegan2"])
def test_resolutions_are_powers_of_two_from_4_on(name):
    config = INTACT[name]
    refused(config, "the resolution 100, expected 4, 8, 16 and so on up to 2048", channels={4: 5, 100: 4})
    refused(config, "channels: lack the resolution 8, below 16", channels={4: 5, 16: 4})
    refused(config, "the resolution 4096, expected", channels={4 * 2**index: 1 for index in range(11)})
    refused(config, "the resolution a number of 5002 bits", channels={2**5_001: 1})
    refused(config, "the resolution 4.0", channels={4.0: 5})
    refused(config, "channels of resolution 8: got 6.0, expected a whole number", channels={4: 5, 8: 6.0})
    for nothing in ({}, [4, 5], None):
        refused(config, "channels: got", channels=nothing)
    assert replace(config, channels={2**power: 1 for power in range(2, 12)}).resolution == 2048


@pytest.mark.parametrize("name", ["biggan", "biggan-deep"])
def test_blocks_and_attention_of_a_biggan(name):
    config = INTACT[name]
    refused(config, "number of channels: got 102, expected 2 to 101", channels=(8,) * 102)
    refused(config, r"channels\[1\]: got 16.0, expected a whole number", channels=(16, 16.0, 8))
    refused(config, "channels: got 'abc', expected a list", channels="abc")
    refused(config, "attention: got layer 1.0, expected 0 to 2", attention=(1.0,))
    refused(config, "number of attentions: got 4, expected 0 to 3", attention=(1,) * 4)
    refused(config, "attention: got 'ab', expected a list of layers", attention="ab")
    refused(config, r"attention: layer 1 has 1² pixels" if name == "biggan-deep" else "layer 0 has 1²",
            attention=(1,) if name == "biggan-deep" else (0,), bottom_width=1)  # fmt: skip
    refused(config, r"layer 2 has 256² pixels, expected 2² to 128²", attention=(2,),
            bottom_width=64 if name == "biggan" else 128)  # fmt: skip
    refused(config, "makes images of 4096² pixels, expected at most 2048²",
            bottom_width=1024 if name == "biggan" else 2048)  # fmt: skip


def test_other_settings():
    refused(INTACT["biggan-deep"], "up: got 'ab', expected a list of true and false", up="ab")
    refused(INTACT["biggan-deep"], r"up\[1\]: got 1, expected true or false", up=(False, 1))
    refused(INTACT["biggan-deep"], "up: got 1 entries, expected 2", up=(True,))
    refused(
        INTACT["stylegan2"], "architecture: got 'odd', expected one of skip, orig, resnet", architecture="odd"
    )
    for family in ("stylegan", "stylegan2"):
        refused(INTACT[family], "mapping_depth: got 101, expected 1 to 100", mapping_depth=101)


@pytest.mark.parametrize("name", INTACT)
def test_json_brings_it_back_and_what_json_may_hold_besides_is_refused(name):
    config, family = INTACT[name], FAMILIES[name][1]
    text = json.dumps(asdict(config))
    assert family.from_json(json.loads(text)) == config
    for wrong in ("NaN", "1e400", '"6"', "6.0", "null", "true", "[[]]", '{"04": 5}', "1" + "0" * 4_000):
        values = json.loads(text) | {"channels": json.loads(wrong)}
        with pytest.raises(ValueError, match="channels"):
            family.from_json(values)

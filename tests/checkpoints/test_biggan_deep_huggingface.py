import json

import pytest
import torch
from torch.nn.functional import one_hot

from higan_fast.checkpoints import convert, describe, load_generator
from tests.checkpoints.biggan import CLASSES, Reader, doubled, huggingface

LAYERS = [(False, 16, 16), (True, 16, 8), (False, 8, 4), (True, 4, 2), (True, 2, 1)]
LABEL = torch.tensor([2, 0, 3])


def write(folder, config, tensors):
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(dict(tensors), folder / "pytorch_model.bin")
    return folder


def plain_forward(config, tensors, z, at):
    """BigGAN-deep, as the folder means it."""
    file = Reader(tensors, at=at, epsilon=config["eps"])
    code = torch.cat([z, file["embeddings.weight"].T[LABEL]], 1)
    x = file.linear("generator.gen_z", code).reshape(len(z), 4, 4, -1).permute(0, 3, 1, 2)
    place = 0
    for index, (up, inputs, outputs) in enumerate(config["layers"]):
        if index == config["attention_layer_position"]:
            name, place = f"generator.layers.{place}", place + 1
            parts = (f"{name}.snconv1x1_{part}" for part in ("theta", "phi", "g", "o_conv"))
            x = file.attended(x, *parts, f"{name}.gamma")
        name, place, y = f"generator.layers.{place}", place + 1, x
        for number in range(4):
            y = file.normed(f"{name}.bn_{number}", y, code, ("scale", "offset"))
            y = file.conv(f"{name}.conv_{number}", doubled(y) if up and number == 1 else y)
        x = x if inputs == outputs else x[:, : x.shape[1] // 2]
        x = y + (doubled(x) if up else x)
    scale, shift = file["generator.bn.weight"], file["generator.bn.bias"]
    x = file.normalised("generator.bn", x, scale, shift, config["eps"])
    return file.conv("generator.conv_to_rgb", x)[:, :3].tanh()


@pytest.mark.parametrize("attention", [0, 1, 3, 99])
@pytest.mark.parametrize("psi, at", [(1.0, [0, 0, 0, 0, 0, 1]), (0.7, [0, 0, 0, 0.5, 0.5, 0]), (0.25, None)])
def test_images_are_what_the_folder_means(tmp_path, attention, psi, at):
    config, tensors = huggingface(LAYERS, channel_width=9, attention=attention)
    generator = load_generator(write(tmp_path, config, tensors))
    at = torch.tensor([0, 0.25, 0.75, 0, 0, 0] if at is None else at).double()
    z = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    expected = plain_forward(config, tensors, psi * z.double(), at)
    assert expected.std() > 0.1
    for label in (LABEL, one_hot(LABEL, CLASSES)):
        found = generator.synthesize(generator.map(z, label, psi))
        # float32, at a dozen convolutions, and with singular values that are not the largest
        torch.testing.assert_close(found.double(), expected, atol=5e-5, rtol=0)


def test_described_and_converted(tmp_path):
    config, tensors = huggingface(LAYERS, attention=1)
    found = describe(write(tmp_path, config, tensors))
    assert (found.format, found.family, found.resolution) == (
        "Hugging Face BigGAN-deep folder",
        "biggan-deep",
        32,
    )
    assert (found.label_dim, found.latent_dim, found.code_dim, len(found.layers)) == (CLASSES, 6, 13, 6)
    assert found.config["num_statistics"] == 6
    convert(tmp_path, tmp_path / "converted.safetensors")
    one = load_generator(tmp_path / "converted.safetensors")
    (tmp_path / "converted.safetensors").unlink()
    two = load_generator(tmp_path)
    z = torch.randn(3, 6)
    for psi in (1.0, 0.3):
        assert torch.equal(one.synthesize(one.map(z, LABEL, psi)), two.synthesize(two.map(z, LABEL, psi)))


def test_settings_beside_the_folder_are_refused(tmp_path):
    with pytest.raises(ValueError, match="says its own architecture; give no config"):
        load_generator(write(tmp_path, *huggingface(LAYERS)), config={"eps": 1e-4})


def test_weights_that_old_versions_of_torch_stored_twice_are_left(tmp_path):
    config, tensors = huggingface(LAYERS)
    extra = {name.replace("_orig", ""): tensor for name, tensor in tensors.items() if "_orig" in name}
    load_generator(write(tmp_path, config, {**tensors, **extra}))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"layers": None}, r"config.json: layers is None, expected a list of \[upsamples, "),
        ({"layers": [[1, 16]]}, r"config.json: layers\[0\] is \[1, 16\]"),
        ({"layers": LAYERS[:3], "output_dim": 8}, "holds generator.layers.4"),
        ({"layers": LAYERS[:3]}, "config.json: output_dim is 32, and the weights say 8"),
        ({"z_dim": 7}, "config.json: z_dim is 7, and the weights say 6"),
        ({"num_classes": float("inf")}, "num_classes is inf, and the weights say 4"),
        ({"n_stats": 5.0}, "n_stats is 5.0, and the weights say 6"),
        ({"layers": [*LAYERS, (True, 1, 1)]}, "generator.layers.6.conv_3.bias is missing"),
        ({"attention_layer_position": -1}, "attention_layer_position is -1, expected a layer's index"),
        ({"attention_layer_position": 2}, "lacks|is missing|has shape"),
        ({"eps": "small"}, "eps is 'small', expected a number such as 0.0001"),
    ],
)
def test_a_config_that_does_not_fit_is_told(tmp_path, change, message):
    config, tensors = huggingface(LAYERS)
    with pytest.raises(ValueError, match=message) as raised:
        load_generator(write(tmp_path, {**config, **change}, tensors))
    assert str(tmp_path) in str(raised.value)


DAMAGE = {
    "embeddings.weight": (torch.ones(13, 4), "latent_dim: got -1, expected at least 1"),
    "generator.gen_z.weight_v": (torch.ones(3), "gen_z.weight_v has shape"),
    "generator.layers.0.bn_0.running_means": (torch.ones(5, 64), "running_means has shape"),
    "generator.layers.2.conv_1.weight_u": (None, "lacks generator.layers.2.conv_1.weight_u"),
    "generator.conv_to_rgb.bias": (torch.full([4], torch.nan), "conv_to_rgb.bias has values that are not"),
    "generator.layers.0.conv_0.weight_orig": (torch.zeros(16, 64, 1, 1), "its largest singular value"),
    "generator.extra": (torch.ones(1), "holds generator.extra, for which"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told(tmp_path, name):
    value, message = DAMAGE[name]
    config, tensors = huggingface(LAYERS)
    state = {**tensors, name: value}
    if value is None:
        del state[name]
    with pytest.raises(ValueError, match=message) as raised:
        load_generator(write(tmp_path, config, state))
    assert str(tmp_path) in str(raised.value)

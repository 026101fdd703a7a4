import pytest
import torch

from higan_fast.checkpoints import convert, describe, load_generator
from tests.checkpoints.biggan import CLASSES, Reader, biggan_pytorch, doubled

SETTINGS = {  # options of the writer, and the settings that their file is read as
    "hierarchical": {"attention": (0,)},
    "two attentions": {"attention": (0, 1)},
    "not hierarchical": {"hierarchical": False, "attention": (1,)},
    "class tables": {"hierarchical": False, "embed_dim": None},
    "bottom_width 3": {"width": 3},
    "no spectral norm": {"spectral": False},
    "mybn": {"norm": "mybn"},
    "standing statistics": {"norm": "standing"},
    "cross_replica": {"norm": "cross_replica"},
}
CHANNELS, CHUNK, EPSILON = (16, 9, 8), 5, 1e-3
LABEL = torch.tensor([2, 0, 3])


def write(folder, tensors):
    path = folder / "G_ema_best.pth"
    torch.save(dict(tensors), path)
    return path


def plain_forward(tensors, z, options):
    """BigGAN, as its file means it."""
    options = {"hierarchical": True, "embed_dim": 3, "attention": (), **options}
    file = Reader(tensors, epsilon=EPSILON, adds=options.get("norm") == "cross_replica")
    classes = LABEL if options["embed_dim"] is None else file["shared.weight"][LABEL]
    first, *chunks = z.split(CHUNK, 1) if options["hierarchical"] else (z,)
    width = options.get("width", 4)
    x = file.linear("linear", first).reshape(len(z), CHANNELS[0], width, width)
    for index in range(len(CHANNELS) - 1):
        code = torch.cat([classes, chunks[index]], 1) if options["hierarchical"] else classes
        name = f"blocks.{index}.0"
        y = file.conv(f"{name}.conv1", doubled(file.normed(f"{name}.bn1", x, code)))
        y = file.conv(f"{name}.conv2", file.normed(f"{name}.bn2", y, code))
        x = y + file.conv(f"{name}.conv_sc", doubled(x))
        if index in options["attention"]:
            parts = (f"blocks.{index}.1.{part}" for part in ("theta", "phi", "g", "o", "gamma"))
            x = file.attended(x, *parts)
    scale, shift = file["output_layer.0.gain"], file["output_layer.0.bias"]
    # Its last normalisation has an epsilon of its own.
    return file.conv("output_layer.2", file.normalised("output_layer.0", x, scale, shift, 1e-5)).tanh()


@pytest.mark.parametrize("name", SETTINGS)
def test_images_are_what_the_file_means(tmp_path, name):
    options = SETTINGS[name]
    tensors = biggan_pytorch(CHANNELS, CHUNK, **options)
    path = write(tmp_path, tensors)
    generator = load_generator(path, config={"BN_eps": EPSILON})
    path.unlink()
    z = torch.randn(3, generator.latent_dim, generator=torch.Generator().manual_seed(1))
    expected = plain_forward(tensors, z.double(), options)
    assert expected.std() > 0.05
    # float32, at half a dozen convolutions; and tanh
    torch.testing.assert_close(
        generator.synthesize(generator.map(z, LABEL)).double(), expected, atol=2e-5, rtol=0
    )
    assert generator.config.hierarchical == options.get("hierarchical", True)
    assert generator.config.attention == tuple(index + 1 for index in options.get("attention", ()))


def test_biggan_deep(tmp_path):
    channels = (16, 16, 8, 8, 8, 8)
    tensors = biggan_pytorch((*channels, 4), CHUNK, deep=True, attention=(1,))
    generator = load_generator(write(tmp_path, tensors), config={"BN_eps": EPSILON})
    assert (generator.family, generator.resolution) == ("biggan-deep", 32)
    assert generator.config.up == (False, True) * 3
    z, file = torch.randn(3, CHUNK), Reader(tensors, epsilon=EPSILON)
    code = torch.cat([file["shared.weight"][LABEL], z], 1)
    x = file.linear("linear", code).reshape(3, 16, 4, 4)
    for index, outputs in enumerate((*channels[1:], 4)):
        name, up = f"blocks.{index}.0", index % 2 == 1
        y = file.conv(f"{name}.conv1", file.normed(f"{name}.bn1", x, code))
        y = file.normed(f"{name}.bn2", y, code)
        y = file.conv(f"{name}.conv2", doubled(y) if up else y)
        y = file.conv(f"{name}.conv3", file.normed(f"{name}.bn3", y, code))
        y = file.conv(f"{name}.conv4", file.normed(f"{name}.bn4", y, code))
        x = y + (doubled(x[:, :outputs]) if up else x[:, :outputs])
        if index == 1:
            x = file.attended(x, *(f"blocks.1.1.{part}" for part in ("theta", "phi", "g", "o", "gamma")))
    scale, shift = file["output_layer.0.gain"], file["output_layer.0.bias"]
    expected = file.conv("output_layer.2", file.normalised("output_layer.0", x, scale, shift, 1e-5)).tanh()
    found = generator.synthesize(generator.map(z, LABEL))
    torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_biggan_deep_for_32_pixels_has_any_depth(tmp_path, depth):
    tensors = biggan_pytorch((8,) * (3 * depth + 1), CHUNK, deep=True)
    generator = load_generator(write(tmp_path, tensors), config={"BN_eps": EPSILON})
    assert generator.resolution == 32
    assert generator.config.up == ((False,) * (depth - 1) + (True,)) * 3


def test_a_file_converted_from_tf_hub_has_no_logs(tmp_path):
    tensors = biggan_pytorch(CHANNELS, CHUNK)
    with_logs = load_generator(write(tmp_path, tensors), config={"BN_eps": EPSILON})
    bare = {name: tensor for name, tensor in tensors.items() if "sv0" not in name}
    without = load_generator(write(tmp_path, bare), config={"BN_eps": EPSILON})
    for one, two in zip(with_logs.state_dict().values(), without.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_described_and_converted(tmp_path):
    path = write(tmp_path, biggan_pytorch(CHANNELS, CHUNK))
    config = {
        "BN_eps": EPSILON,
        "hier": True,
        "G_shared": True,
        "resolution": 16,
        "n_classes": CLASSES,
        "G_ch": 4,
        "G_nl": "inplace_relu",
        "norm_style": "bn",
        "num_G_SV_itrs": 1,
    }
    found = describe(path, config)
    assert (found.format, found.family, found.resolution) == ("BigGAN-PyTorch state dict", "biggan", 16)
    assert (found.label_dim, found.latent_dim, found.code_dim) == (CLASSES, 15, 8)
    convert(path, tmp_path / "a.safetensors", config)
    one, two = load_generator(path, config=config), load_generator(tmp_path / "a.safetensors")
    assert one.config == two.config
    codes = one.map(torch.randn(3, 15), LABEL)
    assert torch.equal(one.synthesize(codes), two.synthesize(codes))


@pytest.mark.parametrize(
    "config, message",
    [
        (None, 'file does not say its BN_eps; give a --config with {"BN_eps": 1e-5}, or 1e-4'),
        ({"G_ch": 8}, "file does not say its BN_eps"),
        ({"BN_eps": "tiny"}, "BN_eps: got 'tiny'"),
        ({"BN_eps": 0.001, "resolution": 128}, "has resolution = 16, and --config says 128"),
        ({"BN_eps": 0.001, "hier": False}, "has hier = True, and --config says False"),
        ({"BN_eps": 0.001, "n_classes": 1000}, "has n_classes = 4, and --config says 1000"),
        ({"BN_eps": 0.001, "G_nl": "swish\n"}, "G_nl is 'swish\\n', expected 'relu' or 'inplace_relu'"),
        ({"BN_eps": 0.001, "norm_style": "in"}, "norm_style is 'in', expected 'bn'"),
        ({"BN_eps": 0.001, "num_G_SV_itrs": 2}, "num_G_SV_itrs is 2, expected 1"),
    ],
)
def test_settings_that_miss_or_differ_are_named(tmp_path, config, message):
    path = write(tmp_path, biggan_pytorch(CHANNELS, CHUNK))
    with pytest.raises(ValueError) as raised:
        load_generator(path, config=config)
    assert message in str(raised.value) and path.name in str(raised.value)


def test_a_discriminator_is_told(tmp_path):
    state = {name: torch.ones(2, 2) for name in ("linear.weight", "embed.weight", "blocks.0.0.conv1.weight")}
    with pytest.raises(ValueError, match="holds BigGAN-PyTorch's discriminator; give G_ema"):
        load_generator(write(tmp_path, state))


DAMAGE = {
    "blocks.0.0.bn1.stored_mean": (None, "lacks blocks.0.0.bn1.stored_mean"),
    "blocks.1.0.conv2.weight": (torch.ones(8, 7, 3, 3), r"conv2.weight.* has shape .*\[8, 7, 3, 3\]"),
    "blocks.0.0.conv1.u0": (torch.ones(1, 3), r"conv1.weight and blocks.0.0.conv1.u0 has shape"),
    "blocks.0.0.conv_sc.weight": (torch.zeros(9, 16, 1, 1), "conv_sc.*its largest singular value"),
    "blocks.1.0.conv1.weight": (torch.ones(3), r"blocks.1.0.conv1.weight and .*u0 has shape \[3\]"),
    "linear.weight": (torch.ones(256), r"linear.weight has shape \[256\], expected 2 axes"),
    "shared.weight": (torch.ones(4, 4), r"has shape"),
    "output_layer.2.bias": (torch.full([3], torch.inf), "output_layer.2.bias has values that are not finite"),
    "blocks.0.1.theta.weight": (torch.ones(1, 9, 1, 1), "lacks blocks.0.1"),
    "extra": (torch.ones(2), "holds extra, for which this architecture has no place"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told(tmp_path, name):
    value, message = DAMAGE[name]
    state = dict(biggan_pytorch(CHANNELS, CHUNK))
    state.pop(name, None)
    path = write(tmp_path, state if value is None else {**state, name: value})
    with pytest.raises(ValueError, match=message) as raised:
        load_generator(path, config={"BN_eps": EPSILON})
    assert path.name in str(raised.value)

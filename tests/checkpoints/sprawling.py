"""Small files that claim much: many names for one object, of layers or of extra tensors, and huge images."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from higan_fast.checkpoints.formats.native import KEY
from higan_fast.generators.pggan import PGGANConfig
from higan_fast.generators.stylegan import StyleGANConfig
from higan_fast.generators.stylegan2 import StyleGAN2Config
from tests.checkpoints.biggan import biggan_pytorch, huggingface
from tests.checkpoints.genforce_writer import gan_zoo_state, stylegan_state
from tests.checkpoints.raw_weights import random_pggan, random_stylegan
from tests.checkpoints.tensorflow_writer import stylegan2_variables, tensorflow_pickle
from tests.checkpoints.writers import (
    PERSISTENT,
    module_tree,
    persisted,
    persistent,
    random_stylegan2,
    rosinality_state,
    stand_ins,
)

# Writes a file or folder into a new folder; gives its path, and the configuration with which it is loaded.
Written = tuple[Path, dict[str, Any] | None]
STYLEGAN2 = StyleGAN2Config({4: 5, 8: 4}, latent_dim=6, code_dim=6, mapping_depth=2)
MANY = 40_000
VALUE = torch.zeros(1)


def _modules_that_share(folder: Path) -> Written:
    """One module under 3,000 names, which has one tensor under 3,000 names."""
    with stand_ins(PERSISTENT) as (rebuild,):
        leaf = ("Leaf", {"_buffers": {f"p{index}": VALUE for index in range(3_000)}}, {}, {})
        inner = persisted(leaf, rebuild, folder / "mark")
        attributes = {"_modules": {f"m{index}": inner for index in range(3_000)}}
        network = persisted(("Generator", attributes, {}, {}), rebuild, folder / "mark")
        (folder / "a.pkl").write_bytes(pickle.dumps(network))
    return folder / "a.pkl", None


def _names_that_grow(folder: Path) -> Written:
    """A name of 600 characters, ten modules deep, with 2,000 tensors."""
    tree: Any = ("Leaf", {"_buffers": {f"p{index}": VALUE for index in range(2_000)}}, {}, {})
    for _ in range(10):
        tree = ("Module", {}, {}, {"x" * 600: tree})
    return persistent(folder / "a.pkl", tree, folder / "mark"), None


def _blocks_of_ada(folder: Path) -> Written:
    tree = module_tree(random_stylegan2(STYLEGAN2))
    mapping = tree[3]["mapping"][3]
    mapping |= {f"fc{index}": mapping["fc1"] for index in reversed(range(250))}
    path = persistent(folder / "a.pkl", tree, folder / "mark")
    return path, None


def _components_that_share(folder: Path) -> Written:
    """A network with 30,000 variables is a component under 2,000 names."""
    variables = stylegan2_variables(random_stylegan2(STYLEGAN2))

    def change(state: dict[str, Any]) -> None:
        component = next(iter(state["components"].values()))
        zero = np.float32(0)
        component.__dict__["variables"] = [(f"v{index}", zero) for index in range(30_000)]
        state["components"] = {f"c{index}": component for index in range(2_000)}

    path = tensorflow_pickle(folder / "a.pkl", variables, folder / "mark", names=("Gs",), change=change)
    return path, None


def _sizes_of_tensorflow(folder: Path) -> Written:
    variables = stylegan2_variables(random_stylegan2(STYLEGAN2))
    last = {name: value for name, value in variables["synthesis"].items() if name.startswith("8x8/Conv1/")}
    for power in range(4, 1_000):
        size = f"{2**power}x{2**power}"
        variables["synthesis"] |= {name.replace("8x8", size): value for name, value in last.items()}
    path = tensorflow_pickle(folder / "a.pkl", variables, folder / "mark", names=("Gs",))
    return path, None


def _scales_of_gan_zoo(folder: Path) -> Written:
    generator = random_pggan(PGGANConfig({4: 5, 8: 4}, latent_dim=6))
    layers = {f"scaleLayers.{index}.0.module.bias": VALUE for index in reversed(range(MANY))}
    torch.save({"config": {}, "netG": gan_zoo_state(generator) | layers}, folder / "a.pth")
    return folder / "a.pth", None


def _layers_of_genforce(folder: Path) -> Written:
    state = stylegan_state(random_stylegan(StyleGANConfig({4: 5, 8: 4}, 6, 6, 2)))
    state |= {f"synthesis.layer{index}.bias": VALUE for index in reversed(range(MANY))}
    torch.save(state, folder / "a.pth")
    return folder / "a.pth", None


def _convolutions_of_rosinality(folder: Path) -> Written:
    state = rosinality_state(random_stylegan2(STYLEGAN2))
    state |= {f"convs.{index}.conv.weight": VALUE for index in reversed(range(MANY))}
    torch.save({"g_ema": state}, folder / "a.pt")
    return folder / "a.pt", None


def _blocks_of_biggan_pytorch(folder: Path) -> Written:
    state: dict[str, Tensor] = dict(biggan_pytorch((16, 8, 8), 2))
    state |= {f"blocks.{index}.0.conv1.weight": VALUE for index in reversed(range(MANY))}
    torch.save(state, folder / "a.pth")
    return folder / "a.pth", {"BN_eps": 1e-5}


def _folder(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> Path:
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(dict(tensors), folder / "pytorch_model.bin")
    return folder


def _extra_names_in_a_folder(folder: Path) -> Written:
    """Each of 32,000 is a reason to leave another one."""
    config, tensors = huggingface([(False, 4, 4), (True, 4, 2), (True, 2, 1)])
    extra = {f"extra.{index}.weight_orig": VALUE for index in range(32_000)}
    return _folder(folder, config, tensors | extra), None


def _upsamplings_in_a_folder(folder: Path) -> Written:
    config, tensors = huggingface([(False, 4, 4), (True, 4, 2), (True, 2, 1)])
    bias = torch.zeros(4)
    blocks = {f"generator.layers.{index}.conv_3.bias": bias for index in range(4, MANY)}
    config = {**config, "layers": [[True, 4, 4]] * (MANY - 1)}
    return _folder(folder, config, tensors | blocks), None


def _native(folder: Path, family: str, config: dict[str, Any], tensors: dict[str, Tensor]) -> Path:
    header = json.dumps({"family": family, "config": config, "about": {}})
    save_file(tensors, folder / "a.safetensors", {KEY: header})
    return folder / "a.safetensors"


def _blocks_of_a_header(folder: Path) -> Written:
    config = {"channels": [8] * 20_001, "up": [False] * 20_000, "latent_dim": 4, "label_dim": 2,
              "embed_dim": 2, "attention": []}  # fmt: skip
    path = _native(folder, "biggan-deep", config, {"x": VALUE})
    return path, None


def _tensors_beside_a_header(folder: Path) -> Written:
    """None of the 400 that a hundred blocks have, and 3,000 others."""
    config = {"channels": [8] * 101, "up": [False] * 100, "latent_dim": 4, "label_dim": 2,
              "embed_dim": 2, "attention": []}  # fmt: skip
    tensors = {f"blocks.{index}.x": torch.zeros(1) for index in range(3_000)}
    return _native(folder, "biggan-deep", config, tensors), None


def _images_of_a_header(folder: Path) -> Written:
    """A generator of 2048² pixels has a file of 6 KB."""
    generator = random_pggan(PGGANConfig({2**power: 1 for power in range(2, 12)}, latent_dim=1))
    config = {"channels": {str(2**power): 1 for power in range(2, 12)}, "latent_dim": 1}
    path = _native(folder, "pggan", config, dict(generator.state_dict()))
    return path, None


def _attention_of_a_header(folder: Path) -> Written:
    config = {"channels": [8] * 8, "latent_dim": 8, "label_dim": 2, "attention": [7]}
    path = _native(folder, "biggan", config, {"x": torch.zeros(2**18)})
    return path, None


def _stretched(folder: Path, state: Mapping[str, Tensor], first: str, second: str) -> Written:
    """Two tensors of a state dict that torch would stretch along each other's axes, to 6 GB."""
    column = torch.ones(MANY, 1)
    torch.save({**state, first: column, second: column.t()}, folder / "a.pth")
    return folder / "a.pth", {"BN_eps": 1e-5}


def _stretched_gain(folder: Path) -> Written:
    state = biggan_pytorch((16, 8, 8), 2, norm="cross_replica")
    return _stretched(folder, state, "output_layer.0.gain", "output_layer.0.bias")


def _stretched_sum(folder: Path) -> Written:
    statistics = "blocks.0.0.bn1.bn."
    names = f"{statistics}stored_mean", f"{statistics}accumulation_counter"
    return _stretched(folder, biggan_pytorch((16, 8, 8), 2, norm="standing"), *names)


def _stretched_vector(folder: Path) -> Written:
    """Of 40,000 rows, each a left singular vector of its own."""
    state: dict[str, Tensor] = dict(biggan_pytorch((16, 8, 8), 2))
    torch.save(state | {"output_layer.2.u0": torch.ones(MANY, 3)}, folder / "a.pth")
    return folder / "a.pth", {"BN_eps": 1e-5}


def _stretched_vectors_in_a_folder(folder: Path) -> Written:
    config, tensors = huggingface([(False, 4, 4), (True, 4, 2), (True, 2, 1)])
    conv = "generator.conv_to_rgb"
    outputs, inputs = len(tensors[f"{conv}.weight_orig"]), tensors[f"{conv}.weight_orig"][0].numel()
    vectors = {f"{conv}.weight_u": torch.ones(MANY, outputs), f"{conv}.weight_v": torch.ones(inputs, MANY)}
    return _folder(folder, config, tensors | vectors), None


def _stretched_filter(folder: Path) -> Written:
    state = rosinality_state(random_stylegan2(STYLEGAN2))
    torch.save({"g_ema": state | {"convs.0.conv.blur.kernel": torch.ones(MANY, 1)}}, folder / "a.pt")
    return folder / "a.pt", None


# Of each kind what writes it, and words (a pattern) with which it is refused.
KINDS: dict[str, tuple[Callable[[Path], Written], str]] = {
    "modules that share parameters": (_modules_that_share, "has more than 20000 parts"),
    "names that grow with depth": (_names_that_grow, "a name of 601 characters"),
    "250 layers of a mapping": (_blocks_of_ada, "has more than 200 layers such as mapping.fc0"),
    "components that share a network": (_components_that_share, "a network in it has 2000 components"),
    "1,000 sizes of TensorFlow": (
        _sizes_of_tensorflow,
        "the resolution 4096, expected 4, 8, 16 and so on up to 2048",
    ),
    "40,000 layers of pytorch_GAN_zoo in reverse order": (
        _scales_of_gan_zoo,
        "has more than 200 layers such as scaleLayers.0.0.module.bias",
    ),
    "40,000 layers of genforce in reverse order": (
        _layers_of_genforce,
        "has more than 200 layers such as synthesis.layer0.bias",
    ),
    "40,000 layers of rosinality in reverse order": (
        _convolutions_of_rosinality,
        "has more than 200 layers such as convs.0.conv.weight",
    ),
    "40,000 layers of BigGAN-PyTorch in reverse order": (
        _blocks_of_biggan_pytorch,
        "has more than 200 layers such as blocks.0.0.conv1.weight",
    ),
    "32,000 extra names in a folder": (
        _extra_names_in_a_folder,
        "holds extra.0.weight_orig, .* and 31997 more",
    ),
    "40,000 upsamplings in a folder": (
        _upsamplings_in_a_folder,
        "number of channels: got 40000, expected 2 to 101",
    ),
    "20,000 blocks in a header": (_blocks_of_a_header, "number of channels: got 20001, expected 2 to 101"),
    "3,000 tensors beside a header": (
        _tensors_beside_a_header,
        "lacks embedding.weight, first.weight, .* more;",
    ),
    "2048² pixels in a header": (
        _images_of_a_header,
        r"claims images of 2048² pixels, with up to 12582912 values in a layer",
    ),
    "attention at 512² in a header": (
        _attention_of_a_header,
        r"attention: layer 7 has 512² pixels, expected 2² to 128²",
    ),
    "a gain and a bias, stretched": (_stretched_gain, r"\[1, 40000\] beside what takes \[40000, 1\]"),
    "a sum and a count, stretched": (_stretched_sum, r"\[1, 40000\] beside what takes \[1\]"),
    "a singular vector, stretched": (_stretched_vector, r"\[40000, 3\] beside what takes \[1, 3\]"),
    "singular vectors of a folder, stretched": (
        _stretched_vectors_in_a_folder,
        r"beside what takes \[\d+\]",
    ),
    "a filter, stretched": (_stretched_filter, r"\[40000, 1\] beside what takes \[40000, 40000\]"),
}

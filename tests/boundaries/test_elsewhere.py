"""Directions from weights, from samples and from files."""

import pickle

import numpy as np
import pytest
import torch

from higan_fast.boundaries.elsewhere import (
    activation_components,
    all_of,
    factors,
    principal_components,
    read_directions,
)
from higan_fast.boundaries.files import export_boundary
from higan_fast.generators.stylegan import StyleGAN, StyleGANConfig
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from tests.toy import toy

SMALL = {"channels": {4: 8, 8: 8, 16: 4}, "latent_dim": 24, "code_dim": 24, "mapping_depth": 1}


@pytest.mark.parametrize("family", [StyleGAN, StyleGAN2])
def test_factors_change_styles_most(family):
    torch.manual_seed(0)
    generator = family((StyleGANConfig if family is StyleGAN else StyleGAN2Config)(**SMALL))
    found = factors(generator, 24)
    assert [each.name for each in found[:2]] == ["sefa 1", "sefa 2"]
    normals = np.stack([each.normal for each in found])
    np.testing.assert_allclose(normals @ normals.T, np.eye(24), atol=1e-9)
    weights = [
        module.affine.weight.detach().double().numpy()
        for module in generator.modules()
        if type(module).__name__ in ("StyledConv", "StyledLayer")
    ]
    assert len(weights) >= 5
    rows = np.concatenate(weights)
    moved = np.linalg.norm(rows / np.linalg.norm(rows, axis=1, keepdims=True) @ normals.T, axis=0)
    assert (np.diff(moved) < 1e-9).all() and moved[0] > 1.3 * moved[-1]


def test_what_has_no_affines_has_no_factors():
    with pytest.raises(ValueError, match="needs layers that read their styles from one code w, and toy"):
        factors(toy()[0], 2)


def test_principal_components_are_where_samples_vary(samples):
    found = principal_components(samples, 3)
    spreads = [(samples.w @ each.normal).std() for each in found]
    assert spreads == sorted(spreads, reverse=True)
    random = np.random.default_rng(0).standard_normal((32, 100))
    assert spreads[0] > (samples.w @ (random / np.linalg.norm(random, axis=0))).std(axis=0).max()
    with pytest.raises(ValueError, match="got 33, and there are 32 directions"):
        principal_components(samples, 33)
    with pytest.raises(ValueError, match="got none; take --sefa"):
        all_of([])


def test_components_of_activations_give_directions_in_w(samples):
    """Layer 0 of the toy world paints along one direction, which the first component goes with."""
    generator, part = toy()[0], samples.part(0, 600)
    found = activation_components(generator, part, 0, 2)
    assert [each.name for each in found] == ["layer 0 pca 1", "layer 0 pca 2"]
    codes = torch.from_numpy(part.codes)
    painted = generator.layer(0, generator.start(600), codes[:, 0]).features.flatten(1).numpy()
    painted = painted - painted.mean(axis=0)
    along = painted @ np.linalg.svd(painted, full_matrices=False)[2][0]
    assert abs(np.corrcoef(along, part.w @ found[0].normal)[0, 1]) > 0.7
    moved = part.w - part.w.mean(axis=0)
    expected = moved.T @ along
    assert abs(found[0].normal @ expected) / np.linalg.norm(expected) == pytest.approx(1, abs=1e-4)
    for layer, num, message in (
        (5, 1, "got 5, expected a layer of the generator, 0 to 4"),
        (0, 600, "599 comp"),
    ):
        with pytest.raises(ValueError, match=message):
            activation_components(generator, part, layer, num)


def test_files_of_others_are_read(tmp_path):
    rows = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.save(tmp_path / "a.npy", rows)
    np.savez(tmp_path / "ganspace.npz", lat_comp=rows[:, None], act_comp=rows[:, :2], act_mean=rows[:1])
    torch.save(torch.tensor(rows), tmp_path / "b.pt")
    torch.save({"ckpt": "x", "eigvec": torch.tensor(rows.T.copy())}, tmp_path / "factor.pt")
    for name in ("a.npy", "ganspace.npz", "b.pt", "factor.pt"):
        found = read_directions(tmp_path / name)
        np.testing.assert_allclose([each.normal for each in found], unit, atol=1e-6)
        assert found[2].name == f"{name.split('.')[0]} 3" and found[2].space == "w"
    np.save(tmp_path / "age.npy", rows[:1])  # InterFaceGAN
    assert [each.name for each in read_directions(tmp_path / "age.npy", "z")] == ["age"]
    export_boundary(found[0], tmp_path / "higan.npy")
    (tmp_path / "list.txt").write_text("(age, z): age.npy\n(mine, w): higan.npy\n")
    assert [(each.name, each.space) for each in read_directions(tmp_path / "list.txt")] == [
        ("age", "z"),
        ("mine", "w"),
    ]
    all_of(found).save(tmp_path / "b.safetensors")
    assert len(read_directions(tmp_path / "b.safetensors")) == 3
    np.save(tmp_path / "layers.npy", rows.reshape(1, 3, 8))
    assert read_directions(tmp_path / "layers.npy", "layers")[0].normal.shape == (3, 8)


class Danger:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


def test_files_of_something_else_are_refused(tmp_path):
    np.save(tmp_path / "whole.npy", np.arange(8))
    np.save(tmp_path / "zero.npy", np.zeros((2, 8)))
    np.save(tmp_path / "nan.npy", np.full((2, 8), np.nan))
    np.save(tmp_path / "layers.npy", np.ones((1, 3, 8)))
    np.savez(tmp_path / "other.npz", weights=np.ones(3))
    np.save(tmp_path / "evil.npy", np.array(Danger(), dtype=object), allow_pickle=True)
    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"boundary": Danger()}, 2))
    for name, message in (
        ("whole.npy", r"holds int64 \[8\], expected directions"),
        ("zero.npy", "the direction 'zero 1' has length 0"),
        ("nan.npy", r"holds directions \[2, 1, 8\], expected 1 to 10000 of finite numbers"),
        ("layers.npy", "a part for each layer; say so with space 'layers'"),
        ("other.npz", "holds a dict, expected directions"),
        ("evil.npy", "exec"),
        ("evil.pt", "exec"),
    ):
        with pytest.raises(ValueError, match=message) as refused:
            read_directions(tmp_path / name)
        assert str(tmp_path / name) in str(refused.value) and len(str(refused.value).splitlines()) == 1
    with pytest.raises(FileNotFoundError):
        read_directions(tmp_path / "gone.npy")

"""Runs NVlabs' TensorFlow code: builds a random network, pickles it with its own code, and runs it.

A standalone program for a Python with TensorFlow 1.15 (``intel-tensorflow``, whose convolutions support
channels-first images on CPUs): ``python benchmarks/tensorflow_process.py CHECKOUT JOB.json FOLDER``.

The job file holds the functions that build G and D (``networks``), the ``settings`` of G, a ``seed`` and
``truncations``. The program writes ``network.pkl`` to the folder, and ``run.npz`` with z, labels, w, the
average of w, and the images of each truncation.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import sys
from pathlib import Path

import numpy as np

SAMPLES = 3
SESSION = {"gpu_options.allow_growth": True, "allow_soft_placement": True}


def main(checkout: str, job_file: str, folder: str) -> None:
    """Runs the job."""
    sys.path.insert(0, checkout)
    job = json.loads(Path(job_file).read_text())
    np.random.seed(job["seed"])
    run = run_pggan if (Path(checkout) / "tfutil.py").is_file() else run_style
    run(job, Path(folder))


def run_pggan(job: dict, folder: Path) -> None:
    """Runs a network of ``progressive_growing_of_gans``."""
    import tfutil

    tfutil.init_tf(SESSION)
    settings = {"num_channels": 3, **job["settings"]}
    generator = tfutil.Network("G", func="networks.G_paper", **settings)
    small = {key: settings[key] for key in ("num_channels", "resolution", "label_size") if key in settings}
    discriminator = tfutil.Network(
        "D", func="networks.D_paper", fmap_base=2 * settings["resolution"], **small
    )
    average = generator.clone("Gs")
    make_random(average, tfutil.set_vars)
    z, labels = inputs(average)
    scale_rgb(average, average.run(z, labels), tfutil.set_vars)
    code = np.concatenate([z, labels], axis=1)
    finish(folder, (generator, discriminator, average), z, labels, code, [average.run(z, labels)])


def run_style(job: dict, folder: Path) -> None:
    """Runs a network of ``stylegan`` or ``stylegan2``."""
    from dnnlib import tflib

    with contextlib.suppress(ImportError):
        only_reference()
    tflib.init_tf(SESSION)
    settings = {"num_channels": 3, **job["settings"]}
    generator = tflib.Network("G", func_name="training." + job["networks"][0], **settings)
    small = {key: settings[key] for key in ("num_channels", "resolution", "label_size") if key in settings}
    discriminator = tflib.Network(
        "D", func_name="training." + job["networks"][1], fmap_base=2 * settings["resolution"], **small
    )
    average = generator.clone("Gs")
    make_random(average, tflib.set_vars)
    z, labels = inputs(average)
    fixed = {"randomize_noise": False}
    scale_rgb(average, average.run(z, labels, truncation_psi=1, **fixed), tflib.set_vars)
    images = [
        average.run(z, labels, truncation_psi=psi, truncation_cutoff=layers, **fixed)
        for psi, layers in job["truncations"]
    ]
    w = average.components.mapping.run(z, labels)[:, 0]
    finish(folder, (generator, discriminator, average), z, labels, w, images)


def only_reference() -> None:
    """Makes stylegan2's ops use their references, so that no CUDA kernel is compiled."""
    from dnnlib.tflib.ops import fused_bias_act, upfirdn_2d

    for module in (fused_bias_act, upfirdn_2d):
        for function in vars(module).values():
            defaults = getattr(function, "__defaults__", None)
            if defaults and defaults[-1] == "cuda":
                function.__defaults__ = (*defaults[:-1], "ref")


def inputs(network) -> tuple[np.ndarray, np.ndarray]:
    """Returns latents and labels; the labels of an unconditional network are ``[N, 0]``."""
    latent_dim, label_dim = (shape[1] for shape in network.input_shapes)
    labels = np.eye(label_dim, dtype=np.float32)[np.arange(SAMPLES) % max(1, label_dim)]
    return np.random.randn(SAMPLES, latent_dim).astype(np.float32), labels.reshape(SAMPLES, label_dim)


def make_random(network, set_vars) -> None:
    """Randomises what is zero or one in a new network: biases, noise strengths, averages, constants."""
    for name, variable in network.vars.items():
        last = name.rsplit("/", 1)[-1]
        if last in ("bias", "mod_bias", "noise_strength", "dlatent_avg", "const") or name.endswith(
            "Noise/weight"
        ):
            value = variable.eval()
            set_vars({variable: value + 0.3 * np.random.randn(*value.shape)})


def scale_rgb(network, images: np.ndarray, set_vars) -> None:
    """Scales the RGB layers so that images vary like photographs, within about [-1, 1]."""
    for name, variable in network.vars.items():
        if "ToRGB" in name and name.rsplit("/", 1)[-1] in ("weight", "bias"):
            set_vars({variable: variable.eval() * 0.5 / images.std()})


def finish(folder: Path, networks: tuple, z, labels, w, images) -> None:
    """Writes the pickle and the results of running it."""
    with (folder / "network.pkl").open("wb") as file:
        pickle.dump(networks, file, protocol=pickle.HIGHEST_PROTOCOL)
    average = networks[-1]
    variables = getattr(average, "own_vars", average.vars)
    w_avg = variables["dlatent_avg"].eval() if "dlatent_avg" in variables else np.zeros(0, np.float32)
    np.savez(folder / "run.npz", z=z, labels=labels, w=w, w_avg=w_avg, images=np.stack(images))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Every command of the documents is run, on small networks and few samples.

A new one on a page runs by itself. What a placeholder stands for, what makes a command small, and what cannot
run here stand in the tables below, by which a test that fails here is mended.
"""

import json
import os
import shutil
import signal
import threading
import tomllib
import urllib.request
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise

import click
import numpy as np
import pytest
import torch
from PIL import Image

import higan_fast.boundaries.choice as choice
from higan_fast.checkpoints import load_generator, save_generator
from higan_fast.cli import main
from higan_fast.generators.stylegan2 import StyleGAN2Config
from higan_fast.pictures import to_uint8
from higan_fast.probing import Verification
from tests.checkpoints.biggan import biggan_pytorch
from tests.checkpoints.writers import random_stylegan2, stylegan2_ada
from tests.documents import ROOT, variants, written
from tests.predictors.exported import to_onnx
from tests.test_cli import run

# What words of the documents stand for; of an option's value first, then of any word.
VALUES = {
    "--out FILE": "found.safetensors", "--csv FILE": "exported.csv", "--labels FILE": "labels.csv",
    "--codes FILE": "projected_w.npz", "--config FILE.json": "settings.json",
}  # fmt: skip
WORDS = {
    "RUN": "run", "runs/demo": "run", "OTHER": "other", "OUT": "found", "NET": "network.safetensors",
    "FILE": "network.safetensors", "PRED": "scorer.py:Scorer", "IMAGE": "a.png", "DIR": "drawn",
    "PATH": "directions.npy", "NAME": "warmth", "METHOD": "svm", "C": "1",
    "GOAL": "effect", "N": "128", "S": "3", "PSI": "0.7",
}  # fmt: skip
DOTS = {"sample": "--network NET --predictor PRED --out RUN", "invert": "IMAGE --network NET --out RUN"}

PROBE = "--num 256 --chosen-num 0.4 --C 1 --max-samples 4 --num-null 4 --layer-samples 4"
WALK = "--num 24"
# Options that make a command small: in the place of those that it has, or beside them.
SMALLER = {
    "probe": PROBE,
    "sample": "--num 128",
    "fit": "--chosen-num 0.4",
    "fit --codes": "",
    "export": "--num 4",
    "verify": "--max-samples 4 --num-null 4",
    "layers": WALK,
    "methods": "--methods svm=1,difference --codes 24",
    "dose": "--num 8 --steps=-2,2",
    "manipulate": "--num 2",
    "invert": "--steps 4 --starts 1 --samples 8",
    "invert --tune": "--steps 4 --starts 1 --samples 8 --tune 2",
    "manipulate --frames": "--num 2 --frames 3",
    "hierarchy": WALK,
    "transition": f"{WALK} --most 24",
    "mix": "--num 24 --sources 2 --targets 2",
    "directions": "--max-samples 8 --num-null 4",
    "directions --sefa": "--sefa 2 --pca 2 --max-samples 8 --num-null 4",
    "directions --stylespace": "--stylespace 2 --max-samples 8 --num-null 4",
    "manipulate --samples": "",
    "ablate layers": WALK,
    "ablate ranking": WALK,
    "correlate": WALK,
    "ablate samples": f"{WALK} --C 1 --sizes 2 --refits 1",
    "ablate space": WALK,
    "compare": WALK,
    "falsify": "--num 128 --max-samples 4 --num-null 4",
    "calibrate": "--probes 1 --pictures 0",
    "probe --config": f"{PROBE} --class 2",
}
BEFORE = {
    "directions RUN": ["directions RUN --sefa 2"],
    "merge RUN": ["sample --network NET --predictor PRED --num 64 --out RUN --shard 1/1"],
    "merge RUN OTHER …": [
        f"sample --network NET --predictor PRED --num 512 --out {run} --shard {k}/2"
        for k, run in enumerate(("RUN", "OTHER"), 1)
    ],
}
SCORER = """
import torch
import higan_fast as hf

LEVELS = {"layout": "view", "object": "bed table window sofa picture", "color": "warmth lighting"}


class Scorer(torch.nn.Module):
    semantics = tuple(hf.Semantic(name, level) for level, names in LEVELS.items() for name in names.split())

    def __init__(self):
        super().__init__()
        weights = torch.randn(8, 48, generator=torch.Generator().manual_seed(0))
        self.weight = torch.nn.Parameter(weights)

    def forward(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images, 4).flatten(1) @ self.weight.T
"""
BEGINS = ("sample", "probe", "merge")  # a run folder of their own

# What does not run here, where it does, and what shows that it does.
ELSEWHERE = {
    "demo": (".ci/run", "make demo"),
    "probe --device cuda": ("tests/test_gpu.py", "cuda"),
    "verify RUN --shard 2/4": (
        "tests/test_cli_shards.py",
        '"verify", str(shared), *options, "--shard", "2/2"',
    ),
    "sample … --shard 2/4": ("tests/test_cli_shards.py", '*NUM, "--shard", "2/2"'),
    "--ray": ("tests/cluster/test_ray.py", "RayCrew("),
    "--slurm": ("tests/cluster/test_slurm.py", "SlurmCrew("),
}


def commands():
    """Each text once, but for those that are only a name within a sentence."""
    return list(dict.fromkeys(text for _, text in written("higan-fast")))


def leaf(words):
    """The command that a text begins with, its name, and the words after it."""
    command, path = main, []
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        path.append(words[0])
        command, words = command.commands[words[0]], words[1:]
    return command, " ".join(path), words


def elsewhere(text):
    """By which entry of ``ELSEWHERE`` a text is run somewhere else; None where it runs here."""
    return next((entry for entry in ELSEWHERE if text.startswith(entry) or f" {entry}" in text), None)


def is_a_name(text):
    """Whether a text names a command that needs arguments, without any."""
    command, _, words = leaf(text.split())
    needed = any(each.required for each in getattr(command, "params", ()))
    return not words and (needed or isinstance(command, click.Group))


RUN_HERE = [text for text in commands() if not is_a_name(text) and not elsewhere(text)]


def arguments(text, words):
    """What is typed for one variant of a text: placeholders filled, sizes small."""
    command, name, words = leaf(words)
    if "…" in words[:1]:
        words = [*DOTS[name].split(), *words[1:]]
    words = [word for word in words if word not in ("…", "...")]
    filled = []
    for before, word in pairwise(["", *words]):
        if word == "FILE" and "--config" in words and before not in ("--config", "--out"):
            word = "G_ema.pth"
        if word == "G_ema.pth" and "--config" not in words:
            word = "G_ema.pkl"
        if name == "compare" and word == before == "RUN":
            word = "again"
        begins = name in BEGINS and word in ("RUN", "OTHER")
        filled.append(f"new {word}" if begins else VALUES.get(f"{before} {word}", WORDS.get(word, word)))
    longest = max(
        (key for key in SMALLER if set(key.split()) <= {*name.split(), *words}), key=len, default=None
    )
    return [*name.split(), *smaller(filled, SMALLER.get(longest, "").split(), command)]


def smaller(words, options, command):
    """The words with options replaced, or added behind."""
    known = {name: each for each in command.params for name in each.opts}
    given, rest = [], list(options)
    while rest:
        option = rest.pop(0)
        name = option.split("=")[0]
        takes = "=" not in option and not getattr(known[name], "is_flag", False)
        given.append([option, *([rest.pop(0)] if takes else [])])
    for option in given:
        name = option[0].split("=")[0]
        at = next((k for k, word in enumerate(words) if word.split("=")[0] == name), None)
        if at is None:
            words = [*words, *option]
        else:
            words = [*words[:at], *option, *words[at + (1 if "=" in words[at] else 2) :]]
    return words


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what commands name: networks, a probe whose effects count as shown, pictures, codes."""
    folder = tmp_path_factory.mktemp("documents")
    torch.manual_seed(0)
    network = random_stylegan2(
        StyleGAN2Config(channels={4: 8, 8: 8, 16: 8}, latent_dim=8, code_dim=8, mapping_depth=1)
    )
    save_generator(network, folder / "network.safetensors", {"origin": "a test"})
    stylegan2_ada(folder / "G_ema.pkl", network, folder / "mark")
    torch.save(dict(biggan_pytorch((8, 8, 4), 24)), folder / "G_ema.pth")
    for name in ("settings.json", "biggan.json"):
        (folder / name).write_text(json.dumps({"BN_eps": 1e-5}))
    (folder / "scorer.py").write_text(SCORER)
    scorer = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    to_onnx(folder / "attributes.onnx", 224, model=scorer.eval())
    network = load_generator(folder / "network.safetensors")
    codes = network.map(torch.randn(256, 8, generator=torch.Generator().manual_seed(1))).detach()
    for name, image in zip("ab", to_uint8(network.synthesize(codes[:2]).detach()), strict=True):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{name}.png")
    np.savez(folder / "projected_w.npz", w=codes[:1])
    np.save(folder / "codes.npy", codes[:, 0])
    np.save(folder / "scores.npy", codes[:, 0, :2])
    np.save(folder / "directions.npy", torch.eye(8)[:2])
    lines = [f"{k},cosy,{k % 2}" for k in range(128)]
    (folder / "labels.csv").write_text("\n".join(["sample,semantic,value", *lines]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(choice, "NUM_CODES", 8)
        probe = "--network network.safetensors --predictor scorer.py:Scorer --activation sigmoid --out run"
        run("probe", *probe.split(), *PROBE.split(), "--exhaustive", "--quiet")
        found = Verification.load("run/verification.npz")
        some = np.zeros_like(found.layer_beats_null)
        some[..., :2] = True
        shown = replace(found, beats_null=np.ones_like(found.beats_null), layer_beats_null=some)
        shown.save("run/verification.npz")
        shutil.copytree("run", "again")
        run("invert", "a.png", "b.png", "--out", "run", *SMALLER["invert"].split(), "--quiet")
    return folder


@pytest.fixture(scope="module")
def ran():
    """What was typed so far."""
    return set()


@pytest.mark.parametrize("text", RUN_HERE)
def test_it_runs(text, place, ran, tmp_path, monkeypatch):
    shutil.copytree(place, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    monkeypatch.setattr(choice, "NUM_CODES", 8)
    for line in BEFORE.get(text, ()):
        run(*arguments(line, line.split()))
    for words in variants(text):
        typed = arguments(text, words)
        if tuple(typed) in ran:
            continue  # another text comes to the same
        ran.add(tuple(typed))
        if typed[0] == "explore":
            served(typed, monkeypatch)
            continue
        run(*typed)
        values = {
            name
            for each in leaf(typed)[0].params
            if not getattr(each, "is_flag", False)
            for name in each.opts
        }
        for option, name in pairwise(typed):
            if option in values & {"--out", "--csv", "--images"}:
                assert (tmp_path / "place" / name).exists(), f"{' '.join(typed)} wrote no {name}"


def served(typed, monkeypatch):
    """Runs the page, reads it, and ends it as Ctrl-C does."""
    monkeypatch.setattr("higan_fast.cli.explore.click.launch", lambda address: 0)
    pages = []

    def read(line):
        def get():
            with urllib.request.urlopen(line, timeout=30) as page:
                pages.append(page.read())
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=get).start()

    monkeypatch.setattr("higan_fast.cli.explore.click.echo", read)
    run(*typed, "--port", "0", "--quiet")
    assert b"<html" in pages[0]


def test_what_runs_elsewhere_does():
    entries = {text: entry for text in commands() if (entry := elsewhere(text))}
    for text, entry in entries.items():
        path, shows = ELSEWHERE[entry]
        assert shows in (ROOT / path).read_text(), f"higan-fast {text}: {path} does not run it"
    assert set(entries.values()) == set(ELSEWHERE), "what no page shows any more"


def test_every_command_is_run_and_a_name_is_one_of_them():
    ran = {leaf(text.split())[1] for text in commands() if not is_a_name(text)}
    for text in commands():
        _, name, words = leaf(text.split())
        assert name and (words or name in ran), f"higan-fast {text}: no page shows it with what it needs"


def test_targets_and_extras_are_there():
    makefile = (ROOT / "Makefile").read_text()
    for page, text in written("make"):
        target = text.split()[0]
        assert f"\n{target}:" in makefile, f"{page}: make {target}: no such target"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for page, text in written("pip install"):
        for extra in text.strip("'").partition("[")[2].partition("]")[0].split(","):
            assert not extra or extra in extras, f"{page}: pip install {text}: no extra is called so"


def test_modules_are_there():
    for page, text in written("python -m"):
        module = text.split()[0]
        assert find_spec(module) is not None, f"{page}: python -m {module}: no such module"

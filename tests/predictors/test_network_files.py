"""TorchScript, ONNX and Python files as predictors: the same scores, and one line for what cannot be one."""

import math
import sys
import zipfile

import pytest
import torch

import higan_fast as hf
from higan_fast.engine.gradients import score_gradients
from higan_fast.engine.scoring import score
from higan_fast.fingerprint import fingerprint
from higan_fast.graphs import _state_of
from higan_fast.ops import image_to_input
from higan_fast.predictors import load_predictor
from higan_fast.predictors.network import NetworkPredictor, log_odds
from tests.predictors.exported import (
    NAMES,
    network,
    to_onnx,
    to_python,
    to_torchscript,
    with_external_data,
)
from tests.toy import toy

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLOSE = 1e-4  # what another runtime may differ by in float32, on scores of about 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("networks")
    to_torchscript(made / "net.ts")
    to_onnx(made / "net.onnx")
    to_python(made)
    return made


def images(num=5, size=48):
    return torch.rand(num, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2.2 - 1.1


@pytest.mark.parametrize("file", ["net.ts", "net.onnx"])
@pytest.mark.parametrize("activation", ["none", "sigmoid", "softmax"])
@torch.no_grad()
def test_every_runtime_gives_the_networks_own_scores(folder, file, activation):
    options = {"input_size": 32, "mean": MEAN, "std": STD, "activation": activation}
    predictor = load_predictor(folder / file, NAMES, **options)
    prepared = image_to_input(images(), 32, mean=MEAN, std=STD)
    expected = output = network()(prepared)
    if activation != "none":
        expected = output.sigmoid() if activation == "sigmoid" else output.softmax(1)
        torch.testing.assert_close(
            predictor.logits(images()), torch.logit(expected.double()).float(), rtol=0, atol=CLOSE
        )
        assert predictor.score_ranges == ((0, 1),) * 3 and predictor.has_logits == (True,) * 3
    torch.testing.assert_close(score(predictor, images()), expected, rtol=0, atol=CLOSE)
    plain = load_predictor(folder / file, NAMES)
    clipped = images().clamp(-1, 1)
    torch.testing.assert_close(score(plain, images()), network()(clipped), rtol=0, atol=CLOSE)


def test_log_odds_are_exact_where_a_probability_is_next_to_1():
    output = torch.tensor([[40.0, 0.0, -3.0], [0.1, 0.0, 0.2]])
    p = output.double().softmax(1)
    expected = p.log() - torch.log1p(-p)  # in float64, and even there the first is 0.9 off
    expected[0, 0] = 40 - math.log1p(math.exp(-3))
    torch.testing.assert_close(log_odds(output).double(), expected, rtol=1e-6, atol=1e-6)


def test_mean_or_std_alone_and_for_all_channels(folder):
    halves = load_predictor(folder / "net.ts", NAMES, mean=0.5, std=[0.5, 0.5, 0.5])
    torch.testing.assert_close(
        halves(images().clamp(-1, 1)), load_predictor(folder / "net.ts", NAMES)(images().clamp(-1, 1))
    )
    lone = load_predictor(folder / "net.ts", NAMES, mean=MEAN)
    torch.testing.assert_close(lone(images()), network()(image_to_input(images(), mean=MEAN)))


def test_a_batch_or_size_that_is_fixed_is_met(tmp_path):
    predictor = load_predictor(to_onnx(tmp_path / "net.onnx", size=24, batch=2), NAMES)
    assert predictor(torch.zeros(0, 3, 24, 24)).shape == (0, len(NAMES))
    assert predictor.input_size == 24
    expected = network()(image_to_input(images(), 24, mean=(0.5,) * 3, std=(0.5,) * 3))
    torch.testing.assert_close(predictor(images()), expected, rtol=0, atol=CLOSE)
    with pytest.raises(ValueError, match=r"input_size \(--input-size\): got 32, and .* of 24×24; leave"):
        load_predictor(tmp_path / "net.onnx", NAMES, input_size=32)


def test_weights_that_lie_beside_an_onnx_file(tmp_path):
    path = with_external_data(to_onnx(tmp_path / "net.onnx"))
    predictor = load_predictor(path, NAMES)
    torch.testing.assert_close(predictor(images()), network()(images()), rtol=0, atol=CLOSE)
    files = hf.predictors.Source(predictor=str(path)).with_files().files
    assert list(files) == [str(path), str(tmp_path / "weights.bin")]
    before = fingerprint(predictor)
    content = bytearray((tmp_path / "weights.bin").read_bytes())
    content[5] ^= 1
    (tmp_path / "weights.bin").write_bytes(content)
    assert fingerprint(load_predictor(path, NAMES)) != before, "they count, though the .onnx is the same"
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"weights\.bin: there is no such file, and .*net\.onnx has"):
        load_predictor(path, NAMES)


def test_data_of_another_folder_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    path = with_external_data(to_onnx(tmp_path / "a" / "net.onnx"))
    path.write_bytes(path.read_bytes().replace(b"weights.bin", b"../eights.b"))
    with pytest.raises(
        ValueError, match=r"has weights in '\.\./eights\.b', expected a file of its own folder"
    ):
        load_predictor(path, NAMES)


@pytest.mark.parametrize("file", ["net.ts", "net.onnx", "mine.py:make_predictor"])
def test_the_fingerprint_is_that_of_the_file_and_its_options(folder, file):
    names = None if "py" in file else NAMES
    first, again = (load_predictor(folder / file, names) for _ in range(2))
    assert fingerprint(first) == fingerprint(again) and fingerprint(first).complete
    first(images())
    assert fingerprint(first) == fingerprint(again), "scoring changes nothing"
    assert fingerprint(load_predictor(folder / file, names, activation="sigmoid")) != fingerprint(first)
    assert fingerprint(load_predictor([folder / file, "color"], names)).complete


def test_torchscript_has_gradients_and_onnx_says_that_it_has_none(folder):
    generator, _ = toy()
    codes = torch.randn(2, generator.num_layers, generator.code_dim)
    scripted = load_predictor(folder / "net.ts", NAMES)
    plain = load_predictor(network(), NAMES)
    found, expected = (score_gradients(generator, one, codes, [0, 2]) for one in (scripted, plain))
    torch.testing.assert_close(found, expected)
    with pytest.raises(ValueError, match=r"carry no gradient .*; take a method that asks for none"):
        score_gradients(generator, load_predictor(folder / "net.onnx", NAMES), codes, [0])


def test_no_recording_replaces_another_runtime(folder):
    with_onnx = load_predictor(["color", folder / "net.onnx"], NAMES)
    assert _state_of(with_onnx) is None, "CUDA graphs would not see what ONNX Runtime does"
    assert _state_of(load_predictor(["color", folder / "net.ts"], NAMES)) is not None


def test_a_python_file_gives_a_function_a_network_a_class_or_what_makes_one(folder):
    mean = images().mean([2, 3])
    for name in ("make_predictor", "Net", "network"):
        predictor = load_predictor(f"{folder}/mine.py:{name}")
        assert predictor.names == ("wood", "light")
        torch.testing.assert_close(predictor(images())[:, 0], 2 * mean.sum(1) + 0.25)
    predictor = load_predictor(f"python:{folder}/mine.py:score", ["r", "g"], score_range=(-1, 1))
    assert torch.equal(predictor(images()), mean[:, :2]) and predictor.score_ranges == ((-1, 1),) * 2


REFUSED = {
    "mine.py": "expected .*mine.py:NAME, the name of what scores in it, such as Net, ",
    "mine.py:nobody": "mine.py:nobody: there is no 'nobody' in it",
    "mine.py:number": "is a int, expected a Predictor, a network or a function",
    "mine.py:score": r"semantics \(--names\): got none for .*; give a name for each column",
    "none.py:make": "none.py: there is no such file",
    "broken.py:make": r"broken.py: running it failed \(SyntaxError in line 2: ",
    "leaves.py:make": r"leaves.py: running it failed \(SystemExit: 3\)",
    "net.onnx": r"semantics \(--names\): got none, and .*net.onnx gives 3 scores; name each",
    "net.onnx:logits": r"has the outputs scores: tensor\(float\) .*; name one .*, as in .*net.onnx:scores",
    "none.onnx": "none.onnx: there is no such file",
    "text.onnx": "text.onnx: is no ONNX file",
    "empty.onnx": "empty.onnx: is no ONNX file",
    "net.ts": r"semantics \(--names\): got none for .*; give a name for each column",
    "state.pt": "is a pickle: weights without their network.* save the network with torch.jit.script",
    "old.pth": "is a pickle: weights",
    "program.pt": "is a program of torch.export; save",
    "text.ts": "is a pickle: weights without",
    "short.ts": "short.ts: is ",
    "flipped.ts": r"flipped\.ts: is damaged; the checksum of 'net/data/0' in it differs",
    "none.ts": "none.ts: there is no such file",
}


@pytest.fixture(scope="module")
def bad(folder):
    (folder / "broken.py").write_text("x = 1\ny = = 2\n")
    (folder / "leaves.py").write_text("raise SystemExit(3)\n")
    for name in ("text.onnx", "text.ts"):
        (folder / name).write_text("a text")
    (folder / "empty.onnx").write_bytes(b"")
    torch.save(network().state_dict(), folder / "state.pt")
    torch.save(network().state_dict(), folder / "old.pth", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(folder / "program.pt", "w") as file:
        file.writestr("program/archive_format", "pt2")
    content = (folder / "net.ts").read_bytes()
    weights = network()[0].weight.detach().numpy().tobytes()
    assert content.count(weights) == 1
    (folder / "flipped.ts").write_bytes(content.replace(weights, bytes([weights[0] ^ 1]) + weights[1:]))
    (folder / "short.ts").write_bytes(content[: len(content) // 2])
    return folder


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_package_that_is_missing_is_named(folder, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ValueError, match=rf"{package}, which is not installed: pip install 'higan_fast\[onnx\]'"
    ):
        load_predictor(folder / "net.onnx", NAMES)


@pytest.mark.parametrize("file", REFUSED)
def test_what_is_no_predictor_is_refused_in_one_line(bad, file):
    with pytest.raises((ValueError, FileNotFoundError), match=REFUSED[file]) as raised:
        load_predictor(f"{bad}/{file}")
    assert str(raised.value).isprintable() and str(bad) in str(raised.value)


def test_a_runtime_that_refuses_a_file_prints_nothing_itself(folder, tmp_path, capfd):
    path, content = tmp_path / "net.onnx", (folder / "net.onnx").read_bytes()
    for old, new in ((b"Relu", b"Rely"), (b"images", b"im\xffges")):
        path.write_bytes(content.replace(old, new))
        with pytest.raises(
            ValueError, match=r"net\.onnx: (ONNX Runtime does not|'utf-8' codec can't)"
        ) as raised:
            load_predictor(path, NAMES)
        assert str(raised.value).isprintable()
    assert capfd.readouterr() == ("", "")


def test_scores_of_another_number_or_shape_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"semantics \(--names\): got 2, and .*net\.onnx gives 3 scores"):
        load_predictor(folder / "net.onnx", NAMES[:2])
    with pytest.raises(ValueError, match=r"net\.ts: the predictor gave scores of shape \(5, 3\).*\[5, 2\]"):
        load_predictor(folder / "net.ts", NAMES[:2])(images())
    features = to_onnx(tmp_path / "features.onnx", model=torch.nn.Conv2d(3, 3, 3))
    with pytest.raises(
        ValueError, match=r"features\.onnx: the predictor gave scores of shape \(5, 3, 46, 46\)"
    ):
        load_predictor(features, NAMES)(images())


def test_what_fails_in_scoring_names_its_file(folder):
    with pytest.raises(
        ValueError, match=r"mine\.py:fails: scoring images of 48×48 failed \(KeyError: 5\); if"
    ):
        load_predictor(f"{folder}/mine.py:fails", ["a"])(images())
    with pytest.raises(
        ValueError, match=r"net\.ts: scoring images of 2×2 failed \(RuntimeError: .*--input-size"
    ):
        load_predictor(folder / "net.ts", NAMES)(images(size=2))
    with pytest.raises(ValueError, match=r"net\.onnx: scoring images of 2×2 failed"):
        load_predictor(folder / "net.onnx", NAMES)(images(size=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": 0}, r"input_size \(--input-size\): got 0, expected a whole number of at least 1"),
        ({"mean": (1, 2)}, r"mean \(--mean\): got \[1, 2\], expected one number, or three"),
        ({"mean": float("nan")}, r"mean \(--mean\): got nan, expected one number, or three"),
        ({"std": float("inf")}, r"std \(--std\): got inf, expected one number, or three"),
        ({"score_range": (1, 0)}, r"score_range: got \[1, 0\], expected \(low, high\)"),
        ({"std": 0}, r"std \(--std\): got \[0\.0, 0\.0, 0\.0\], expected numbers that are not 0"),
        (
            {"activation": "relu"},
            r"activation \(--activation\): got 'relu', expected one of sigmoid, softmax",
        ),
        ({"activation": "sigmoid", "score_range": (0, 1)}, "score_range: scores of activation 'sigmoid' lie"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        NetworkPredictor(network(), NAMES, "net", **options)
    with pytest.raises(ValueError, match="got 'softmax' for one score, which would always be 1"):
        NetworkPredictor(network(), ["a"], "net", activation="softmax")

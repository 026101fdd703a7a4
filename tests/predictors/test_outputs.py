"""Whatever a scorer is and gives: it works, or one line says what to write."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch

from higan_fast.engine.scoring import score
from higan_fast.predictors import ModulePredictor, Predictor, Semantic, load_predictor
from higan_fast.probing import fit_boundaries, manipulate, sample, verify
from tests.toy import CODE_DIM, toy

IMAGES = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
RED, BLUE = IMAGES[:, 0].mean([1, 2]), IMAGES[:, 2].mean([1, 2])
BOTH = torch.stack([RED, BLUE], dim=1)
WithLogits = namedtuple("WithLogits", "loss logits")


class ModelOutput(OrderedDict):
    """As Hugging Face's models give it."""


@pytest.mark.parametrize(
    "output",
    [
        BOTH,
        BOTH[:, :, None, None],
        BOTH.numpy(),
        BOTH.double().numpy(),
        {"red": RED, "blue": BLUE, "green": None},
        {"blue": BLUE[:, None].numpy(), "red": RED},
        ModelOutput(loss=None, logits=BOTH),
        WithLogits(None, BOTH.numpy()),
    ],
    ids=["tensor", "1 x 1", "numpy", "double", "dict", "dict of columns", "logits by key", "logits by name"],
)
def test_scores_of_every_kind_are_the_same(output):
    predictor = load_predictor(lambda images: output, ["red", "blue"])
    found = predictor(IMAGES)
    assert isinstance(found, torch.Tensor) and found.shape == (3, 2)
    torch.testing.assert_close(found.float(), BOTH, rtol=0, atol=0)


@pytest.mark.parametrize("output", [RED, RED[:, None], RED.numpy(), {"red": RED}])
def test_one_semantic_needs_no_second_axis(output):
    assert torch.equal(load_predictor(lambda images: output, "red")(IMAGES), RED[:, None])
    alone = load_predictor(lambda images: images[:, 0].mean().squeeze(), "red")
    assert alone(IMAGES[:1]).shape == (1, 1)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"red": RED}, r"dict with the keys \['red'\], expected one for each of \['red', 'blue'\].*lambda"),
        (BOTH.to_sparse(), r"gave scores as a sparse tensor, expected a dense one; take .to_dense"),
        (BOTH.to("meta"), r"gave scores without values .on torch's device 'meta'.; expected numbers"),
        ({}, r"dict with the keys \[\]"),
        (
            (BOTH, None),
            r"gave a tuple of 2, expected a tensor \[N, 2\].*load_predictor\(lambda images: .*\[0\]",
        ),
        ([RED, BLUE], r"gave a list of 2"),
        (None, r"gave scores as a builtins\.NoneType, expected a tensor or a NumPy array"),
        (np.array(["a", "b"]), r"gave scores as a numpy\.ndarray"),
        ({"red": RED, "blue": "high"}, r"gave its score of 'blue' as a builtins\.str"),
        (RED, r"shape \(3,\) for 3 images, expected \[3, 2\]: one column for each of \['red', 'blue'\]"),
        (BOTH.T, r"shape \(2, 3\) for 3 images"),
    ],
)
def test_what_are_no_scores_is_refused_in_one_line(output, message):
    with pytest.raises(ValueError, match=message) as error:
        load_predictor(lambda images: output, ["red", "blue"])(IMAGES)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("semantics", "message"),
    [
        (
            None,
            r'got None, expected a name for each column .*load_predictor\(network, \["wood", "lighting"\]\)',
        ),
        ([], "got none, expected a name"),
        ([("wood", "attribute")], r"got \('wood', 'attribute'\) among them, .*Semantic\(name, level\)"),
    ],
)
def test_missing_names_say_what_to_write(semantics, message):
    with pytest.raises(ValueError, match=message):
        load_predictor(torch.nn.Flatten(), semantics)


def test_what_cannot_be_called_with_images_says_what_to_write():
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(
        ValueError, match=r"got a LogisticRegression, whose decision_function .*lambda images"
    ):
        load_predictor(LogisticRegression(), ["red"])
    with pytest.raises(ValueError, match=r"got the class Flatten, .*Flatten\(\.\.\.\), names"):
        load_predictor(torch.nn.Flatten, ["red"])
    with pytest.raises(ValueError, match=r"got a int, expected an nn\.Module or a function"):
        load_predictor(3, ["red"])
    with pytest.raises(ValueError, match="level of 'wood': got 'mood'"):
        Semantic("wood", "mood")
    for name in ("", "a\nb", "\x1b[31m", "x" * 201, 3):
        with pytest.raises(ValueError, match=r"name of a semantic: got .*, expected printable text"):
            Semantic(name, "object")
    with pytest.raises(ValueError, match=r"a ColorPredictor has its own, \['brightness'"):
        load_predictor(load_predictor("color"), ["red"])


def test_a_predictor_without_semantics_says_what_to_write():
    class Unnamed(Predictor):
        def forward(self, images):
            return images.mean([2, 3])

    for use in (lambda p: p.names, lambda p: p.num_semantics, lambda p: score(p, IMAGES)):
        with pytest.raises(TypeError, match=r"Unnamed has no semantics; .* self\.semantics = \(Semantic\("):
            use(Unnamed())


def test_a_predictor_of_ones_own_may_give_numpy_too():
    class Own(Predictor):
        semantics = (Semantic("red", "color"),)

        def forward(self, images):
            return images[:, 0].mean([1, 2]).numpy()

    assert torch.equal(score(Own(), IMAGES), RED[:, None])


def test_a_plain_function_goes_through_the_whole_probe():
    generator, reader = toy()
    columns = [reader.names.index(name) for name in ("view", "hue")]
    predictor = load_predictor(lambda images: reader(images)[:, columns].numpy(), ["view", "hue"])
    samples = sample(generator, predictor, 400, progress=False)
    boundaries = fit_boundaries(samples, chosen_num=100, progress=False)
    found = verify(generator, predictor, boundaries, num=16, num_null=4, progress=False)
    assert [found.best_layer(name) for name in ("view", "hue")] == [0, 4]


def test_networks_that_are_none_of_ours_say_what_to_write(boundaries):
    generator, predictor = toy()
    plain, codes = torch.nn.Linear(2, 2), np.zeros((1, 5, CODE_DIM))
    for use in (
        lambda: sample(generator, plain, 64),
        lambda: sample(generator, lambda images: images, 64),
        lambda: verify(generator, plain, boundaries),
    ):
        with pytest.raises(
            TypeError, match=r"predictor: got a \w+, .*higan_fast\.load_predictor\(it, names\)"
        ):
            use()
    for use in (
        lambda: sample(plain, predictor, 64),
        lambda: verify(plain, predictor, boundaries),
        lambda: manipulate(plain, codes, boundaries["view"]),
    ):
        with pytest.raises(TypeError, match=r"generator: got a Linear, .*higan_fast\.generators\.wrap\(it"):
            use()


def test_a_module_keeps_its_range():
    predictor = ModulePredictor(torch.nn.Flatten(), "red", score_range=(0.0, 1.0))
    assert predictor.score_ranges == ((0.0, 1.0),)

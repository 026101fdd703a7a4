"""A walk that is interrupted goes on where it was, and gives the same scores to the bit."""

from contextlib import contextmanager, suppress

import pytest
import torch

from higan_fast.boundaries import choice
from higan_fast.engine import engine as engines
from higan_fast.engine import journal as journals
from higan_fast.engine.engine import Engine
from higan_fast.engine.journal import Journal
from higan_fast.probing import fit_boundaries
from tests.engine.test_engine import plans, small_stylegan2
from tests.toy import toy

NUM = 5
OFTEN = 20  # scores between writes


@pytest.fixture
def often(monkeypatch):
    """What comes is soon written."""
    monkeypatch.setattr(journals, "SCORES", OFTEN)


@contextmanager
def interrupted_after(images):
    """Stops whatever scores more images than these; yields how many each batch had."""
    with pytest.MonkeyPatch.context() as patch:
        score, scored = engines.score, []

        def stopping(predictor, batch):
            if sum(scored) >= images:
                raise KeyboardInterrupt
            scored.append(len(batch))
            return score(predictor, batch)

        patch.setattr(engines, "score", stopping)
        with suppress(KeyboardInterrupt):
            yield scored


def walk(plan, base, folder=None, stop=10**9, batch_size=4):
    """The scores of a walk, by where they belong, and how many images were scored."""
    generator, predictor = (network.double().eval() for network in small_stylegan2())
    engine, found = Engine(generator, predictor, batch_size=batch_size), {}
    journal = engine.journal(folder / "result.npz", "a walk") if folder else None
    with interrupted_after(stop) as scored:
        for part in engine.perturbed_scores(base, plan, generator.map, journal):
            for place, direction in enumerate(part.directions.tolist()):
                where = part.samples.start, part.layer_set, direction
                assert where not in found
                found[where] = part.values[:, place]
    return found, sum(scored)


@pytest.mark.parametrize("kind", ["all and each", "some", "latents"])
def test_a_walk_goes_on_where_it_was(kind, tmp_path, often):
    torch.manual_seed(0)
    generator, _ = small_stylegan2()
    plan = plans(generator)[kind]
    base = torch.randn(NUM, generator.latent_dim, dtype=torch.float64)
    base = base if plan.in_latents else generator.double().map(base)
    whole, num = walk(plan, base)
    assert num == NUM * plan.images_per_sample
    _, first = walk(plan, base, tmp_path, stop=2 * num // 3)
    resumed, second = walk(plan, base, tmp_path)
    assert first > OFTEN and num <= first + second <= num + OFTEN + 4, "little is scored twice"
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[where], whole[where]) for where in whole)
    _, others = walk(plan, base, tmp_path, batch_size=5)
    assert others == num, "batches of another size come in another order"


def test_what_is_damaged_or_of_something_else_is_measured_again(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(journals, "SECONDS", 0.0)
    scores = torch.arange(12.0).reshape(6, 2)
    journal = Journal(tmp_path / "walk", "one")
    assert journal.kept is None
    for part in scores.split(2):
        journal.add(part)
    assert torch.equal(Journal(tmp_path / "walk", "one").kept, scores)
    assert Journal(tmp_path / "walk", "other").num_kept == 0
    (tmp_path / "walk.1.npz").write_bytes(b"torn")
    journal = Journal(tmp_path / "walk", "one")
    assert torch.equal(journal.kept, scores[:2])
    assert "walk.1.npz: is damaged" in capfd.readouterr().err
    journal.add(scores[2:3])  # of another length, so that what lies after it does not go on from it
    assert torch.equal(Journal(tmp_path / "walk", "one").kept, scores[:3])
    assert [journal.fresh(2), journal.fresh(2)] == [0, 2]
    journal.drop()
    assert not list(tmp_path.iterdir())


def test_seldom_written(tmp_path, monkeypatch):
    monkeypatch.setattr(journals, "SCORES", 5)
    journal = Journal(tmp_path / "walk", "one")
    for count in (2, 2):
        journal.add(torch.zeros(count, 3))
    assert not list(tmp_path.iterdir()), "not before some seconds or scores"
    journal.add(torch.zeros(1, 3))
    assert Journal(tmp_path / "walk", "one").num_kept == 5


def test_the_choice_of_c_is_kept_for_the_same_directions(samples, tmp_path, monkeypatch):
    monkeypatch.setattr(journals, "SCORES", 200)
    generator, predictor = toy()
    options = {"C": "auto", "generator": generator, "predictor": predictor, "progress": False}

    def fit(stop, chosen_num=300):
        found = None
        with interrupted_after(stop) as scored:
            found = fit_boundaries(samples, ["view", "hue"], chosen_num=chosen_num, out=tmp_path, **options)
        return found, sum(scored)

    _, first = fit(700)
    found, second = fit(10**9)
    num = 2 * choice.NUM_CODES * len(choice.STRENGTHS) * len(found)
    assert first >= 700 and num <= first + second < num + 300
    again, more = fit(10**9)
    assert more == 0 and again.settings == found.settings
    assert all((again[name].normal == found[name].normal).all() for name in found)
    assert fit(10**9, chosen_num=250)[1] == num, "other directions"

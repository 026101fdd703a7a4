import numpy as np
import pytest
import torch
import torch.distributed as dist
from click.testing import CliRunner

from higan_fast.checkpoints import load_generator, read_header
from higan_fast.generators.stylegan2 import StyleGAN2Config
from higan_fast.predictors.scenes import load_scene_predictor
from higan_fast.scenes import export, train_predictor
from higan_fast.scenes.dataset import SceneDataset
from higan_fast.scenes.factors import SEMANTICS
from higan_fast.scenes.quality import frechet_distance
from higan_fast.scenes.train_generator import Trainer
from tests.processes import ended, start

CHANNELS = {4: 16, 8: 16, 16: 8}


@pytest.fixture(scope="module")
def rooms():
    images, factors = SceneDataset(5, resolution=16).batch(range(8))
    return images.float() / 127.5 - 1, factors


def trainer(seed=0):
    torch.manual_seed(seed)
    return Trainer(StyleGAN2Config(channels=CHANNELS, mapping_depth=2), torch.device("cpu"))


def test_the_discriminator_learns_to_read_rooms_and_the_average_follows(rooms):
    ours = trainer()
    begin = {name: value.clone() for name, value in ours.average.named_parameters()}
    losses = [ours.step(*rooms) for _ in range(18)]
    assert losses[-1]["factors"] < losses[0]["factors"] - 0.01
    assert [step for step, loss in enumerate(losses) if "r1" in loss] == [0, 16]
    assert (ours.step_index, ours.images_seen) == (18, 18 * 8)
    still = [name for name, value in ours.average.named_parameters() if torch.equal(value, begin[name])]
    assert still == [f"synthesis.convs.{index}.noise_strength" for index in range(5)]
    assert not torch.equal(ours.average.mapping_network.w_avg, torch.zeros(128))


def test_a_resumed_run_equals_one_without_a_break(rooms, tmp_path):
    whole, first = trainer(), trainer()
    torch.manual_seed(1)
    for _ in range(4):
        whole.step(*rooms)
    torch.manual_seed(1)
    for _ in range(2):
        first.step(*rooms)
    first.save(tmp_path / "checkpoint.pt")
    second = trainer(seed=99)
    second.load(tmp_path / "checkpoint.pt")
    for _ in range(2):
        second.step(*rooms)
    assert second.images_seen == whole.images_seen
    for part in ("generator", "average", "discriminator"):
        for ours, theirs in zip(
            getattr(second, part).parameters(), getattr(whole, part).parameters(), strict=True
        ):
            assert torch.equal(ours, theirs)


def train_one_of_two(rank, folder):
    """A process with a batch of its own; leaves its networks in a file."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    ours = trainer()
    torch.manual_seed(rank)
    images, factors = SceneDataset(5, resolution=16).batch(range(8 * rank, 8 * rank + 8))
    for _ in range(2):
        ours.step(images.float() / 127.5 - 1, factors)
    ours.save(folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_processes_with_batches_of_their_own_stay_the_same_network(tmp_path):
    for process in [start(train_one_of_two, rank, tmp_path) for rank in range(2)]:
        assert ended(process) == 0
    one, two = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert one["images_seen"] == two["images_seen"] == 2 * 2 * 8
    for part in ("generator", "discriminator"):
        learnt = [name for name in one[part] if not name.endswith("w_avg")]  # each tracks its own latents
        assert all(torch.equal(one[part][name], two[part][name]) for name in learnt)


def test_a_checkpoint_of_other_networks_is_refused(tmp_path):
    trainer().save(tmp_path / "checkpoint.pt")
    other = Trainer(StyleGAN2Config(channels={4: 8, 8: 8}), torch.device("cpu"))
    with pytest.raises(ValueError, match=r"'channels': \{4: 16"):
        other.load(tmp_path / "checkpoint.pt")


def test_style_mixing_takes_late_layers_from_a_second_latent():
    torch.manual_seed(0)
    codes = trainer()._mixed_codes(64)  # [64, 6, 128]
    same = (codes == codes[:, :1]).all(2)  # [64, 6]: still the first latent's code
    changes = (~same).float().argmax(1)[~same.all(1)]
    assert 0.8 < (~same.all(1)).float().mean() < 1  # MIXING_PROBABILITY
    assert set(changes.tolist()) == {1, 2, 3, 4, 5}


def test_export_gives_the_average(rooms, tmp_path):
    ours = trainer()
    ours.step(*rooms)
    ours.save(tmp_path / "checkpoint.pt")
    out = tmp_path / "generator.safetensors"
    result = CliRunner().invoke(export.main, [str(tmp_path), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert read_header(out).about["images"] == 8
    codes = torch.randn(2, 6, 128)
    assert torch.equal(load_generator(out).synthesize(codes), ours.average.synthesize(codes))


def test_the_predictor_trains_stops_and_goes_on(tmp_path):
    arguments = ["--out", str(tmp_path), "--num", "128", "--epochs", "2", "--threads", "1"]
    cut = pytest.MonkeyPatch()
    cut.setattr(train_predictor, "HELD_OUT", 64)
    cut.setattr(train_predictor.evaluate, "__defaults__", (64,))
    cut.setattr("higan_fast.scenes.dataset.SHARD_SIZE", 128)
    seen = []
    real = train_predictor.evaluate

    def interrupted(predictor, num=64):
        seen.append(predictor)
        if len(seen) == 1:
            raise KeyboardInterrupt
        return real(predictor, num)

    cut.setattr(train_predictor, "evaluate", interrupted)
    try:
        assert CliRunner().invoke(train_predictor.main, arguments).exit_code != 0
        assert (tmp_path / "checkpoint.pt").exists() and not (tmp_path / "predictor.safetensors").exists()
        result = CliRunner().invoke(train_predictor.main, arguments)
        assert result.exit_code == 0, result.output
        assert "epoch   1.00 of 2" in result.output and "epoch   0.00 of 2" not in result.output
    finally:
        cut.undo()
    predictor = load_scene_predictor(tmp_path / "predictor.safetensors")
    assert predictor.semantics == SEMANTICS


def test_frechet_distance_of_known_gaussians():
    random = np.random.default_rng(0)
    first = random.normal(size=(40_000, 3))
    second = random.normal(size=(40_000, 3)) * [1.0, 2.0, 1.0] + [0.0, 0.0, 3.0]
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-8)
    # |shift|² + (σ1 − σ2)² = 9 + 1; the estimate errs by a few times 1/√40,000 of that
    assert frechet_distance(first, second) == pytest.approx(10, rel=0.03)

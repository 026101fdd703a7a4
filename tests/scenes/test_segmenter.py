"""The trainer of the segmentation head, and its file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from higan_fast.predictors.segmenter import RoomSegmenter, load_room_segmenter, save_room_segmenter
from higan_fast.scenes import train_segmenter
from higan_fast.scenes.classes import CLASSES


def train(out: Path, num: int) -> str:
    result = CliRunner().invoke(
        train_segmenter.main, ["--out", str(out), "--num", str(num), "--threads", "1"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.output


def test_a_training_that_was_stopped_ends_as_one_without_a_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_segmenter, "SNAPSHOT_STEPS", 2)
    monkeypatch.setattr(train_segmenter, "BATCH_SIZE", 2)
    real, seen = train_segmenter.evaluate, []

    def interrupted(segmenter: RoomSegmenter, num: int = 0) -> dict[str, float]:
        seen.append(num)
        if len(seen) == 1:
            raise KeyboardInterrupt
        return real(segmenter, 4)

    monkeypatch.setattr(train_segmenter, "evaluate", interrupted)
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    arguments = ["--out", str(stopped), "--num", "8", "--threads", "1"]
    assert CliRunner().invoke(train_segmenter.main, arguments).exit_code != 0
    assert (stopped / "checkpoint.pt").exists() and not (stopped / "segmenter.safetensors").exists()
    output = train(stopped, 8)
    assert all(f"IoU {name}" in output for name in (*CLASSES, "mean"))
    train(whole, 8)
    ours, theirs = (load_room_segmenter(path / "segmenter.safetensors") for path in (stopped, whole))
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name
    assert train(whole, 8).count("rooms that it never saw") == 0  # it has nothing left to do


def test_iou_of_known_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Told(torch.nn.Module):
        """Gives the true masks, but says "wall" where a picture is."""

        classes = CLASSES

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            masks = answers.pop(0).long()
            masks[masks == CLASSES.index("picture")] = CLASSES.index("wall")
            return torch.nn.functional.one_hot(masks, len(CLASSES)).movedim(3, 1).float()

    answers: list[torch.Tensor] = []
    real = train_segmenter.render_with_masks

    def remembered(rooms: object) -> tuple[torch.Tensor, torch.Tensor]:
        images, masks = real(rooms, 32)  # type: ignore[arg-type]
        answers.append(masks.clone())
        return images, masks

    monkeypatch.setattr(train_segmenter, "render_with_masks", remembered)
    measured = train_segmenter.evaluate(Told(), 12)  # type: ignore[arg-type]
    assert measured["picture"] == 0
    assert 0.9 < measured["wall"] < 1
    rest = [name for name in CLASSES if name not in ("picture", "wall")]
    assert [measured[name] for name in rest] == [1] * len(rest)
    assert measured["mean"] == pytest.approx(sum(measured[name] for name in CLASSES) / len(CLASSES))


def test_a_file_is_small_and_comes_back_as_it_went(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "segmenter.safetensors"
    segmenter = RoomSegmenter(["wall", "bed"]).eval()
    save_room_segmenter(segmenter, path, {"renders": 3})
    assert path.stat().st_size < 1.5e6
    loaded = load_room_segmenter(path)
    assert loaded.classes == ("wall", "bed")
    images = torch.rand(2, 3, 48, 48) * 2 - 1
    maps = loaded(images)
    assert maps.shape == (2, 2, 64, 64) and maps.dtype == torch.float32
    # convolutions of float16: eleven bits in each of 13 layers
    torch.testing.assert_close(maps, segmenter(images), rtol=0.02, atol=0.01)


HEADERS = {
    "no header": (None, "no segmenter of rooms; expected a file of train_segmenter"),
    "no list": ({"classes": "wall"}, "does not list names of classes"),
    "numbers": ({"classes": [1, 2]}, "does not list names of classes"),
    "a class twice": ({"classes": ["wall", "wall"]}, "lists 1 classes, and there are logits of 2"),
    "too many": ({"classes": [str(i) for i in range(50_000)]}, "lists 50000 classes"),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_file_with_another_header_is_refused(kind: str, tmp_path: Path) -> None:
    header, message = HEADERS[kind]
    path = tmp_path / "segmenter.safetensors"
    metadata = None if header is None else {"room_segmenter": json.dumps(header)}
    save_file(RoomSegmenter(["wall", "bed"]).state_dict(), path, metadata)
    with pytest.raises(ValueError, match=message) as caught:
        load_room_segmenter(path)
    assert str(path) in str(caught.value)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "segmenter.safetensors"
    save_room_segmenter(RoomSegmenter(["wall", "bed"]), path, {})
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file({**tensors, "head.bias": torch.full((2,), torch.nan)}, path, metadata)
    with pytest.raises(ValueError, match="logits that are not finite"):
        load_room_segmenter(path)
    save_file({**tensors, "more": torch.zeros(1)}, path, metadata)
    with pytest.raises(ValueError, match="holds other tensors than a segmenter"):
        load_room_segmenter(path)
    save_file({**tensors, "head.bias": torch.zeros(3)}, path, metadata)
    with pytest.raises(ValueError, match=r"head\.bias"):
        load_room_segmenter(path)

"""Processes that meet in a run folder: whoever does a unit, and whoever dies, the result is that of one."""

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from higan_fast.cluster.folder import FolderCrew, serve
from higan_fast.cluster.worker import Worker
from higan_fast.files import TEMPORARY
from higan_fast.probing import shared_walks, verify
from higan_fast.sampling.samples import sample
from tests.probing.same import same
from tests.processes import ended, start
from tests.sampling.test_shards import contents
from tests.toy import toy_by_name

OPTIONS = {"null": "isotropic", "num_null": 32, "max_samples": 160, "confidence": 0.95, "progress": False}
FIXED = {"num": 100, "null": "isotropic", "num_null": 4, "progress": False}
ASKED = {"step": 2.0}


@pytest.fixture(autouse=True)
def small_units(monkeypatch):
    monkeypatch.setattr(shared_walks, "IMAGES", 300)


@pytest.fixture(scope="module")
def found(boundaries):
    return verify(*toy_by_name(), boundaries, **OPTIONS)


class Counting:
    """Networks whose predictor counts images, and after some of them does something."""

    def __init__(self, after=None, then=None):
        self.seen, self.after, self.then = 0, after, then

    def __call__(self):
        generator, predictor = toy_by_name()
        forward = predictor.forward

        def counting(images):
            if self.after is not None and self.seen >= self.after:
                self.then()
            self.seen += len(images)
            return forward(images)

        predictor.forward = counting
        return generator, predictor


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt():
    raise KeyboardInterrupt


def work(folder, index, after=None, asked=ASKED):
    """What a worker's process runs."""
    serve(folder, Counting(after, die), asked, index, 3, quiet=True)


@pytest.mark.parametrize("options", [OPTIONS, FIXED], ids=["sequential", "fixed"])
def test_units_make_what_one_walk_makes(boundaries, tmp_path, options):
    networks = Counting()
    with FolderCrew(tmp_path, ASKED, Worker(networks)) as crew:
        shared = verify(*toy_by_name(), boundaries, out=tmp_path, crew=crew, **options)
    assert networks.seen > 0.8 * shared.images  # all but the base samples
    same(shared, verify(*toy_by_name(), boundaries, **options))
    left = [path.name for path in (tmp_path / "work").iterdir()]
    assert sorted(left) == ["leader.lock", "led.json"]


def test_workers_verify_and_one_is_killed(boundaries, found, tmp_path):
    killed, helper = start(work, tmp_path, 2, 700), start(work, tmp_path, 3)
    with FolderCrew(tmp_path, ASKED) as crew:
        same(verify(*toy_by_name(), boundaries, out=tmp_path, crew=crew, **OPTIONS), found)
    assert ended(killed) == -signal.SIGKILL
    assert ended(helper) == 0
    assert serve(tmp_path, toy_by_name, ASKED, 2, 3) == 0  # too late: it is done


def test_workers_sample_and_one_is_killed(tmp_path):
    options = {"shard_size": 64, "progress": False}
    sample(*toy_by_name(), 1000, tmp_path / "alone", **options)
    killed, helper = start(work, tmp_path / "run", 2, 150), start(work, tmp_path / "run", 3)
    with FolderCrew(tmp_path / "run", ASKED) as crew:
        sample(*toy_by_name(), 1000, tmp_path / "run", crew=crew, **options)
    assert ended(killed) == -signal.SIGKILL
    assert ended(helper) == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "alone")


def test_what_a_killed_worker_was_writing_does_not_stay(tmp_path):
    networks, run = Counting(after=64, then=lambda: half.touch()), tmp_path / "run"
    half = run / "samples.zarr" / f"zarr.json.0{TEMPORARY}"
    sample(*toy_by_name(), 128, tmp_path / "alone", shard_size=64, progress=False)
    with FolderCrew(run, ASKED, Worker(networks)) as crew:
        sample(*toy_by_name(), 128, run, crew=crew, shard_size=64, progress=False)
    assert networks.seen == 128
    assert contents(run) == contents(tmp_path / "alone")


def test_one_process_goes_on_where_several_were(boundaries, found, tmp_path):
    """Units beyond a gap are found again too."""
    networks, total = Counting(2000, interrupt), 0
    with pytest.raises(KeyboardInterrupt), FolderCrew(tmp_path, ASKED, Worker(networks)) as crew:
        verify(*toy_by_name(), boundaries, out=tmp_path, crew=crew, **OPTIONS)
    total += networks.seen
    first = min((tmp_path / "verification").rglob("in-work/*.2.npz"))
    first.unlink()
    networks = Counting(1000, interrupt)
    with pytest.raises(KeyboardInterrupt), FolderCrew(tmp_path, ASKED, Worker(networks)) as crew:
        verify(*toy_by_name(), boundaries, out=tmp_path, crew=crew, **OPTIONS)
    total += networks.seen
    networks = Counting()
    same(verify(*networks(), boundaries, out=tmp_path, **OPTIONS), found)
    assert total + networks.seen < found.images + 5 * 400


def test_a_worker_with_other_networks_ends_the_work_in_one_line(boundaries, tmp_path):
    def others():
        generator, predictor = toy_by_name()
        generator.w_avg += 1
        return generator, predictor

    line = "a worker's generator has the fingerprint .* give all workers the same files"
    with pytest.raises(ValueError, match=line), FolderCrew(tmp_path, ASKED, Worker(others)) as crew:
        verify(*toy_by_name(), boundaries, out=tmp_path, crew=crew, **OPTIONS)


def broken(folder):
    """A worker whose predictor gives NaN."""
    generator, predictor = toy_by_name()
    forward = predictor.forward
    predictor.forward = lambda images: forward(images) * float("nan")
    try:
        serve(folder, lambda: (generator, predictor), ASKED, 2, 3)
    except ValueError as error:
        assert "gave nan" in str(error)


def test_the_line_of_a_worker_is_the_leaders(tmp_path):
    worker = start(broken, tmp_path)
    with (
        pytest.raises(ValueError, match=r"^scores: the predictor gave nan for semantic 'view' at sample \d+"),
        FolderCrew(tmp_path, ASKED) as crew,
    ):
        sample(*toy_by_name(), 300, tmp_path, shard_size=64, progress=False, crew=crew)
    assert ended(worker) == 0


def full(folder, says_why):
    """A worker on a disk that has room for nothing new."""
    opened = Path.open

    def refusing(path, mode="r", *options, **others):
        if path.name.endswith(TEMPORARY) or (mode == "r+b" and not says_why):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return opened(path, mode, *options, **others)

    Path.open = refusing
    with pytest.raises(OSError, match="No space left on device; free some space and run it again"):
        serve(folder, toy_by_name, ASKED, 2, 3)


@pytest.mark.parametrize(
    ("says_why", "line"),
    [
        (True, r"^cannot write .*: No space left on device; free some space and run it again$"),
        (False, r"work: a worker could not do a unit, nor write why; is the disk full\?$"),
    ],
    ids=["why", "that"],
)
def test_a_worker_whose_disk_is_full_still_says_so(tmp_path, says_why, line):
    worker = start(full, tmp_path, says_why)
    with pytest.raises(ValueError, match=line), FolderCrew(tmp_path, ASKED) as crew:
        sample(*toy_by_name(), 300, tmp_path, shard_size=64, progress=False, crew=crew)
    assert ended(worker) == 0


def test_a_leader_that_cannot_write_says_so_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OSError, match=r"^\[Errno 20\] cannot write .*work: Not a directory; choose another"),
        FolderCrew(tmp_path / "file", ASKED),
    ):
        pass
    with pytest.raises(KeyboardInterrupt), FolderCrew(tmp_path, ASKED) as crew:
        monkeypatch.setattr(crew, "_say", lambda ended: pytest.fail("an end that is none"))
        raise KeyboardInterrupt
    with FolderCrew(tmp_path, ASKED):
        pass  # its lock was free


def test_who_does_not_belong_here_is_refused(tmp_path):
    with FolderCrew(tmp_path, ASKED):
        with (
            pytest.raises(RuntimeError, match="another process leads the work here"),
            FolderCrew(tmp_path, ASKED),
        ):
            pass
        with pytest.raises(ValueError, match=r"was asked for step = 2.0, and this worker for 3.0; use"):
            serve(tmp_path, toy_by_name, {"step": 3.0}, 2, 3)
    begun = time.monotonic()
    with pytest.raises(RuntimeError, match=r"nobody led the work for 0.2 s"):
        serve(tmp_path, toy_by_name, {"step": 3.0}, 2, 3, patience=0.2)
    assert time.monotonic() - begun < 20

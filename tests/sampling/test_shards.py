"""Shards of a sampling: together they are what one process makes; what does not belong there is refused."""

import shutil
import signal

import pytest

from higan_fast.files import only_writer
from higan_fast.sampling.manifests import AtOnce, MissingShardsError, Shard, read_manifests, write_manifest
from higan_fast.sampling.samples import STORE, Samples, sample
from higan_fast.sampling.shards import merge_shards, sample_shard
from tests.kills import die_at_write
from tests.processes import exit_code, start
from tests.toy import toy_by_name

NUM, SIZE = 300, {"shard_size": 64, "progress": False}
THREE = [Shard(number, 3) for number in (1, 2, 3)]


def make(folder, shard, **options):
    return sample_shard(*toy_by_name(), options.pop("num", NUM), folder, shard, **SIZE | options)


def contents(folder):
    """Every file of a store, by name."""
    files = (path for path in (folder / STORE).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files that one process makes."""
    folder = tmp_path_factory.mktemp("whole")
    sample(*toy_by_name(), NUM, folder, **SIZE)
    return contents(folder)


@pytest.fixture
def sharded(tmp_path):
    """A run folder with three shards, made out of order."""
    for shard in (THREE[2], THREE[0], THREE[1]):
        make(tmp_path / "run", shard)
    return tmp_path / "run"


def test_shards_are_what_one_process_makes(whole, sharded):
    assert contents(sharded) == whole
    samples = merge_shards(sharded, progress=False)
    assert len(samples) == len(Samples.open(sharded)) == NUM
    assert contents(sharded) == whole


def test_shards_of_machines_of_their_own_are_copied(whole, tmp_path):
    folders = [tmp_path / f"machine{shard.number}" for shard in THREE]
    for shard, folder in zip(THREE, folders, strict=True):
        make(folder, shard)
    first, *others = folders
    assert len(merge_shards(first, others, progress=False)) == NUM
    assert contents(first) == whole
    assert len(merge_shards(first, others, progress=False)) == NUM  # again, which changes nothing
    for other in others:
        shutil.rmtree(other)
    assert len(merge_shards(first, progress=False)) == NUM


def test_processes_at_once_share_one_store(whole, tmp_path):
    running = [start(make, tmp_path, shard) for shard in THREE[:2]]
    make(tmp_path, THREE[2])
    for process in running:
        process.join()
        assert process.exitcode == 0
    merge_shards(tmp_path, progress=False)
    assert contents(tmp_path) == whole


def test_missing_and_damaged_shards_are_named(whole, sharded, capsys):
    THREE[1].manifest(sharded).unlink()
    with pytest.raises(MissingShardsError, match=r"1 of 3 shards is missing: 2/3") as caught:
        merge_shards(sharded, progress=False)
    assert caught.value.shards == (THREE[1],) and caught.value.num == NUM
    make(sharded, THREE[1])
    broken = sharded / STORE / "scores/c/3/0"  # the fourth file: of shard 1
    broken.write_bytes(broken.read_bytes()[:-1] + b"?")
    with pytest.raises(MissingShardsError, match=r"1 of 3 shards is damaged: 1/3"):
        merge_shards(sharded, progress=False)
    assert "scores/c/3/0: is missing, or not as shard 1/3 wrote it" in capsys.readouterr().err
    kept = sharded / STORE / "scores/c/0/0"
    before = kept.stat().st_mtime_ns
    make(sharded, THREE[0])
    assert kept.stat().st_mtime_ns == before  # what is whole is not made again
    merge_shards(sharded, progress=False)
    assert contents(sharded) == whole


def make_and_die(folder, write):
    die_at_write(write, lambda: make(folder, THREE[0]))


def test_a_killed_shard_goes_on(whole, sharded, tmp_path):
    assert exit_code(make_and_die, tmp_path / "killed", 18) == -signal.SIGKILL
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed" / STORE / "scores").rglob("c/*/0")}
    assert done and not THREE[0].manifest(tmp_path / "killed").exists()
    for shard in THREE:
        make(tmp_path / "killed", shard)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    merge_shards(tmp_path / "killed", progress=False)
    assert contents(tmp_path / "killed") == whole


def test_one_writer_for_each_shard_and_none_for_the_whole(tmp_path):
    make(tmp_path, THREE[0])
    with (
        only_writer(tmp_path / "shards" / "2-of-3"),
        pytest.raises(RuntimeError, match="2-of-3: another"),
    ):
        make(tmp_path, THREE[1])
    with only_writer(tmp_path, shared=True):  # as a shard does while it is being made
        make(tmp_path, THREE[1])
        with pytest.raises(RuntimeError, match="another process is writing here"):
            merge_shards(tmp_path, progress=False)
        with pytest.raises(RuntimeError, match="another process is writing here"):
            sample(*toy_by_name(), NUM, tmp_path, **SIZE)
    with only_writer(tmp_path), pytest.raises(RuntimeError, match="another process is writing here"):
        make(tmp_path, THREE[2])


def test_shards_of_another_sampling_are_refused(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    make(one, THREE[0])
    with pytest.raises(ValueError, match="was made with seed = 0, and this run has 1"):
        make(one, THREE[1], seed=1)
    make(other, THREE[1], seed=1)
    with pytest.raises(ValueError, match=r"2-of-3.json: has seed = 1, and shard 1/3 of .*one has 0"):
        merge_shards(one, [other], progress=False)
    make(one, THREE[1], num=NUM + 1)
    with pytest.raises(ValueError, match=r"has num = 301, and shard 1/3 of .* has 300"):
        merge_shards(one, progress=False)
    THREE[1].manifest(one).write_text('{"shard": "2/3", "sha256": "no"}')
    with pytest.raises(ValueError, match=r"2-of-3.json: is damaged; delete it"):
        merge_shards(one, progress=False)


def test_shards_of_another_number_are_refused_before_they_are_made(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    make(one, THREE[0])
    before = contents(one)
    with pytest.raises(ValueError, match=r"--shard\): got 2/4, and .*one has shard 1/3; take i/3, or"):
        make(one, Shard(2, 4))
    assert contents(one) == before
    make(other, Shard(2, 4))
    with pytest.raises(ValueError, match=r"has n of --shard = '4', and shard 1/3 of .* has '3'"):
        merge_shards(one, [other], progress=False)
    with (
        only_writer(tmp_path / "new/shards/1-of-3"),
        pytest.raises(ValueError, match="new has shard 1/3; take i/3"),
    ):
        make(tmp_path / "new", Shard(2, 4))


def test_images_at_once_are_those_of_whoever_made_the_files(sharded, tmp_path, capsys):
    make(sharded, THREE[1], batch_size=16)  # makes nothing anew
    merge_shards(sharded, progress=False)
    assert "images at once" not in capsys.readouterr().err
    (sharded / STORE / "scores/c/0/0").unlink()
    make(sharded, THREE[0], batch_size=16)
    make(sharded, THREE[0])
    assert AtOnce(sharded, THREE[0]).read() == {"0": 16, "192": 32}
    said = "shards were made with 16 and 32 images at once"
    merge_shards(sharded, progress=False)
    assert said in capsys.readouterr().err
    make(tmp_path / "here", THREE[1])
    make(tmp_path / "here", THREE[2])
    merge_shards(tmp_path / "here", [sharded], progress=False)
    assert said in capsys.readouterr().err
    THREE[0].manifest(tmp_path / "here").unlink()  # what was copied is remembered
    make(tmp_path / "here", THREE[0])
    merge_shards(tmp_path / "here", progress=False)
    assert said in capsys.readouterr().err


def changed(folder, shard, **entries):
    """Writes other entries into a manifest, under a checksum that is right."""
    write_manifest(folder, shard, read_manifests(folder)[shard] | entries)


@pytest.mark.parametrize("mine", [False, True])
def test_names_that_are_no_file_of_the_shard_are_neither_read_nor_written(tmp_path, mine):
    run, other, victim = tmp_path / "run", tmp_path / "other", tmp_path / "victim.txt"
    make(run, THREE[0])
    make(other, THREE[1])
    victim.write_text("mine")
    where, shard = (run, THREE[0]) if mine else (other, THREE[1])
    files = read_manifests(where)[shard]["files"]
    names = ("../../victim.txt", str(victim), "scores/c/2/0", "scores/zarr.json", "scores/c/1/../0/0", "")
    for alien in names:
        changed(where, shard, files=files | {alien: "0" * 64})
        with pytest.raises(ValueError, match=f"lists '{alien}', which is no file of shard {shard}"):
            merge_shards(run, [other], progress=False)
    assert victim.read_text() == "mine" and not THREE[1].manifest(run).exists()


def test_a_manifest_lists_every_file_of_its_shard(sharded):
    files = read_manifests(sharded)[THREE[1]]["files"]
    changed(sharded, THREE[1], files={})
    with pytest.raises(ValueError, match=r"2-of-3.json: lists 0 of the 8 files of shard 2/3, and not codes"):
        merge_shards(sharded, progress=False)
    changed(sharded, THREE[1], files={name: sha for name, sha in files.items() if name != "z/c/4/0"})
    with pytest.raises(ValueError, match=r"lists 7 of the 8 files of shard 2/3, and not z/c/4/0"):
        merge_shards(sharded, progress=False)


def test_a_number_of_samples_that_no_store_has_is_refused(tmp_path):
    make(tmp_path, THREE[0])
    before = contents(tmp_path)
    for num in (10**12, 10**40):
        changed(tmp_path, THREE[0], num=num)
        with pytest.raises(
            ValueError, match=r"1-of-3.json: has num = .*, and .*samples.zarr has room for 300;"
        ):
            merge_shards(tmp_path, progress=False)
    assert contents(tmp_path) == before


def test_entries_of_a_wrong_type_are_damage(tmp_path):
    one = Shard(1, 1)
    make(tmp_path, one, num=64)
    whole = read_manifests(tmp_path)[one]
    for name, value in (
        ("num", 0),
        ("num", True),
        ("num", "64"),
        ("settings", []),
        ("files", []),
        ("at_once", 7),
    ):
        write_manifest(tmp_path, one, whole | {name: value})
        with pytest.raises(ValueError, match=r"1-of-1.json: is damaged; delete it"):
            merge_shards(tmp_path, progress=False)


def test_networks_that_cannot_be_told_apart_are_refused(tmp_path):
    generator, predictor = toy_by_name()
    predictor.identity, predictor.handle = None, (n for n in ())
    with pytest.raises(ValueError, match=r"predictor: .* cannot be seen, .* give the predictor an identity="):
        sample_shard(generator, predictor, NUM, tmp_path, THREE[0], **SIZE)


@pytest.mark.parametrize(
    "text",
    [
        "0/4",
        "5/4",
        "1",
        "1/0",
        "a/b",
        "-1/2",
        "1/2/3",
        "",
        "01/2",
        "1/02",
        "\u0661/\u0662",
        "1/2\n",
        "1/1000000",
    ],
)
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ValueError, match=r"shard \(--shard\): got '.*', expected i/n with 1 <= i <= n"):
        Shard.read(text)

"""Files are whole or absent, and a folder has one writer."""

import pytest

from higan_fast.files import only_writer, remove_leftovers, write_whole


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    with write_whole(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(failure), write_whole(tmp_path / "file") as file:
        file.write(b"new")
        raise failure
    assert (tmp_path / "file").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_has_one_writer_at_a_time(tmp_path):
    refused = pytest.raises(RuntimeError, match="another process is writing here")
    with only_writer(tmp_path / "run"), refused, only_writer(tmp_path / "run"):
        pass
    with only_writer(tmp_path / "run"):
        pass


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    keep = [tmp_path / "store/a/0", tmp_path / "store2.1.partial", tmp_path / "other.partial"]
    drop = [tmp_path / "store/a/0.ff.partial", tmp_path / "store.ff.partial/zarr.json"]
    for path in keep + drop:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    remove_leftovers(tmp_path / "store")
    assert all(path.exists() for path in keep)
    assert not any(path.exists() for path in drop)
    assert not (tmp_path / "store.ff.partial").exists()

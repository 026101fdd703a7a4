import os
import signal
import socket
from pathlib import Path

import pytest

from higan_fast import opening
from higan_fast.checkpoints import convert, load_generator
from higan_fast.checkpoints.sniffing import read_content, read_json
from higan_fast.opening import open_bytes
from tests.bounds import memory_below
from tests.checkpoints.samples import SAMPLES
from tests.processes import exit_code


def native(tmp_path):
    path, _ = SAMPLES["native"](tmp_path / "a.safetensors", tmp_path / "mark")
    return path


@pytest.mark.parametrize("map_file", [False, True])
def test_bytes_of_a_file(tmp_path, map_file):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    data = open_bytes(path, map_file)
    data[0] = ord("x")
    assert bytes(data) == b"xbc" and path.read_bytes() == b"abc"
    path.write_bytes(b"")
    assert bytes(open_bytes(path, map_file)) == b""


def test_copied_bytes_outlive_the_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    data = open_bytes(path)
    path.write_bytes(b"")
    assert bytes(data) == b"abc"
    monkeypatch.setattr(opening, "LARGEST_COPY", 2)
    path.write_bytes(b"abc")
    assert type(open_bytes(path).obj).__name__ == "mmap"


def truncate_in_use(path, map_file):
    generator = load_generator(path, map_file=map_file)
    path.open("r+b").truncate(0)
    print(float(generator.mapping_network.fc[0].weight.sum()))


@pytest.mark.parametrize("map_file", [False, True])
def test_a_file_may_be_truncated_in_use_unless_it_is_mapped(tmp_path, map_file):
    code = exit_code(truncate_in_use, native(tmp_path), map_file, log=tmp_path / "log")
    assert code == (-signal.SIGBUS if map_file else 0), (tmp_path / "log").read_text()


def test_whatever_is_no_file_is_told(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("blobs/0f3a")
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")  # the whole path may be longer than such a name
    (tmp_path / "file").write_bytes(b"")
    expected = {
        tmp_path / "pipe": "is a named pipe, expected a file",
        tmp_path / "socket": "is a socket, expected a file",
        Path("/dev/zero"): "is a device, expected a file",
        tmp_path / "link": "is a link to blobs/0f3a, where nothing is; was a download cut off",
        tmp_path / "loop": "cannot be read: too many levels of symbolic links",
        tmp_path / "file" / "more": "there is no such file",
        tmp_path / ("x" * 300): "cannot be read: file name too long",
        tmp_path / "a\0b": "there is no such file",
    }
    for path, message in expected.items():
        for read in (read_content, read_json, load_generator):
            with pytest.raises((ValueError, OSError), match=message) as raised:
                read(path)
            assert "Errno" not in str(raised.value)
    with pytest.raises(ValueError, match="is a folder, expected a file"):
        read_json(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = native(tmp_path)
    path.chmod(0)
    with pytest.raises(PermissionError, match=r"a\.safetensors: may not be read by this user"):
        load_generator(path)


def test_what_the_system_says_is_put_in_words(tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    path = native(tmp_path)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError, match=r"a\.safetensors: may not be read by this user") as raised:
        load_generator(path)
    assert "Errno" not in str(raised.value)


def test_folders_within_folders(tmp_path):
    """A name that ends like weights may be a folder, which is none, however deep it goes."""
    (tmp_path / "config.json").write_text("{}")
    inner = tmp_path / "model.bin"
    inner.mkdir()
    (inner / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"model\.bin: is a folder, expected a file"):
        read_content(tmp_path)
    inner.rename(tmp_path / "other")
    (tmp_path / "model.bin").symlink_to("../blobs/1")
    with pytest.raises(FileNotFoundError, match=r"is a link to \.\./blobs/1, where nothing is"):
        load_generator(tmp_path)


def test_a_large_safetensors_file_is_not_copied(tmp_path):
    """One of 3 GiB of nothing, of which its header describes 4 bytes."""
    path, header = tmp_path / "a", b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 3 * 2**30)
    with (
        memory_below(2**24),
        pytest.raises(ValueError, match="begins as a safetensors file but is truncated or damaged"),
    ):
        load_generator(path)


@pytest.mark.parametrize("name", ["a\nError: b.json", "a\0b", "x" * 300])
def test_a_configuration_of_an_odd_name_is_refused_in_one_line(tmp_path, name):
    with pytest.raises((ValueError, OSError), match=r"no such file|name too long") as raised:
        load_generator(native(tmp_path), config=tmp_path / name)
    assert str(raised.value).isprintable()
    with pytest.raises((ValueError, OSError), match=r"(?i)null byte|too long|writing|Error") as raised:
        convert(native(tmp_path), f"{tmp_path}/none/{name}{'x' * 300}.safetensors")
    assert str(raised.value).isprintable() and "Errno" not in str(raised.value)


def test_a_configuration_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"config: got \[1\], expected settings by their names"):
        load_generator(native(tmp_path), config=[1])

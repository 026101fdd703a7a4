import argparse
import io
import os
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

from higan_fast.checkpoints.sniffing import read_content
from tests.checkpoints.writers import Call


def content():
    base = torch.randn(4, 5)
    return {
        "float": base,
        "view": base[1:, ::2],
        "transposed": base.t(),
        "half": torch.randn(3).half(),
        "bfloat16": torch.randn(3).bfloat16(),
        "int": torch.tensor([1, 2, 3]),
        "bool": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(1.5),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "state": torch.nn.Linear(2, 3).state_dict(),
        "numbers": [1, 2.5, "three", None, (4, True)],
    }


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("archive", [True, False])
def test_tensors_are_those_that_torch_reads(tmp_path, archive, protocol):
    path = tmp_path / "file"
    expected = content()
    torch.save(expected, path, pickle_protocol=protocol, _use_new_zipfile_serialization=archive)
    found = read_content(path)
    assert found.kind == "torch" and list(found.value) == list(expected)
    for name in list(expected)[:10]:
        assert found.value[name].dtype == expected[name].dtype and torch.equal(
            found.value[name], expected[name]
        )
    assert found.value["numbers"] == expected["numbers"]
    state = found.value["state"]
    assert type(state) is OrderedDict and torch.equal(state["weight"], expected["state"]["weight"])
    found.value["float"][1, 0] = 7
    assert found.value["view"][0, 0] == 7, "views share their storage"


@pytest.mark.parametrize("archive", [True, False])
def test_a_cut_file_is_told_at_every_length(tmp_path, archive):
    path = tmp_path / "file"
    torch.save(content(), path, _use_new_zipfile_serialization=archive)
    whole = path.read_bytes()
    for length in [*range(4, 200, 7), *range(200, len(whole) - 1, 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"truncated|damaged|begins"):
            read_content(path)


@pytest.mark.parametrize("archive", [True, False])
def test_other_globals_are_refused(tmp_path, archive):
    path, mark = tmp_path / "file.pth", tmp_path / "mark"
    torch.save(
        {"a": torch.ones(2), "b": Call(os.system, f"touch {mark}")},
        path,
        _use_new_zipfile_serialization=archive,
    )
    where = r"file\.pth \(file/data\.pkl\)" if archive else r"file\.pth"
    with pytest.raises(ValueError, match=rf"refused posix\.system in .*{where}"):
        read_content(path)
    assert not mark.exists()
    torch.save({"args": argparse.Namespace(a=1)}, path, _use_new_zipfile_serialization=archive)
    assert read_content(path).value["args"].state == {"a": 1}


def changed(path, change, compression=zipfile.ZIP_STORED):
    """The archive with its members, a dict of bytes, changed."""
    buffer = io.BytesIO()
    torch.save({"x": torch.arange(6.0)}, buffer)
    with zipfile.ZipFile(buffer) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_other_archives_are_told(tmp_path):
    path = tmp_path / "file"
    assert torch.equal(read_content(changed(path, lambda members: None)).value["x"], torch.arange(6.0))

    def refused(message, change, compression=zipfile.ZIP_STORED):
        with pytest.raises(ValueError, match=message):
            read_content(changed(path, change, compression))

    refused("not one of torch", lambda members: members.pop("archive/data.pkl"))
    refused("big-endian", lambda members: members.update({"archive/byteorder": b"big"}))
    refused("storage data/0 of 6 values is not there", lambda members: members.pop("archive/data/0"))
    refused(
        "storage data/0 of 6 values has 20 bytes",
        lambda members: members.update({"archive/data/0": b"x" * 20}),
    )
    refused(
        "'archive/byteorder' in it is compressed or encrypted.*pack it again without compression",
        lambda members: members.update({"archive/data/0": b"0" * 99}),
        zipfile.ZIP_DEFLATED,
    )


class Doubling(torch.nn.Module):
    def forward(self, x):
        return 2 * x


def torch_script(path):
    torch.jit.script(torch.nn.Sequential(torch.nn.Linear(2, 2), Doubling())).save(path)


def traced(path):
    torch.jit.trace(Doubling(), torch.ones(2)).save(path)


def package(path):
    with torch.package.PackageExporter(path) as exporter:
        exporter.save_pickle("model", "model.pkl", torch.ones(2))


def exported(path):
    with path.open("wb") as file:  # torch wants a name that ends in .pt2
        torch.export.save(torch.export.export(Doubling(), (torch.ones(2),)), file)


def exported_earlier(path):
    zipped(path, "version", "serialized_exported_program.json", "serialized_state_dict.pt")


def numpy_arrays(path):
    with path.open("wb") as file:
        np.savez_compressed(file, a=np.ones(3), b=np.ones(2))


def keras(path):
    zipped(path, "metadata.json", "config.json", "model.weights.h5")


def one_checkpoint(path):
    zipped(path, "weights/", "weights/Network-snapshot.PKL", "weights/README.md")


def two_checkpoints(path):
    zipped(path, "a.pth", "b.pth")


def pictures(path):
    zipped(path, "1.png", "2.png", "3.png", "4.png")


def zipped(path, *names):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, b"0" * 99)


OTHERS = {
    torch_script: "a TorchScript program; save its state_dict with torch.save",
    traced: "a TorchScript program",
    package: "a package of torch.package",
    exported: "a program of torch.export",
    exported_earlier: "a program of torch.export",
    numpy_arrays: r"NumPy's arrays \(.npz\)",
    keras: "a model of Keras",
    one_checkpoint: "a zip archive with 'weights/Network-snapshot.PKL' in it; unpack it",
    two_checkpoints: "a zip archive with 'a.pth' and 1 more in it; unpack it",
    pictures: "not one of torch: it has '1.png', '2.png', '3.png' and 1 more",
}


@pytest.mark.parametrize("write", OTHERS, ids=lambda write: write.__name__)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_what_an_archive_is_comes_before_how_it_is_packed(tmp_path, write):
    path = tmp_path / "file"
    write(path)
    with pytest.raises(ValueError, match=OTHERS[write]) as raised:
        read_content(path)
    assert str(path) in str(raised.value) and "compressed" not in str(raised.value)


def test_archives_of_other_writers_are_read(tmp_path):
    """Python's own, with a comment and with sizes after the members; names in other letters."""
    path = tmp_path / "file"
    torch.save({"x": torch.arange(6.0)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name.replace("archive/", "größe/"): archive.read(name) for name in archive.namelist()}
    members = {name.replace("file/", "größe/"): data for name, data in members.items()}
    with Unseekable(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.comment = b"by hand" * 99
        for name, data in members.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(data)
    assert torch.equal(read_content(path).value["x"], torch.arange(6.0))


class Unseekable(io.FileIO):
    """A pipe, say: whoever writes to it cannot go back and fill in a size."""

    def __init__(self, path):
        super().__init__(path, "w")

    def seekable(self):
        return False

    def seek(self, *_):
        raise io.UnsupportedOperation

    def tell(self):
        raise io.UnsupportedOperation


def test_members_lie_where_the_archive_says(tmp_path):
    path = changed(tmp_path / "file", lambda members: None)
    whole = bytearray(path.read_bytes())
    directory = whole.index(b"PK\x01\x02")
    for at, value, message in (
        (42, 10**6, "not where the archive says"),
        (24, 10**6, "reaches beyond the file"),
    ):
        moved = bytearray(whole)
        moved[directory + at : directory + at + 4] = value.to_bytes(4, "little")
        path.write_bytes(moved)
        with pytest.raises(ValueError, match=message):
            read_content(path)

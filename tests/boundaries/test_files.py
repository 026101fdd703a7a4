"""HiGAN's boundary files: read as NumPy reads them, and never executed."""

import io
import os
import pickle

import numpy as np
import pytest

from higan_fast.boundaries import files
from higan_fast.probing import Boundary, export_boundary, import_boundary, read_boundary_list
from tests.bounds import memory_below, seconds_below

NORMAL = np.random.default_rng(0).normal(size=(1, 512))
NORMAL /= np.linalg.norm(NORMAL)


def save_object(path, value, protocol=2, numpy_1=False):
    """Writes an object array as ``np.save`` does, with the pickle protocol and names of another NumPy."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    array = np.empty((), object)
    array[()] = value
    payload = pickle.dumps(array, protocol=protocol)
    if numpy_1:
        assert b"numpy._core" in payload
        payload = payload.replace(b"numpy._core", b"numpy.core")
    path.write_bytes(header.getvalue() + payload)


def test_a_plain_array_is_read(tmp_path):
    np.save(tmp_path / "b.npy", NORMAL.astype(np.float32))
    read = import_boundary(tmp_path / "b.npy", "wood", space="z", level="object")
    assert (read.name, read.space, read.level, read.layers) == ("wood", "z", "object", None)
    assert read.normal.shape == (512,)
    np.testing.assert_allclose(read.normal, NORMAL[0], atol=1e-7)


@pytest.mark.parametrize("numpy_1", [True, False])
def test_a_pickled_dict_is_read(tmp_path, numpy_1):
    content = {
        "boundary": NORMAL,
        "meta_data": {"type": "layout", "manipulate_layers": "0-4", "scale": np.float64(3)},
    }
    save_object(tmp_path / "b.npy", content, numpy_1=numpy_1)
    read = import_boundary(tmp_path / "b.npy", "view")
    np.testing.assert_allclose(read.normal, NORMAL[0])
    assert (read.level, read.layers, read.space) == ("layout", "0-4", "w")


def test_what_numpy_itself_saves_is_read(tmp_path):
    np.save(tmp_path / "b.npy", {"boundary": NORMAL, "meta_data": {"type": "other"}}, allow_pickle=True)
    read = import_boundary(tmp_path / "b.npy", "view")
    np.testing.assert_allclose(read.normal, NORMAL[0])
    assert (read.level, read.layers) == ("attribute", None)


def test_a_file_from_python_2_is_read(tmp_path):
    # Python 2 writes text and the raw bytes of an array alike, as byte strings (opcode U).
    dict_of_python_2 = (
        b"}(U\x08boundarycnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x01K\x02\x86cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x10" + np.array([-3.0, 4.0]).tobytes() + b"tb"
        b"U\tmeta_data}U\x11manipulate_layersU\x046-11su"
    )
    array_of_python_2 = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01)"
        b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb\x89]"
        + dict_of_python_2
        + b"atb."
    )
    save_object(tmp_path / "b.npy", None)
    data = (tmp_path / "b.npy").read_bytes()
    (tmp_path / "b.npy").write_bytes(data[: data.index(b"\n") + 1] + array_of_python_2)
    read = import_boundary(tmp_path / "b.npy", "view")
    np.testing.assert_allclose(read.normal, [-0.6, 0.8])
    assert read.layers == "6-11"


def test_a_direction_in_wp_keeps_the_strengths_of_its_layers(tmp_path):
    strengths = np.array([0.998, 0.022, 0.04, 0.0, 0.005])
    direction = unit_rows(5, 64) * strengths[:, None] * 7
    np.save(tmp_path / "b.npy", direction[None].astype(np.float32))
    read = import_boundary(tmp_path / "b.npy", "wood", space="layers")
    assert read.normal.shape == (5, 64) and np.linalg.norm(read.normal) == pytest.approx(1)
    expected = strengths / np.linalg.norm(strengths)
    np.testing.assert_allclose(read.layer_lengths, expected, atol=1e-7)
    np.testing.assert_allclose(read.normal, direction / np.linalg.norm(direction), atol=1e-7)


@pytest.mark.parametrize("kind", ["one normal", "one per layer", "zero layers", "a W+ direction", "w"])
@pytest.mark.parametrize("layers", [None, "0-2"])
def test_what_is_exported_comes_back_as_it_was(tmp_path, kind, layers):
    normal = unit_rows(5, 64)
    if kind == "zero layers":
        normal[[0, 3]] = 0
    elif kind == "a W+ direction":
        normal *= np.array([0.6, 0.0, 0.8, 0.0, 0.0])[:, None]
    elif kind in ("one normal", "w"):
        normal = normal[0]
    space = "w" if kind == "w" else "layers"
    boundary = Boundary("wood", "attribute", space, normal, layers=layers)
    export_boundary(boundary, tmp_path / "b.npy")
    read = import_boundary(tmp_path / "b.npy", "wood", space=space)
    written = normal if layers else normal.astype(np.float32)  # HiGAN's plain arrays are float32
    np.testing.assert_array_equal(read.normal, written)
    np.testing.assert_allclose(read.layer_lengths, boundary.layer_lengths, atol=1e-6)


def unit_rows(*shape):
    normals = np.random.default_rng(0).normal(size=shape)
    return normals / np.linalg.norm(normals, axis=-1, keepdims=True)


class Malicious:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "argument", "named"),
    [
        (os.system, "touch executed", f"{os.name}.system"),
        (eval, "open('executed', 'w')", "__builtin__.eval"),
        (np.load, "executed", "numpy.load"),
        (getattr, "x", "__builtin__.getattr"),
    ],
)
def test_a_file_that_would_execute_is_refused_by_name(tmp_path, monkeypatch, function, argument, named):
    monkeypatch.chdir(tmp_path)
    save_object(tmp_path / "b.npy", {"boundary": Malicious(function, argument)})
    with pytest.raises(ValueError, match=f"refused {named} in .*b.npy"):
        import_boundary(tmp_path / "b.npy", "x")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"junk", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x09\x00\x04\x00    "])
def test_a_broken_file_is_refused(tmp_path, content):
    (tmp_path / "b.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"b.npy: not a .npy file that can be read"):
        import_boundary(tmp_path / "b.npy", "x")


def test_a_truncated_pickle_is_refused(tmp_path):
    save_object(tmp_path / "b.npy", {"boundary": NORMAL})
    data = (tmp_path / "b.npy").read_bytes()
    (tmp_path / "b.npy").write_bytes(data[:-100])
    with pytest.raises(ValueError, match=r"b\.npy: the pickle wants \d+ bytes .* truncated"):
        import_boundary(tmp_path / "b.npy", "x")


@pytest.mark.parametrize(
    "content", [np.zeros((1, 4)), np.full((1, 4), np.nan), np.arange(4), np.empty((1, 0))]
)
def test_an_array_that_is_no_boundary_is_refused(tmp_path, content):
    np.save(tmp_path / "b.npy", content)
    with pytest.raises(ValueError, match=r"b\.npy: "):
        import_boundary(tmp_path / "b.npy", "x")


def npy(shape, descr="<f4", data=b""):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    return header.getvalue() + data


HOSTILE = {
    "more than there is": (npy((10**9, 10**6)), "is truncated"),
    "a dimension of nothing": (npy((0, 2**60)), "the shape of its array"),
    "negative": (npy((-1,)), "the shape of its array"),
    "fields": (npy((1,), [("a", "<f4")], bytes(4)), "holds an array of .*, expected numbers"),
    "an index of the memo": (npy((), "|O", b"\x80\x02Nr\xff\xff\xff\xff."), "numbers its objects higher"),
    "one text encoded again and again": (
        npy((), "|O", b"\x80\x02X" + (10**6).to_bytes(4, "little") + b"a" * 10**6 + b"q\0"
            + b"X\6\0\0\0latin1q\1](" + b"c_codecs\nencode\nh\0h\1\x86R" * 500 + b"e."),
        "copies more than",
    ),
    "an array of itself": (
        npy((), "|O", b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R"
            b"(K\1M\xff\xffM\xff\xff\x86cnumpy\ndtype\nU\2O8K\0K\1\x87R(K\3U\1|NNNNNK?tb\x89](NNetb."),
        "an array of objects, expected a single one",
    ),
    "layers": (
        npy((), "|O", pickle.dumps({"boundary": NORMAL, "meta_data": {"manipulate_layers": "0\x1b[2J"}}, 2)),
        r"manipulate_layers is '0\\x1b\[2J', expected a short text",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_one_line(tmp_path, name):
    content, message = HOSTILE[name]
    path = tmp_path / "b.npy"
    path.write_bytes(content)
    with (
        memory_below(64 * 2**20 + 20 * len(content)),
        pytest.raises(ValueError, match=message) as raised,
    ):
        import_boundary(path, "x")
    assert str(raised.value).isprintable() and str(path) in str(raised.value)


def test_exported_boundaries_are_what_higan_loads(tmp_path):
    plain = Boundary("wood", "attribute", "w", NORMAL[0])
    export_boundary(plain, tmp_path / "plain.npy")
    loaded = np.load(tmp_path / "plain.npy")
    assert (loaded.shape, loaded.dtype) == ((1, 512), np.float32)
    np.testing.assert_allclose(import_boundary(tmp_path / "plain.npy", "wood").normal, NORMAL[0], atol=1e-7)

    advised = Boundary("view", "layout", "w", NORMAL[0], layers="0-4")
    export_boundary(advised, tmp_path / "dict.npy")
    loaded = np.load(tmp_path / "dict.npy", allow_pickle=True)[()]
    assert loaded["boundary"].shape == (1, 512)
    assert loaded["meta_data"] == {"type": "layout", "manipulate_layers": "0-4"}
    again = import_boundary(tmp_path / "dict.npy", "view")
    assert (again.level, again.layers) == ("layout", "0-4")
    np.testing.assert_allclose(again.normal, NORMAL[0], atol=1e-15)


def test_a_list_is_read_and_disabled_lines_are_passed_over(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("view", "wood"):
        np.save(tmp_path / "sub" / f"{name}.npy", NORMAL)
    (tmp_path / "list.txt").write_text(
        "(view, w): sub/view.npy\n\nDISABLE(gone, w): sub/gone.npy\n"
        "# a remark\n(indoor wood, wp): sub/wood.npy\n"
    )
    read = read_boundary_list(tmp_path / "list.txt", levels={"view": "layout"})
    assert [(b.name, b.space, b.level) for b in read.values()] == [
        ("view", "w", "layout"),
        ("indoor wood", "layers", "attribute"),
    ]


@pytest.mark.parametrize("line", ["view: a.npy", "(view, s): a.npy", "(view, w) a.npy"])
def test_a_line_that_cannot_be_read_is_shown(tmp_path, line):
    (tmp_path / "list.txt").write_text(f"\n{line}\n")
    with pytest.raises(ValueError, match=r"list\.txt, line 2: cannot read"):
        read_boundary_list(tmp_path / "list.txt")


ODD = {
    "a number alone": (np.array(5.0), [1.0]),
    "near the largest number": (np.full((1, 4), 1e308), [0.5] * 4),
    "the smallest number": (np.full((1, 4), 5e-324), [0.5] * 4),
    "squares that lose digits": (np.full((1, 4), 1e-160), [0.5] * 4),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ODD)
def test_a_direction_of_any_length_is_read(tmp_path, name):
    content, expected = ODD[name]
    np.save(tmp_path / "b.npy", content)
    np.testing.assert_allclose(import_boundary(tmp_path / "b.npy", "x").normal, expected)


@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 4)])
def test_a_shape_that_does_not_fit_is_refused_with_the_files_name(tmp_path, shape):
    np.save(tmp_path / "b.npy", np.ones(shape))
    with pytest.raises(ValueError, match=r"b\.npy: normal of 'x': got shape"):
        import_boundary(tmp_path / "b.npy", "x")


@pytest.fixture
def listed(tmp_path):
    """Writes a list beside a boundary, ``one.npy``, and reads it."""
    np.save(tmp_path / "one.npy", np.eye(1, 1000))
    path = tmp_path / "list.txt"

    def read(text):
        path.write_bytes(text.encode())
        return read_boundary_list(path)

    return read


REFUSED_LISTS = {
    "one file many times": ("(a, w): one.npy\n" * 9_000, "lists 9000 boundaries, expected at most 5000"),
    "a name twice": ("(a, w): one.npy\n" * 2, "got 'a' twice"),
    "nothing there": ("\n(a, w): two.npy", "line 2: .*two.npy: there is no such file"),
    "an escape in a path": ("(a, w): \x1b[2J", r"line 1: .*\\x1b\[2J: there is no such file"),
    "a zero in a path": ("(a, w): a\0b", "line 1: .*there is no such file"),
    "an escape in a name": ("(a\x1b, w): one.npy", "line 1: .*name of a boundary: got 'a.x1b'"),
    "a long name": (f"({'a' * 300}, w): one.npy", "line 1: .*expected printable text"),
    "a long path": (f"(a, w): {'a' * 5000}", "line 1: .*aaaa"),
    "another file": ("(a, w): list.txt", "line 1: .*not a .npy file"),
    "a folder": ("(a, w): .", "line 1: .*is a folder"),
    "spaces": (f"({' ' * 50_000}a", "line 1: cannot read"),
    "no name": ("( , w): one.npy", "line 1: cannot read"),
    "megabytes": ("#" * (2**22 + 1), "has 4194305 bytes, expected a short list"),
}


@pytest.mark.parametrize("name", REFUSED_LISTS)
def test_a_list_is_refused_in_one_line_that_names_it(listed, name):
    text, expected = REFUSED_LISTS[name]
    refused = pytest.raises((ValueError, OSError), match=rf"^\S*list\.txt(:|, ).*{expected}")
    with seconds_below(1), refused as raised:
        listed(text)
    message = str(raised.value)
    assert message.isprintable() and len(message) < 2_500


def test_a_list_that_begins_with_a_mark_is_read(listed):
    assert list(listed("\ufeff( a b , wp ) : one.npy\n")) == ["a b"]


def test_a_list_of_large_files_is_refused(listed, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 20_000)
    assert len(listed("(a, w): one.npy\n(b, w): one.npy")) == 2
    with pytest.raises(ValueError, match=r"line 3: .*more than 20000 bytes; split the list"):
        listed("(a, w): one.npy\n(b, w): one.npy\n(c, w): ./one.npy")

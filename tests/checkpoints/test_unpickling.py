import argparse
import contextlib
import operator
import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest
import torch

from higan_fast.checkpoints.contents import Record
from higan_fast.checkpoints.sniffing import read_content
from tests.bounds import memory_below, seconds_below
from tests.checkpoints.writers import Call, stand_ins


def read(tmp_path, data):
    path = tmp_path / "file.pkl"
    path.write_bytes(data)
    return read_content(path).value


def same(ours, theirs):
    """Whether a value is what pickle makes of it; bytes are memoryviews here."""
    if isinstance(theirs, torch.Tensor):
        return (
            ours.dtype == theirs.dtype and ours.shape == theirs.shape and torch.equal(ours, theirs.detach())
        )
    if isinstance(theirs, np.ndarray | np.generic):
        return ours.dtype.newbyteorder("=") == theirs.dtype.newbyteorder("=") and np.array_equal(ours, theirs)
    if isinstance(theirs, dict):
        pairs = zip(ours.items(), theirs.items(), strict=True)
        return type(ours) is type(theirs) and all(a == b and same(c, d) for (a, c), (b, d) in pairs)
    if isinstance(theirs, list | tuple):
        return type(ours) is type(theirs) and all(map(same, ours, theirs)) and len(ours) == len(theirs)
    if isinstance(theirs, bytes | bytearray):
        return bytes(ours) == bytes(theirs)
    return type(ours) is type(theirs) and ours == theirs


VALUES = {
    "plain": [None, True, False, 0, -1, 255, 70_000, -(2**40), 2**100, 1.5, -0.0, "Grüße 🙂", "a\nb'"],
    "containers": {"a": [1, (2,), (3, 4), (5, 6, 7), (), [8, 9]], 3: {"b": {}}, None: OrderedDict(x=1)},
    "sets": [{"a", "b"}, set(), frozenset({1})],
    "bytes": [b"", b"abc\xff", b"x" * 300, bytearray(b"yz")],
    "long text": ["ä" * 70_000],
    "arrays": [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(4, dtype=">i4"),
        np.zeros((0, 3), np.float16),
        np.array(7, np.int64),
        np.array([True, False]),
        np.float64(0.5),
        np.uint8(3),
    ],
    "tensors": [
        torch.randn(3, 4),
        torch.randn(3, 4).t(),
        torch.randn(10)[2:8:2],
        torch.tensor(2.5),
        torch.randn(2, 3).half(),
        torch.randn(3).bfloat16(),
        torch.randn(2).double(),
        torch.tensor([1, -1]),
        torch.tensor([True, False]),
        torch.zeros(0, 2),
        torch.nn.Parameter(torch.ones(2)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", VALUES)
def test_values_are_what_pickle_makes_of_them(tmp_path, name, protocol):
    value = VALUES[name]
    if name == "bytes" and protocol < 5:
        value = value[:3]  # a bytearray was a call
    data = pickle.dumps(value, protocol)
    assert same(read(tmp_path, data), pickle.loads(data))


def test_lines_of_protocol_0_have_any_length(tmp_path):
    """All bytes of an array are one."""
    value = np.random.default_rng(0).integers(0, 256, 1_100_000).astype(np.uint8)
    data = pickle.dumps({"x": value, "y": value.tobytes()}, 0)
    assert max(map(len, data.split(b"\n"))) > 2**20
    found = read(tmp_path, data)
    assert np.array_equal(found["x"], value) and bytes(found["y"]) == value.tobytes()
    of_python_2 = b"S" + repr(value.tobytes())[1:].encode() + b"\r\n."
    assert len(of_python_2) > 2**20
    assert read(tmp_path, b"(" + of_python_2[:-1] + b"l.")[0].encode("latin1") == value.tobytes()
    with pytest.raises(ValueError, match="a line of text at byte 2 of the pickle does not end"):
        read(tmp_path, b"(" + of_python_2[:-3])


def test_values_that_are_shared_stay_shared(tmp_path):
    shared, base = [1], torch.zeros(4)
    found = read(tmp_path, pickle.dumps({"a": shared, "b": shared, "x": base, "y": base}))
    assert found["a"] is found["b"] and found["x"] is found["y"]


@pytest.mark.parametrize("protocol", range(6))
def test_objects_of_other_code_are_records(tmp_path, protocol):
    with stand_ins("dnnlib.tflib.network.Network", "dnnlib.util.EasyDict") as (network, easy_dict):
        one = network()
        one.variables, one.build_module_src = [("lod", np.float32(0))], "raise SystemExit"
        data = pickle.dumps((one, easy_dict(a=1), argparse.Namespace(size=4)), protocol)
    found, settings, namespace = read(tmp_path, data)
    assert isinstance(found, Record) and found.is_a("dnnlib.tflib.network.Network")
    assert found.state == {"variables": [("lod", 0)], "build_module_src": "raise SystemExit"}
    assert type(settings) is dict and settings == {"a": 1}
    assert namespace.is_a("argparse.Namespace") and namespace.state == {"size": 4}


def test_pickles_of_python_2(tmp_path):
    """Strings are bytes there, an array's data too; its modules have other names."""
    values = np.array([[1.5, -2.0, 3.25]], np.float32)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\nI3\nt"
        b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
    )
    in_text = array + b"S" + repr(values.tobytes())[1:].encode() + b"\ntb"
    in_binary = array + b"T" + struct.pack("<i", 12) + values.tobytes() + b"tb"
    for data in (in_text, in_binary):
        assert same(
            read(tmp_path, b"(" + data + b"S'caf\\xe9'\nL12L\nF0.5\ntp0\n."), (values, "café", 12, 0.5)
        )
    state = b"ctfutil\nNetwork\np1\nc__builtin__\nobject\np2\nNtRp3\n(dp4\nS'version'\np5\nI2\nsb."
    found = read(tmp_path, b"\x80\x02ccopy_reg\n_reconstructor\n(" + state)
    assert found.is_a("tfutil.Network") and found.state == {"version": 2}


# Every way in which a pickle can call ``os.system``, …
CALLS = {
    "GLOBAL and REDUCE": b"cposix\nsystem\n(S'%s'\ntR.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x05posix\x8c\x06system\x93(S'%s'\ntR.",
    "INST": b"(S'%s'\niposix\nsystem\n.",
    "OBJ": b"(cposix\nsystem\nS'%s'\no.",
    "BUILD": b"cargparse\nNamespace\n)R}S'x'\ncposix\nsystem\n(S'%s'\ntRsb.",
    "in a list": b"](cposix\nsystem\n(S'%s'\ntRe.",
    "discarded": b"cposix\nsystem\n(S'%s'\ntR0N.",
}
# … or would call it if it were a class.
MAKES = {
    "NEWOBJ": b"\x80\x02cposix\nsystem\n(S'%s'\nt\x81.",
    "NEWOBJ_EX": b"\x80\x04cposix\nsystem\n(S'%s'\nt}\x92.",
}


@pytest.mark.parametrize("route", [*CALLS, *MAKES])
def test_calls_are_refused_by_name(tmp_path, route):
    mark = tmp_path / "mark"
    data = (CALLS | MAKES)[route] % f"touch {mark}".encode()
    with pytest.raises(ValueError, match=r"refused posix\.system in .*file\.pkl: .*nothing was executed"):
        read(tmp_path, data)
    assert not mark.exists()
    if route in CALLS:
        pickle.loads(data)
        assert mark.exists(), "the payload would have left no mark"


@pytest.mark.parametrize(
    "function",
    [
        eval,
        exec,
        getattr,
        __import__,
        operator.attrgetter,
        os.popen,
        print,
        bytearray,
        np.load,
        torch.load,
        torch._utils._rebuild_device_tensor_from_numpy,
        torch.Tensor,
        torch.storage.UntypedStorage,
    ],
    ids=lambda function: f"{function.__module__}.{function.__qualname__}",
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_everything_else_is_refused_too(tmp_path, function, protocol):
    with pytest.raises(ValueError, match=r"refused \S+ in .*file\.pkl"):
        read(tmp_path, pickle.dumps(Call(function, "1"), protocol))


def test_a_name_with_dots_does_not_reach_further(tmp_path):
    for module, name in (
        ("torch", "_utils._rebuild_tensor_v2"),
        ("torch._utils", "torch.load"),
        ("os", "a\x1b[31m"),
    ):
        data = (
            b"\x80\x04" + b"".join(b"\x8c" + bytes([len(t)]) + t.encode() for t in (module, name)) + b"\x93."
        )
        with pytest.raises(ValueError, match=r"refused [ -~]+ in"):
            read(tmp_path, data)


BROKEN = {
    "calls a value": (b"(N)R.", "calls a NoneType"),
    "calls a record": (b"cargparse\nNamespace\n)R)R.", "calls a argparse.Namespace"),
    "calls without a tuple": (b"cargparse\nNamespace\n]R.", "calls a argparse.Namespace"),
    "calls what may only be named": (b"cnumpy\nndarray\n)R.", "calls a numpy.ndarray"),
    "with keywords": (b"\x80\x04cargparse\nNamespace\n)}S'a'\nNs\x92.", "with keywords"),
    "fills a list": (b"]Nb.", "fills a list"),
    "fills a dict": (b"}}S'__class__'\nNsb.", "fills a dict"),
    "appends to a dict": (b"}Na.", "appends to a dict"),
    "sets items of a record": (b"cargparse\nNamespace\n)RNNs.", "sets items of a argparse.Namespace"),
    "adds to a list": (b"\x80\x04](N\x90.", "adds to a list"),
    "extension": (b"\x80\x02\x82\x01.", "refused an extension code"),
    "buffer": (b"\x80\x05\x97.", "refused an out-of-band buffer"),
    "persistent": (b"\x80\x02NQ.", "outside of itself"),
    "protocol 6": (b"\x80\x05\x80\x06N.", "protocol is 6"),
    "empty stack": (b"\x80\x02R.", "damaged near byte"),
    "no mark": (b"\x80\x02Nt.", "damaged near byte"),
    "no such memo": (b"\x80\x02h\x05.", "damaged near byte"),
    "odd items": (b"\x80\x02}(Nu.", "damaged near byte|ends after"),
    "unknown": (b"\x80\x02\xff.", "unknown instruction, 0xff"),
    "no end": (b"\x80\x02N", "without its last instruction; the file is truncated"),
    "no bytes": (b"\x80\x02X\xff\xff\xff\x7fabc.", "wants 2147483647 bytes at byte 7, and 4 are left"),
    "8 bytes of length": (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7fabc.", "truncated or damaged"),
    "negative length": (b"\x80\x02T\xff\xff\xff\xffabc.", "truncated or damaged"),
    "number of many bytes": (b"\x80\x02\x8b\x00\x00\x01\x00" + b"1" * 65536 + b".", "number of 65536 bytes"),
    "decimals of many digits": (b"(F" + b"1" * 129 + b"\nl.", "a number of 129 digits"),
    "a long key": (b"\x80\x02}B\xe9\x03\0\0" + b"x" * 1001 + b"Ns.", "a key of 1001 characters"),
    "a high index": (b"(Np1048600\n.", "numbers its objects higher"),
    "an index that is not there": (b"(Np5\ng4\n.", "damaged near byte"),
    "a dictionary of text": (b"ccollections\nOrderedDict\n(S'ab'\ntR.", "makes a dictionary of a str"),
    "a set of text": (b"c__builtin__\nset\n(S'ab'\ntR.", "makes a set of a str"),
    "a state that is no tuple": (b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR]b.", "or its type, with a list"),
    "number of many digits": (b"(lp0\nL" + b"9" * 5000 + b"L\na.", "a number of 5000 digits"),
    "text for a number": (b"(lp0\nIx\na.", "damaged near byte"),
    "a tuple for a key": (b"\x80\x02}))s.", "a tuple for a key"),
    "a list for a member": (b"\x80\x04\x8f(]\x90.", "a list for a key"),
    "array of objects": (b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR.", "NumPy's type 'O8'"),
    "array of fields": (b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR.", "NumPy's type 'V8'"),
    "array of another class": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cargparse\nNamespace\n(I0\ntS'b'\ntR.",
        "reconstructs a argparse.Namespace as an array",
    ),
    "storage of text": (b"ctorch._utils\n_rebuild_tensor_v2\n(NI0\n))tR.", "a tensor on a NoneType"),
    "encoded otherwise": (b"c_codecs\nencode\n(S'a'\nS'idna'\ntR.", "as 'idna', expected text as latin1"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_damage_is_told(tmp_path, name):
    data, message = BROKEN[name]
    with pytest.raises(ValueError, match=message) as raised:
        read(tmp_path, data)
    assert "file.pkl" in str(raised.value)


@pytest.mark.parametrize(
    "size, stride, offset",
    [
        ([4], [1], 1),
        ([2], [4], 0),
        ([2, 2], [2, 2], 0),
        ([10**12], [0], 0),
        ([-1], [1], 0),
        ([2], [1, 1], 0),
        ([2], [-1], 1),
        ([1] * 9, [1] * 9, 0),
        ([2.0], [1], 0),
        ([True], [1], 0),
        ([4], [1], 2**62),
    ],
)
def test_tensors_stay_within_their_storage(tmp_path, size, stride, offset):
    storage = torch.arange(4.0).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    call = Call(
        torch._utils._rebuild_tensor_v2, typed, offset, tuple(size), tuple(stride), False, OrderedDict()
    )
    with pytest.raises(ValueError, match="a tensor"):
        read(tmp_path, pickle.dumps(call))


def test_a_storage_within_a_pickle_is_read_by_the_same_rules(tmp_path):
    mark = tmp_path / "mark"
    payload = CALLS["GLOBAL and REDUCE"] % f"touch {mark}".encode()
    start = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    for nested in (payload, start + payload):
        with pytest.raises(
            ValueError, match=r"refused posix.system in .*file.pkl \(a storage nested in it\)"
        ):
            read(tmp_path, pickle.dumps(Call(torch.storage._load_from_bytes, nested)))
    deeper = pickle.dumps(Call(torch.storage._load_from_bytes, start + payload))
    with pytest.raises(ValueError, match=r"refused torch.storage._load_from_bytes in"):
        read(tmp_path, pickle.dumps(Call(torch.storage._load_from_bytes, deeper)))
    with pytest.raises(ValueError, match="hold no storage"):
        keys = pickle.dumps([], 2)
        read(tmp_path, pickle.dumps(Call(torch.storage._load_from_bytes, start + pickle.dumps(3, 2) + keys)))
    assert not mark.exists()


BOMBS = {
    "index of the memo": b"\x80\x02Nr\xff\xff\xff\xff.",
    "nested lists": b"\x80\x02" + b"](" * 90_000 + b"e" * 90_000 + b".",
    "nested tuples as a key": b"\x80\x02})" + b"2\x86" * 60 + b"Ns.",
    "many objects": b"\x80\x02" + b"}" * 1_000_000 + b".",
    "many marks": b"\x80\x02" + b"(" * 1_000_000 + b".",
    "array larger than the file": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1000000000\nI1000000\nt"
        b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'abcd'\ntb."
    ),
    "numbers that hash alike": b"\x80\x02}("
    + b"".join(b"\x8a\x10" + (i * (2**61 - 1)).to_bytes(16, "little") + b"N" for i in range(9, 20_000))
    + b"u.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_memory_is_bounded_by_the_file(tmp_path, name):
    data = BOMBS[name]
    with seconds_below(10), memory_below(100 * len(data) + 5e6), contextlib.suppress(ValueError):
        read(tmp_path, data)

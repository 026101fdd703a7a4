"""Small files that ask for much: of a reader's time, its memory, its stack, or of whoever reads its messages.

Each maker gives the bytes of one file, of at most a few megabytes; its name says what is asked for. What a
file of weights may have once, these have ten thousand times, by way of the pickle's memo.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable

import numpy as np

Maker = Callable[[], bytes]

TIMES = 30_000
LONG = 500_000  # characters, or bytes
# It would clear the screen, forge a line, stop the output, and turn the direction of writing.
FORGED = "a\x1b[2J\nError: b\ud800\u202e"
MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)


# Values, as instructions that ``pickletools`` describes


def number(value: int) -> bytes:
    return b"\x8a\x10" + value.to_bytes(16, "little", signed=True)


def text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def raw(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def row(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"t"


def numbers(count: int) -> bytes:
    """A list of different ones."""
    return b"](" + b"".join(b"J" + struct.pack("<i", value) for value in range(count)) + b"e"


def pairs(count: int) -> bytes:
    return b"](" + b"".join(b"J" + struct.pack("<i", value) + b"N\x86" for value in range(count)) + b"e"


def dictionary(count: int) -> bytes:
    return b"}(" + b"".join(b"J" + struct.pack("<i", value) + b"N" for value in range(count)) + b"u"


def named(path: str) -> bytes:
    return "c{}\n{}\n".format(*path.rsplit(".", 1)).encode()


def dtype(code: str) -> bytes:
    return (
        named("numpy.dtype") + row(text(code), number(0), number(1)) + b"R" + row(number(3), text("|")) + b"b"
    )


# Files


def again(piece: bytes, *memo: bytes, times: int = TIMES) -> bytes:
    """A list of what ``piece`` makes, time after time, with the values of ``memo`` at 0, 1, …"""
    remembered = b"".join(value + b"q" + bytes([index]) + b"0" for index, value in enumerate(memo))
    return b"\x80\x02" + remembered + b"](" + piece * times + b"e."


def call_again(path: str, *args: bytes, times: int = TIMES) -> bytes:
    return again(b"h\0h\1R", named(path), row(*args), times=times)


def whole(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."


def array_of_text() -> bytes:
    make = row(named("numpy.ndarray"), row(number(0)), text("b"))
    state = row(number(1), row(number(LONG)), dtype("u1"), b"\x89", text("x" * LONG))
    return again(b"h\0h\1Rh\2b", named("numpy.core.multiarray._reconstruct"), make, state)


def array(shape: bytes) -> bytes:
    make = named("numpy.core.multiarray._reconstruct") + row(
        named("numpy.ndarray"), row(number(0)), text("b")
    )
    return make + b"R" + row(number(1), shape, dtype("u1"), b"\x89", raw(b"")) + b"b"


def storage(key: str, count: int) -> bytes:
    """A reference to a storage outside of the pickle."""
    return row(text("storage"), named("torch.FloatStorage"), text(key), text("cpu"), number(count)) + b"Q"


def tensor(of: bytes, size: bytes, stride: bytes) -> bytes:
    return named("torch._utils._rebuild_tensor_v2") + row(of, number(0), size, stride, b"\x89", b"}") + b"R"


def empty_tensor(*size: int) -> bytes:
    return tensor(storage("0", 16), row(*map(number, size)), row(*(number(1) for _ in size)))


def many_tensors(count: int) -> bytes:
    """All on one storage, by calls with the same arguments."""
    args = b"h\1" + number(0) + row(number(4)) + row(number(1)) + b"\x89}"
    setup = named("torch._utils._rebuild_tensor_v2") + b"q\0000" + storage("0", 16) + b"q\0010"
    return setup + row(args) + b"q\0020](" + b"h\0h\2R" * count + b"e"


def legacy(value: bytes, keys: bytes, *counts: int) -> bytes:
    """The form of torch before 1.6."""
    stored = b"".join(struct.pack("<q", count) + bytes(4 * count) for count in counts)
    return MAGIC + b"\x80\x02" + value + b"." + b"\x80\x02" + keys + b"." + stored


def nested_storage(times: int = TIMES) -> bytes:
    line = b"S'" + rb"\x41" * (LONG // 4) + b"'\n0"
    within = legacy(line + storage("0", 1), b"]" + text("0") + b"a", 1)
    return call_again("torch.storage._load_from_bytes", raw(within), times=times)


def texts_that_sort_slowly() -> bytes:
    """Two that differ in their last character, in turn, for the keys of storages."""
    first, second = (text("x" * LONG + end) for end in "ab")
    keys = first + b"q\0" + second + b"q\1(" + b"h\1h\0" * 90_000 + b"l"
    return legacy(b"N", keys)


def keys_that_collide() -> bytes:
    """Numbers that Python's dict, of 2¹⁷ slots, looks for in the same slots, one after the other.

    It goes from slot ``i`` to ``5 i + 1``, to which it adds ever less of the number; the first keys fill the
    slots of that walk, and all others come to its beginning.
    """
    mask, length = 2**17 - 1, 60_000
    walk = [1]
    while len(walk) < length:
        walk.append((5 * walk[-1] + 1) & mask)
    place = np.full(mask + 1, length)
    place[walk] = np.arange(length)
    keys = left = np.random.default_rng(0).integers(2**20, 2**27, 4_000_000)
    slots = keys & mask
    meets = place[slots] < length
    for _ in range(6):
        left = left >> 5
        slots = (5 * slots + 1 + left) & mask
        meets &= place[slots] < length
    others = keys[meets][np.argsort(place[slots[meets]])[:26_000]]
    items = b"".join(b"J" + struct.pack("<i", key) + b"N" for key in [*walk, *others])
    return whole(b"}(" + items + b"u")


def lines() -> bytes:
    return b"\x80\x02](" + (b"S'" + b"x" * 300 + b"'\n") * 12_000 + b"e."


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()


def zipped(value: bytes, **members: bytes) -> bytes:
    """What torch saves, with a storage of no name beside it."""
    return archive({"a/data.pkl": b"\x80\x02" + value + b".", "a/data/0": bytes(64), **members})


def patched(data: bytes, mark: bytes, offset: int, layout: str, value: int) -> bytes:
    """An archive with a number changed, ``offset`` bytes after the last ``mark``."""
    changed = bytearray(data)
    struct.pack_into(layout, changed, changed.rindex(mark) + offset, value)
    return bytes(changed)


def member_before_the_file() -> bytes:
    """Its directory lies 28 bytes before where the archive says, and so does its member: at -28."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.comment = b"PK\x03\x04" + bytes(24)
        file.writestr("a/data.pkl", b"N.")
    directory = buffer.getvalue().index(b"PK\x01\x02")
    return patched(buffer.getvalue(), b"PK\x05\x06", 16, "<I", directory + 28)


def directory_alone(count: int) -> bytes:
    """A large archive (zip64) of nothing but names, each of a member that lies where the first does."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 8) + bytes(16)
    listed = b"".join(entry + b"a%07d" % number for number in range(count))
    first = b"PK\x03\x04" + bytes(26)
    sizes = (44, 45, 45, 0, 0, count, count, len(listed), len(first))
    large = b"PK\x06\x06" + struct.pack("<Q2H2L4Q", *sizes)
    where = b"PK\x06\x07" + struct.pack("<LQL", 0, len(first) + len(listed), 1)
    end = b"PK\x05\x06" + b"\xff" * 16 + bytes(2)
    return first + listed + large + where + end


def grown(seed: bytes, piece: bytes, instructions: int) -> bytes:
    """One value within another, within another, as deep as the number of instructions allows."""
    return b"\x80\x02" + seed + piece * (190_000 // instructions) + b"."


# Each puts what is on the stack into one value more; and its instructions.
DEEP = {
    "tuples": (b"\x85", 1),
    "lists": (b"q\0000](h\0e", 6),
    "dictionaries": (b"q\0000}(Nh\0u", 7),
    "ordered dictionaries": (b"q\0000h\1)R(Nh\0u", 9),
    "states": (b"q\0000h\2)Rh\0b", 7),
    "arguments": (b"\x85q\0000h\2h\0R", 6),
    "arguments of placeholders": (b"\x85q\0000h\3h\0R", 6),
}
DEEP_SEED = (
    named("collections.OrderedDict")
    + b"q\x010"
    + named("argparse.Namespace")
    + b"q\x020"
    + named("a.B")
    + b"q\x030N"
)

PICKLES: dict[str, Maker] = {
    "a text encoded often": lambda: call_again("_codecs.encode", text("x" * LONG), text("latin1")),
    "a text as an array, often": array_of_text,
    "an EasyDict of a dictionary, often": lambda: call_again("dnnlib.util.EasyDict", dictionary(50_000)),
    "an EasyDict of pairs, often": lambda: call_again("dnnlib.util.EasyDict", pairs(50_000)),
    "an OrderedDict of pairs, often": lambda: call_again("collections.OrderedDict", pairs(50_000)),
    "a set of a list, often": lambda: call_again("builtins.set", numbers(50_000)),
    "a frozenset of a list, often": lambda: call_again("__builtin__.frozenset", numbers(50_000)),
    "a dictionary reconstructed often": lambda: call_again(
        "copy_reg._reconstructor", named("dnnlib.EasyDict"), named("builtins.dict"), dictionary(50_000)
    ),
    "a record of many arguments, often": lambda: again(
        b"h\0h\1R", named("argparse.Namespace"), b"(" + b"N" * 50_000 + b"t"
    ),
    "a placeholder of many arguments, often": lambda: again(
        b"h\0h\1R", named("a.B"), b"(" + b"N" * 50_000 + b"t"
    ),
    "many placeholders": lambda: whole(
        b"](" + b"".join(b"ca\nb%d\n" % number for number in range(100_000)) + b"e"
    ),
    "long bytes as a key, often": lambda: again(b"}h\0Ns", raw(b"x" * LONG)),
    "long keys that are equal": lambda: b"\x80\x02}"
    + text("x" * 1_000_000) + b"Ns" + text("x" * 1_000_000) + b"q\0Ns" + b"h\0Ns" * 60_000 + b".",
    "keys that collide": keys_that_collide,
    "lines": lines,
    "a number of many digits": lambda: whole(b"F" + b"1" * 1_000_000 + b"\n"),
    "indices of the memo that hash alike": lambda: whole(
        b"N" + b"".join(b"p%d\n" % (i * (2**61 - 1)) for i in range(40_000))
    ),
    "a storage nested often": nested_storage,
    "keys of storages that sort slowly": texts_that_sort_slowly,
    "a set of a tensor without values": lambda: zipped(
        named("builtins.set") + row(empty_tensor(2**40, 0)) + b"R"
    ),
    "an OrderedDict of a tensor without values": lambda: zipped(
        named("collections.OrderedDict") + row(empty_tensor(2**40, 0)) + b"R"
    ),
    "many tensors": lambda: zipped(many_tensors(30_000)),
    "many references to one storage": lambda: zipped(
        b"](" + storage("0", 16)[:-1] + b"q\0Q" + b"h\0Q" * 90_000 + b"e"
    ),
    "a text of wide characters": lambda: whole(text("🙂" + "x" * 3_000_000)),
    "a tensor without end": lambda: zipped(empty_tensor(0, 2**47, 2**47)),
    "an array without end": lambda: whole(array(row(number(0), number(2**47), number(2**47)))),
    "the truth of a tensor": lambda: zipped(
        b"}" + tensor(storage("0", 16), row(number(4)), row(number(1))) + b"b"
    ),
    "a long key of a storage": lambda: zipped(
        b"](" + storage("x" * LONG, 1)[:-1] + b"q\0Q" + b"h\0Q" * TIMES + b"e"
    ),
    "a long name of a class": lambda: b"\x80\x04" + text("os" * LONG) + text("x\x1b" * LONG) + b"\x93.",
    **{f"{what} within {what}": lambda piece=piece: grown(DEEP_SEED, *piece) for what, piece in DEEP.items()},
}  # fmt: skip

WORDS: dict[str, Maker] = {
    "escapes in the name of a class": lambda: b"\x80\x04" + text(FORGED) + text(FORGED) + b"\x93.",
    "escapes in a name of Python 2": lambda: whole(b"cos\x1b[2J\r\x85\nsystem\x1b\n"),
    "escapes in the key of a storage": lambda: zipped(storage(FORGED, 1)),
    "escapes in the encoding": lambda: whole(named("_codecs.encode") + row(text("a"), text(FORGED)) + b"R"),
    "escapes in the type of an array": lambda: whole(
        named("numpy.dtype") + row(text(FORGED * 9_999), number(0), number(1)) + b"R"
    ),
    "escapes in the order of an array": lambda: whole(
        named("numpy.dtype")
        + row(text("u1"), number(0), number(1))
        + b"R"
        + row(number(3), text(FORGED))
        + b"b"
    ),
    "escapes in a shape": lambda: whole(array(row(*[text(FORGED * 9_999)] * 7))),
    "escapes in the name of an archive": lambda: archive({FORGED[:-2] + "/data.pkl": b"\x80\x02N"}),
    "escapes in the names of members": lambda: archive({FORGED[:-2] * 900 + str(i): b"" for i in range(20)}),
}

ARCHIVES: dict[str, Maker] = {
    "a member before the file": member_before_the_file,
    "a member after the file": lambda: patched(
        archive({"a/data.pkl": b"N."}), b"PK\x01\x02", 42, "<I", 2**31
    ),
    "a member that never ends": lambda: patched(
        archive({"a/data.pkl": b"N."}), b"PK\x01\x02", 24, "<I", 2**31
    ),
    "a directory that never ends": lambda: patched(
        archive({"a/data.pkl": b"N."}), b"PK\x05\x06", 12, "<I", 2**31
    ),
    "a name that never ends": lambda: patched(
        archive({"a/data.pkl": b"N."}), b"PK\x01\x02", 28, "<H", 65_535
    ),
    "many members": lambda: directory_alone(65_000),
    "too many members": lambda: directory_alone(600_000),
}

HOSTILE: dict[str, Maker] = PICKLES | WORDS | ARCHIVES

"""Ways to damage a file, and to make one that means harm; used by `bench/fuzz_files.py`."""

from __future__ import annotations

import io
import json
import pickletools
import random
import struct
import zipfile
from typing import Any

EXTREMES = (b"\xff" * 8, b"\0" * 8, b"\xff" * 7 + b"\x7f", b"\xff\xff\xff\xff", b"\0\0\0\0",
            b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\0\0\0\0\0\x10")  # fmt: skip
TOKENS = (b"(", b"[", b"{", b"}", b"]", b"'", b'"', b"9" * 30, b"\\", b"\n", b"\xed\xa0\x80", b"-",
          b"1e999", b"null", b"NaN", b"cos\nsystem\n", b"cbuiltins\neval\n", b"R", b"Q", b"b", b"2",
          b"h\0", b"../", b"/etc/passwd")  # fmt: skip


def _zip(data: bytes) -> bool:
    return data[:4] == b"PK\x03\x04"


class Bits:
    """Bits flipped."""

    fits = staticmethod(lambda data: True)

    @staticmethod
    def damage(data: bytes, rng: random.Random) -> bytes:
        out = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 8, 64))):
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
        return bytes(out)


class Cut:
    """The end, or a piece, missing."""

    fits = Bits.fits

    @staticmethod
    def damage(data: bytes, rng: random.Random) -> bytes:
        place = rng.randrange(len(data))
        if rng.random() < 0.5:
            return data[:place]
        return data[:place] + data[place + rng.choice((1, 4, 64, 512)) :]


class Inserted:
    """Bytes, tokens or a piece of the file itself put in, or written over."""

    fits = Bits.fits

    @staticmethod
    def damage(data: bytes, rng: random.Random) -> bytes:
        for _ in range(rng.choice((1, 1, 3))):
            place = rng.randrange(len(data) + 1)
            start = rng.randrange(len(data))
            piece = rng.choice((rng.choice(TOKENS), rng.choice(EXTREMES), rng.randbytes(4),
                                data[start : start + rng.choice((2, 20, 200))]))  # fmt: skip
            after = place + (len(piece) if rng.random() < 0.5 else 0)
            data = data[:place] + piece + data[after:]
        return data


class Swapped:
    """Two pieces in each other's place."""

    fits = Bits.fits

    @staticmethod
    def damage(data: bytes, rng: random.Random) -> bytes:
        size = rng.choice((1, 4, 8, 64, 256))
        a, b = sorted(rng.randrange(max(len(data) - size, 1)) for _ in range(2))
        if b < a + size:
            return data[::-1][:size] + data
        return (data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size]
                + data[b + size :])  # fmt: skip


class Numbers:
    """Fields of the first bytes, or the last, made extreme."""

    fits = Bits.fits

    @staticmethod
    def damage(data: bytes, rng: random.Random) -> bytes:
        out = bytearray(data)
        for _ in range(rng.choice((1, 2, 4))):
            near = rng.randrange(min(len(out), 400))
            place = rng.choice((near, len(out) - 1 - near))
            piece = rng.choice(EXTREMES)
            out[place : place + len(piece)] = piece
        return bytes(out)


class Member:
    """A member of a zip damaged, with a right checksum."""

    fits = staticmethod(_zip)

    @staticmethod
    def damage(data: bytes, rng: random.Random) -> bytes:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            members = {info.filename: old.read(info) for info in old.infolist()}
            packed = old.infolist()[0].compress_type
        hit = rng.choice(list(members))
        if rng.random() < 0.6:  # what describes the rest
            hit = next((n for n in members if n.endswith((".pkl", ".json", ".h5"))), hit)
        way = rng.choice((Bits, Cut, Inserted, Swapped, Numbers))
        members[hit] = way.damage(members[hit] or b"\0", rng)
        return _zipped(members, packed)


class Names:
    """A zip whose members have other names: two the same, absolute, upwards, exchanged."""

    fits = staticmethod(_zip)

    @staticmethod
    def damage(data: bytes, rng: random.Random) -> bytes:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            names = [info.filename for info in old.infolist()]
        a, b = rng.choice(names), rng.choice(names)
        other = rng.choice((b, "/" + a[1:], "../" + a[3:], a[::-1], "\0" * len(a), "a/data.pkl"))
        old_name, new_name = a.encode(), other.encode().ljust(len(a))[: len(a)]
        if rng.random() < 0.5:
            return data.replace(old_name, new_name)
        place = data.rindex(old_name)  # in the directory alone
        return data[:place] + new_name + data[place + len(old_name) :]


class Claims:
    """A zip whose directory says other sizes, places and methods than there are."""

    fits = staticmethod(_zip)

    @staticmethod
    def damage(data: bytes, rng: random.Random) -> bytes:
        out = bytearray(data)
        entries, at = [], out.find(b"PK\x01\x02")
        while at >= 0:
            entries.append(at)
            at = out.find(b"PK\x01\x02", at + 4)
        for _ in range(rng.choice((1, 1, 3))):
            entry = rng.choice(entries)
            size = rng.choice((0, 1, 100, 10**6, 2**31, 2**32 - 2, len(data)))
            kind = rng.randrange(5)
            if kind == 0:  # both sizes
                struct.pack_into("<II", out, entry + 20, size, size)
            elif kind == 1:  # what it grows to
                struct.pack_into("<I", out, entry + 24, size)
            elif kind == 2:  # where it is: over another, or nowhere
                other = rng.choice(entries)
                out[entry + 42 : entry + 46] = (
                    out[other + 42 : other + 46] if rng.random() < 0.6 else struct.pack("<I", size)
                )
            elif kind == 3:
                struct.pack_into("<H", out, entry + 10, rng.choice((0, 8, 9, 12, 14, 99)))
            else:  # flags: encrypted and others
                struct.pack_into("<H", out, entry + 8, 1 << rng.randrange(16))
        return bytes(out)


class Header:
    """The header of a safetensors file changed, with a right length."""

    fits = staticmethod(lambda data: data[8:9] == b"{")

    @staticmethod
    def damage(data: bytes, rng: random.Random) -> bytes:
        length = int.from_bytes(data[:8], "little")
        head = json.loads(data[8 : 8 + length])
        name = rng.choice([key for key in head if key != "__metadata__"])
        entry = head[name]
        kind = rng.randrange(7)
        odd = rng.choice((0, 1, -1, 2**31, 2**63, 2**64, 10**30, 1.5, None, True, "4", [], {}))
        if kind == 0:
            entry["shape"] = rng.choice(([odd], [odd, odd], [1] * 100, odd, [2**32, 2**32]))
        elif kind == 1:
            entry["data_offsets"] = rng.choice(([0, odd], [odd, 4], odd, [4, 0], [0, 4, 8]))
        elif kind == 2:
            entry["dtype"] = rng.choice(("F4", "I4", "F64", "BOOL", "O", "", odd))
        elif kind == 3:
            head["__metadata__"] = rng.choice(
                (
                    odd,
                    {"a": odd},
                    {"fastconv.shared": rng.choice(("{", "[]", '{"w":1}', '{"w":"i"}'))},
                )
            )
        elif kind == 4:
            head[rng.choice((name + "x", "", "__metadata__"))] = entry
        elif kind == 5:
            entry[rng.choice(("extra", "dtype"))] = odd
        else:
            del entry[rng.choice(list(entry))]
        text = json.dumps(head).encode()
        if rng.random() < 0.1:
            text = text.replace(b'"w":', b'"i":', 1)  # a name twice
        return len(text).to_bytes(8, "little") + text + data[8 + length :]


KINDS = (Bits, Cut, Inserted, Swapped, Numbers, Member, Names, Claims, Header)


def _zipped(members: dict[str, bytes], method: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return stream.getvalue()


# -- files that mean harm --------------------------------------------------------------------------

NAMES = ("os system", "posix system", "builtins eval", "builtins exec", "builtins getattr",
         "__builtin__ __import__", "subprocess Popen", "torch._utils _rebuild_tensor_v2",
         "torch._utils _rebuild_tensor_v3", "torch._utils _rebuild_parameter",
         "torch._tensor _rebuild_from_type_v2", "torch FloatStorage",
         "torch.storage UntypedStorage", "torch Size", "torch device", "torch float32",
         "torch Tensor", "collections OrderedDict",
         "collections Counter", "collections defaultdict", "builtins set", "builtins frozenset",
         "builtins list", "builtins tuple", "builtins dict", "builtins bytearray",
         "builtins complex", "_codecs encode", "numpy dtype", "numpy ndarray",
         "numpy.core.multiarray scalar", "numpy.core.multiarray _reconstruct",
         "numpy._core.numeric _frombuffer", "torch.nn.modules.linear Linear",
         "pathlib PosixPath", "torch.serialization _get_layout")  # fmt: skip
OPCODES = pickletools.opcodes


def opcodes(rng: random.Random) -> bytes:
    """A pickle of random opcodes, with arguments that could be meant."""
    out = bytearray(b"\x80" + bytes([rng.randrange(2, 6)]))
    for _ in range(rng.choice((5, 20, 80))):
        op = rng.choice(OPCODES)
        if rng.random() < 0.5:  # those that build
            op = pickletools.code2op[rng.choice("(]})tesuaRQb0q2\x85\x86\x87\x94")]  # type: ignore[attr-defined]
        out += op.code.encode("latin-1") + _argument(op, rng)
    return bytes(out) + b"."


def _argument(op: Any, rng: random.Random) -> bytes:
    """An argument for an opcode."""
    name = op.name
    if name in ("GLOBAL", "INST"):
        return rng.choice(NAMES).replace(" ", "\n").encode() + b"\n"
    if op.arg is None:
        return b""
    if op.arg.n >= 0:
        return rng.choice(
            (rng.randbytes(op.arg.n), bytes([rng.randrange(5)]).ljust(op.arg.n, b"\0"))
        )
    width = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT4: 4,
             pickletools.TAKEN_FROM_ARGUMENT4U: 4,
             pickletools.TAKEN_FROM_ARGUMENT8U: 8}.get(op.arg.n)  # fmt: skip
    if width is None:  # a line
        return rng.choice((b"1", b"'a'", b"00", b"9" * 40, b"a b")) + b"\n"
    text = rng.choice((b"storage", b"0", b"cpu", b"f8", b"latin1", b"os", b"system", b"\xff\x01"))
    if rng.random() < 0.1:
        return rng.choice(EXTREMES)[:width].ljust(width, b"\xff") + text
    return len(text).to_bytes(width, "little") + text


def crafted(rng: random.Random, known: dict[str, bytes]) -> tuple[str, bytes]:
    """A file that means harm."""
    kind = rng.randrange(8)
    folder, record = "archive/", bytes(range(48))
    if kind <= 3:
        how, pickle = "opcodes", opcodes(rng)
        if kind == 3:
            return "a plain pickle", pickle
        if kind == 2:
            start = known["legacy"]
            return "opcodes in the old format", start[: start.index(b"\x80\x02}")] + pickle
    elif kind == 4:
        n = rng.choice((1000, 100_000))
        how, pickle = "depth", b"\x80\x02" + rng.choice((
            b"]" * n + b"a" * (n - 1), b"N" + b"\x85" * n, b"}N" + b"\x85" * n + b"Ns",
            b"(" * n, b"}" * n + b"Ns" * 3, b"N" + b"2\x86" * n,
        )) + b"."  # fmt: skip
    elif kind == 5:
        n = rng.choice((200, 5000))
        call = rng.choice((b"c__builtin__\nlist\n", b"c__builtin__\nset\n", b"ctorch\nSize\n"))
        how, pickle = "copies", (b"\x80\x02](" + b"K\x01" * n + b"tq\x000(" + (call + b"h\x00\x85R")
                                 * n + b"e.")  # fmt: skip
    elif kind == 6:
        how, pickle = (
            "a bomb of zeros",
            b"\x80\x04\x8e" + (10**7).to_bytes(8, "little") + bytes(10**7),
        )
        return how, _zipped({folder + "data.pkl": pickle, folder + "data/0": record}, 8)
    else:
        size = rng.choice((10**6, 2**31, 2**40, 2**62))
        how, pickle = (
            "a large storage",
            (
                b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"
                b"X\x01\0\0\x000X\x03\0\0\0cpu\x8a\x09"
                + size.to_bytes(9, "little")
                + b"tQK\0\x8a\x09"
                + size.to_bytes(9, "little")
                + b"\x85K\x01\x85\x89NtR."
            ),
        )
    members = {folder + "data.pkl": pickle, folder + "data/0": record}
    return how, _zipped(members, rng.choice((0, 0, 8)))

"""save and load: what goes in comes out, and nothing else does any harm."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn as nn
from fastconv.serialization import SKELETON


def through(obj):
    stream = io.BytesIO()
    fc.save(obj, stream)
    stream.seek(0)
    return fc.load(stream)


def test_plain_values():
    obj = {
        "none": None,
        "flags": [True, False],
        "numbers": (1, -(2**70), 0.1, float("inf"), 1 + 2j),
        "text": "π\n\"'",
        "bytes": b"\x00\xff",
        3: {(1, "a"): []},
        None: {},
        "set": {1, 2},
        "nested": [[[({},)]]],
    }
    back = through(obj)
    assert back == obj
    assert isinstance(back["numbers"], tuple) and isinstance(back["flags"][0], bool)
    assert np.isnan(through(float("nan")))


def test_order_and_kind_of_mappings():
    d = OrderedDict([("b", 1), ("a", 2)])
    back = through({"x": d})
    assert list(back["x"]) == ["b", "a"] and type(back["x"]) is OrderedDict
    assert type(back) is dict


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool"]
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_arrays_and_tensors(dtype, shape):
    array = (np.random.default_rng(0).standard_normal(shape) * 9).astype(dtype)
    for value in (array, fc.tensor(array)):
        back = through([value])[0]
        assert type(back) is type(value) and back.dtype == value.dtype
        np.testing.assert_array_equal(np.asarray(back), array)
    assert back.array.flags.writeable


def test_layouts():
    array = np.arange(24.0).reshape(2, 3, 4)
    for view in (array.T, array[:, ::2], array[::-1], np.broadcast_to(array[:1], (5, 3, 4))):
        np.testing.assert_array_equal(through(view), view)
    np.testing.assert_array_equal(through(array.astype(">f4")), array)


def test_types_and_scalars():
    back = through({"d": fc.float32, "n": np.dtype("int16"), "s": np.float32(1.5)})
    assert back["d"] is fc.float32 and back["n"] == np.dtype("int16")
    assert type(back["s"]) is np.float32 and back["s"] == 1.5


def test_gradient_flags_and_parameters():
    back = through([nn.Parameter(fc.ones(2)), fc.ones(2, requires_grad=True), fc.ones(2)])
    assert [t.requires_grad for t in back] == [True, True, False]
    assert isinstance(back[0], nn.Parameter) and not isinstance(back[1], nn.Parameter)
    frozen = through(nn.Parameter(fc.ones(2), requires_grad=False))
    assert isinstance(frozen, nn.Parameter) and not frozen.requires_grad


def test_shared_memory_is_shared_again():
    t = fc.ones(3)
    a, b, c = through([t, t.detach(), fc.ones(3)])
    a.array[0] = 5
    assert b[0].item() == 5 and c[0].item() == 1


def test_a_model_through_a_file(tmp_path):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    path = tmp_path / "model.pt"
    fc.save(net.state_dict(), path)
    assert os.listdir(tmp_path) == ["model.pt"]
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert str(other.load_state_dict(fc.load(str(path)))) == "<All keys matched successfully>"
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
    first = path.read_bytes()
    fc.save(net.state_dict(), path)
    assert path.read_bytes() == first
    with open(path, "rb") as stream:
        fc.load(stream, map_location="cpu", weights_only=True)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    fc.save([1], path)
    with pytest.raises(TypeError, match=r"obj\[1\]\['a'\].*function"):
        fc.save([1, {"a": len and (lambda: 0)}], path)
    assert fc.load(path) == [1] and os.listdir(tmp_path) == ["file"]


def test_what_cannot_be_saved():
    with pytest.raises(TypeError, match="state_dict"):
        through(nn.Linear(1, 1))
    with pytest.raises(TypeError, match="dtype object"):
        through(np.array([None]))
    loop: list = []
    loop.append(loop)
    with pytest.raises(ValueError, match="deep"):
        through(loop)
    with pytest.raises(TypeError, match="path or a binary file"):
        fc.save(1, 3)


def test_pickles_are_refused(tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match="pickle"):
        fc.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(os.system))
    with pytest.raises(ValueError, match=r"load: .*posix\.system, which is code"):
        fc.load(path)


def build(skeleton, arrays=(), compression=zipfile.ZIP_STORED) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        head = {"format": "fastconv", "version": 1, "object": skeleton}
        text = skeleton if isinstance(skeleton, bytes) else json.dumps(head)
        archive.writestr(SKELETON, text)
        for i, content in enumerate(arrays):
            archive.writestr(f"arrays/{i}.npy", content)
    stream.seek(0)
    return stream


def npy(array, allow_pickle=False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


GOOD = npy(np.arange(6.0))
BROKEN = {
    "text": io.BytesIO(b"hello, this is no archive"),
    "nothing": io.BytesIO(b""),
    "empty zip": io.BytesIO(b"PK\x05\x06" + b"\0" * 18),
    "no json": build(b"{"),
    "no text": build(b"\xff\xfe\xfd"),
    "not a dict": build(b"[]"),
    "another format": build(b'{"format": "other"}'),
    "newer version": build(b'{"format": "fastconv", "version": 99}'),
    "missing array": build({"ndarray": 0}),
    "unknown kind": build({"function": "os.system"}),
    "empty kind": build({}),
    "bad number": build({"ndarray": "../../etc/passwd"}),
    "boolean number": build({"ndarray": True}, [GOOD, GOOD]),
    "bad dtype": build({"dtype": "O"}),
    "strange dtype": build({"dtype": "hello"}),
    "dtype is a number": build({"dtype": 3}),
    "tuple of none": build({"tuple": None}),
    "unhashable key": build({"dict": [[[1], 2]]}),
    "bad pairs": build({"dict": [[1]]}),
    "bad bytes": build({"bytes": "zz"}),
    "bad complex": build({"complex": ["1"]}),
    "deep": build(b'{"format":"fastconv","version":1,"object":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "object array": build({"ndarray": 0}, [npy(np.array([{}]), True)]),
    "cut array": build({"ndarray": 0}, [GOOD[:-1]]),
    "long array": build({"ndarray": 0}, [GOOD + b"x"]),
    "no npy": build({"ndarray": 0}, [b"\x93NUMPZ" + GOOD[6:]]),
    "empty npy": build({"ndarray": 0}, [b""]),
    "bad header": build({"ndarray": 0}, [GOOD[:10] + b"__import__('os')".ljust(118) + GOOD[128:]]),
    "huge shape": build({"ndarray": 0}, [GOOD.replace(b"(6,)", b"(9999999999999,)")]),
    "negative shape": build({"ndarray": 0}, [GOOD.replace(b"(6,), ", b"(-6,),")]),
    "text array": build({"ndarray": 0}, [npy(np.array(["a"]))]),
    "integer tensor that wants a gradient": build(
        {"tensor": 0, "requires_grad": True}, [npy(np.arange(3))]
    ),
    "compressed": build({"ndarray": 0}, [npy(np.zeros(10**6))], zipfile.ZIP_DEFLATED),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(name):
    stream = BROKEN[name]
    stream.seek(0)
    with pytest.raises(ValueError, match="load"):
        fc.load(stream)


def test_every_truncation_and_many_flips_are_noticed():
    stream = io.BytesIO()
    fc.save({"a": fc.arange(5), "b": [1.5, "x"]}, stream)
    whole = stream.getvalue()
    for n in range(0, len(whole) - 1, 7):
        with pytest.raises(ValueError):
            fc.load(io.BytesIO(whole[:n]))
    for place in range(0, len(whole), 5):
        flipped = bytearray(whole)
        flipped[place] ^= 0x55
        with contextlib.suppress(ValueError):
            fc.load(io.BytesIO(bytes(flipped)))


def test_other_arguments(tmp_path):
    with pytest.raises(FileNotFoundError):
        fc.load(tmp_path / "none")
    with pytest.raises(ValueError, match="map_location"):
        fc.load(tmp_path / "none", map_location="cuda")
    with pytest.raises(TypeError, match="path or a binary file"):
        fc.load(3)


def test_a_stream_that_cannot_seek():
    stream = io.BytesIO()
    fc.save([fc.ones(2)], stream)
    content = stream.getvalue()

    class Pipe(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, n: int = -1) -> bytes:
            return content

    assert fc.load(Pipe())[0].tolist() == [1, 1]

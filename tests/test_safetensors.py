"""safetensors and NumPy's zips: what is written, read, converted and refused."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.serialization.safetensors import Tensors


def saved(obj: Any) -> bytes:
    stream = io.BytesIO()
    fc.save(obj, stream, format="safetensors")
    return stream.getvalue()


def loaded(data: bytes) -> Any:
    return fc.load(io.BytesIO(data))


def state() -> dict[str, Any]:
    names = ("float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool")
    found = {name: fc.tensor([[1, 0, 1]]).to(getattr(fc, name)) for name in names}
    grid = fc.arange(24.0).reshape(2, 3, 4)
    return {
        **found,
        "scalar": fc.tensor(1.5), "empty": fc.zeros(0, 3), "π": grid, "transposed": grid.T,
        "steps": grid[:, ::2], "backwards": np.arange(3.0)[::-1],
        "wide": fc.ones(3, 1).expand(3, 5),
        "channels": fc.randn(2, 3, 4, 5).to(memory_format=fc.channels_last),
        "big": np.arange(3, dtype=">i4"), "number": np.float32(2.5),
        "parameter": nn.Parameter(fc.ones(2)),
    }  # fmt: skip


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_the_package_reads_what_we_write(library: str, tmp_path: Path) -> None:
    """Arrays without order in memory too, which its own NumPy writer gets wrong."""
    theirs = pytest.importorskip(f"safetensors.{library}")
    obj = state()
    fc.save(obj, tmp_path / "x.safetensors")
    back = theirs.load_file(tmp_path / "x.safetensors")
    assert set(back) == set(obj)
    for name, value in obj.items():
        want = np.asarray(value.detach() if isinstance(value, fc.Tensor) else value)
        np.testing.assert_array_equal(np.asarray(back[name]), want)
        assert np.asarray(back[name]).dtype == want.dtype.newbyteorder("=")


def test_what_the_package_writes_is_read() -> None:
    theirs = pytest.importorskip("safetensors.numpy")
    names = ("float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool")
    obj = {name: np.array([[1, 0, 1]], name) for name in names}
    obj["unsigned"] = np.array([1, 2], np.uint32)
    with pytest.warns(UserWarning, match="1 of uint32 are NumPy arrays"):
        back = loaded(theirs.save(obj, metadata={"epoch": "3", "π": "x"}))
    assert back.metadata == {"epoch": "3", "π": "x"}
    assert type(back["unsigned"]) is np.ndarray and type(back["int8"]) is fc.Tensor
    for name, value in obj.items():
        np.testing.assert_array_equal(np.asarray(back[name]), value)
        assert np.asarray(back[name]).dtype == value.dtype
    back["float32"].array[0, 0] = 7


@pytest.mark.torch
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_short_floats_become_float32(name: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("safetensors.torch")
    tensor = torch.randn(3, 5).to(getattr(torch, name))
    with pytest.warns(UserWarning, match=f"of the tensors in .*, 1 of {name} became float32"):
        back = loaded(theirs.save({"x": tensor}))["x"]
    assert back.dtype is fc.float32
    np.testing.assert_array_equal(back.numpy(), tensor.float().numpy())


def test_order_metadata_and_bytes_stay(tmp_path: Path) -> None:
    obj = Tensors({"b": fc.ones(2), "a": fc.zeros(3).long()}, {"epoch": "3"})
    first = saved(obj)
    back = loaded(first)
    assert list(back) == ["b", "a"] and back.metadata == {"format": "pt", "epoch": "3"}
    assert saved(back) == first
    path = tmp_path / "x"
    fc.save(obj, path, format="safetensors")
    assert path.read_bytes() == first


def test_tied_tensors_stand_under_both_names_and_share_again() -> None:
    weight = fc.arange(6.0).reshape(2, 3)
    data = saved({"in": weight, "out": weight.detach(), "other": weight.T, "same": fc.ones(2, 3)})
    back = loaded(data)
    back["in"].array[0, 0] = 9
    assert back["out"][0, 0].item() == 9 and back["other"][0, 0].item() == 0
    theirs = pytest.importorskip("safetensors.numpy")
    np.testing.assert_array_equal(theirs.load(data)["out"], weight.numpy())
    changed = bytearray(data)
    changed[-4:] = np.float32(5).tobytes()  # of one of the two: they are not the same any more
    both = loaded(bytes(changed))
    assert not any(
        np.shares_memory(both[a].array, both[b].array)
        for a, b in (("in", "other"), ("in", "same"), ("other", "same"))
    )


@pytest.mark.parametrize("begins", [b"\x80", b"\x80\x02", b"\x80\x04", b"PK"])
def test_a_length_that_looks_like_another_format(begins: bytes) -> None:
    head = json.dumps({"a": entry()}).encode()
    length = int.from_bytes(begins, "little")
    data = built(head + b" " * (length - len(head)))
    assert data.startswith(begins)
    assert loaded(data)["a"].tolist() == [0, 0]


def test_a_stream_that_can_only_read_and_seek() -> None:
    stream = io.BytesIO(saved({"a": fc.ones(3)}))

    class Least:
        read, seek, tell, seekable = stream.read, stream.seek, stream.tell, stream.seekable

    assert fc.load(Least())["a"].tolist() == [1, 1, 1]  # type: ignore[arg-type]


def test_a_model_through_a_file(tmp_path: Path) -> None:
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    fc.save(model.state_dict(), tmp_path / "m.safetensors")
    assert (tmp_path / "m.safetensors").read_bytes()[8:9] == b"{"
    other.load_state_dict(fc.load(tmp_path / "m.safetensors"))
    np.testing.assert_array_equal(other.weight.detach().numpy(), model.weight.detach().numpy())


def test_what_it_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_text("old")
    for obj, text in (
        ({"a": {"b": fc.ones(1)}}, r"obj\['a'\] is a dict"),
        ({1: fc.ones(1)}, "names tensors by strings, got 1"),
        ({"__metadata__": fc.ones(1)}, "__metadata__"),
        ([fc.ones(1)], "a dict from names to tensors, got a list"),
        ({"a": np.array(["x"])}, "dtype"),
        ({"a": 1.5}, "is a float"),
        (nn.Linear(1, 1), "state_dict"),
    ):
        with pytest.raises(TypeError, match=f"(?s)save: .*{text}"):
            fc.save(obj, path)
    assert path.read_text() == "old"


# ---------------------------------------------------------------- damaged ones


def built(head: Any, data: bytes = bytes(8), length: int | None = None) -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


BROKEN = {
    "no json": built(b"{]"),
    "no text": built(b"{\xff\xfe"),
    "deep": built(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a name twice": built(b'{"a":%s,"a":%s}' % ((json.dumps(entry()).encode(),) * 2)),
    "a key twice": built(b'{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}'),
    "a long header": built({"a": entry()}, length=1000),
    "a huge header": built({"a": entry()}, length=2**63),
    "no header": b"\0" * 8 + b"{",
    "more than it says": built({"a": entry()}, bytes(9)),
    "less than it says": built({"a": entry()}, bytes(7)),
    "a gap": built({"a": entry(offsets=(0, 8)), "b": entry(offsets=(12, 20))}, bytes(20)),
    "an overlap": built({"a": entry(offsets=(0, 8)), "b": entry(offsets=(4, 12))}, bytes(12)),
    "twice the same": built({"a": entry(), "b": entry()}),
    "a beginning": built({"a": entry(offsets=(4, 12))}, bytes(12)),
    "backwards": built({"a": entry(shape=(0,), offsets=(8, 0))}),
    "negative": built({"a": entry(offsets=(-8, 0))}),
    "floats": built({"a": entry(offsets=(0.0, 8.0))}),
    "booleans": built({"a": entry(shape=(True, 2))}),
    "wrong size": built({"a": entry(shape=(3,))}),
    "huge shape": built({"a": entry(shape=(2**62, 0), offsets=(0, 0))}, b""),
    "overflow": built({"a": entry(shape=(2**32, 2**32), offsets=(0, 0))}, b""),
    "many axes": built({"a": entry(shape=(1,) * 65 + (2,))}),
    "no shape": built({"a": {"dtype": "F32", "data_offsets": [0, 8]}}),
    "more keys": built({"a": {**entry(), "x": 1}}),
    "unknown type": built({"a": entry("F4")}),
    "no type": built({"a": entry(None)}),
    "metadata of numbers": built({"a": entry(), "__metadata__": {"a": 1}}),
    "metadata of a list": built({"a": entry(), "__metadata__": []}),
    "wrong sharing": built({"a": entry(), "__metadata__": {"fastconv.shared": "["}}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(name: str) -> None:
    with pytest.raises(ValueError, match="load: the file "):
        loaded(BROKEN[name])


def test_nothing_is_taken_for_claims() -> None:
    for data in (BROKEN["a huge header"], BROKEN["overflow"],
                 built({"a": entry(shape=(2**40,), offsets=(0, 2**42))})):  # fmt: skip
        tracemalloc.start()
        with pytest.raises(ValueError, match="load"):
            loaded(data)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        tracemalloc.stop()


def test_no_tensors_and_bytes_that_are_no_booleans() -> None:
    assert loaded(built(b"{}", b"")) == {}
    back = loaded(built({"a": entry("BOOL", (3,), (0, 3))}, b"\x00\x01\x02"))["a"]
    assert back.numpy().view(np.uint8).tolist() == [0, 1, 1]


# ---------------------------------------------------------------- NumPy's


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_zips_of_numpy(write: Any, tmp_path: Path) -> None:
    arrays = {
        "w": np.arange(6.0).reshape(2, 3), "f": np.ones((2, 3), "f2", "F"),
        "c": np.ones(2, np.complex64), "big": np.arange(3, dtype=">u2"),
        "b": np.array([True, False]), "s": np.array(3), "arr/0": np.zeros((0, 2)),
    }  # fmt: skip
    write(tmp_path / "x.npz", **arrays)
    back = fc.load(tmp_path / "x.npz")
    assert list(back) == list(arrays)
    for name, value in arrays.items():
        np.testing.assert_array_equal(back[name], value)
        assert type(back[name]) is np.ndarray and back[name].dtype == value.dtype.newbyteorder("=")
    layer = nn.Linear(3, 2, bias=False)
    layer.load_state_dict({"weight": back["w"]})
    np.save(tmp_path / "x.npy", arrays["w"])
    np.testing.assert_array_equal(fc.load(tmp_path / "x.npy"), arrays["w"])


def test_arrays_of_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.array([{}], object), allow_pickle=True)
    np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
    for name in ("x.npz", "x.npy"):
        with pytest.raises(ValueError, match=r"load: .*dtype"):
            fc.load(tmp_path / name)


def test_our_own_zip_is_one_of_numpys(tmp_path: Path) -> None:
    fc.save({"a": fc.ones(2)}, tmp_path / "x.npz")
    assert np.load(tmp_path / "x.npz")["arrays/0"].tolist() == [1, 1]


def zipped(members: Any, method: int = zipfile.ZIP_STORED) -> bytearray:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return bytearray(stream.getvalue())


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zips_that_lie() -> None:
    a, b = npy(np.ones(100)), npy(np.zeros(100))
    whole = zipped([("a.npy", a), ("b.npy", b)])
    over = bytearray(whole)
    at = over.rindex(b"PK\x01\x02")
    over[at + 42 : at + 46] = bytes(4)  # b begins where a does
    for data, text in (
        (zipped([("a.npy", a), ("a.npy", b)]), "two members are named 'a.npy'"),
        (zipped([("/a.npy", a)]), "is named '/a.npy'"),
        (zipped([("x/../../a.npy", a)]), "is named"),
        (over, "lies over another|File name in directory"),
        (zipped([("a.npy", a)], zipfile.ZIP_BZIP2), "only deflate"),
        (zipped([("a.npy", npy(np.zeros(50_000_000)))], zipfile.ZIP_DEFLATED), "would grow to"),
        (zipped([]), "not written by"),
        (zipped([("hello.txt", b"")]), "not written by"),
    ):
        tracemalloc.start()
        with pytest.raises(ValueError, match=f"load: .*({text})"):
            loaded(bytes(data))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()

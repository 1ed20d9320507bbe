"""PyTorch's files: read without PyTorch and without running anything, written for it to read."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import models, nn
from fastconv.nn.modules.utils import consume_prefix_in_state_dict_if_present

DATA = Path(os.environ.get("FASTCONV_DATA", Path(__file__).parents[2] / "shared" / "data"))
FORMATS = {
    "zip": {},
    "legacy": {"_use_new_zipfile_serialization": False},
    "zip, protocol 4": {"pickle_protocol": 4},
    "zip, protocol 5": {"pickle_protocol": 5},
    "legacy, protocol 4": {"_use_new_zipfile_serialization": False, "pickle_protocol": 4},
}


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


def written(torch: Any, obj: Any, how: str = "zip") -> io.BytesIO:
    """What torch.save writes."""
    stream = io.BytesIO()
    torch.save(obj, stream, **FORMATS[how])
    stream.seek(0)
    return stream


def saved(obj: Any) -> io.BytesIO:
    """What we write for PyTorch."""
    stream = io.BytesIO()
    fc.save(obj, stream, format="torch")
    stream.seek(0)
    return stream


def same(ours: Any, theirs: Any) -> None:
    """Compare what was read with what was written, type by type."""
    if hasattr(theirs, "detach"):
        np.testing.assert_array_equal(np.asarray(ours.detach()), theirs.detach().numpy())
        assert ours.requires_grad == theirs.requires_grad
        assert isinstance(ours, nn.Parameter) == (type(theirs).__name__ == "Parameter")
        assert ours.stride() == theirs.stride() or 0 in theirs.shape
        assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    elif isinstance(theirs, dict):
        assert type(ours) is type(theirs) and list(ours) == list(theirs)
        for key in theirs:
            same(ours[key], theirs[key])
    elif isinstance(theirs, (list, tuple)):
        assert isinstance(ours, list) == isinstance(theirs, list) and len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    else:
        assert type(ours) is type(theirs) and ours == theirs


@pytest.mark.torch
@pytest.mark.parametrize("how", FORMATS)
def test_what_pytorch_writes_is_read(torch: Any, how: str) -> None:
    grid = torch.arange(24.0).reshape(2, 3, 4)
    obj = {
        "dtypes": [
            torch.tensor([[1, 0], [1, 1]]).to(getattr(torch, name))
            for name in ("float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool")
        ],
        "views": (grid, grid.permute(2, 0, 1), grid[:, 1:, ::2], grid[0, 0, 0], grid[:0]),
        "wide": torch.ones(3, 1).expand(3, 5),
        "channels": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "frozen": torch.nn.Parameter(torch.ones(2), requires_grad=False),
        "leaf": torch.ones(2, requires_grad=True),
        "plain": [None, True, False, 1, -(2**40), 2**70, 0.1, float("inf"), "π", b"\x00\xff", 2j],
        "ordered": OrderedDict([("b", 1), (3, (1, 2.5))]),
        "set": {1, 2},
        "frozenset": frozenset([3]),
        "empty": [[], {}, (), set(), bytearray(b"ab")],
    }
    same(fc.load(written(torch, obj, how)), obj)


@pytest.mark.torch
@pytest.mark.parametrize("how", FORMATS)
def test_values_of_pytorch_become_ours(torch: Any, how: str) -> None:
    obj = [
        torch.Size([2, 3]),
        torch.device("cuda", 1),
        torch.float64,
        torch.bfloat16,
        torch.strided,
    ]
    size, device, double, short, strided = fc.load(written(torch, obj, how))
    assert type(size) is fc.Size and size == (2, 3) and device == fc.device("cpu")
    assert double is fc.float64 and short is fc.bfloat16 and strided is fc.strided


@pytest.mark.torch
@pytest.mark.parametrize("how", FORMATS)
def test_numpy_numbers_are_read(torch: Any, how: str) -> None:
    """As checkpoints hold them beside the weights: a best accuracy, an array of class weights."""
    obj = {
        "scalar": np.float64(0.5), "int": np.int32(-3), "bool": np.bool_(True),
        "array": np.arange(6, dtype=np.int16).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
    }  # fmt: skip
    obj["again"] = obj["array"]
    back = fc.load(written(torch, obj, how))
    assert back["again"] is back["array"]
    for key, value in obj.items():
        assert type(back[key]) is type(value), key
        np.testing.assert_array_equal(back[key], value)
        assert back[key].dtype == value.dtype.newbyteorder("=")
    back["array"][0, 0] = 7  # memory of its own


CONVERTED = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz",
             "float8_e5m2fnuz")  # fmt: skip


@pytest.mark.torch
@pytest.mark.parametrize("how", ["zip", "legacy"])
@pytest.mark.parametrize("name", CONVERTED)
def test_short_floats_become_float32_and_it_is_said(torch: Any, name: str, how: str) -> None:
    """Every bit pattern."""
    kind = getattr(torch, name)
    codes = np.arange(256 if "8_" in name else 65536)
    codes = codes.astype(np.uint8 if "8_" in name else np.uint16)
    tensor = torch.from_numpy(codes.view(np.int16) if codes.itemsize == 2 else codes).view(kind)
    with pytest.warns(
        UserWarning, match=rf"load: of the tensors in .*, 2 of {name} became"
    ) as said:
        a, b = fc.load(written(torch, [tensor, tensor[3:]], how))
    assert len(said) == 1
    assert a.dtype is fc.float32
    np.testing.assert_array_equal(a.numpy(), tensor.float().numpy())
    assert np.shares_memory(a.numpy(), b.numpy())


@pytest.mark.torch
def test_types_that_no_tensor_has_are_arrays(torch: Any) -> None:
    names = ("complex64", "complex128", "uint16", "uint32", "uint64")
    obj = {name: torch.tensor([1, 2]).to(getattr(torch, name)) for name in names}
    obj["half"] = torch.tensor([1 + 2j], dtype=torch.complex32)
    with pytest.warns(UserWarning, match="are NumPy arrays"):
        back = fc.load(written(torch, obj))
    for name in names:
        assert type(back[name]) is np.ndarray and back[name].dtype.name == name
        np.testing.assert_array_equal(back[name], obj[name].numpy())
    assert back["half"].dtype == np.complex64 and back["half"][0] == 1 + 2j


@pytest.mark.torch
@pytest.mark.parametrize("how", FORMATS)
def test_shared_memory_is_shared(torch: Any, how: str) -> None:
    weight = torch.nn.Parameter(torch.zeros(4, 3))
    base = torch.arange(10.0)
    obj = {"a": weight, "b": weight, "row": weight.data[1], "x": base[2:6], "y": base[4:]}
    back = fc.load(written(torch, obj, how))
    assert back["a"] is back["b"]
    with fc.no_grad():
        back["a"][1] += 5
    assert back["row"].tolist() == [5, 5, 5]
    back["x"][3] = 77
    assert back["y"][1].item() == 77
    assert back["x"]._version_box[1] is back["y"]._version_box[1]  # packed weights are dropped


@pytest.mark.torch
@pytest.mark.parametrize("how", ["zip", "legacy"])
def test_a_state_dict_goes_both_ways(torch: Any, how: str) -> None:
    theirs = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    ours = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    state = fc.load(written(torch, theirs.state_dict(), how))
    assert type(state) is OrderedDict and state._metadata["1"] == {"version": 2}
    ours.load_state_dict(state)
    theirs.eval(), ours.eval()
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    y = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours(fc.from_numpy(x)).detach().numpy(), y, rtol=1e-4, atol=1e-5)
    back = torch.load(saved(ours.state_dict()), weights_only=True)
    theirs.load_state_dict(back)
    again = torch.load(saved(state), weights_only=True)
    assert again._metadata == theirs.state_dict()._metadata


@pytest.mark.torch
def test_an_optimizer_goes_both_ways(torch: Any) -> None:
    theirs, ours = torch.nn.Linear(3, 2), nn.Linear(3, 2)
    adam = torch.optim.Adam(theirs.parameters(), lr=0.1)
    theirs(torch.ones(1, 3)).sum().backward()
    adam.step()
    mine = fc.optim.Adam(ours.parameters(), lr=0.5)
    mine.load_state_dict(fc.load(written(torch, adam.state_dict())))
    assert mine.param_groups[0]["lr"] == 0.1
    adam.load_state_dict(torch.load(saved(mine.state_dict()), weights_only=True))
    assert adam.param_groups[0]["lr"] == 0.1


@pytest.mark.torch
def test_what_we_write_pytorch_reads(torch: Any) -> None:
    grid, base = fc.arange(24.0).reshape(2, 3, 4), fc.arange(10.0)
    weight = nn.Parameter(fc.ones(3))
    obj = {
        "dtypes": [fc.tensor([1, 0, 1]).to(getattr(fc, name)) for name in
                   ("float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64",
                    "bool")],
        "views": (grid, grid.permute(2, 0, 1), grid[:, 1:, ::2], grid[0, 0, 0], grid[:0]),
        "channels": fc.randn(2, 3, 4, 5).to(memory_format=fc.channels_last),
        "wide": fc.ones(3, 1).expand(3, 5),
        "parameters": [weight, weight, nn.Parameter(fc.ones(2), requires_grad=False)],
        "leaf": fc.ones(2, requires_grad=True),
        "base": [base[2:6], base[::3]],
        "plain": [None, True, False, 1, 255, 256, -1, -(2**40), 2**70, 0.1, "π", b"\x00\xff", 2j],
        "nested": OrderedDict([("b", {"c": [((),)]}), (3, (1, 2.5))]),
        "set": {1, 2},
    }  # fmt: skip
    stream = saved(obj)
    back = torch.load(stream, weights_only=True)
    same(fc.load(saved({k: v for k, v in obj.items() if k != "dtypes"})),
         {k: v for k, v in back.items() if k != "dtypes"})  # fmt: skip
    for a, b in zip(obj["dtypes"], back["dtypes"], strict=True):
        assert str(b.dtype) == f"torch.{a.dtype.name}"
        np.testing.assert_array_equal(b.numpy(), a.numpy())
    assert back["channels"].is_contiguous(memory_format=torch.channels_last)
    assert back["parameters"][0] is back["parameters"][1]
    back["base"][0][1] = 9
    assert back["base"][1][1] == 9


@pytest.mark.torch
def test_more_that_we_write(torch: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    array = np.arange(12.0).reshape(3, 4)
    obj = [fc.Size([1, 2]), fc.float32, fc.bfloat16, fc.device("cpu"), array[::-1], np.float32(1.5),
           np.arange(3, dtype=">i2"), np.ones(2, np.complex64), np.True_]  # fmt: skip
    fc.save(obj, path, format="torch")
    assert os.listdir(tmp_path) == ["x.pt"]
    for mmap in (False, True):  # records are aligned, so that they can be mapped
        back = torch.load(path, weights_only=True, mmap=mmap)
        assert type(back[0]) is torch.Size and back[1:4] == [
            torch.float32, torch.bfloat16, torch.device("cpu")
        ]  # fmt: skip
        np.testing.assert_array_equal(back[4].numpy(), array[::-1])
        assert back[5] == 1.5 and back[6].tolist() == [0, 1, 2] and back[8] is True
        assert back[7].dtype == torch.complex64
    first = path.read_bytes()
    fc.save(obj, path, format="torch")
    assert path.read_bytes() == first


def test_a_slice_alone_is_written_without_the_rest() -> None:
    whole = fc.arange(100_000.0)
    assert len(saved({"x": whole[:10]}).getvalue()) < 2000


def test_without_pytorch_what_was_written_is_read() -> None:
    base = fc.arange(10.0)
    obj = {"x": base[2:6], "y": base[4:], "p": nn.Parameter(fc.ones(2)), "n": [1, (2.5, None)]}
    back = fc.load(saved(obj))
    assert back["n"] == obj["n"] and isinstance(back["p"], nn.Parameter)
    back["x"][3] = 77
    assert back["y"][1].item() == 77


def test_what_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_text("old")
    with pytest.raises(TypeError, match=r"obj\['a'\]\[1\] of type function"):
        fc.save({"a": [1, test_what_cannot_be_written]}, path, format="torch")
    with pytest.raises(TypeError, match="state_dict"):
        fc.save(nn.Linear(1, 1), path, format="torch")
    with pytest.raises(TypeError, match="uint16"):
        fc.save(np.ones(2, np.uint16), path, format="torch")
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="deep"):
        fc.save(loop, path, format="torch")
    with pytest.raises(ValueError, match="format must be one of npz, safetensors, torch"):
        fc.save({}, path, format="hdf5")
    assert path.read_text() == "old"


def test_the_default_format_does_not_depend_on_the_name(tmp_path: Path) -> None:
    for name in ("model.pt", "model.pth", "model.npz", "model"):
        fc.save({"a": 1}, tmp_path / name)
        assert "skeleton.json" in zipfile.ZipFile(tmp_path / name).namelist()


@pytest.mark.torch
@pytest.mark.parametrize("how", ["zip", "legacy"])
def test_whole_models_are_refused_with_a_way_out(torch: Any, how: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, of the source of the class
        stream = written(torch, torch.nn.Linear(2, 2), how)
    with pytest.raises(ValueError, match=r"load: .*whole model.*state_dict"):
        fc.load(stream)


@pytest.mark.torch
def test_other_things_of_pytorch_are_refused_by_name(torch: Any, tmp_path: Path) -> None:
    script = tmp_path / "script.pt"
    torch.jit.script(torch.nn.ReLU()).save(str(script))
    with pytest.raises(ValueError, match="TorchScript"):
        fc.load(script)
    for obj, text in (
        (torch.eye(2).to_sparse(), "_rebuild_sparse_tensor"),
        (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "qint8|_rebuild_qtensor"),
        (torch.ones(2, device="meta"), "_rebuild_meta_tensor"),
        (torch.ones(2).untyped_storage(), "storage"),
        (Path("x"), r"pathlib"),
        (torch.ones(2, dtype=torch.complex64).conj(), "only marked as changed .*conj"),
    ):
        with pytest.raises(ValueError, match=f"load: .*({text})"):
            fc.load(written(torch, obj))


@pytest.mark.torch
def test_files_without_checksums_and_of_other_byte_order(torch: Any) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        assert fc.load(written(torch, torch.arange(3))).tolist() == [0, 1, 2]
    finally:
        torch.serialization.set_crc32_options(True)
    old = zipfile.ZipFile(written(torch, torch.arange(3)))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:  # compressed too
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("byteorder"):
                data = b"big"
            elif name.endswith("data/0"):
                data = np.arange(3, dtype=">i8").tobytes()
            new.writestr(name, data)
    stream.seek(0)
    assert fc.load(stream).tolist() == [0, 1, 2]


@pytest.mark.torch
def test_tensors_with_attributes(torch: Any) -> None:
    tensor = torch.ones(2)
    tensor.note = "mine"
    back = fc.load(written(torch, tensor))
    assert back.tolist() == [1, 1] and not hasattr(back, "note")


def test_a_tar_is_refused_by_name() -> None:
    import tarfile

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("sys_info"))
    stream.seek(0)
    with pytest.raises(ValueError, match="is a tar, as PyTorch wrote"):
        fc.load(stream)


# ---------------------------------------------------------------- crafted pickles


class Evil:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def checkpoint(pickle_bytes: bytes, **records: bytes) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle_bytes)
        for key, data in records.items():
            archive.writestr(f"archive/data/{key.strip('_')}", data)
    stream.seek(0)
    return stream


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize(
    "function", [os.system, eval, exec, open, getattr, __import__, io.open_code, pickle.loads]
)
def test_functions_are_refused_by_name(function: Any, protocol: int) -> None:
    data = pickle.dumps({"a": Evil(function, "raise SystemExit")}, protocol)
    with pytest.raises(ValueError, match=rf"load: .*{function.__name__}.* at byte \d+"):
        fc.load(checkpoint(data))


FLOATS = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ"


def tensor(offset: bytes, size: bytes, stride: bytes) -> bytes:
    """The pickle of a tensor over storage 0, of four floats."""
    return (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + FLOATS + offset + size + stride
            + b"\x89ccollections\nOrderedDict\n)RtR.")  # fmt: skip


FOUR = np.arange(4, dtype=np.float32).tobytes()


def test_the_crafted_tensor_is_right_where_it_may_be() -> None:
    back = fc.load(checkpoint(tensor(b"K\x01", b"K\x02\x85", b"K\x02\x85"), _0=FOUR))
    assert back.tolist() == [1, 3]


OUTSIDE = {
    "offset": (b"K\x04", b"K\x01\x85", b"K\x01\x85"),
    "size": (b"K\x00", b"K\x05\x85", b"K\x01\x85"),
    "stride": (b"K\x00", b"K\x03\x85", b"K\x02\x85"),
    "negative stride": (b"K\x03", b"K\x02\x85", b"J\xff\xff\xff\xff\x85"),
    "negative offset": (b"J\xff\xff\xff\xff", b"K\x02\x85", b"K\x01\x85"),
    "negative size": (b"K\x00", b"J\xff\xff\xff\xff\x85", b"K\x01\x85"),
    "huge": (b"K\x00", b"\x8a\x08" + b"\xff" * 7 + b"\x7f\x85", b"K\x01\x85"),
    "overflow": (b"K\x00", b"\x8a\x08" + b"\xff" * 7 + b"\x3fK\x04\x86", b"\x8a\x08" + b"\xff" * 7
                 + b"\x3fK\x04\x86"),
    "ranks": (b"K\x00", b"K\x02\x85", b"K\x01K\x01\x86"),
    "floats": (b"K\x00", b"G" + b"\0" * 8 + b"\x85", b"K\x01\x85"),
    "booleans": (b"K\x00", b"\x88\x85", b"K\x01\x85"),
    "text": (b"K\x00", b"X\x01\0\0\0a", b"K\x01\x85"),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_tensors_do_not_reach_out_of_their_storage(name: str) -> None:
    with pytest.raises(ValueError, match="load: the file is damaged"):
        fc.load(checkpoint(tensor(*OUTSIDE[name]), _0=FOUR))


CRAFTED = {
    "a storage larger than its record": (tensor(b"K\x00", b"K\x04\x85", b"K\x01\x85"), FOUR[:-4]),
    "a storage smaller than its record": (tensor(b"K\x00", b"K\x04\x85", b"K\x01\x85"), FOUR * 2),
    "a storage of 2**60 bytes": (
        b"\x80\x02" + FLOATS.replace(b"K\x04", b"\x8a\x08" + b"\0" * 7 + b"\x10") + b".", FOUR),
    "a storage by itself": (b"\x80\x02" + FLOATS + b".", FOUR),
    "a class by itself": (b"\x80\x02ctorch\nSize\n.", b""),
    "an unknown persistent id": (b"\x80\x02K\x01Q.", b""),
    "another module's source": (b"\x80\x02X\x06\0\0\0moduleK\x01K\x01\x87Q.", b""),
    "a record of another folder": (
        b"\x80\x02" + FLOATS.replace(b"X\x01\0\0\x000", b"X\x04\0\0\0../0") + b".", FOUR),
    "a string of 4 GB": (b"\x80\x02X\xff\xff\xff\xffabc.", b""),
    "bytes of 2**63": (b"\x80\x04\x8e" + b"\xff" * 8 + b".", b""),
    "a bytearray of 2**62": (b"\x80\x05\x96" + b"\0" * 7 + b"\x40.", b""),
    "a frame of 2**63": (b"\x80\x04\x95" + b"\xff" * 8 + b"N.", b""),
    "an integer of 2 GB": (b"\x80\x02\x8b\xff\xff\xff\x7f.", b""),
    "an integer of 100 KB": (b"\x80\x02\x8b\xa0\x86\x01\0" + b"\xff" * 100_000 + b".", b""),
    "no stop": (b"\x80\x02N", b""),
    "nothing": (b"", b""),
    "an empty stack": (b"\x80\x02.", b""),
    "two objects": (b"\x80\x02NN.", b""),
    "a mark that stays": (b"\x80\x02(N.", b""),
    "a mark that is missing": (b"\x80\x02Nt.", b""),
    "a tuple through a mark": (b"\x80\x02N(\x85.", b""),
    "an unknown memo": (b"\x80\x02h\x07.", b""),
    "a key of a list": (b"\x80\x02}]Ns.", b""),
    "a key without a value": (b"\x80\x02}(Nu.", b""),
    "items of a number": (b"\x80\x02K\x01(NNu.", b""),
    "appended to a dict": (b"\x80\x02}Na.", b""),
    "added to a list": (b"\x80\x04](N\x90.", b""),
    "a number called": (b"\x80\x02K\x01)R.", b""),
    "a tensor's class called": (b"\x80\x02ctorch\nTensor\n)R.", b""),
    "a name without end": (b"\x80\x02cos", b""),
    "a state for a list": (b"\x80\x02]}b.", b""),
    "an unknown protocol": (b"\x80\x09N.", b""),
    "a size of texts": (b"\x80\x02ctorch\nSize\nX\x01\0\0\0a\x85\x85R.", b""),
    "too many arguments": (b"\x80\x02ctorch\nSize\n)))\x87R.", b""),
    "bytes in another encoding": (
        b"\x80\x02c_codecs\nencode\nX\x01\0\0\0aX\x04\0\0\0utf7\x86R.", b""),
    "an array of objects": (b"\x80\x02cnumpy\ndtype\nX\x02\0\0\0O8\x89\x88\x87R.", b""),
    "an array without its state": (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R.",
        b""),
    "a number of too few bytes": (
        b"\x80\x03cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x02\0\0\0f8\x89\x88\x87RC\x01a"
        b"\x86R.", b""),
}  # fmt: skip


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_pickles_are_refused(name: str) -> None:
    data, record = CRAFTED[name]
    with pytest.raises(ValueError, match="load: "):
        fc.load(checkpoint(data, _0=record))


@pytest.mark.parametrize("code", range(256))
def test_every_opcode_by_itself(code: int) -> None:
    """Refused, damaged, or a value: nothing else."""
    for rest in (b".", b"\0\0\0\0\0\0\0\0.", b"N\n.", b"a\nb\n."):
        try:
            fc.load(checkpoint(b"\x80\x02N(" + bytes([code]) + rest))
        except ValueError as error:
            assert str(error).startswith("load: the file ")


def test_deep_nesting_is_no_recursion() -> None:
    depth = 100_000
    back = fc.load(checkpoint(b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."))
    for _ in range(depth - 1):
        back = back[0]
    assert back == []
    with pytest.raises(ValueError, match="key"):  # hashing a deep tuple would end the process
        fc.load(checkpoint(b"\x80\x02})" + b"\x85" * depth + b"Ns."))


def test_tuples_of_tuples_are_not_hashed_for_ever() -> None:
    doubled = b"\x80\x02}N" + b"q\x00h\x00\x86" * 60 + b"Ns."  # 2**60 leaves
    with pytest.raises(ValueError, match="key"):
        fc.load(checkpoint(doubled))


def test_one_list_is_not_copied_again_and_again() -> None:
    """Each copy takes six bytes of the pickle and would take 80 KB."""
    items = b"(" + b"K\x01" * 10_000 + b"t"
    data = b"\x80\x02]" + items + b"q\x000(" + b"c__builtin__\nlist\nh\x00\x85R" * 2000 + b"e."
    with pytest.raises(ValueError, match="again and again"):
        fc.load(checkpoint(data))


def test_python_2_checkpoints() -> None:
    """Their strings are bytes; `__builtin__` is `builtins`."""
    data = b"\x80\x02}(U\x01aK\x01U\x02\xff\xfeNU\x01sc__builtin__\nset\n](K\x01e\x85Ru."
    assert fc.load(checkpoint(data)) == {"a": 1, b"\xff\xfe": None, "s": {1}}


def test_attributes_of_an_ordered_dict_are_not_set() -> None:
    data = b"\x80\x02ccollections\nOrderedDict\n)R}(X\x05\0\0\0itemsNX\x09\0\0\0_metadataNub."
    assert list(fc.load(checkpoint(data)).items()) == []


# ---------------------------------------------------------------- real networks


def images() -> tuple[np.ndarray, np.ndarray]:
    file = DATA / "cifar10" / "test_0000-0999.bin.gz"
    if not file.exists():
        pytest.skip(f"needs {file.name} of the shared data")
    records = np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8).reshape(-1, 3073)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255
    mean = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
    deviation = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)
    return (pixels - mean) / deviation, records[:, 0].astype(np.int64)


@pytest.mark.parametrize(
    "name, depth, accuracy",
    [("cifar10_resnet20-12fca82f.th", 20, 91.5), ("cifar10_resnet32-d509ac18.th", 32, 92.8)],
)
def test_trained_networks_of_others(name: str, depth: int, accuracy: float) -> None:
    path = DATA / "models" / name
    if not path.exists():
        pytest.skip(f"needs {name} of the shared data")
    x, labels = images()
    model = models.get(f"resnet{depth}").eval()
    found = fc.load(path)
    state = found["state_dict"]
    with pytest.raises(RuntimeError, match=r"use state_dict\['state_dict'\]"):
        model.load_state_dict(found)
    with pytest.raises(RuntimeError, match=r"All keys begin with 'module\.': .*consume_prefix"):
        model.load_state_dict(state)
    consume_prefix_in_state_dict_if_present(state, "module.")
    assert str(model.load_state_dict(state)) == "<All keys matched successfully>"
    right = 0
    with fc.no_grad():
        for i in range(0, len(x), 250):
            answers = model(fc.from_numpy(x[i : i + 250])).argmax(1).numpy()
            right += int((answers == labels[i : i + 250]).sum())
    assert abs(100 * right / len(x) - accuracy) <= 0.3, right

"""Files: replaced in one step, links and permissions stay, damage is a plain error."""

from __future__ import annotations

import io
import itertools
import json
import os
import random
import stat
import time
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import backends, files
from fastconv.files import atomic_path, write_text
from fastconv.planner import tuning
from fastconv.serialization import SKELETON


def write_model(path: Path) -> None:
    fc.save({"w": fc.ones(3)}, path)


def write_page(path: Path) -> None:
    write_text(path, "text")


def write_for_pytorch(path: Path) -> None:
    fc.save({"w": fc.ones(3)}, path, format="torch")


def write_safetensors(path: Path) -> None:
    fc.save({"w": fc.ones(3)}, path, format="safetensors")


WRITERS = (write_model, write_page, write_for_pytorch, write_safetensors)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("kind", ["absolute", "relative", "chain", "dangling"])
def test_links_stay(write: Any, kind: str, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "model.fc", tmp_path / "link.fc"
    if kind != "dangling":
        target.write_text("old")
    link.symlink_to(target if kind == "absolute" else Path("far") / "model.fc")
    if kind == "chain":
        first = tmp_path / "first"
        first.symlink_to(link)
        write(first)
        assert first.is_symlink()
    else:
        write(link)
    assert link.is_symlink() and not target.is_symlink()
    assert target.read_bytes() not in (b"old", b"") and target.read_bytes() == link.read_bytes()
    assert [p.name for p in target.parent.iterdir()] == ["model.fc"]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("bits", [0o600, 0o640, 0o664, 0o755, 0o400])
def test_permissions_stay(write: Any, bits: int, tmp_path: Path) -> None:
    path = tmp_path / "model.fc"
    path.write_text("old")
    path.chmod(bits)
    write(path)
    assert mode(path) == bits and path.read_bytes() != b"old"


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_new_files_have_the_permissions_of_the_umask(write: Any, mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write(tmp_path / "new" / "model.fc")
    finally:
        os.umask(before)
    assert mode(tmp_path / "new" / "model.fc") == 0o666 & ~mask


def test_bytes_are_on_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def fsync(handle: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        sync(handle)

    def renamed(*names: Any) -> None:
        steps.append("name")
        replace(*names)

    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(files.os, "replace", renamed)
    write_model(tmp_path / "model.fc")
    assert steps == ["file", "name", "folder"]


def test_a_failure_leaves_everything(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to("target")
    with pytest.raises(OSError, match="full"), atomic_path(link) as temporary:
        temporary.write_text("half")
        raise OSError("full")
    assert target.read_text() == "old" and link.is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "target"]
    with pytest.raises(IsADirectoryError), atomic_path(tmp_path):
        pass
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(OSError):
        write_page(loop)
    assert loop.is_symlink()


def test_long_names(tmp_path: Path) -> None:
    for name in ("n" * 255, "a." + "b" * 253):
        write_page(tmp_path / name)
        assert (tmp_path / name).read_text() == "text"


def test_devices_and_pipes_are_written_to(tmp_path: Path) -> None:
    write_page(Path(os.devnull))
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_page(pipe)
    assert os.read(reader, 10) == b"text" and stat.S_ISFIFO(os.stat(pipe).st_mode)
    os.close(reader)


# ---------------------------------------------------------------- loading what is damaged


def sample() -> bytes:
    stream = io.BytesIO()
    value = {
        "w": fc.arange(12.0).reshape(3, 4),
        "n": [np.arange(5, dtype=np.int16), np.float32(2), (True, None, 1.5, "x", b"y", 1 + 2j)],
        "d": fc.float64,
        "f": np.asfortranarray(np.ones((2, 3))),
    }
    fc.save(value, stream)
    return stream.getvalue()


def mutated(whole: bytes, rng: random.Random) -> bytes:
    """A damaged copy: bytes changed, cut out, put in or doubled, numbers made extreme."""
    data = bytearray(whole)
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = rng.randrange(len(data) or 1)
        kind = rng.randrange(7)
        if kind == 0 and data:
            data[place] = rng.randrange(256)
        elif kind == 1 and data:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del data[place : place + rng.choice((1, 4, 100))]
        elif kind == 3:
            data[place:place] = rng.randbytes(rng.choice((1, 4)))
        elif kind == 4:
            data[place : place + 4] = rng.choice(
                (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f")
            )
        elif kind == 5:
            data[place:place] = data[place : place + rng.choice((2, 20))]
        else:
            text = rng.choice(
                (b"(", b"[", b"{", b"'", b"9" * 30, b"\\", b"\n", b"\xed\xa0\x80", b"-")
            )
            data[place : place + len(text)] = text
    return bytes(data)


def rebuilt(whole: bytes, rng: random.Random) -> bytes:
    """A whole zip, with right checksums, around a damaged member."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(stream, "w") as new:
        names = old.namelist()
        hit = rng.choice(names)
        for name in names:
            content = old.read(name)
            new.writestr(name, mutated(content, rng) if name == hit else content)
    return stream.getvalue()


@pytest.mark.parametrize("damage", [mutated, rebuilt])
def test_damaged_files_raise_one_kind_of_error(damage: Any) -> None:
    """1 500 files each: loaded, or refused with a ValueError that says `load`; nothing else."""
    whole, rng = sample(), random.Random(11)
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(1500):
            data = damage(whole, rng)
            try:
                fc.load(io.BytesIO(data))
            except ValueError as error:
                assert str(error).startswith("load: "), (number, error)
                refused += 1
    assert refused > 500


def test_damaged_files_on_disk(tmp_path: Path) -> None:
    """Offsets out of the file are the operating system's error there."""
    whole, rng, path = sample(), random.Random(5), tmp_path / "x.fc"
    for _ in range(100):
        path.write_bytes(mutated(whole[:-60], rng) + mutated(whole[-60:], rng))
        try:
            fc.load(path)
        except ValueError as error:
            assert str(error).startswith("load: ")


HEADERS = [
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (3,",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }" + b"(" * 900,
    b"{'descr': '<f4', 'fortran_order': False, 'shape': ('''",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4,), }",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (,), }",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 60 + b",), }",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"1, " * 70 + b"), }",
    b"{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
    b"{'descr': 'f4,f4', 'fortran_order': False, 'shape': (3,), }",
    b"{'descr': '(3,)f4', 'fortran_order': False, 'shape': (1,), }",
    b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }",
    b"{'descr': '<f4', 'fortran_order': 0, 'shape': (3,), }",
    b"\xed\xa0\x80",
    b"'" * 500,
    b"-" * 9000,
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_damaged_array_headers(header: bytes) -> None:
    text = header.ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text + bytes(12)
    with pytest.raises(ValueError, match=r"load: the file is damaged: arrays/0\.npy|load: .*dtype"):
        fc.load(archive({"ndarray": 0}, content))


def archive(skeleton: Any, *arrays: bytes, compression: int = zipfile.ZIP_STORED) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as out:
        head = {"format": "fastconv", "version": 1, "object": skeleton}
        out.writestr(SKELETON, skeleton if isinstance(skeleton, bytes) else json.dumps(head))
        for i, content in enumerate(arrays):
            out.writestr(f"arrays/{i}.npy", content)
    stream.seek(0)
    return stream


def test_headers_of_every_shape_are_read() -> None:
    for shape in ((), (0,), (3,), (3, 0), (2, 3), (1,) * 30):
        for order in "CF":
            array = np.asarray(np.ones(shape), order=order)
            stream = io.BytesIO()
            np.lib.format.write_array(stream, array, version=(2, 0))
            got = fc.load(archive({"ndarray": 0}, stream.getvalue()))
            assert got.shape == shape and got.dtype == np.float64


def test_a_compressed_skeleton_is_refused_at_once() -> None:
    """As a bomb it cost 15 seconds and 4 GB."""
    bomb = archive(b"[" * 100 + b"0," * 20_000_000, compression=zipfile.ZIP_DEFLATED)
    assert len(bomb.getvalue()) < 200_000
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(ValueError, match=r"load: .*skeleton\.json is compressed"):
        fc.load(bomb)
    took, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < 1 and peak < 5_000_000


def test_sizes_beyond_the_file_are_not_allocated() -> None:
    stream = archive({"ndarray": 0}, b"x" * 200)
    data = bytearray(stream.getvalue())
    for size in (2**31, 2**32 - 2):
        field = size.to_bytes(4, "little")
        at = data.rindex(b"PK\x01\x02")
        data[at + 20 : at + 28] = field + field
        with pytest.raises(ValueError, match=r"load: .*more than the file has"):
            fc.load(io.BytesIO(bytes(data)))


# ---------------------------------------------------------------- the file of autotune


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("FASTCONV_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tuning, "SECONDS", 0.0)
    tuning.forget()
    yield tmp_path / "autotune.json"
    tuning.forget()


WIDTHS = itertools.count(41)  # of geometries that nothing has asked for yet


def convolve() -> None:
    width = next(WIDTHS)
    y = fc.nn.functional.conv2d(fc.ones(1, 16, 12, width), fc.ones(16, 16, 3, 3))
    # measurements may choose Winograd, which rounds
    assert y.sum().item() == pytest.approx(16 * 10 * (width - 2) * 16 * 9, rel=1e-6)
    assert any(tuning._known.values()), "nothing was measured"


def put(place: str, cache: Path) -> None:
    if place == "fifo":
        os.mkfifo(cache)
    elif place == "folder":
        cache.mkdir()
    elif place == "unreadable":
        cache.write_text("{}")
        cache.chmod(0)
    elif place == "loop":
        cache.symlink_to(cache.name)
    elif place == "device":
        cache.symlink_to("/dev/zero")
    elif place == "parent":
        cache.parent.chmod(0o500)
    else:
        winners = {"a\\ud800": {"b\\udc00": "c\\ud800"}}
        text = json.dumps({"format": tuning.FORMAT, "winners": winners})
        cache.write_text(text.replace("\\\\", "\\"))


@pytest.mark.skipif(backends.why_not("c") is not None, reason="no C kernels here")
@pytest.mark.parametrize(
    "place", ["fifo", "folder", "unreadable", "loop", "device", "parent", "surrogate"]
)
def test_no_file_of_autotune_disturbs_a_convolution(place: str, cache: Path) -> None:
    """Read and write, with a reader's end of the FIFO too; nothing raises, nothing waits."""
    put(place, cache)
    before = os.lstat(cache).st_mode if os.path.lexists(cache) else None
    start = time.monotonic()
    with warnings.catch_warnings(), fc.autotune():
        warnings.simplefilter("ignore", RuntimeWarning)
        convolve()
        tuning.forget()
        convolve()
    assert time.monotonic() - start < 30
    if place in ("fifo", "folder", "loop"):
        assert os.lstat(cache).st_mode == before
    if place == "surrogate":
        winners = json.loads(cache.read_text())["winners"]
        assert len(winners) == 2 and "a\ud800" in winners
    if place == "parent":
        cache.parent.chmod(0o700)

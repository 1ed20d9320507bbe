"""Damaged and crafted files for `fastconv.load`: each is read or refused, and nothing else happens.

    python -m bench.fuzz_files --count 20000 --seed 1

Every format that is read has its sources here; a file is one of them, damaged (`bench/damage.py`),
or a pickle made of random opcodes. A file passes when `load` returns, or raises its one error,
within bounds of time and memory, and when no audit event says that something was executed, opened
or imported. Files are read in children of this process, so that one that dies or hangs is counted.
File `number` of a seed is always the same; `--only NUMBER` reads one, and tells what it is.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import mmap
import os
import pickletools
import random
import resource
import signal
import sys
import time
import tracemalloc
import warnings
import zipfile
from collections import Counter
from typing import Any

import numpy as np

import fastconv as fc
from bench.damage import KINDS, crafted
from fastconv.serialization.pickler import Call, Name, Persistent, Pickler
from fastconv.serialization.torch_legacy import MAGIC, PROTOCOL

#: Seconds of the processor for a file, and for each byte (100 000 opcodes in one), while memory is
#: traced; bytes for each of a file's, and besides.
SECONDS, EACH = 2.0, 2e-5
TIMES, FREE = 300, 24 << 20
#: Files that a child reads.
BLOCK = 500
FORBIDDEN = ("exec", "compile", "open", "import", "os.", "subprocess.", "socket.", "shutil.",
             "ctypes.", "pickle.", "marshal.", "pty.", "tempfile.", "urllib.", "code.")  # fmt: skip
_events: list[str] | None = None


def value() -> dict[str, Any]:
    """What the sources hold."""
    base = fc.arange(12.0)
    return {
        "w": fc.nn.Parameter(base.reshape(3, 4)),
        "t": base[2:9:2],
        "i": fc.tensor([[1, 2]]),
        "b": fc.tensor([True, False]),
        "more": [1, -5, 2**70, 0.5, None, True, "text", b"bytes", 2j, (1, {"a": []})],
        "size": fc.Size([1, 2]),
    }


def saved(obj: Any, format: str | None = None) -> bytes:
    """What `save` writes."""
    stream = io.BytesIO()
    fc.save(obj, stream, format=format)
    return stream.getvalue()


def deflated(whole: bytes) -> bytes:
    """The same zip, compressed."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(whole)) as old,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name), old.read(name), zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def legacy() -> bytes:
    """A checkpoint as PyTorch wrote before 1.6."""
    arrays: list[np.ndarray] = []

    def tensor(t: Any, where: str) -> Call:
        array = np.asarray(t.detach() if isinstance(t, fc.Tensor) else t)
        kind = {"f": "Float", "i": "Long", "b": "Bool"}[array.dtype.kind]
        arrays.append(np.ascontiguousarray(array))
        pid = (
            "storage",
            Name("torch", f"{kind}Storage"),
            str(len(arrays)),
            "cpu",
            array.size,
            None,
        )
        steps = tuple(s // array.itemsize for s in arrays[-1].strides)
        return Call(Name("torch._utils", "_rebuild_tensor_v2"), Persistent(pid), 0, array.shape,
                    steps, False, Call(Name("collections", "OrderedDict")))  # fmt: skip

    def pickled(obj: Any) -> bytes:
        return Pickler(tensor).dump(obj)

    head = pickled(MAGIC) + pickled(PROTOCOL) + pickled({"little_endian": True}) + pickled(value())
    head += pickled([str(i + 1) for i in range(len(arrays))])
    return head + b"".join(a.size.to_bytes(8, "little") + a.tobytes() for a in arrays)


def sources() -> dict[str, bytes]:
    """A file of every format."""
    tensors = {"w": fc.arange(12.0).reshape(3, 4), "i": fc.tensor([1, 2]), "h": fc.ones(3).half()}
    tensors["again"] = tensors["w"]
    arrays = {k: np.asarray(t) for k, t in tensors.items()}
    found = {"npz": saved(value()), "safetensors": saved(tensors, "safetensors"),
             "torch": saved(value(), "torch"), "legacy": legacy()}  # fmt: skip
    found["torch, deflated"] = deflated(found["torch"])
    for name, write in (("numpy", np.savez), ("numpy, deflated", np.savez_compressed)):
        stream = io.BytesIO()
        write(stream, **arrays)  # type: ignore[arg-type]
        found[name] = stream.getvalue()
    stream = io.BytesIO()
    np.save(stream, arrays["w"])
    found["npy"] = stream.getvalue()
    with contextlib.suppress(ModuleNotFoundError):
        found["keras"] = keras()
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(zipfile.ZipInfo("config.json"), json.dumps({"a": 1}))
            archive.writestr(zipfile.ZipInfo("model.weights.h5"), found["keras"])
        found["keras, zip"] = stream.getvalue()
    return found


def keras() -> bytes:
    """Weights as Keras 3 keeps them, one of them compressed, and a list of layers as Keras 2."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for i in range(2):
            group = file.create_group(f"layers/conv2d_{i}/vars")
            group.create_dataset("0", data=np.ones((3, 3, 2, 4), np.float32),
                                 compression="gzip" if i else None)  # fmt: skip
            group.create_dataset("1", data=np.zeros(4, np.float32))
        file.attrs["layer_names"] = [b"conv2d"]
    return stream.getvalue()


def file(number: int, seed: int, known: dict[str, bytes]) -> tuple[str, bytes]:
    """A file of a seed: what it is, and its bytes. Formats and kinds of damage take turns."""
    rng = random.Random(f"{seed} {number}")
    names = [*known, "crafted"]
    name = names[number % len(names)]
    if name == "crafted":
        how, data = crafted(rng, known)
        return f"crafted: {how}", data
    kinds = [kind for kind in KINDS if kind.fits(known[name])]
    kind = kinds[number // len(names) % len(kinds)]
    data = kind.damage(known[name], rng)
    return f"{name}: {kind.__name__}", data


def listen() -> None:
    """Note audit events while a file is read."""

    def hook(event: str, arguments: Any) -> None:
        if _events is not None and event.startswith(FORBIDDEN):
            _events.append(event)

    sys.addaudithook(hook)


def read(data: bytes) -> tuple[str, str]:
    """Read a file: "read" or "refused", and what went wrong, if anything did."""
    global _events
    start, _events = time.process_time(), []
    tracemalloc.start()
    outcome = "read"
    try:
        found = fc.load(io.BytesIO(data))
        del found
    except ValueError as error:
        outcome = "refused"
        if not str(error).startswith("load: the file "):
            outcome = f"raised {error!r}"[:300]
    except BaseException as error:
        outcome = f"raised {error!r}"[:300]
    events, _events = _events, None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    took = time.process_time() - start
    if outcome not in ("read", "refused"):
        return "failed", outcome
    if events:
        return "failed", f"did {', '.join(sorted(set(events)))}"
    if took > SECONDS + EACH * len(data):
        return "failed", f"took {took:.1f} s"
    if peak > FREE + TIMES * len(data):
        return "failed", f"took {peak} bytes for {len(data)}"
    return outcome, ""


def child(numbers: range, seed: int, known: dict[str, bytes], place: Any, report: Any) -> None:
    """Read some files, and write one line for each."""
    listen()
    soft = 6 << 30
    resource.setrlimit(resource.RLIMIT_AS, (soft, soft))
    for number in numbers:
        place[:8] = number.to_bytes(8, "little")
        signal.setitimer(signal.ITIMER_PROF, 30)  # of the processor, which others may have
        signal.alarm(600)
        name, data = file(number, seed, known)
        outcome, text = read(data)
        report.write(json.dumps([number, name, outcome, text]) + "\n")
        report.flush()


def run(count: int, seed: int, first: int = 0) -> int:
    """Read the files from `first` to `count`; the number of failures."""
    warnings.simplefilter("ignore")
    known = sources()
    for data in known.values():  # what is imported when needed is imported before
        fc.load(io.BytesIO(data))
    pickletools.code2op  # noqa: B018
    place = mmap.mmap(-1, 8)
    outcomes: Counter[tuple[str, str]] = Counter()
    failures: list[str] = []
    start, next_ = time.perf_counter(), first
    while next_ < count:
        end = min(next_ + BLOCK, count)
        inward, outward = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(inward)
            with os.fdopen(outward, "w") as report:
                child(range(next_, end), seed, known, place, report)
                report.flush()
            os._exit(0)
        os.close(outward)
        with os.fdopen(inward) as lines:
            for line in lines:
                number, name, outcome, text = json.loads(line)
                outcomes[name.split(":")[0], outcome] += 1
                if text:
                    failures.append(f"{number} ({name}): {text}")
        _, status = os.waitpid(pid, 0)
        next_ = end
        if status:
            next_ = int.from_bytes(place[:8], "little") + 1
            what = file(next_ - 1, seed, known)[0]
            failures.append(f"{next_ - 1} ({what}): the process ended with status {status}")
            outcomes[what.split(":")[0], "failed"] += 1
    for name in dict.fromkeys(name for name, _ in outcomes):
        print(f"{name:16} " + ", ".join(
            f"{outcomes[name, how]} {how}" for how in ("read", "refused", "failed")
        ))  # fmt: skip
    for failure in failures[:20]:
        print(f"FAILED {failure}")
    seconds = time.perf_counter() - start
    print(f"{sum(outcomes.values())} files, {len(failures)} failed, {seconds:.0f} s (seed {seed})")
    return len(failures)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="begin with this one")
    parser.add_argument("--only", type=int, help="read this file alone, and say what it is")
    options = parser.parse_args()
    if options.only is None:
        return min(run(options.count, options.seed, options.first), 1)
    name, data = file(options.only, options.seed, sources())
    print(f"{name}, {len(data)} bytes: {data[:200]!r}")
    print(type(fc.load(io.BytesIO(data))))
    return 0


if __name__ == "__main__":
    sys.exit(main())

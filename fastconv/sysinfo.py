"""What this machine and this build have: ``print(fastconv.info())``."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from fastconv import backends, config
from fastconv.version import __version__

VERSION = __version__


class Info(dict[str, Any]):
    """The facts as a dict; printed, one aligned line each."""

    def __str__(self) -> str:
        width = max(map(len, self)) + 2
        return "\n".join(f"{key + ':':<{width}} {_text(value)}" for key, value in self.items())

    __repr__ = __str__


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name} {_text(v)}" for name, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def cpu_name() -> str:
    """Return the processor's marketing name, or what the platform calls it."""
    import platform  # here, as it is slow to import

    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                key, _, value = line.partition(":")
                if key.strip() == "model name" and value.strip():
                    return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


def info() -> Info:
    """Return CPU, instruction sets, threads, compiler and backends, and why one is missing.

    Returns
    -------
    Info
        A dict that prints as a table.  Keys: ``fastconv``, ``python``, ``numpy``, ``cpu``,
        ``machine``, ``cpus``, ``threads``, ``backend``, ``backends`` (name to ``"available"`` or
        the reason why not), and with the C backend ``isa``, ``isas``, ``compiler``, ``openmp``.
    """
    import platform

    facts = Info(
        fastconv=VERSION,
        python=sys.version.split()[0],
        numpy=np.__version__,
        cpu=cpu_name(),
        machine=platform.machine(),
        cpus=config.available_cpus(),
        threads=config.get_num_threads(),
    )
    status = {}
    for name in backends.ORDER:
        reason = backends.why_not(name)
        status[name] = "available" if reason is None else f"not available ({reason})"
    if status["c"] == "available":
        c = backends.load("c")
        facts["isa"] = c.get_isa()
        facts["isas"] = [name for name, supported in c.isas().items() if supported]
        facts["compiler"] = c.compiler()
        facts["openmp"] = c.has_openmp()
    facts["backend"] = config.current_backend()
    facts["backends"] = status
    return facts

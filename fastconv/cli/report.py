"""From a finished training to the dictionary that the report is rendered from."""

from __future__ import annotations

import platform
import sys
from typing import Any

import numpy as np

import fastconv
from fastconv import config
from fastconv.cli.classify import Images, Outcome, first_filters, mistakes

__all__ = ["machine", "results_of"]


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    facts = {
        "fastconv": fastconv.__version__,
        "backend": config.current_backend(),
        "threads": str(fastconv.get_num_threads()),
        "processor": _processor(),
        "Python": f"{platform.python_version()}, NumPy {np.__version__}",
    }
    return {name: value for name, value in facts.items() if value}


def results_of(
    title: str, summary: str, model: Any, test: Images, outcome: Outcome, names: list[str]
) -> dict[str, Any]:
    """Gather what :func:`fastconv.report.render` shows of a training."""
    parameters = sum(p.numel() for p in model.parameters())
    wrong = mistakes(test, outcome.test, names)
    return {
        "title": title,
        "summary": summary,
        "tiles": [
            (f"{100 * outcome.test.accuracy:.2f} %", f"accuracy on {len(test.labels)} test images"),
            (f"{outcome.seconds:.1f} s", f"training, {len(outcome.history)} epochs"),
            (f"{parameters:,}".replace(",", "\u202f"), "parameters"),
        ],
        "history": [epoch._asdict() for epoch in outcome.history],
        "confusion": outcome.confusion,
        "classes": names,
        "filters": first_filters(model),
        "mistakes": wrong,
        "machine": machine(),
        "command": " ".join(["fastconv", *sys.argv[1:]]),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

"""From a finished training to the dictionary that the report is rendered from."""

from __future__ import annotations

import sys
from typing import Any

from fastconv.cli.classify import Outcome, Part, first_filters, mistakes
from fastconv.cli.info import machine
from fastconv.text import count, grouped

__all__ = ["results_of"]


def results_of(
    title: str, summary: str, model: Any, test: Part, outcome: Outcome, names: list[str]
) -> dict[str, Any]:
    """Gather what :func:`fastconv.report.render` shows of a training."""
    parameters = sum(p.numel() for p in model.parameters())
    wrong = mistakes(test, outcome.test, names)
    return {
        "title": title,
        "summary": summary,
        "tiles": [
            (
                f"{100 * outcome.test.accuracy:.2f} %",
                f"accuracy on {grouped(len(test.labels))} test images",
            ),
            (f"{outcome.seconds:.1f} s", f"training, {count(len(outcome.history), 'epoch')}"),
            (grouped(parameters), "parameters"),
        ],
        "history": [
            {
                "epoch": row["epoch"],
                "seconds": row["seconds"],
                "learning_rate": row["lr"],
                "train_loss": row["loss"],
                "train_accuracy": row["accuracy"],
                "validation_loss": row["valid_loss"],
                "validation_accuracy": row["valid_accuracy"],
                "kept": row["epoch"] == outcome.history.best_epoch,
            }
            for row in outcome.history
        ],
        "confusion": outcome.confusion,
        "classes": names,
        "filters": first_filters(model),
        "mistakes": wrong,
        "machine": machine(),
        "command": " ".join(["fastconv", *sys.argv[1:]]),
    }

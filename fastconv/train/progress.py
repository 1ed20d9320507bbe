"""How a training looks on a terminal: a bar while it runs, and a line for each epoch."""

from __future__ import annotations

import math
import sys
from typing import Any

from .callbacks import Callback, Fit
from .history import Row

#: Shares are shown in percent.
SHARES = (
    "accuracy", "precision", "recall", "f1", "specificity", "iou", "dice", "top",
)  # fmt: skip


def value_text(name: str, value: float) -> str:
    """A number of the history as text."""
    if any(word in name for word in SHARES):
        return f"{name} {100 * value:.2f} %"
    return f"{name} {value:.4f}" if abs(value) >= 1e-3 or value == 0 else f"{name} {value:.2e}"


def epoch_line(row: Row, epochs: int, kept: bool = False) -> str:
    """A finished epoch as one line."""
    width = len(str(epochs))
    texts = [
        value_text(name.replace("valid_", "validation "), value)
        for name, value in row.items()
        if name not in ("epoch", "seconds", "lr") and not math.isnan(value)
    ]
    return (
        f"epoch {int(row['epoch']):{width}}/{epochs}  {row['seconds']:6.2f} s   "
        f"{'   '.join(texts)}{'  kept' if kept else ''}"
    )


class ProgressBar(Callback):
    """Draws a bar on standard error with tqdm, and prints the epochs to standard output.

    Without tqdm, and where standard error is no terminal, there are only the lines.
    """

    def __init__(self) -> None:
        self._bar: Any = None

    def on_fit_begin(self, fit: Fit) -> None:
        if not sys.stderr.isatty():  # a bar in a file is a long line of \\r
            return
        try:
            from tqdm import tqdm
        except ModuleNotFoundError:
            return
        total = None if fit.batches is None else fit.batches * fit.epochs
        done = 0 if fit.batches is None else fit.batches * fit.epoch
        self._bar = tqdm(
            total=total, initial=done, unit="batch", desc="training", dynamic_ncols=True
        )

    def on_batch_end(self, fit: Fit, values: Row) -> None:
        if self._bar is not None:
            text = ", ".join(value_text(n, v) for n, v in values.items() if not math.isnan(v))
            self._bar.set_postfix_str(f"epoch {fit.epoch}, {text}", refresh=False)
            self._bar.update()

    def on_epoch_end(self, fit: Fit) -> None:
        kept = fit.keeps and fit.history.best_epoch == fit.epoch
        line = epoch_line(fit.row, fit.epochs, kept)
        if self._bar is None:
            print(line, flush=True)
        else:
            self._bar.write(line, file=sys.stdout)
            sys.stdout.flush()

    def on_fit_end(self, fit: Fit) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

"""Progress of a training on the terminal: one bar for the whole of it, one line per epoch."""

from __future__ import annotations

import math
import sys
from typing import Any

from fastconv.training import Epoch

__all__ = ["TrainingBar", "epoch_line"]


def epoch_line(epoch: Epoch, epochs: int) -> str:
    """One finished epoch as text."""
    width = len(str(epochs))
    return (
        f"epoch {epoch.epoch:{width}}/{epochs}  {epoch.seconds:6.2f} s   "
        f"loss {epoch.train_loss:.4f}{_share(epoch.train_accuracy)}   "
        f"validation loss {epoch.validation_loss:.4f}{_share(epoch.validation_accuracy)}"
        f"{'  kept' if epoch.kept else ''}"
    )


def _share(accuracy: float) -> str:
    """An accuracy as text; none for a regression, which has none."""
    return "" if math.isnan(accuracy) else f"  accuracy {100 * accuracy:6.2f} %"


class TrainingBar:
    """Draws the bar on standard error with tqdm, and prints the epochs to standard output.

    Without tqdm, and where standard error is no terminal, there are only the lines.

    Parameters
    ----------
    epochs : int
        Passes over the data.
    steps_per_epoch : int
        Optimiser steps of one pass.
    """

    def __init__(self, epochs: int, steps_per_epoch: int) -> None:
        self._epochs = epochs
        self._bar: Any = None
        if not sys.stderr.isatty():  # a bar in a file is a long line of \r
            return
        try:
            from tqdm import tqdm
        except ModuleNotFoundError:
            return
        self._bar = tqdm(
            total=epochs * steps_per_epoch, unit="step", desc="training", dynamic_ncols=True
        )

    def __enter__(self) -> TrainingBar:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, epoch: int, loss: float, accuracy: float) -> None:
        """Move the bar by one step and show the epoch's loss and accuracy so far."""
        if self._bar is not None:
            text = f"epoch {epoch}, loss {loss:.4f}"
            if not math.isnan(accuracy):
                text += f", accuracy {100 * accuracy:.1f} %"
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update()

    def epoch(self, epoch: Epoch) -> None:
        """Print the line of a finished epoch above the bar."""
        line = epoch_line(epoch, self._epochs)
        if self._bar is None:
            print(line, flush=True)
        else:
            self._bar.write(line, file=sys.stdout)
            sys.stdout.flush()

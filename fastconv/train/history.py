"""What a training leaves: a row of numbers for each epoch."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from typing import Any

Row = dict[str, float]


class History:
    """Rows of numbers, one an epoch: ``history["valid_loss"]`` is a column, ``history[3]`` a row.

    Attributes
    ----------
    rows : list of dict
        "epoch" (from 1), "loss" and the metrics of the training batches as they passed,
        "valid_loss" and "valid_…", "lr", "seconds" (of the training alone).
    best_epoch : int or None
        The epoch whose `monitor` was best, where something was monitored.
    """

    def __init__(self, rows: list[Row] | None = None) -> None:
        self.rows: list[Row] = list(rows or [])
        self.best_epoch: int | None = None

    @property
    def history(self) -> dict[str, list[float]]:
        """All columns by name, as Keras has it."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        return {name: self[name] for name in names}

    @property
    def best(self) -> Row | None:
        """The row of the best epoch."""
        found = [row for row in self.rows if row["epoch"] == self.best_epoch]
        return found[0] if found else None

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if not any(key in row for row in self.rows):
                known = sorted({name for row in self.rows for name in row})
                raise KeyError(f"history has no {key!r}; it has {', '.join(known)}")
            return [row.get(key, math.nan) for row in self.rows]
        return self.rows[key]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Any:
        return iter(self.rows)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write all rows as a table, in one step."""
        from ..files import write_text

        write_text(path, csv_text(self.rows))

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write all rows as a list of objects, in one step. NaN and infinities become null."""
        from ..files import write_text

        write_text(path, json_text(self.rows))

    def __repr__(self) -> str:
        return f"History({len(self.rows)} epochs, best {self.best_epoch})"


def csv_text(rows: list[Row]) -> str:
    """Rows as comma-separated values, with a head."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def json_text(rows: list[Row]) -> str:
    """Rows as a JSON list."""
    plain = [
        {k: v if isinstance(v, int) or math.isfinite(v) else None for k, v in row.items()}
        for row in rows
    ]
    return json.dumps(plain, indent=1) + "\n"

"""The folder of a training: its files, and whether it may go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastconv.cli.arguments import CommandError, UsageError
from fastconv.files import write_text

__all__ = ["Files"]

#: Settings that may be others when a training goes on.
FREE = ("epochs", "workers", "test_batch_size")


class Files:
    """Paths in the folder of a training.

    Attributes
    ----------
    best : Path
        The best epoch's checkpoint.
    state : Path
        All that a resumption needs.
    history : Path
        A row for each epoch.
    settings : Path
        What the training was begun with.
    """

    def __init__(self, out: Path) -> None:
        self.best, self.state = out / "best.fc", out / "state.fc"
        self.history, self.settings = out / "history.csv", out / "run.json"

    def begin(self, settings: dict[str, Any], resume: bool) -> list[str]:
        """Make the folder ready; lines that say what happens.

        Raises
        ------
        UsageError
            If there is nothing to resume, or it was begun with other settings.
        CommandError
            If the settings cannot be read.
        """
        now = json.loads(json.dumps(settings))
        if not resume:
            self.state.unlink(missing_ok=True)
            write_text(self.settings, json.dumps(now, indent=1, ensure_ascii=False) + "\n")
            return []
        if not self.state.exists() or not self.settings.exists():
            raise UsageError(
                f"argument --resume: there is no training in {self.state.parent} that has ended an "
                "epoch: leave --resume out to begin one, or name its folder with --out"
            )
        try:
            before = json.loads(self.settings.read_text("utf-8"))
        except ValueError as error:
            raise CommandError(f"{self.settings} is damaged: {error}") from None
        if not isinstance(before, dict):
            raise CommandError(f"{self.settings} is damaged: it holds no settings")
        unlike = [key for key in now if key not in FREE and before.get(key) != now[key]]
        if unlike:
            raise UsageError(
                f"argument --resume: {self.state.parent} was begun otherwise: "
                + "; ".join(f"{key} {_text(before.get(key))}, now {_text(now[key])}"
                            for key in unlike)
                + ". Give the same arguments and pictures, or begin anew without --resume"
            )  # fmt: skip
        return [f"going on from {self.state}"]


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"

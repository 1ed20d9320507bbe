"""Self-contained HTML reports: one file, figures embedded, nothing fetched from anywhere."""

from fastconv.report.page import render, write

__all__ = ["render", "write"]

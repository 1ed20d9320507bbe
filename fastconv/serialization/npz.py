"""NumPy's ``.npz``: a zip of ``.npy`` files, stored or deflated; arrays of objects are refused."""

from __future__ import annotations

import numpy as np

from .archive import Archive
from .npy import read_array


def read(archive: Archive) -> dict[str, np.ndarray]:
    """The arrays by their names."""
    found = {}
    for member in archive.members:
        info = archive.claim(member, compressed=True)
        with archive.open(info) as entry:
            found[member.removesuffix(".npy")] = read_array(entry, info.file_size, member)
    return found

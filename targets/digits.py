"""Handwritten digits as counts: 1797 images of eight by eight cells, each the number of its inked dots of sixteen."""

import gzip
import pathlib

import numpy as np

from targets.kernel import Matrix

DOTS = 16  # in a cell
SIDE = 8  # cells of an image

_FILE = pathlib.Path(__file__).parent / "data" / "digits.csv.gz"


def load_digits() -> tuple[Matrix, np.ndarray]:
    """Counts (1797, 64) from 0 to 16, by rows from the top, and the digits (1797,) that they show."""
    with gzip.open(_FILE, "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.int64)
    return table[:, :-1].astype(np.float64), table[:, -1]

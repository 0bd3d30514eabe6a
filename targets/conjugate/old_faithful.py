"""Eruptions of the geyser Old Faithful: two clusters, measured; see data/README.md."""

import pathlib

import numpy as np

from targets.kernel import Matrix

PATH = pathlib.Path(__file__).parents[1] / "data" / "old_faithful.csv"


def old_faithful() -> Matrix:
    """(272, 2) lengths of eruptions and of the waits for the next, in minutes."""
    return np.loadtxt(PATH, delimiter=",", skiprows=1)

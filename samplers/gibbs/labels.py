"""Labels drawn anew for every draw, where a posterior is the same under exchanges of its components.

Sweeps hardly ever exchange components that lie apart: a chain keeps to one order of K!, and another chain to another.
An order drawn uniformly for every draw makes of them draws of the posterior with all its orders, which is what other
methods are held against (the random permutation sampler: Frühwirth-Schnatter 2001).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MOST = 5040  # orders: those of seven components; with more of them labels stay as they are


def relabelled(
    draws: npt.NDArray[np.float64], among: Sequence[npt.NDArray[np.int64]], seed: Sequence[int], first: int
) -> npt.NDArray[np.float64]:
    """The draws (n, dim), each in an order of coordinates of its own; `first` is the number of the first of them."""
    chosen = np.random.default_rng(seed).integers(len(among), size=first + len(draws))[first:]
    return np.asarray(np.take_along_axis(draws, np.stack(among)[chosen], axis=1))

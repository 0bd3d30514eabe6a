"""Where a mixture's ascent begins: shares of the rows, a block at a time."""

from collections.abc import Callable

import numpy as np

from targets.kernel import Matrix
from variational.conjugate.blocks import Blocks
from variational.conjugate.mixture_moments import Moments
from variational.conjugate.mixture_sweep import Components, Pass

SAMPLE = 20_000  # rows among which centres are looked for, at most
LLOYD = 30  # steps of k-means, at most
KINDS = ("k-means++", "kmeans", "random", "random_from_data")

Shares = Callable[[Matrix, int], Matrix]  # of a block of rows (m, d) that begins at a number -> (m, K)


def shares(kind: str, data: Blocks, size: int, rng: np.random.Generator) -> Shares:
    """How the first shares are made.

    'k-means++' gives each row to the nearest of `size` rows far from each other (Arthur and Vassilvitskii 2007; each
    the best of several tries), 'kmeans' moves these centres to the means of what is theirs first, 'random_from_data'
    takes any rows as centres, and 'random' gives every row random shares of all components.
    """
    if kind == "random":
        return lambda rows, _: _random(rows, size, rng)
    n, _ = data.shape
    sample = data.take(np.sort(rng.choice(n, size=min(n, SAMPLE), replace=False)).astype(np.int64))
    if kind == "random_from_data":
        centres = sample[rng.choice(len(sample), size, replace=False)]
    else:
        centres = spread(sample, size, rng)
    if kind == "kmeans":
        centres = lloyd(sample, centres)
    return lambda rows, _: _one_hot(nearest(rows, centres), size)


def given(values: Matrix) -> Shares:
    """Shares (n, K) that the user gives."""
    return lambda rows, start: np.ascontiguousarray(values[start : start + len(rows)])


def moments(data: Blocks, made: Shares, origin: Matrix, diagonal: bool) -> tuple[Moments, float]:
    """Those of the first shares, summed about the origins (K, d), and the entropy of the shares."""
    size, d = origin.shape
    components = Components(np.zeros(size), origin, np.zeros((size, 1 if diagonal else d, d)))
    over = Pass(components)
    start = 0
    for rows in data:
        over.add(rows, made(rows, start))
        start += len(rows)
    return Moments.of(components, over.sums), over.sums.entropy


def spread(rows: Matrix, size: int, rng: np.random.Generator) -> Matrix:
    """k-means++: centres (size, d), drawn in proportion to squared distance from those before, the best of a few."""
    tries = 2 + int(np.log(size))
    centres = [rows[rng.integers(len(rows))]]
    distance = _squares(rows, centres[0])
    while len(centres) < size:
        total = distance.sum()
        if total > 0:
            picks = np.searchsorted(np.cumsum(distance), rng.random(tries) * total).clip(max=len(rows) - 1)
        else:  # fewer different rows than centres
            picks = rng.integers(len(rows), size=1)
        left = [np.minimum(distance, _squares(rows, rows[pick])) for pick in picks]
        best = int(np.argmin([each.sum() for each in left]))
        centres.append(rows[picks[best]])
        distance = left[best]
    return np.array(centres)


def lloyd(rows: Matrix, centres: Matrix) -> Matrix:
    """k-means from these centres; one that loses all its rows stays where it is."""
    for _ in range(LLOYD):
        labels = nearest(rows, centres)
        count = np.bincount(labels, minlength=len(centres))
        sums = np.zeros_like(centres)
        np.add.at(sums, labels, rows)
        moved = np.where(count[:, None] > 0, sums / np.maximum(count, 1)[:, None], centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def nearest(rows: Matrix, centres: Matrix) -> np.ndarray:
    """(m,) the number of the centre nearest each row."""
    origin = centres.mean(0)
    rows, centres = rows - origin, centres - origin
    return np.asarray(np.argmin((centres**2).sum(1) - 2.0 * (rows @ centres.T), axis=1))


def _squares(rows: Matrix, centre: Matrix) -> Matrix:
    return np.asarray(((rows - centre) ** 2).sum(1))


def _random(rows: Matrix, size: int, rng: np.random.Generator) -> Matrix:
    values = rng.random((len(rows), size))
    return np.asarray(values / values.sum(1, keepdims=True))


def _one_hot(labels: np.ndarray, size: int) -> Matrix:
    made = np.zeros((len(labels), size))
    made[np.arange(len(labels)), labels] = 1.0
    return made

"""Where an ascent of a hidden Markov model begins: k-means of the rows, or, with symbols, random rows."""

import numpy as np
import numpy.typing as npt

from targets.conjugate.forward_backward import smooth
from targets.conjugate.hidden_markov import CategoricalEmissions, HiddenMarkov, log_gammas
from targets.kernel import Matrix

LLOYD = 10  # iterations of k-means: it is a start, not an answer


def initial_shares(
    model: HiddenMarkov, data: npt.NDArray[np.generic], ends: npt.NDArray[np.int64], rng: np.random.Generator
) -> tuple[Matrix, Matrix, Matrix]:
    """Shares (n, K) of the states, counts (K, K) of their neighbours, and centres (K, d) about which moments are taken."""
    if isinstance(model.emissions, CategoricalEmissions):
        return _random(model, data, ends, rng)
    points = np.ascontiguousarray(data.T, dtype=np.float64)
    labels, centres = _k_means(points, model.n_components, rng)
    shares = np.zeros((len(points), model.n_components))
    shares[np.arange(len(points)), labels] = 1.0
    inside = np.ones(len(points), dtype=bool)
    inside[ends - 1] = False
    first = np.flatnonzero(inside)
    return shares, shares[first].T @ shares[first + 1], centres


def _random(
    model: HiddenMarkov, data: npt.NDArray[np.generic], ends: npt.NDArray[np.int64], rng: np.random.Generator
) -> tuple[Matrix, Matrix, Matrix]:
    """The E-step under rows drawn from flat Dirichlets: states that start alike would stay so."""
    assert isinstance(model.emissions, CategoricalEmissions)  # noqa: S101
    k, m = model.n_components, model.emissions.n_symbols
    transitions, emissions = (_logs(log_gammas(rng, np.ones((k, wide)))) for wide in (k, m))
    distances = np.ascontiguousarray((emissions.max(axis=0) - emissions).T[np.asarray(data, np.int64)])
    shares, starts, pairs = np.empty((len(data), k)), np.empty(k), np.empty((k, k))
    smooth(ends, np.full(k, -np.log(k)), transitions, distances, shares, starts, pairs)
    return shares, pairs, np.empty((k, 0))


def _logs(amounts: Matrix) -> Matrix:
    return np.asarray(amounts - np.logaddexp.reduce(amounts, axis=1, keepdims=True))


def _k_means(points: Matrix, k: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], Matrix]:
    """Labels (n,) and centres (k, d), from seeds far apart (Arthur and Vassilvitskii 2007), columns brought to one scale."""
    spread = points.std(axis=0)
    scaled = (points - points.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    chosen = [int(rng.integers(len(points)))]
    nearest = np.square(scaled - scaled[chosen[0]]).sum(axis=1)
    for _ in range(k - 1):
        total = nearest.sum()
        odds = nearest / total if total > 0.0 else None
        chosen.append(int(rng.choice(len(points), p=odds)))
        nearest = np.minimum(nearest, np.square(scaled - scaled[chosen[-1]]).sum(axis=1))
    centres = scaled[chosen]
    for step in range(LLOYD + 1):
        labels = _nearest(scaled, centres)
        counts = np.bincount(labels, minlength=k)[:, None]
        if step == LLOYD:
            break
        sums = np.stack([np.bincount(labels, column, k) for column in scaled.T], axis=1)
        centres = np.where(counts > 0, sums / np.maximum(counts, 1), centres)
    return labels, np.ascontiguousarray(points.mean(axis=0) + centres * np.where(spread > 0.0, spread, 1.0))


def _nearest(points: Matrix, centres: Matrix) -> npt.NDArray[np.int64]:
    distances = np.square(centres).sum(axis=1) - 2.0 * points @ centres.T
    return np.asarray(distances.argmin(axis=1))

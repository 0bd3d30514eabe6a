"""Weights of particles between two temperatures: the next temperature, resampling, and what the particles say of it."""

import math

import numpy as np
import numpy.typing as npt
from numba import float64

from targets.kernel import VECTOR, Matrix, Vector, aligned, helper, loop, zeros

BISECTIONS = 30
POWER_ITERATIONS = 20
TINY = 1e-300
SMALLEST = 1e-10  # of eigenvalues, in units of the largest
ENOUGH = 5.0  # particles a dimension, after weighting, for a dense metric


def log_weights(change: float, ratios: Vector) -> Vector:
    """(n,) log incremental weights of a change of beta, from ratios = log p - log reference; -inf where that is."""
    with np.errstate(invalid="ignore"):
        found = change * ratios
    return np.where(np.isneginf(ratios), -np.inf, found)


@helper
def effective(change, ratios):  # type: ignore[no-untyped-def]
    """Effective number of particles (sum w)^2 / sum w^2 (Kong, Liu & Wong 1994), of weights as in `log_weights`."""
    largest = -np.inf
    for n in range(ratios.shape[0]):
        largest = max(largest, ratios[n])
    total = 0.0
    squares = 0.0
    for n in range(ratios.shape[0]):
        if ratios[n] > -np.inf:
            weight = math.exp(change * (ratios[n] - largest))
            total += weight
            squares += weight * weight
    return total * total / squares


@loop(float64(float64, VECTOR, float64))
def largest_change(most, ratios, wanted):  # type: ignore[no-untyped-def]
    """The largest change of beta up to `most` at which so many of the particles are effective."""
    if effective(most, ratios) >= wanted:
        return most
    low, high = 0.0, most
    while low == 0.0 and high > TINY:  # halves first: near beta = 0 the change may be of any size
        half = 0.5 * high
        if effective(half, ratios) >= wanted:
            low = half
        else:
            high = half
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        if effective(middle, ratios) >= wanted:
            low = middle
        else:
            high = middle
    return low


def next_temperature(beta: float, ratios: Vector, fraction: float) -> float:
    """The largest beta' up to 1 at which `fraction` of the particles are effective (Jasra et al. 2011, section 3.3).

    Particles where the target has no density count for nothing, neither here nor there. At least one must have some.
    """
    change = float(largest_change(1.0 - beta, ratios, fraction * np.count_nonzero(ratios > -np.inf)))
    return 1.0 if change == 1.0 - beta else max(beta + change, math.nextafter(beta, 1.0))


def systematic(weights: Vector, n: int, u: float) -> npt.NDArray[np.int64]:
    """(n,) ancestors in ascending order, i on average n weights[i] times; u ~ U(0, 1) (Kitagawa 1996)."""
    ends = np.cumsum(weights)
    ends /= ends[-1]
    picked = np.searchsorted(ends, (u + np.arange(n)) / n, side="right")
    return np.asarray(np.minimum(picked, np.flatnonzero(weights > 0.0)[-1]))


def metric(points: Matrix, slopes: Matrix, weights: Vector, dense: bool) -> tuple[Vector, Matrix]:
    """The scale that brings points and slopes (n, dim) of the log density to the same size: A A' = C # B^-1.

    C and B are the weighted covariances of points and slopes, and # is the geometric mean of matrices (Bhatia 2007,
    chapter 4). For a Gaussian it is the covariance; between modes that lie apart, it is shorter than the distance that
    the covariance sees (the diagonal case is the metric of Seyboldt et al. 2026).

    Returns (dim,) and an empty matrix; or, if `dense` and there are particles enough, the lower factor (dim, dim) too.
    """
    good = np.all(np.isfinite(slopes), axis=1) & (weights > 0.0)
    points, slopes, weights = points[good], slopes[good], weights[good] / np.sum(weights[good])
    points = points - weights @ points
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        guess = ((weights @ points**2) / (weights @ slopes**2)) ** 0.25
    diagonal = aligned(np.where(np.isfinite(guess) & (guess > 0.0), guess, 1.0))
    dim = len(diagonal)
    if not dense or dim == 1 or 1.0 / np.sum(weights**2) < ENOUGH * dim:
        return diagonal, zeros(0, 0)
    root = np.sqrt(weights)[:, None]
    factor = geometric_mean_factor(root * points / diagonal, root * slopes * diagonal)
    return diagonal, zeros(0, 0) if factor is None else aligned(diagonal[:, None] * factor)


def widest(points: Matrix, weights: Vector, diagonal: Vector, factor: Matrix) -> tuple[Vector, float]:
    """(n,) the points along the direction in which they vary most in units of the scale, and their variance there."""
    centred = points - weights @ points
    z = np.linalg.solve(factor, centred.T).T if factor.size else centred / diagonal
    direction = z[np.argmax(weights * np.einsum("ni,ni->n", z, z))]
    along = z @ direction
    for _ in range(POWER_ITERATIONS):
        norm = float(np.linalg.norm(direction))
        if not norm > 0.0:
            return np.zeros(len(z)), 0.0
        along = z @ (direction / norm)
        direction = (weights * along) @ z
    return along, float(weights @ along**2)


def geometric_mean_factor(points: Matrix, slopes: Matrix) -> Matrix | None:
    """Lower factor of C # B^-1, with C = points' points and B = slopes' slopes; None where rounding forbids it.

    C # B^-1 = C^(1/2) (C^(1/2) B C^(1/2))^(-1/2) C^(1/2).
    """
    try:
        half = _power(points.T @ points, 0.5)
        return np.asarray(np.linalg.cholesky(half @ _power(half @ (slopes.T @ slopes) @ half, -0.5) @ half))
    except np.linalg.LinAlgError:
        return None


def _power(matrix: Matrix, exponent: float) -> Matrix:
    values, vectors = np.linalg.eigh(matrix)
    if not np.all(np.isfinite(values)) or not values[-1] > 0.0:
        raise np.linalg.LinAlgError
    return np.asarray((vectors * np.maximum(values, SMALLEST * values[-1]) ** exponent) @ vectors.T)

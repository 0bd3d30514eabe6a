"""Weights of particles between two temperatures: the next temperature, resampling, and what the particles say of it."""

import math

import numpy as np
import numpy.typing as npt
from numba import float64

from samplers.geometric_mean import geometric_mean
from samplers.scale import Scale, dense_scale, diagonal_scale
from targets.kernel import VECTOR, Matrix, Vector, helper, loop

BISECTIONS = 30
POWER_ITERATIONS = 20
TINY = 1e-300
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


def metric(points: Matrix, slopes: Matrix, weights: Vector, dense: bool) -> Scale:
    """The scale that brings points and slopes (n, dim) of the log density to the same size: A A' = C # B^-1.

    C and B are the weighted covariances of points and slopes; see `geometric_mean`. For a Gaussian it is the
    covariance; between modes that lie apart, it is shorter than the distance that the covariance sees (the diagonal
    case is the metric of Seyboldt et al. 2026). Dense if asked for, and if there are particles enough.
    """
    good = np.all(np.isfinite(slopes), axis=1) & (weights > 0.0)
    points, slopes, weights = points[good], slopes[good], weights[good] / np.sum(weights[good])
    points = points - weights @ points
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        guess = ((weights @ points**2) / (weights @ slopes**2)) ** 0.25
    sd = np.where(np.isfinite(guess) & (guess > 0.0), guess, 1.0)
    if not dense or len(sd) == 1 or 1.0 / np.sum(weights**2) < ENOUGH * len(sd):
        return diagonal_scale(sd)
    root = np.sqrt(weights)[:, None]
    z, pull = root * points / sd, root * slopes * sd
    try:
        return dense_scale(sd[:, None] * np.linalg.cholesky(geometric_mean(z.T @ z, pull.T @ pull)))
    except np.linalg.LinAlgError:  # by rounding
        return diagonal_scale(sd)


def widest(points: Matrix, weights: Vector, scale: Scale) -> tuple[Vector, float]:
    """(n,) the points along the direction in which they vary most in units of the scale, and their variance there."""
    z = scale.solve(points - weights @ points)
    direction = z[np.argmax(weights * np.einsum("ni,ni->n", z, z))]
    along = z @ direction
    for _ in range(POWER_ITERATIONS):
        norm = float(np.linalg.norm(direction))
        if not norm > 0.0:
            return np.zeros(len(z)), 0.0
        along = z @ (direction / norm)
        direction = (weights * along) @ z
    return along, float(weights @ along**2)


def genealogical_variance(eves: npt.NDArray[np.int64]) -> float:
    """Relative variance of the estimate of a normaliser, from who of n particles descends from whom at the start.

    V = n / (n - 1) (sum_e (n_e / n)^2 - 1 / n), n_e the descendants of particle e. Lee & Whiteley (2018, theorem 1)
    take off 1 / n for each resampling as well, which is what multinomial resampling adds to the squares; systematic
    resampling adds no more than rounding, and without it V errs on the safe side. It is one where all descend from one.
    """
    n = len(eves)
    shares = np.bincount(eves, minlength=n) / n
    return (n * float(shares @ shares) - 1.0) / (n - 1.0)

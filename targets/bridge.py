"""The log normaliser by bridge sampling from draws, with an error."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from targets.kernel import Matrix, Vector
from targets.long_run import Relabellings, ess

MOST = 80_000  # draws of the posterior, and as many of the proposal
ROUNDS = 1000
CLOSE = 1e-12
Values = npt.NDArray[np.float64]  # (chains, n, dim)
WORST = 0.3  # nats: an error above says that draws and proposal hardly overlap, where it is itself not to be trusted


@dataclass(frozen=True)
class Bridged:
    """Log normaliser and its standard error; both NaN where the draws and the proposal hardly overlap."""

    value: float
    error: float


def bridge(
    log_density: Callable[[Matrix], Vector], values: Values, relabellings: Relabellings, rng: np.random.Generator
) -> Bridged:
    """Optimal bridge (Meng and Wong 1996) from draws (chains, n, dim) to a Gaussian, warped to be symmetric.

    The Gaussian has the moments of the first half of each chain; the second half is bridged, since fitting and bridging
    with the same draws is biased (Overstall and Forster 2010). Draws are reflected at the mean with probability one
    half, and the density averaged with its reflection (Warp-III of Meng and Schilling 2002), so that skewness costs
    nothing. Under a label symmetry draws are first brought to one labelling, the Gaussian to all: no reflections.

    The error is the larger of that between chains and that of the two averages by their effective sample sizes.
    """
    chains, n, dim = values.shape
    if len(relabellings):
        values = one_labelling(values, relabellings)
    fitted = values[:, : n // 2].reshape(-1, dim)
    size = min(n - n // 2, MOST // chains)
    used = values[:, n // 2 :][:, np.linspace(0, n - n // 2 - 1, size).astype(np.intp)]
    mean = np.asarray(fitted.mean(axis=0), dtype=np.float64)
    spread = np.atleast_2d(np.cov(fitted, rowvar=False))
    try:
        factor: Matrix = np.asarray(np.linalg.cholesky(spread), dtype=np.float64)
    except np.linalg.LinAlgError:
        return Bridged(math.nan, math.nan)
    proposal = _Proposal(mean, factor, relabellings)
    if len(relabellings):
        of_density = log_density
    else:
        used = np.where(rng.random((chains, size, 1)) < 0.5, used, 2 * mean - used)

        def of_density(x: Matrix) -> Vector:
            return np.asarray(np.logaddexp(log_density(x), log_density(2 * mean - x)) - math.log(2))

    with np.errstate(invalid="ignore", over="ignore"):
        drawn = proposal.sample(rng, chains * size)
        at_draws = _ratio(of_density, proposal, used.reshape(-1, dim)).reshape(chains, size)
        at_drawn = _ratio(of_density, proposal, drawn).reshape(chains, size)
    if not np.isfinite(at_draws).all():
        return Bridged(math.nan, math.nan)
    at_drawn = np.where(np.isnan(at_drawn), -math.inf, at_drawn)
    ratio_of_sizes = min(1.0, ess(at_draws) / at_draws.size)
    value = _optimal(at_draws.ravel(), at_drawn.ravel(), ratio_of_sizes)
    each = [_optimal(a, b, ratio_of_sizes) for a, b in zip(at_draws, at_drawn, strict=True)]
    between = float(np.std(each, ddof=1)) / math.sqrt(chains)
    error = max(between, _error(at_draws, at_drawn, value, ratio_of_sizes))
    return Bridged(value, error) if error < WORST else Bridged(math.nan, math.nan)


@dataclass(frozen=True)
class _Proposal:
    """A Gaussian, and what it becomes under all relabellings."""

    mean: Vector
    factor: Matrix
    relabellings: Relabellings

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """(n, dim), of one labelling: the density is the same at all."""
        return np.asarray(self.mean + rng.standard_normal((n, len(self.mean))) @ self.factor.T)

    def log_density(self, x: Matrix) -> Vector:
        from scipy.linalg import solve_triangular

        constant = -0.5 * len(self.mean) * math.log(2 * math.pi) - float(np.log(np.diagonal(self.factor)).sum())
        orders = self.relabellings if len(self.relabellings) else [slice(None)]
        each = [
            -0.5 * (solve_triangular(self.factor, (x[:, order] - self.mean).T, lower=True) ** 2).sum(axis=0)
            for order in orders
        ]
        total: Vector = np.logaddexp.reduce(each, axis=0) - math.log(len(each)) + constant
        return total


def _ratio(log_density: Callable[[Matrix], Vector], proposal: _Proposal, x: Matrix) -> Vector:
    return np.asarray(log_density(x) - proposal.log_density(x))


def _optimal(at_draws: Vector, at_drawn: Vector, share: float) -> float:
    """The fixed point of Meng and Wong's iteration; `share` is how much a draw is worth beside one of the proposal."""
    log_normaliser = float(np.median(at_draws))
    log_share = math.log(share)
    for _ in range(ROUNDS):
        above = float(np.mean(expit(at_drawn - log_normaliser + log_share)))
        below = float(np.mean(expit(log_normaliser - at_draws - log_share)))
        if not (above > 0 and below > 0):
            return math.nan
        change = math.log(above) - log_share - math.log(below)
        log_normaliser += change
        if abs(change) < CLOSE:
            break
    return log_normaliser


def _error(at_draws: Matrix, at_drawn: Matrix, value: float, share: float) -> float:
    """Relative standard errors of the two averages, the draws' by effective sample size (Fruehwirth-Schnatter 2004)."""
    below = expit(value - at_draws - math.log(share))
    above = expit(at_drawn - value + math.log(share))
    effective = max(ess(below), 1.0)
    first = float(below.var()) / effective / float(below.mean()) ** 2
    second = float(above.var()) / above.size / float(above.mean()) ** 2
    return math.sqrt(first + second)


def one_labelling(values: Values, relabellings: Relabellings) -> Values:
    """Each draw (chains, n, dim) under the relabelling that brings it nearest to the mean of all so relabelled."""
    flat = values.reshape(-1, values.shape[2])
    centre, scale = flat[0], np.maximum(values.std(axis=(0, 1)), 1e-300)
    for _ in range(20):
        distance = [(((flat[:, order] - centre) / scale) ** 2).sum(axis=1) for order in relabellings]
        best = np.argmin(distance, axis=0)
        aligned = np.take_along_axis(flat, np.array(relabellings)[best], axis=1)
        moved = aligned.mean(axis=0)
        if np.array_equal(moved, centre):
            break
        centre, scale = moved, np.maximum(aligned.std(axis=0), 1e-300)
    return aligned.reshape(values.shape)

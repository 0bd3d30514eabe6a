"""Laws of every answer: its moments, quantiles, draws and density are those of one distribution."""

from collections.abc import Iterator

import numpy as np

from harness.check.spending import BUDGET, advanced, chains, seeds
from targets.check import SIGMAS, Finding, average
from targets.kernel import Matrix, Vector
from targets.protocols import Approximation, Method, Status
from targets.target import Target

DRAWS = 20_000
PROBABILITIES = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
STEPS = 0.005  # of a distribution function between the draws that it may be made of
NARROWER = 0.5  # the covariance of the density that q is compared with, over q's own


def findings(method: Method, target: Target, seed: int) -> Iterator[Finding]:
    """What a run says when its budget is spent."""
    run = advanced(method, target, seeds(seed, 1, 1)[0], BUDGET)
    reason = f"status {run.status}: {run.reason or 'no reason given'}"
    named = run.status is Status.RUNNING or bool(run.reason)
    yield Finding(run.status is not Status.FAILED and named, "ends well", reason)
    numbers = run.diagnostics()
    odd = [key for key, value in numbers.items() if not isinstance(value, (int, float, np.number))]
    yield Finding(not odd, "diagnostics are numbers", ", ".join(odd or numbers) or "there are none")
    approximation = run.approximation()
    if approximation is None:
        yield Finding(False, "has an answer", f"approximation() is None after {run.work.total} evaluations")
        return
    yield from shapes(approximation, target)
    yield from consistent(approximation, target, np.random.default_rng([seed, 2]))


def shapes(approximation: Approximation, target: Target) -> Iterator[Finding]:
    """Moments, quantiles and draws of the right shapes, and a covariance that is one."""
    dim, mean, covariance = target.dim, np.asarray(approximation.mean), np.asarray(approximation.covariance)
    fit = mean.shape == (dim,) and covariance.shape == (dim, dim)
    finite = fit and bool(np.isfinite(mean).all() and np.isfinite(covariance).all())
    yield Finding(finite, "moments", f"finite, ({dim},) and ({dim}, {dim}) expected; {mean.shape}, {covariance.shape}")
    if not finite:
        return
    positive = np.allclose(covariance, covariance.T) and bool(np.all(np.linalg.eigvalsh(covariance) > 0))
    yield Finding(positive, "covariance", "symmetric and positive definite")
    quartiles = np.asarray(approximation.quantiles(np.array([0.25, 0.75])))
    ordered = quartiles.shape == (2, dim) and bool(np.all(quartiles[0] < quartiles[1]))
    yield Finding(ordered, "quantiles", f"(2, {dim}) expected, rising; shape {quartiles.shape}")
    drawn = np.asarray(approximation.sample(np.random.default_rng(1), 5))
    yield Finding(drawn.shape == (5, dim), "sample", f"(5, {dim}) expected; shape {drawn.shape}")


def consistent(approximation: Approximation, target: Target, rng: np.random.Generator) -> Iterator[Finding]:
    """Whatever it says, it says of the distribution that it draws from."""
    drawn = np.asarray(approximation.sample(rng, DRAWS))
    if drawn.shape != (DRAWS, target.dim):
        return
    again = np.asarray(approximation.sample(rng, DRAWS))
    fresh = not np.array_equal(drawn, again)
    yield Finding(fresh, "draws anew", "two calls with one generator give other draws" if fresh else "the same draws")
    mean, covariance = np.asarray(approximation.mean), np.asarray(approximation.covariance)
    yield average("its mean is that of its draws", drawn, mean)
    i, j = np.triu_indices(target.dim)
    centred = drawn - mean
    yield average("its covariance is that of its draws", centred[:, i] * centred[:, j], covariance[i, j])
    quantiles = np.asarray(approximation.quantiles(PROBABILITIES))
    below = (drawn[:, None, :] <= quantiles[None]).mean(axis=0)
    allowed = STEPS + SIGMAS * np.sqrt(PROBABILITIES * (1 - PROBABILITIES) / DRAWS)
    gap = np.abs(below - PROBABILITIES[:, None]).max(axis=1)
    yield Finding(
        bool(np.all(gap <= allowed)),
        "its quantiles are those of its draws",
        f"distribution functions at most {gap.max():.4f} apart",
    )
    if chains(approximation) is None:
        density = approximation.log_density(drawn)
        if density is not None:
            yield normalised(mean, covariance, np.asarray(density), drawn)


def normalised(mean: Vector, covariance: Matrix, density: Vector, drawn: Matrix) -> Finding:
    """E_q r / q = 1 for a narrower Gaussian r: q integrates to one, and is the density of its own draws."""
    what = "its density is normalised, and that of its draws"
    if density.shape != (len(drawn),):
        return Finding(False, what, f"log_density gives the shape {density.shape} for {len(drawn)} points")
    factor = np.linalg.cholesky(NARROWER * covariance)
    standard = np.linalg.solve(factor, (drawn - mean).T)
    constant = 0.5 * len(mean) * np.log(2 * np.pi) + np.log(np.diagonal(factor)).sum()
    weights = np.exp(-0.5 * (standard**2).sum(axis=0) - constant - density)
    found = average(what, weights[:, None], np.ones(1))
    return Finding(found.ok, what, f"the integral of a density comes out as {weights.mean():.4f} by its weights")

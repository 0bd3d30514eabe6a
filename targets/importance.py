"""Truth of a nearly Gaussian posterior by importance sampling from a Student t about its mode, with standard errors."""

from dataclasses import replace

import numpy as np

from targets.kernel import Matrix, Vector, aligned, densities, empty
from targets.target import Target
from targets.truth import Certificate, Moments, Truth

DRAWS = 20_000
LEAST_EFFECTIVE = 2_000
KEPT = 4_000
DEGREES = 10.0  # of freedom of the proposal: its tails must be heavier than the posterior's
LARGEST_K = 0.5  # Pareto shape beyond which the weights' variance may be infinite (Vehtari et al., JMLR 25, 2024)
STEP = 1e-4  # of the differences of gradients


def laplace(target: Target, start: Vector) -> tuple[Vector, Matrix]:
    """The mode reached from `start`, (dim,), and the inverse of minus the Hessian there, (dim, dim).

    Raises:
        ArithmeticError: no mode was reached, or the Hessian is not negative definite there.
    """
    from scipy.optimize import minimize

    def negative(x: Vector) -> tuple[float, Vector]:
        values, gradients = target.evaluate(x[None])
        return -values[0], -gradients[0]

    mode = np.asarray(minimize(negative, start, jac=True, method="BFGS", options={"gtol": 1e-6}).x, dtype=np.float64)
    steps = STEP * np.eye(target.dim)
    hessian = (target.evaluate(mode + steps)[1] - target.evaluate(mode - steps)[1]) / (2 * STEP)
    values, vectors = np.linalg.eigh(-0.5 * (hessian + hessian.T))
    if not values.min() > 0:
        raise ArithmeticError(f"{target.name}: no mode was reached from the starting point")
    return mode, (vectors / values) @ vectors.T


def student(rng: np.random.Generator, n: int, mean: Vector, scale: Matrix) -> tuple[Matrix, Vector]:
    """Draws (n, dim) of a multivariate t with `DEGREES` degrees of freedom, and their log densities (n,)."""
    from scipy.special import gammaln

    dim = len(mean)
    factor = np.linalg.cholesky(scale)
    normal = rng.standard_normal((n, dim))
    stretch = np.sqrt(DEGREES / rng.chisquare(DEGREES, n))
    distance = stretch**2 * (normal**2).sum(axis=1)
    constant = gammaln((DEGREES + dim) / 2) - gammaln(DEGREES / 2) - 0.5 * dim * np.log(DEGREES * np.pi)
    log_density = constant - np.log(np.diagonal(factor)).sum() - 0.5 * (DEGREES + dim) * np.log1p(distance / DEGREES)
    return mean + (normal * stretch[:, None]) @ factor.T, log_density


def attach(target: Target, seed: int = 0) -> Target:
    """The same target, which must have a `log_density`, with its truth, or without if its weights are not trusted."""
    from arviz_stats.base.array import array_stats

    rng = np.random.default_rng(seed)
    try:
        mode, covariance = laplace(target, np.zeros(target.dim))
    except ArithmeticError:
        return target
    draws, log_proposal = student(rng, DRAWS, mode, covariance)
    log_density = empty(DRAWS)
    densities(target.density, target.data, aligned(draws), log_density)
    log_weights = log_density - log_proposal
    k = float(array_stats.psislw(-log_weights)[1])  # it takes log likelihoods left out
    top = log_weights.max()
    weights = np.exp(log_weights - top)
    log_normaliser = float(np.log(weights.mean()) + top)
    weights /= weights.sum()
    effective = float(1 / (weights @ weights))
    if not (k < LARGEST_K and effective > LEAST_EFFECTIVE):
        return target
    moments = weighted_moments(weights, draws)
    chosen = np.searchsorted(np.cumsum(weights), (np.arange(KEPT) + rng.random()) / KEPT).clip(max=DRAWS - 1)
    energy = float(weights @ log_density)
    truth = Truth(
        moments=moments,
        certificate=Certificate(
            "importance sampling",
            f"from a Student t with {DEGREES:g} degrees of freedom at the mode",
            {"draws": DRAWS, "ess_min": effective, "k_hat": k, "seed": seed},
        ),
        reference_draws=draws[rng.permutation(chosen)],
        log_normaliser=log_normaliser,
        log_normaliser_error=float(np.sqrt(weights @ weights - 1 / DRAWS)),
    )
    spread = float(np.sqrt(weights**2 @ (log_density - energy) ** 2))
    return replace(target, truth=truth.with_entropy_from(energy, spread))


def weighted_moments(weights: Vector, draws: Matrix) -> Moments:
    """Moments of draws (n, dim) with normalised weights (n,), with the standard errors of self-normalised estimates."""
    mean = weights @ draws
    away = draws - mean
    centred = away**2
    variance = weights @ centred
    second = weights @ draws**2
    squared = weights**2
    return Moments(
        mean,
        (away * weights[:, None]).T @ away,
        weights @ (draws**2 - second) ** 2,
        weights @ (centred - variance) ** 2,
        np.sqrt(squared @ centred),
        np.sqrt(squared @ (centred - variance) ** 2),
        np.sqrt(squared @ (draws**2 - second) ** 2),
        np.sqrt(squared @ (centred**2 - weights @ centred**2) ** 2),
    )

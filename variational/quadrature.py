"""Both divergences minimised by quadrature in one or two dimensions: every optimum, to many digits, without noise.

For figures and tests. The reverse divergence KL(q || p) is an integral over q, on nodes that move with it; the forward
one, KL(p || q), is an integral over p on a fixed grid; those between need nodes that cover both. All are minimised by
BFGS from a start that is given.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from targets.kernel import Matrix, Vector
from targets.options import require
from targets.target import Target
from variational.evaluation import gradients
from variational.gaussian import Gaussian
from variational.grid import Grid, integrate

REACH = 9.0  # standard deviations of q that its nodes cover; beyond lies 1e-19 of its mass
NODES = {1: 1201, 2: 97}
ALPHA_NODES = 2001


@dataclass(frozen=True)
class Optimum:
    """A local minimum of a divergence.

    Attributes:
        q: the approximation.
        divergence: KL in nats; up to the unknown log normaliser where `normalised` is false.
        normalised: whether the log normaliser of the target was known.
        gradient: largest entry of the gradient left, in standardised parameters.
        stable: whether the Hessian there is positive definite, so that it is a minimum and no saddle.
    """

    q: Gaussian
    divergence: float
    normalised: bool
    gradient: float
    stable: bool


Objective = Callable[[Vector], tuple[float, Vector]]


def reverse_kl(target: Target, mean: Vector, sd: Vector, *, fullrank: bool = False) -> Optimum:
    """The minimum of KL(q || p) that BFGS reaches from N(mean, diag sd^2); `mean` and `sd` are (dim,).

    Raises:
        UsageError: the target has more than two dimensions.
    """
    _require_low(target)
    nodes, weights = _standard_nodes(target.dim)
    log_normaliser = target.truth.log_normaliser if target.truth is not None else np.nan

    def objective(parameters: Vector) -> tuple[float, Vector]:
        q = _unpack(parameters, target.dim, fullrank)
        factor = _dense(q)
        values, slopes = gradients(target, q.colour(nodes))
        held = weights > 0
        if not (np.all(np.isfinite(values[held])) and np.all(np.isfinite(slopes[held]))):
            return np.inf, np.zeros_like(parameters)
        expected = slopes * weights[:, None]
        by_factor = np.tril(expected.T @ nodes)
        by_factor[np.diag_indices(target.dim)] *= np.diagonal(factor)
        by_factor[np.diag_indices(target.dim)] += 1.0
        inner = by_factor if fullrank else np.diagonal(by_factor)
        return -float(weights @ values) - q.entropy, -_pack_gradient(expected.sum(axis=0), inner)

    found = _minimise(objective, _pack(mean, sd, fullrank), target.dim, fullrank)
    return _shifted(found, log_normaliser)


def forward_kl(
    target: Target, mean: Vector, sd: Vector, *, fullrank: bool = False, grid: Grid | None = None
) -> Optimum:
    """The minimum of KL(p || q) that BFGS reaches from N(mean, diag sd^2), with E_p taken on a grid, by no formula.

    `grid` is one of `variational.grid.integrate`; by default it is found around the start.

    Raises:
        UsageError: the target has more than two dimensions, or no grid holds its density.
    """
    _require_low(target)
    held = grid or integrate(target, np.asarray(mean, dtype=np.float64), np.asarray(sd, dtype=np.float64))
    require(held is not None, f"{target.name} is not accepted: no grid holds its density")
    assert held is not None  # noqa: S101
    keep = held.masses > 0
    points, masses = held.points[keep], held.masses[keep]

    def objective(parameters: Vector) -> tuple[float, Vector]:
        q = _unpack(parameters, target.dim, fullrank)
        factor = _dense(q)
        standard = q.standardise(points)
        back = np.linalg.solve(factor.T, standard.T)  # (dim, n): covariance^-1 (x - mean)
        weighted = back * masses
        by_factor = np.tril(weighted @ standard)
        diagonal = np.diag_indices(target.dim)
        by_factor[diagonal] = by_factor[diagonal] * np.diagonal(factor) - 1.0
        inner = by_factor if fullrank else np.diagonal(by_factor)
        value = -float(masses @ q.log_density(points)) - held.entropy
        return value, -_pack_gradient(weighted.sum(axis=1), inner)

    return _minimise(objective, _pack(mean, sd, fullrank), target.dim, fullrank)


def alpha_divergence(target: Target, alpha: float, mean: Vector, sd: Vector, *, grid: Grid | None = None) -> Optimum:
    """The minimum of an alpha-divergence that BFGS reaches from N(mean, sd^2), in one dimension.

    D_alpha = (1 - int p^alpha q^(1 - alpha)) / (alpha (1 - alpha)) tends to KL(q || p) as alpha goes to zero, and to
    KL(p || q) as it goes to one (Amari 1985; Minka 2005). `grid` is as in `forward_kl`.

    Raises:
        UsageError: alpha does not lie between 0 and 1, or the target has more than one dimension, or no grid holds it.
    """
    require(0 < alpha < 1, f"alpha={alpha:g} is not accepted; it takes a number above 0 and below 1")
    require(target.dim == 1, f"{target.name} has {target.dim} dimensions; alpha-divergences take one here")
    held = grid or integrate(target, np.asarray(mean, dtype=np.float64), np.asarray(sd, dtype=np.float64))
    require(held is not None, f"{target.name} is not accepted: no grid holds its density")
    assert held is not None  # noqa: S101
    low, high = float(held.axes[0][0]), float(held.axes[0][-1])

    def objective(parameters: Vector) -> tuple[float, Vector]:
        q = _unpack(parameters, 1, fullrank=False)
        reach = REACH * float(q.factor[0])
        axis = np.linspace(min(low, q.mean[0] - reach), max(high, q.mean[0] + reach), ALPHA_NODES)
        step = axis[1] - axis[0]
        log_q = q.log_density(axis[:, None])
        log_p = gradients(target, axis[:, None])[0] - held.log_normaliser
        with np.errstate(invalid="ignore", under="ignore"):
            mixed = np.nan_to_num(np.exp(alpha * log_p + (1 - alpha) * log_q), nan=0.0)
        weight = (mixed - np.exp(log_q)) * step / alpha  # E_q of the slopes is zero: without it small alphas cancel
        z = (axis - q.mean[0]) / q.factor[0]
        slope = np.array([weight @ z / q.factor[0], weight @ (z**2 - 1)])
        return -float(weight.sum()) / (1 - alpha), -slope

    return _minimise(objective, _pack(mean, sd, fullrank=False), 1, fullrank=False)


def reverse_kl_optima(
    target: Target, means: Matrix, sds: Matrix, *, fullrank: bool = False, apart: float = 1e-3
) -> list[Optimum]:
    """All distinct stable minima that `reverse_kl` reaches from the starts (n, dim), best first.

    Two are the same where means and covariances agree to `apart`, in units of sd.
    """
    starts = zip(np.atleast_2d(means), np.atleast_2d(sds), strict=True)
    return distinct([reverse_kl(target, mean, sd, fullrank=fullrank) for mean, sd in starts], apart)


def distinct(optima: list[Optimum], apart: float = 1e-3) -> list[Optimum]:
    """The stable ones, each once, best first; `apart` is as in `reverse_kl_optima`."""
    kept: list[Optimum] = []
    for found in optima:
        if found.stable and not any(_same(found.q, other.q, apart) for other in kept):
            kept.append(found)
    return sorted(kept, key=lambda optimum: optimum.divergence)


def _require_low(target: Target) -> None:
    require(target.dim <= 2, f"{target.name} has {target.dim} dimensions; quadrature takes at most 2")


def _standard_nodes(dim: int) -> tuple[Matrix, Vector]:
    axis = np.linspace(-REACH, REACH, NODES[dim])
    mass = np.exp(-0.5 * axis**2)
    mass /= mass.sum()
    points = np.stack([a.ravel() for a in np.meshgrid(*(axis,) * dim, indexing="ij")], axis=1)
    weights = mass if dim == 1 else np.outer(mass, mass).ravel()
    keep = weights > 1e-25
    return points[keep], weights[keep] / weights[keep].sum()


def _dense(q: Gaussian) -> Matrix:
    return np.diag(q.factor) if q.diagonal else np.asarray(q.factor)


def _pack(mean: Vector, sd: Vector, fullrank: bool) -> Vector:
    mean, log_sd = np.asarray(mean, dtype=np.float64), np.log(np.asarray(sd, dtype=np.float64))
    return _pack_gradient(mean, np.diag(log_sd) if fullrank else log_sd)


def _pack_gradient(by_mean: Vector, by_factor: Vector | Matrix) -> Vector:
    """Mean, then log sd, or the lower factor row by row with the logarithm of its diagonal."""
    inner = by_factor if by_factor.ndim == 1 else by_factor[np.tril_indices(len(by_factor))]
    return np.concatenate([by_mean, inner])


def _unpack(parameters: Vector, dim: int, fullrank: bool) -> Gaussian:
    mean, inner = parameters[:dim], parameters[dim:]
    if not fullrank:
        return Gaussian(mean, np.exp(inner))
    factor = np.zeros((dim, dim))
    factor[np.tril_indices(dim)] = inner
    factor[np.diag_indices(dim)] = np.exp(np.diagonal(factor))
    return Gaussian(mean, factor)


def _minimise(objective: Objective, start: Vector, dim: int, fullrank: bool) -> Optimum:
    """BFGS, restarted until the gradient is down to rounding, then the Hessian by differences of gradients."""
    parameters = start
    for _ in range(3):
        parameters = optimize.minimize(objective, parameters, jac=True, method="BFGS", options={"gtol": 1e-10}).x
        value, gradient = objective(parameters)
        if np.abs(gradient).max() < 1e-8:
            break
    step = 1e-5
    columns = [
        (objective(parameters + step * unit)[1] - objective(parameters - step * unit)[1]) / (2 * step)
        for unit in np.eye(len(parameters))
    ]
    hessian = np.array(columns)
    curvature = np.linalg.eigvalsh(0.5 * (hessian + hessian.T)) if np.all(np.isfinite(hessian)) else np.array([-1.0])
    stable = bool(curvature.min() > 1e-6 * max(float(np.abs(curvature).max()), 1.0))
    q = _unpack(parameters, dim, fullrank)
    return Optimum(q, value, True, float(np.abs(gradient).max()), stable)


def _shifted(found: Optimum, log_normaliser: float) -> Optimum:
    known = bool(np.isfinite(log_normaliser))
    return Optimum(found.q, found.divergence + (log_normaliser if known else 0.0), known, found.gradient, found.stable)


def _same(a: Gaussian, b: Gaussian, apart: float) -> bool:
    sd = np.sqrt(a.variance)
    mean = np.abs(a.mean - b.mean) / sd
    spread = np.abs(a.covariance - b.covariance) / np.outer(sd, sd)
    return bool(max(mean.max(), spread.max()) < apart)

"""The scale that warm-up learns from a window: from the draws of all chains, or from draws and their gradients.

What learns takes the draws of a window (and their gradients), the scale before it, and what that weighs, in draws.
"""

import math
from collections.abc import Callable

import numpy as np

from samplers.chain import Values
from samplers.geometric_mean import geometric_mean
from samplers.scale import Scale, dense_scale, diagonal_scale, low_rank_scale
from samplers.transition import Tuning
from targets.kernel import Matrix, Vector

Learner = Callable[..., Scale]

ENOUGH = 3  # draws a dimension, for a covariance
PRIOR = 5.0  # draws that what was known before a window counts as much as (Stan's number)
STAN_VARIANCE = 1e-3  # to which Stan shrinks

CUTOFF = 2.0  # a variance within this factor of the diagonal's is left to it (nutpie's number)
MOST_DRAWS = 200  # from which directions are looked for
POWER_ITERATIONS = 30


def adapt(tuning: Tuning, learner: Learner, values: Values, *gradients: Values) -> None:
    """Let `learner` renew the scale from the draws (chains, n, dim) of a window, unless the scale is kept.

    A scale that was given and is not kept weighs as much as `tuning.strength` draws, in this and in every later window:
    see `weighed`. Without one, what was learned from the window before counts for `PRIOR` draws.
    """
    if tuning.kept:
        return
    if tuning.given is None:
        tuning.scale = learner(values, *gradients, tuning.scale)
    elif math.isfinite(tuning.strength):
        learned = learner(values, *gradients, tuning.scale, 0.0)
        tuning.scale = weighed(learned, values, tuning.given, tuning.strength)


def weighed(learned: Scale, values: Values, given: Scale, strength: float) -> Scale:
    """What the n draws (chains, n / chains, dim) of a window and a scale that counts for `strength` more say together.

    Of two diagonal scales, the variances' geometric mean with these weights. Otherwise the covariance
    (n C + strength C0) / (n + strength), with C0 that of the given scale and C that of the learned one; or that of the
    draws themselves, where the learned one is diagonal and all together are `ENOUGH` a dimension. It is of low rank if
    neither is dense.
    """
    n, dim = values.shape[0] * values.shape[1], values.shape[2]
    if strength == 0.0:
        return learned
    share = strength / (n + strength)
    if learned.is_diagonal and given.is_diagonal:
        return diagonal_scale(learned.diagonal ** (1.0 - share) * given.diagonal**share)
    ours = learned.covariance
    if learned.is_diagonal and n + strength >= ENOUGH * dim:
        ours = np.cov(values.reshape(-1, dim).T, bias=True).reshape(dim, dim)
    mixed = (1.0 - share) * ours + share * given.covariance
    if not (learned.is_dense or given.is_dense):
        return reduced(mixed)
    try:
        return dense_scale(np.linalg.cholesky(mixed))
    except np.linalg.LinAlgError:  # a given covariance that weighs next to nothing, and draws that span too little
        return learned


def reduced(covariance: Matrix, rank: int | None = None) -> Scale:
    """The scale of low rank nearest to a covariance (dim, dim).

    Its diagonal has the standard deviations. Of the eigenvectors of the correlation it keeps those whose eigenvalue is
    further than a factor of `CUTOFF` from one, at most the `rank` furthest.
    """
    sd = np.sqrt(np.diagonal(covariance))
    variances, vectors = np.linalg.eigh(covariance / np.outer(sd, sd))
    distance = np.abs(np.log(np.maximum(variances, np.finfo(np.float64).tiny)))
    furthest = np.argsort(-distance, kind="stable")[:rank]
    kept = furthest[(distance[furthest] > np.log(CUTOFF)) & (variances[furthest] > 0.0)]
    return low_rank_scale(sd, vectors[:, kept].T, variances[kept])


def standard_deviations(values: Values, before: Scale, weight: float = PRIOR) -> Scale:
    """Pooled over the draws (chains, n, dim), shrunk towards those of the window `before`.

    The weights are Stan's, n to 5, but of logarithms, and not towards a constant: the result has no unit of its own.
    """
    flat = values.reshape(-1, values.shape[2])
    return diagonal_scale(shrunk(flat.var(axis=0), 2, len(flat), before.deviations, weight))


def shrunk(found: Matrix, power: int, n: float, sd: Matrix, weight: float) -> Matrix:
    """Standard deviations whose powers n draws have `found`, shrunk towards `sd`, which counts for `weight` draws.

    Logarithms are averaged. What was found counts for nothing where it is not positive and finite.
    """
    before = sd**power
    known = np.where(np.isfinite(found) & (found > 0.0), found, before)
    return np.asarray(np.exp((n * np.log(known) + weight * np.log(before)) / (power * (n + weight))))


def stan_deviations(values: Values, *_: object) -> Scale:
    """Pooled over the draws (chains, n, dim), variances shrunk as in Stan: n / (n + 5) var + 1e-3 5 / (n + 5)."""
    flat = values.reshape(-1, values.shape[2])
    n = len(flat)
    return diagonal_scale(np.sqrt((n * flat.var(axis=0) + PRIOR * STAN_VARIANCE) / (n + PRIOR)))


def draw_gradient_deviations(values: Values, gradients: Values, before: Scale, weight: float = PRIOR) -> Scale:
    """(Var x / Var gradient)^(1/4), pooled over draws and their gradients (chains, n, dim), shrunk as above.

    That is nutpie's metric (arXiv:2603.18845): the diagonal one that brings draws and gradients to the same scale.
    """
    sd = before.deviations if before.is_dense else before.diagonal  # of low rank: the part that this found before
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = values.var(axis=(0, 1)) / gradients.var(axis=(0, 1))
    return diagonal_scale(shrunk(ratio, 4, values.shape[0] * values.shape[1], sd, weight))


def covariance_factor(values: Values, before: Scale, weight: float = PRIOR) -> Scale:
    """The lower factor of the covariance pooled over the draws (chains, n, dim).

    As in Stan the covariance is shrunk by n / (n + 5) towards 1e-3 of a diagonal, here its own. Below `ENOUGH` draws a
    dimension its inverse would be too noisy, and the standard deviations are taken alone.
    """
    flat = values.reshape(-1, values.shape[2])
    n, dim = flat.shape
    scale = standard_deviations(values, before, weight)
    if n < ENOUGH * dim:
        return scale
    sd = scale.diagonal
    correlation = np.cov((flat / sd).T, bias=True).reshape(dim, dim) * (n / (n + PRIOR))
    correlation[np.diag_indices(dim)] += STAN_VARIANCE * PRIOR / (n + PRIOR)
    return dense_scale(sd[:, None] * np.linalg.cholesky(correlation))


def draw_gradient_low_rank(values: Values, gradients: Values, before: Scale, weight: float = PRIOR) -> Scale:
    """The diagonal scale from draws and gradients, and the directions in which it leaves a variance far from one.

    In units of the diagonal, and within the span of draws and gradients, the covariance is the geometric mean of that
    of the draws and the inverse of that of the gradients, each regularised by one draw of unit variance. Directions
    whose variance lies within a factor of `CUTOFF` are left out. (nutpie's low-rank metric, arXiv:2603.18845.)
    """
    diagonal = draw_gradient_deviations(values, gradients, before, weight)
    sd = diagonal.diagonal
    x, g = _standardised(values / sd), _standardised(gradients * sd)
    basis = _basis(x, g)
    variances, directions = np.linalg.eigh(geometric_mean(_second(x @ basis), _second(g @ basis)))
    far = np.abs(np.log(variances)) > np.log(CUTOFF)
    return low_rank_scale(sd, (basis @ directions[:, far]).T, variances[far])


def _standardised(values: Values) -> Matrix:
    """(n, dim) the draws of all chains about their mean, evenly spaced and no more than `MOST_DRAWS`."""
    flat = values.reshape(-1, values.shape[2])
    flat = flat - flat.mean(axis=0)
    if len(flat) > max(MOST_DRAWS, ENOUGH * flat.shape[1]):
        flat = flat[np.linspace(0, len(flat) - 1, max(MOST_DRAWS, ENOUGH * flat.shape[1])).astype(np.intp)]
    return np.asarray(flat)


def _basis(x: Matrix, g: Matrix) -> Matrix:
    """(dim, k) an orthonormal basis of what the rows of both span."""
    dim = x.shape[1]
    if 2 * len(x) >= dim:
        return np.eye(dim)
    vectors, sizes, _ = np.linalg.svd(np.vstack([x, g]).T, full_matrices=False)
    return np.asarray(vectors[:, sizes > 1e-10 * sizes[0]])


def _second(points: Matrix) -> Matrix:
    """(k, k) second moments of points (n, k), with one point more in every direction, at distance one."""
    return np.asarray((points.T @ points + np.eye(points.shape[1])) / (len(points) + 1.0))


def quarter_period(values: Values, scale: Scale) -> float:
    """Of Hamiltonian motion along the widest direction that the draws (chains, n, dim) have in units of the scale."""
    return 0.5 * math.pi * math.sqrt(max(largest_variance(values, scale), 1e-2))


def largest_variance(values: Values, scale: Scale) -> float:
    """Variance of the draws (chains, n, dim) along their widest direction, in units of `scale`.

    The direction is found by power iteration on one half of the chains and the variance measured on the other, and the
    two results are averaged: the largest eigenvalue of a sample covariance would exceed the truth by (1 + sqrt(d/n))^2.
    """
    chains, n, dim = values.shape
    centred = scale.solve((values - values.mean(axis=(0, 1))).reshape(-1, dim))
    middle = (chains // 2) * n if chains > 1 else n // 2
    halves = centred[:middle], centred[middle:]
    found = [_variance_along(_widest(one), other) for one, other in (halves, halves[::-1])]
    return float(np.mean(found))


def _widest(points: Values) -> Vector:
    direction: Vector = points[np.argmax(np.einsum("ij,ij->i", points, points))]
    for _ in range(POWER_ITERATIONS):
        norm = float(np.linalg.norm(direction))
        if not norm > 0.0:
            break
        direction = (points @ (direction / norm)) @ points
    return direction


def _variance_along(direction: Vector, points: Values) -> float:
    norm = float(np.linalg.norm(direction))
    return float(np.mean((points @ (direction / norm)) ** 2)) if norm > 0.0 else 0.0

"""The reference of the next populations, learned from where those before have been: a defensive mixture.

Its first component is wide, about all particles (Hesterberg 1995: no weight is larger for the others than 1 / `WIDE`
times what it would be without). The others stand where the target is far denser than the reference so far says, one
after another, as in incremental mixture importance sampling (Steele, Raftery & Emond 2006; Raftery & Bao 2010), each
with the width that the curvature has there. On the path from one wide Gaussian to the target a mode narrower than
others all but vanishes: at beta its share is as (its width / theirs)^(dim (1 - beta)) times that at the target. From a
component of its own it starts with a share that it keeps.
"""

import numpy as np

from samplers.initial import evaluate
from samplers.mixture import Mixture, mixture
from samplers.smc_loop import Particles
from targets.kernel import Matrix, Vector, aligned, empty
from targets.target import Target

WIDER = 1.5  # components over what they were learned from, in sd
WIDE = 0.5  # weight of the first component, where there are others
MOST = 6  # others
QUANTILES = 0.1, 0.025  # of log target - log reference: how it spreads where the reference is about right
FAR = 8.0  # distances of these quantiles beyond the first, for a particle that the reference does not cover
LEAST = 4.0  # nats, at least
WIDTH = 1e-3  # of a difference of gradients, in sd of the particles
SMALLEST = 1e-10  # sd, in units of those of the reference before, or of those of the particles
ALIKE = 0.3  # components that differ by less, in sd and in log sd, are one


class Surface:
    """The target, which counts its evaluations."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.evaluations = 0

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        gradient = empty(len(x))
        self.evaluations += 1
        return evaluate(self.target, aligned(x), gradient), gradient


def learned(target: Target, populations: list[Particles]) -> tuple[Mixture, int]:
    """The mixture, and the evaluations that it took.

    All populations count alike, whatever their estimates of the normaliser: it is to cover what any of them found.
    """
    points = np.concatenate([each.points for each in populations])
    densities = np.concatenate([each.densities for each in populations])
    surface = Surface(target)
    sd = np.maximum(points.std(axis=0), np.maximum(SMALLEST * np.abs(points).max(axis=0), np.finfo(float).tiny))
    centres, sds = [points.mean(axis=0)], [sd]
    while len(centres) <= MOST:
        found = _mixed(centres, sds)
        worst = uncovered(densities - found.log_density(points))
        if worst is None:
            break
        centre, width = local(surface, points[worst], sd)
        if any(_alike(centre, width, c, s) for c, s in zip(centres, sds, strict=True)):
            break
        centres.append(centre)
        sds.append(width)
    return _mixed(centres, sds), surface.evaluations


def _mixed(centres: list[Vector], sds: list[Vector]) -> Mixture:
    others = len(centres) - 1
    weights = np.array([WIDE] + [(1.0 - WIDE) / others] * others) if others else np.ones(1)
    return mixture(weights, np.array(centres), WIDER * np.array(sds))


def _alike(centre: Vector, sd: Vector, other: Vector, other_sd: Vector) -> bool:
    away = np.abs(centre - other) / np.minimum(sd, other_sd)
    return bool(np.all(away < ALIKE) and np.all(np.abs(np.log(sd / other_sd)) < ALIKE))


def uncovered(excess: Vector) -> int | None:
    """The particle with the largest log target - log reference (n,), if that is far above its lower quantiles."""
    first, second = np.quantile(excess, QUANTILES)
    worst = int(np.argmax(excess))
    return worst if excess[worst] - first > max(LEAST, FAR * (first - second)) else None


def local(surface: Surface, x: Vector, sd: Vector) -> tuple[Vector, Vector]:
    """Centre and standard deviations (dim,) of a component at x (dim,), no wider than `sd`.

    Where the density is log-concave a Newton step leads to the centre, if it leads uphill, and the widths are the
    marginal ones; elsewhere the component stays at x, with the curvature along each coordinate.
    """
    value, gradient = surface(x)
    unit = np.diag(WIDTH * sd)
    hessian = np.array([surface(x - step)[1] - surface(x + step)[1] for step in unit]) * sd / (2.0 * WIDTH)
    hessian = np.where(np.isfinite(hessian), 0.5 * (hessian + hessian.T), 0.0)
    sizes, vectors = np.linalg.eigh(hessian)
    if sizes[0] > SMALLEST * sizes[-1] > 0.0:
        covariance = (vectors / sizes) @ vectors.T
        centre = x + sd * (covariance @ (sd * gradient))
        if surface(centre)[0] >= value:
            return centre, _bounded(np.diagonal(covariance), sd)
    diagonal = np.diagonal(hessian)
    return x, _bounded(1.0 / np.where(diagonal > 1.0, diagonal, 1.0), sd)


def _bounded(variances: Matrix, sd: Vector) -> Vector:
    return np.asarray(sd * np.sqrt(np.clip(variances, SMALLEST**2, 1.0)))

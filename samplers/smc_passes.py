"""What finished passes of populations say together.

The estimate Z of a population with N particles is unbiased, and so is Z times its mean of any f for the unnormalised
integral of f (Del Moral 2004). Hence the passes of a chain combine with weights N Z: the ratio of unbiased sums, whose
bias is of order one over all particles of the chain. Draws of equal weight come by resampling once, when a pass ends.
Between chains weights are equal: R-hat compares them, and what bias a chain has left is of that order too.
"""

import math
from dataclasses import dataclass

import numpy as np

from samplers.chain import Values
from samplers.smc_weights import systematic
from targets.kernel import Vector


@dataclass
class Pass:
    """What is kept of a finished pass of n particles a population.

    Attributes:
        points: (chains, n, dim).
        log_normalisers: (chains,).
        variances: (chains,) relative variances of the normalisers; see `samplers.smc_weights.genealogical_variance`.
        temperatures: mean number over populations.
        accept: mean acceptance of its moves.
        remembered: the largest correlation that its moves left at some temperature.
    """

    points: Values
    log_normalisers: Vector
    variances: Vector
    temperatures: float
    accept: float
    remembered: float


def combined(passes: list[Pass], rng: np.random.Generator) -> Values:
    """(chains, n, dim) draws of equal weight, n the particles of all passes; see the module for the weights."""
    parts = []
    for c in range(len(passes[0].points)):
        points = np.concatenate([each.points[c] for each in passes])
        logs = np.concatenate([np.full(each.points.shape[1], each.log_normalisers[c]) for each in passes])
        ancestors = systematic(np.exp(logs - logs.max()), len(points), rng.random())
        parts.append(points[ancestors] if len(passes) > 1 else points)
    return np.stack(parts)


def log_normaliser(passes: list[Pass]) -> tuple[float, float]:
    """Log of the mean of the estimates, weighted by particles, and its standard error by the delta method.

    The variance is the larger of two: that which each population's genealogy tells, and that between all populations of
    all passes, about their common mean. The one has many degrees of freedom; the other sees populations, or passes,
    that have found different things.
    """
    largest = max(float(np.max(each.log_normalisers)) for each in passes)
    sizes = np.concatenate([np.full(len(each.log_normalisers), float(each.points.shape[1])) for each in passes])
    values = np.exp(np.concatenate([each.log_normalisers for each in passes]) - largest)
    variances = np.concatenate([each.variances for each in passes])
    shares = sizes / np.sum(sizes)
    mean = float(shares @ values)
    within = float(np.sum((shares * values) ** 2 * variances))
    between = float(np.sum((shares * (values - mean)) ** 2)) * len(values) / max(1, len(values) - 1)
    return largest + math.log(mean), math.sqrt(max(within, between)) / mean


def ancestors(last: Pass) -> float:
    """Effective number of first particles, 1 / sum_e (n_e / n)^2, of the population that has the fewest."""
    n = last.points.shape[1]
    return float(n / (1.0 + (n - 1.0) * np.max(last.variances)))

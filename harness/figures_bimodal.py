"""Figures 3 and 6: what either divergence makes of two modes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from targets import registry as targets
from targets.kernel import Matrix, Vector
from targets.target import Target
from variational.gaussian import Gaussian
from variational.quadrature import Optimum, forward_kl, reverse_kl_optima

GRID = 401
SEPARATIONS = tuple(0.5 + 0.25 * k for k in range(31))
EXAMPLES = (2.0, 4.0, 6.0)


def starts(separation: float, seed: int) -> tuple[Matrix, Matrix]:
    """Means and standard deviations (n, 1) to start from: the centre, both modes, narrow and wide, and at random."""
    rng = np.random.default_rng(seed)
    half = 0.5 * separation
    fixed = [(mean, sd) for mean in (-half, 0.0, half) for sd in (0.7, 1.0 + half)]
    drawn = [(rng.uniform(-half - 1, half + 1), np.exp(rng.uniform(-1, 1.5))) for _ in range(6)]
    both = np.array(fixed + drawn)
    return both[:, :1], both[:, 1:]


def asymmetry(seed: int) -> dict[str, Any]:
    """Figure 3: the best reverse-KL Gaussian, and the forward-KL one, on two modes of unequal weight and width."""
    separation = 6.0
    target = targets.load("bimodal_mixture", separation=separation, weight=0.6, sd_ratio=0.7)
    if target.truth is None:
        raise RuntimeError("the mixture lacks its truth")
    means, sds = starts(separation, seed)
    optima = reverse_kl_optima(target, means, sds)
    forward = forward_kl(target, means[-1], sds[-1])
    reach = np.linspace(-0.5 * separation - 5, 0.5 * separation + 5, GRID)
    return {
        "grid": reach.tolist(),
        "target": _density(target, reach),
        "reverse": _described(optima[0], reach),
        "other_reverse": [_described(optimum, reach) for optimum in optima[1:]],
        "forward": _described(forward, reach),
        "mixture": {
            "mean": float(target.truth.moments.mean[0]),
            "variance": float(target.truth.moments.variance[0]),
        },
        "note": (
            f"The reverse KL has {len(optima)} local optima here; the best is drawn. The forward optimum has the mean "
            "and variance of the mixture."
        ),
    }


def separations(seed: int) -> dict[str, Any]:
    """Figure 6: every local optimum of the reverse KL, and that of the forward one, as two equal modes part."""
    reverse, forward, examples, counts = [], [], [], []
    for separation in SEPARATIONS:
        target, optima = reverse_optima(separation, seed)
        covering = forward_kl(target, np.zeros(1), np.ones(1))
        reverse.append({"separation": separation, "optima": [_numbers(optimum) for optimum in optima]})
        forward.append({"separation": separation, **_numbers(covering)})
        counts.append(len(optima))
        if separation in EXAMPLES:
            reach = np.linspace(-0.5 * separation - 4, 0.5 * separation + 4, GRID)
            examples.append(
                {
                    "separation": separation,
                    "grid": reach.tolist(),
                    "target": _density(target, reach),
                    "reverse": [_curve(optimum.q, reach) for optimum in optima],
                    "forward": _curve(covering.q, reach),
                }
            )
    locked = _first(lambda separation: len(reverse_optima(separation, seed)[1]) > 1)
    preferred = _first(lambda separation: _off_centre(_best(reverse_optima(separation, seed)[1])))
    return {
        "separations": list(SEPARATIONS),
        "reverse": reverse,
        "forward": forward,
        "examples": examples,
        "counts": counts,
        "critical_separation": locked,
        "switch_separation": preferred,
        "note": (
            f"All local minima from many starts. Below a separation of {locked:.2f} there is one, broad and centred "
            f"between the modes. From there on each mode has its own beside it; from {preferred:.2f} on those are the "
            "better ones, but the centred one remains a local minimum. The forward optimum is always one, with the "
            "mean and variance of the mixture."
        ),
    }


def reverse_optima(separation: float, seed: int) -> tuple[Target, list[Optimum]]:
    """The symmetric mixture, and the minima of the reverse KL on it from left to right."""
    target = targets.load("bimodal_mixture", separation=separation)
    optima = reverse_kl_optima(target, *starts(separation, seed))
    return target, sorted(optima, key=lambda optimum: float(optimum.q.mean[0]))


def _best(optima: list[Optimum]) -> Optimum:
    return min(optima, key=lambda optimum: optimum.divergence)


def _off_centre(optimum: Optimum) -> bool:
    return abs(float(optimum.q.mean[0])) > 0.1


def _first(holds: Callable[[float], bool]) -> float:
    """The separation from which on something holds, to 0.005: not at the first of `SEPARATIONS`, but at the last."""
    low, high = SEPARATIONS[0], SEPARATIONS[-1]
    while high - low > 0.005:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _numbers(optimum: Optimum) -> dict[str, float]:
    return {
        "mean": float(optimum.q.mean[0]),
        "variance": float(optimum.q.variance[0]),
        "kl": optimum.divergence,
    }


def _described(optimum: Optimum, grid: Vector) -> dict[str, Any]:
    return {**_numbers(optimum), "density": _curve(optimum.q, grid)}


def _curve(q: Gaussian, grid: Vector) -> list[float]:
    values: list[float] = np.exp(q.log_density(grid[:, None])).tolist()
    return values


def _density(target: Target, grid: Vector) -> list[float]:
    if target.truth is None:
        raise RuntimeError("the mixture lacks its truth")
    values: list[float] = np.exp(target.log_densities(grid[:, None]) - target.truth.log_normaliser).tolist()
    return values

"""Pareto k on pairs of Gaussians, whose tail is known: what is measured against what must come out.

q is narrower or wider than p by one factor in some directions, and equal in the others, seen through a random linear
map, so that neither covariance is diagonal. The ratio p / q is then a power of exp(chi^2 / 2): its quantiles are known,
and so is what the estimator makes of them at any number of draws. That is not yet the tail's shape: estimates at
thousands of draws still see the logarithms that the tail forgets.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import chi2

from harness.spec import Spec
from reports.alarms import K_HAT_ALARM
from reports.section import Cell, Section
from targets.kernel import Vector
from variational.gaussian import Gaussian, triangular
from variational.psis import smooth, tail_shape

WIDTHS = (0.5, 0.7, 0.9, 1.5)  # sd of q over that of p
DIRECTIONS = (1, 2, 5)
SIZES = (1000, 4000, 16_000)
RUNS = 100
OTHERS = 2  # directions in which the two agree
STANDARD_ERRORS = 5.0  # 36 comparisons exceed it by chance once in fifty thousand

NOTE = (
    f"{RUNS} runs each, in {OTHERS} dimensions more than there are directions in which q is too narrow or too wide. "
    "Known: the shape of the tail of p / q. At this size: the same estimate from the exact quantiles of the ratio, as "
    "many as draws. Measured: mean of the runs ± its standard error, and their standard deviation. Rang: k̂ above "
    f"{K_HAT_ALARM:g}."
)


class Measured(NamedTuple):
    """One pair of Gaussians at one number of draws."""

    width: float
    directions: int
    draws: int
    known: float
    at_size: float
    mean: float
    error: float
    sd: float
    rang: float

    @property
    def off(self) -> float:
        """Standard errors between what is measured and what comes of the exact quantiles."""
        return abs(self.mean - self.at_size) / self.error


def pair(width: float, directions: int, rng: np.random.Generator, others: int = OTHERS) -> tuple[Gaussian, Gaussian]:
    """(q, p): q's sd is `width` times p's in so many directions, and the same in the others."""
    dim = directions + others
    shape = np.asarray(rng.standard_normal((dim, dim)) + 2 * np.eye(dim))
    sds = np.concatenate([np.full(directions, width), np.ones(others)])
    turned = shape @ np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    mean = rng.standard_normal(dim)
    return Gaussian(mean, triangular(turned * sds)), Gaussian(mean, triangular(turned))


def log_ratios(width: float, directions: int, draws: int) -> Vector:
    """Quantiles (draws,) of log p / q, up to a constant."""
    probabilities = (np.arange(draws) + 0.5) / draws
    return np.asarray(0.5 * (1 - width**2) * chi2.ppf(probabilities, directions))


def measured(width: float, directions: int, draws: int, runs: int, seed: int) -> Measured:
    """Independent estimates on a pair."""
    rng = np.random.default_rng([seed, directions, draws, round(1000 * width)])
    q, p = pair(width, directions, rng)
    found = np.empty(runs)
    for run in range(runs):
        x = q.sample(rng, draws)
        found[run] = smooth(p.log_density(x) - q.log_density(x))[1]
    return Measured(
        width,
        directions,
        draws,
        tail_shape(q, p),
        smooth(log_ratios(width, directions, draws))[1],
        float(found.mean()),
        float(found.std(ddof=1)) / np.sqrt(runs),
        float(found.std(ddof=1)),
        float(np.mean(found > K_HAT_ALARM)),
    )


def measure(_: list[Spec]) -> Section:
    """The table of all pairs."""
    found = [measured(w, d, n, RUNS, 1) for w in WIDTHS for d in DIRECTIONS for n in SIZES]
    within = sum(each.off < STANDARD_ERRORS for each in found)
    sentences = [
        f"On {within} of {len(found)} pairs the mean of k̂ is within {STANDARD_ERRORS:g} standard errors of what the "
        "exact quantiles give at that size.",
    ]
    head = ("sd of q over p", "directions", "draws", "known k", "at this size", "measured", "sd", "rang")
    return Section(
        "Pareto k against its known value",
        head,
        list(map(_row, found)),
        sentences,
        NOTE,
        [_numbers(each) for each in found],
        labels=0,
    )


def _row(each: Measured) -> list[Cell]:
    return [
        Cell(f"{each.width:g}"),
        Cell(str(each.directions)),
        Cell(f"{each.draws:,}", str(each.draws)),
        *(Cell.of(value, f"{value:.3f}") for value in (each.known, each.at_size)),
        Cell.of(each.mean, f"{each.mean:.3f} ± {each.error:.3f}"),
        Cell.of(each.sd, f"{each.sd:.2f}"),
        Cell.of(each.rang, f"{100 * each.rang:.0f} %"),
    ]


def _numbers(each: Measured) -> dict[str, Any]:
    return {name: float(value) for name, value in each._asdict().items()}

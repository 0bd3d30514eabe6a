"""Coordinates in posterior standard deviations, and evenly spaced draws: what the two-sample metrics begin with."""

from dataclasses import dataclass

import numpy as np

from targets.kernel import Matrix, Vector
from targets.truth import Moments

FARTHEST = 1e100  # posterior sd: beyond it squares would overflow
QUARTILES_IN_SD = 1.3489795003921634  # the interquartile range of a standard normal


@dataclass(frozen=True)
class Standard:
    """The centre (dim,) and scale (dim,) of the truth: mean and sd, or median and quartiles where one is undefined."""

    centre: Vector
    scale: Vector

    @classmethod
    def of(cls, moments: Moments, draws: Matrix) -> "Standard":
        """From the moments, and reference draws (M, dim) for what they lack."""
        with np.errstate(invalid="ignore"):
            known = np.isfinite(moments.mean) & np.isfinite(moments.sd) & (moments.sd > 0)
        low, middle, high = np.quantile(draws, [0.25, 0.5, 0.75], axis=0)
        return cls(np.where(known, moments.mean, middle), np.where(known, moments.sd, (high - low) / QUARTILES_IN_SD))

    def __call__(self, draws: Matrix) -> Matrix:
        """Draws (n, dim) in these units."""
        return np.ascontiguousarray(np.clip((draws - self.centre) / self.scale, -FARTHEST, FARTHEST))


def evenly(draws: Matrix, most: int) -> Matrix:
    """At most so many of the draws (n, dim), evenly spaced."""
    if len(draws) <= most:
        return draws
    return np.asarray(draws[np.linspace(0, len(draws) - 1, most).astype(np.intp)])

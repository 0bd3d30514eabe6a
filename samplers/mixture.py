"""A mixture of Gaussians with independent coordinates: the reference that populations start from, as loops take it."""

import math
from typing import NamedTuple

import numpy as np
from numba import types
from scipy.special import logsumexp, ndtri

from samplers.smc_weights import systematic
from targets.kernel import MATRIX, VECTOR, Matrix, Vector, aligned, helper

TINY = 1e-16  # nearest to an end of (0, 1)


class Mixture(NamedTuple):
    """Normalised: its log density is log sum_k exp(heights[k] - precisions[k] (x - centres[k])^2 / 2).

    Attributes:
        centres: (k, dim).
        precisions: (k, dim).
        heights: (k,) log weights, and log densities of the components at their centres.
    """

    centres: Matrix
    precisions: Matrix
    heights: Vector

    @property
    def sds(self) -> Matrix:
        """(k, dim)."""
        return np.asarray(self.precisions**-0.5)

    @property
    def weights(self) -> Vector:
        """(k,), of sum one."""
        dim = self.centres.shape[1]
        logs = self.heights + 0.5 * dim * math.log(2.0 * math.pi) - 0.5 * np.sum(np.log(self.precisions), axis=1)
        return np.asarray(np.exp(logs))

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """(n, dim) draws, component by component, each component's a Latin hypercube.

        Every draw is the component's, and each coordinate is spread evenly, so that means are unbiased, and those of
        sums over coordinates nearly exact (McKay, Beckman & Conover 1979). Components have their shares of n to one.
        """
        counts = np.bincount(systematic(self.weights, n, rng.random()), minlength=len(self.heights))
        parts = [c + sd * _hypercube(rng, m, len(c)) for c, sd, m in zip(self.centres, self.sds, counts, strict=True)]
        return aligned(np.concatenate(parts))

    def log_density(self, x: Matrix) -> Vector:
        """(n,) at the points x (n, dim)."""
        return np.asarray(logsumexp(self._parts(x), axis=0))

    def slopes(self, x: Matrix) -> Matrix:
        """(n, dim) gradients of the log density at the points x (n, dim)."""
        parts = self._parts(x)
        shares = np.exp(parts - logsumexp(parts, axis=0))
        pulls = zip(self.centres, self.precisions, shares, strict=True)
        return np.asarray(sum(share[:, None] * precision * (c - x) for c, precision, share in pulls))

    def _parts(self, x: Matrix) -> Matrix:
        with np.errstate(over="ignore"):
            parts = [
                h - 0.5 * np.sum(precision * (x - c) ** 2, axis=1)
                for c, precision, h in zip(self.centres, self.precisions, self.heights, strict=True)
            ]
        return np.asarray(parts)


MIXTURE = types.NamedTuple((MATRIX, MATRIX, VECTOR), Mixture)


def mixture(weights: Vector, centres: Matrix, sds: Matrix) -> Mixture:
    """The mixture with weights (k,) of sum one, centres and standard deviations (k, dim)."""
    centres, sds = np.atleast_2d(centres), np.atleast_2d(sds)
    heights = np.log(weights) - 0.5 * centres.shape[1] * math.log(2.0 * math.pi) - np.sum(np.log(sds), axis=1)
    return Mixture(aligned(centres), aligned(sds**-2.0), aligned(heights))


def _hypercube(rng: np.random.Generator, n: int, dim: int) -> Matrix:
    """(n, dim) standard normal."""
    strata = rng.permuted(np.tile(np.arange(n), (dim, 1)), axis=1).T
    return np.asarray(ndtri(np.clip((strata + rng.random((n, dim))) / max(n, 1), TINY, 1.0 - TINY)))


@helper
def mixture_slope(mixture, position, slope):  # type: ignore[no-untyped-def]
    """Write the gradient of the log density at a position (dim,) into `slope` (dim,); returns the log density."""
    centres, precisions, heights = mixture.centres, mixture.precisions, mixture.heights
    dim = position.shape[0]
    for i in range(dim):
        slope[i] = 0.0
    highest = -np.inf
    total = 0.0
    for k in range(heights.shape[0]):
        squares = 0.0
        for i in range(dim):
            squares += precisions[k, i] * (position[i] - centres[k, i]) ** 2
        height = heights[k] - 0.5 * squares
        share = 1.0
        if height > highest:  # all so far in units of this one
            before = math.exp(highest - height)
            total *= before
            for i in range(dim):
                slope[i] *= before
            highest = height
        else:
            share = math.exp(height - highest)
        total += share
        for i in range(dim):
            slope[i] -= share * precisions[k, i] * (position[i] - centres[k, i])
    for i in range(dim):
        slope[i] /= total
    return highest + math.log(total)

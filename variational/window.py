"""Averages along several chains over a window of steps, with their Monte Carlo error and the chains' agreement."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from targets.kernel import Matrix, Vector

BATCHES = 8  # of each chain in a window
AGREED = 1.01  # R-hat


class Said(NamedTuple):
    """What a window says.

    Attributes:
        mean, covariance: of the draws, (dim,) and (dim, dim), the latter diagonal where only that was kept.
        error: largest standard error of means, in sd, and of log sds, from batch means.
        r_hat: over halves of chains (Gelman et al. 2013, section 11.4), for means and squares.
        moved: share of the steps that led elsewhere.
    """

    mean: Vector
    variance: Vector
    covariance: Matrix
    error: float
    r_hat: float
    moved: float

    @property
    def agreed(self) -> bool:
        """Whether the chains tell the same."""
        return self.r_hat <= AGREED


@dataclass
class Window:
    """Sums over blocks of steps, in coordinates (x - origin) / scale so that no digits are lost.

    Attributes:
        length, blocks: blocks that make the window whole, a multiple of `BATCHES`, and those in it.
        first, second: (chains, BATCHES, dim) sums of coordinates and of their squares.
        outer: (dim, dim) sum of outer products, or (0, 0).
        moved: sum over blocks of the shares of steps that led elsewhere.
    """

    length: int
    origin: Vector
    scale: Vector
    first: np.ndarray
    second: np.ndarray
    outer: Matrix
    blocks: int = 0
    moved: float = 0.0

    @classmethod
    def empty(cls, length: int, chains: int, origin: Vector, scale: Vector, dense: bool) -> "Window":
        """A window without blocks."""
        dim = len(origin)
        sums = np.zeros((2, chains, BATCHES, dim))
        return cls(length, origin, scale, sums[0], sums[1], np.zeros((dim, dim) if dense else (0, 0)))

    def add(self, points: np.ndarray, shares: Matrix, moved: float) -> None:
        """A block: points (chains, n, dim) with shares (chains, n) that sum to one in each chain."""
        batch = self.blocks * BATCHES // self.length
        z = (points - self.origin) / self.scale
        self.first[:, batch] += np.einsum("cn,cni->ci", shares, z)
        self.second[:, batch] += np.einsum("cn,cni->ci", shares, z**2)
        if len(self.outer):
            flat = z.reshape(-1, z.shape[2])
            self.outer += (flat * shares.reshape(-1, 1)).T @ flat
        self.blocks += 1
        self.moved += moved


def judge(window: Window) -> Said:
    """What a whole window says."""
    chains, _, dim = window.first.shape
    per_batch = window.length / BATCHES
    first, second = window.first / per_batch, window.second / per_batch
    mean, square = first.mean(axis=(0, 1)), second.mean(axis=(0, 1))
    variance = np.maximum(square - mean**2, 1e-300)
    # of a log sd, half the relative error of the variance about the common mean
    spread = 0.5 * (second - 2 * mean * first + mean**2) / variance
    count = chains * BATCHES
    errors = [values.reshape(count, dim).std(axis=0, ddof=1) / np.sqrt(count) for values in (first, spread)]
    error = max(float(np.max(errors[0] / np.sqrt(variance))), float(np.max(errors[1])))
    halves = first.reshape(chains * 2, BATCHES // 2, dim).mean(axis=1)
    half_squares = spread.reshape(chains * 2, BATCHES // 2, dim).mean(axis=1)
    between = max(float(np.max(halves.var(axis=0, ddof=1) / variance)), float(np.max(half_squares.var(axis=0, ddof=1))))
    scale = window.scale
    covariance = np.diag(variance * scale**2)
    if len(window.outer):
        centred = window.outer / (window.length * chains) - np.outer(mean, mean)
        covariance = centred * np.outer(scale, scale)
    return Said(
        window.origin + scale * mean,
        variance * scale**2,
        covariance,
        error,
        float(np.sqrt(1 + between)),
        window.moved / window.length,
    )

"""The kernel Stein discrepancy with the inverse multiquadric kernel (1 + |x - y|²)^(-1/2) (Gorham and Mackey 2017).

Its square is E k_p(x, x') over two draws of q, with the Stein kernel

    k_p(x, y) = s(x).s(y) k + s(x).grad_y k + s(y).grad_x k + trace grad_x grad_y k,   s the gradient of log p,

whose expectation over either argument is zero under p. It needs no draws of p, and no normaliser. Of n draws the mean
over pairs of different ones is taken (the U-statistic of Liu, Lee and Jordan 2016): its expectation is zero for exact
draws, whereas the mean with each draw's own k_p(x, x), the V-statistic, is the discrepancy of the n points
themselves: positive, by E k_p(x, x) / n for exact draws, which would be a floor that swamps a small bias.
"""

from dataclasses import dataclass

import numpy as np

from harness.metrics.laws import Degenerate
from harness.metrics.standard import Standard, evenly
from targets.kernel import Matrix
from targets.target import Target
from variational.evaluation import gradients

BETA = -0.5
WORK = 20_000_000  # entries of the data that the gradients of one estimate may touch
MOST, LEAST = 500, 100


@dataclass(frozen=True)
class Stein:
    """The target's gradients in the units of `standard`, and the law of the estimate where exact draws are known."""

    target: Target
    standard: Standard
    law: Degenerate | None

    @classmethod
    def of(cls, target: Target, standard: Standard | None, draws: Matrix | None) -> "Stein":
        """With reference draws (n, dim) for its law, in posterior sd; without a truth in coordinates as they are."""
        if standard is None or draws is None:
            return cls(target, Standard(np.zeros(target.dim), np.ones(target.dim)), None)
        bare = cls(target, standard, None)
        return cls(target, standard, Degenerate.of(bare.kernel(evenly(draws, bare.most))))

    @property
    def most(self) -> int:
        """How many draws are looked at."""
        return int(np.clip(WORK // self.target.data.size, LEAST, MOST))

    def squared(self, draws: Matrix) -> float:
        """The squared discrepancy of draws (n, dim), n from 2 on; infinite where a gradient is not finite."""
        n, values = len(draws), self.kernel(draws)
        mean = float(values.sum() - np.trace(values)) / (n * (n - 1))
        return mean if np.isfinite(mean) else np.inf

    def kernel(self, draws: Matrix) -> Matrix:
        """The Stein kernel (n, n) between draws (n, dim)."""
        x = self.standard(draws)
        score = gradients(self.target, draws)[1] * self.standard.scale
        products, slopes = x @ x.T, score @ x.T
        lengths = np.diagonal(products)
        square = np.maximum(lengths + lengths[:, None] - 2 * products, 0.0)
        base = 1 + square
        own = np.diagonal(slopes)
        drift = slopes + slopes.T - own - own[:, None]  # (s(y) - s(x)) . (x - y)
        kernel = base**BETA
        first = 2 * BETA * kernel / base
        trace = -first * x.shape[1] - 2 * (BETA - 1) * first / base * square
        return np.asarray(score @ score.T * kernel + first * drift + trace)

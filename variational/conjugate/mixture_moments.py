"""What a mixture's updates need to know of its rows: counts, means and scatters of the components."""

from dataclasses import dataclass

import numpy as np

from targets.kernel import Matrix, Vector
from variational.conjugate.mixture_sweep import Components, Sums


@dataclass(frozen=True, eq=False)
class Moments:
    """The sufficient statistics of rows in K components, in a form that does not cancel.

    Attributes:
        count: (K,) rows in each, as the sum of their shares.
        mean: (K, d) of the rows in each; anything where there are none.
        scatter: (K, d, d) sums of squares and products about that mean, or (K, 1, d) of squares alone.
    """

    count: Vector
    mean: Matrix
    scatter: Matrix

    @staticmethod
    def of(components: Components, sums: Sums) -> "Moments":
        """From sums about the means of components."""
        held = sums.count > 0
        shift = np.divide(sums.first, sums.count[:, None], out=np.zeros_like(sums.first), where=held[:, None])
        scatter = sums.second.copy()
        if scatter.shape[1] == scatter.shape[2]:
            lower = np.tril(scatter, -1)
            scatter = np.tril(scatter) + lower.transpose(0, 2, 1)
        return Moments(sums.count, components.mean + shift, scatter - sums.count[:, None, None] * outer(shift, scatter))

    def combined(self, other: "Moments", here: float, there: float) -> "Moments":
        """Sufficient statistics here * self + there * other, which is what a step along natural gradients makes."""
        one, two = here * self.count, there * other.count
        count = one + two
        part = np.divide(two, count, out=np.zeros_like(count), where=count > 0)
        apart = other.mean - self.mean
        between = (one * part)[:, None, None] * outer(apart, self.scatter)
        scatter = here * self.scatter + there * other.scatter + between
        return Moments(count, self.mean + part[:, None] * apart, scatter)

    def scaled(self, factor: float) -> "Moments":
        """Of so many times the rows."""
        return Moments(factor * self.count, self.mean, factor * self.scatter)

    def only(self, kept: np.ndarray) -> "Moments":
        """Of some components."""
        return Moments(self.count[kept], self.mean[kept], self.scatter[kept])


def outer(vectors: Matrix, like: Matrix) -> Matrix:
    """(K, d, d) products of each of (K, d) vectors with itself, or (K, 1, d) squares where `like` has only these."""
    if like.shape[1] == like.shape[2]:
        return vectors[:, :, None] * vectors[:, None, :]
    return (vectors * vectors)[:, None, :]

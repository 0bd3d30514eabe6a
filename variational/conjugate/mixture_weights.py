"""The two priors of a mixture's weights, and q of the weights, which has the same form."""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from scipy.special import betaln, digamma, gammaln

from targets.kernel import Vector


class Weights(Protocol):
    """A distribution of K weights."""

    def updated(self, count: Vector) -> Self:
        """The posterior after `count` (K,) rows in each component, of which this is the prior."""

    def resized(self, size: int) -> Self:
        """A prior of so many weights."""

    def expected_logs(self) -> Vector:
        """(K,) E log weight."""

    def log_normaliser(self) -> float: ...

    def means(self) -> Vector:
        """(K,) E weight, scaled to the sum 1."""

    def symmetries(self, count: Vector) -> float:
        """The log of how many orders of the components describe the same fit."""

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """(n, K) draws of the weights."""


@dataclass(frozen=True, eq=False)
class Dirichlet:
    """Of a symmetric prior, or of a posterior; concentration (K,)."""

    concentration: Vector

    def updated(self, count: Vector) -> "Dirichlet":
        return Dirichlet(self.concentration[0] + count)

    def resized(self, size: int) -> "Dirichlet":
        return Dirichlet(np.full(size, self.concentration[0]))

    def expected_logs(self) -> Vector:
        return np.asarray(digamma(self.concentration) - digamma(self.concentration.sum()))

    def log_normaliser(self) -> float:
        return float(gammaln(self.concentration).sum() - gammaln(self.concentration.sum()))

    def means(self) -> Vector:
        return np.asarray(self.concentration / self.concentration.sum())

    def symmetries(self, count: Vector) -> float:
        """That is, log K! - log E!, where E components are empty: to exchange these changes nothing."""
        empty = int(np.sum(count < 0.5))
        return float(gammaln(len(count) + 1) - gammaln(empty + 1))

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.dirichlet(self.concentration, n)


@dataclass(frozen=True, eq=False)
class Sticks:
    """The first K sticks of a Dirichlet process, broken off at Beta(a, b) of what is left; a and b (K,).

    The bound is that of the infinite mixture, where q gives the components from K + 1 on no rows and leaves them their
    prior (Kurihara, Welling and Vlassis 2007); with more components it can only rise.
    """

    a: Vector
    b: Vector

    def updated(self, count: Vector) -> "Sticks":
        after = np.concatenate([np.cumsum(count[::-1])[-2::-1], [0.0]])
        return Sticks(1.0 + count, self.b[0] + after)

    def resized(self, size: int) -> "Sticks":
        return Sticks(np.ones(size), np.full(size, self.b[0]))

    def expected_logs(self) -> Vector:
        both = digamma(self.a + self.b)
        left = np.cumsum(digamma(self.b) - both)
        return np.asarray(digamma(self.a) - both + np.concatenate([[0.0], left[:-1]]))

    def log_normaliser(self) -> float:
        return float(betaln(self.a, self.b).sum())

    def means(self) -> Vector:
        share = self.a / (self.a + self.b)
        weights = share * np.concatenate([[1.0], np.cumprod(1.0 - share)[:-1]])
        return np.asarray(weights / weights.sum())

    def symmetries(self, count: Vector) -> float:  # noqa: ARG002
        """None: the order of sticks matters."""
        return 0.0

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        share = rng.beta(self.a, self.b, (n, len(self.a)))
        weights = share * np.concatenate([np.ones((n, 1)), np.cumprod(1.0 - share, axis=1)[:, :-1]], axis=1)
        return np.asarray(weights / weights.sum(1, keepdims=True))

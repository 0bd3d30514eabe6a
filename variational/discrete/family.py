"""The factorised family over discrete states: every site has a categorical distribution of its own."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from targets.discrete import States
from targets.kernel import Matrix, Vector


@dataclass(frozen=True, eq=False)
class Factorised:
    """q(z) = product over sites of softmax(logits_i)[z_i].

    Attributes:
        logits: (sites, categories); a constant added to a row changes nothing.
    """

    logits: Matrix

    @cached_property
    def log_probabilities(self) -> Matrix:
        """(sites, categories)."""
        centred = self.logits - self.logits.max(axis=1, keepdims=True)
        return np.asarray(centred - np.log(np.exp(centred).sum(axis=1, keepdims=True)))

    @cached_property
    def probabilities(self) -> Matrix:
        """(sites, categories), rows sum to one."""
        return np.asarray(np.exp(self.log_probabilities))

    @property
    def entropy(self) -> float:
        """In nats."""
        return -float(np.sum(self.probabilities * self.log_probabilities))

    def log_probability(self, states: States) -> Vector:
        """(n,) of states (n, sites)."""
        return np.asarray(self.log_probabilities[np.arange(len(self.logits)), np.asarray(states)].sum(axis=1))

    def sample(self, rng: np.random.Generator, n: int) -> States:
        """(n, sites) independent draws."""
        cumulative = np.cumsum(self.probabilities, axis=1)[:, :-1]
        return np.asarray(np.sum(rng.random((n, len(self.logits), 1)) > cumulative, axis=2), dtype=np.int64)

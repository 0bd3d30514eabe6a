"""The ELBO of a factorised distribution and its gradient, exactly, from the enumeration of all states."""

from dataclasses import dataclass

import numpy as np
from numba import void

from targets.discrete import Enumeration
from targets.kernel import MATRIX, VECTOR, Matrix, helper, loop
from variational.discrete.family import Factorised


@helper
def condition(log_joint, log_p, first, last, state, means):  # type: ignore[no-untyped-def]
    """For sites `first` to `last` - 1, means[i, k] = E_q [log joint | z_i = k]; `state` (sites,) is scratch."""
    sites, categories = log_p.shape
    for i in range(sites):
        state[i] = 0
    for i in range(first, last):
        for k in range(categories):
            means[i, k] = 0.0
    for n in range(log_joint.shape[0]):
        log_q = 0.0
        for i in range(sites):
            log_q += log_p[i, state[i]]
        for i in range(first, last):
            means[i, state[i]] += log_joint[n] * np.exp(log_q - log_p[i, state[i]])
        for i in range(sites - 1, -1, -1):
            state[i] = (state[i] + 1) % categories
            if state[i] > 0:
                break


@loop(void(VECTOR, MATRIX, MATRIX))
def conditional_means(log_joint, log_p, means):  # type: ignore[no-untyped-def]
    """Fill `means` (sites, categories) with E_q [log joint | z_i = k], for the table (states,) of all states."""
    state = np.zeros(log_p.shape[0], np.int64)
    condition(log_joint, log_p, 0, log_p.shape[0], state, means)


@dataclass(frozen=True, eq=False)
class Exact:
    """What enumeration says of a factorised q.

    Attributes:
        elbo: E_q [log joint] + entropy.
        gradient: (sites, categories), of the ELBO in the logits; its rows sum to zero.
        means: (sites, categories) E_q [log joint | z_i = k].
    """

    elbo: float
    gradient: Matrix
    means: Matrix


def exact(enumeration: Enumeration, q: Factorised) -> Exact:
    """The ELBO of q and its gradient, d ELBO / d logit_ij = p_ij (a_ij - sum_k p_ik a_ik), a = means - log p."""
    means = np.empty(q.logits.shape)
    conditional_means(np.ascontiguousarray(enumeration.log_joint).ravel(), q.log_probabilities, means)
    p, height = q.probabilities, means - q.log_probabilities
    gradient = p * (height - np.sum(p * height, axis=1, keepdims=True))
    return Exact(float(p[0] @ means[0]) + q.entropy, gradient, means)

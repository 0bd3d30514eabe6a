"""The state of one chain: what compiled loops carry from call to call, and what they say of every draw."""

import math
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from targets.kernel import VECTOR, Vector, helper, zeros


class Chain(NamedTuple):
    """The vectors of one chain, (dim,) each; only `position` and `gradient` outlive an iteration."""

    position: Vector
    gradient: Vector
    proposal: Vector
    proposal_gradient: Vector
    momentum: Vector
    force: Vector  # A' gradient, with A the scale
    spare: Vector


TALLY_DTYPE = np.dtype(
    [
        ("log_density", np.float64),  # at the position
        ("log_step", np.float64),  # log of the step size in use
        ("log_step_mean", np.float64),  # its average while it adapts
        ("error", np.float64),  # H-bar of dual averaging
        ("centre", np.float64),  # mu of dual averaging: what the log step is drawn to
        ("adaptations", np.int64),  # since the adaptation was last restarted
        ("iterations", np.int64),
        ("evaluations", np.int64),
        ("rows", np.int64),  # of data touched, by methods that take the likelihood in part
    ]
)

# What is said of every draw, under the names of ArviZ's schema. Each kind of chain writes some of them.
STATS_DTYPE = np.dtype(
    [
        ("lp", np.float64),  # log density
        ("energy", np.float64),
        ("acceptance_rate", np.float64),  # mean acceptance probability of the iteration
        ("step_size", np.float64),
        ("n_steps", np.int64),  # evaluations
        ("tree_depth", np.int64),
        ("diverging", np.int64),  # 1 where the trajectory left its level set
    ]
)

CHAIN = types.NamedUniTuple(VECTOR, len(Chain._fields), Chain)
TALLY = types.Array(numba.from_dtype(TALLY_DTYPE), 1, "C")
STATS = types.Array(numba.from_dtype(STATS_DTYPE), 1, "C")
RNG = types.npy_rng

Values = npt.NDArray[np.float64]  # draws (chains, n, dim)
Tally = npt.NDArray[Any]
Stats = npt.NDArray[Any]


@helper
def metropolis(change):  # type: ignore[no-untyped-def]
    """Probability of accepting a proposal whose log density less that of the state is `change`; none if not finite."""
    if not abs(change) < np.inf:  # `isfinite` is a difference that fast math may cancel
        return 0.0
    return 1.0 if change >= 0.0 else math.exp(change)


@helper
def record(tally, log_density, iterations, evaluations):  # type: ignore[no-untyped-def]
    """Add what a call of a loop did to the counters of its chain."""
    tally[0].log_density = log_density
    tally[0].iterations += iterations
    tally[0].evaluations += evaluations


def chain_at(position: Vector, gradient: Vector) -> Chain:
    """A chain that stands at `position`, where the density has `gradient`."""
    chain = Chain(*(zeros(len(position)) for _ in Chain._fields))
    chain.position[:] = position
    chain.gradient[:] = gradient
    return chain


def tallies(chains: int) -> Tally:
    """Zeroed counters of so many chains; `tallies(n)[c : c + 1]` is what a loop takes for chain c."""
    return np.zeros(chains, TALLY_DTYPE)


def no_stats(*shape: int) -> Stats:
    """Zeroed statistics of draws, (chains, n) or (n,)."""
    return np.zeros(shape, STATS_DTYPE)

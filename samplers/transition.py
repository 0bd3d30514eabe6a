"""What a kind of Markov chain offers to the driver that advances it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from samplers.chain import Chain, Tally
from samplers.warmup import Values
from targets.kernel import Matrix, Vector
from targets.target import Target


@dataclass
class Tuning:
    """What all chains of a run share, and warm-up learns.

    Attributes:
        scale: (dim,) diagonal or (dim, dim) lower factor A of the positions' scale.
        kept: whether the scale was given and stays.
        path: length of a Hamiltonian trajectory in units of the scale.
        stretch: how much longer it is than a Gaussian of the draws' covariance would need.
        most: most leapfrog steps a trajectory may have.
        with_gradients: whether rows of draws in warm-up are (2 dim,), the gradient behind the position, for `learn`;
            `begin` says so.
    """

    scale: Vector | Matrix
    kept: bool
    path: float = 0.0
    stretch: float = 1.0
    most: int = 1
    with_gradients: bool = False


class Transition(Protocol):
    """A kind of Markov chain, with its options fixed."""

    def usual_warmup(self, kept: bool) -> int: ...  # iterations

    def uses_density(self, target: Target) -> bool: ...  # whether its evaluations are of the density alone

    def compile(self, target: Target) -> None: ...

    def begin(
        self, target: Target, rngs: list[np.random.Generator], chains: list[Chain], counters: Tally, tuning: Tuning
    ) -> None: ...  # first step sizes and path

    def advance(  # one chain by len(draws) iterations
        self,
        target: Target,
        rng: np.random.Generator,
        chain: Chain,
        tally: Tally,
        tuning: Tuning,
        draws: Matrix,
        adapting: bool,
    ) -> None: ...

    def learn(self, values: Values, tuning: Tuning) -> None: ...  # after a window, from its draws (chains, n, dim)

    def cost(self, target: Target, counters: Tally, tuning: Tuning) -> float: ...  # evaluations expected an iteration

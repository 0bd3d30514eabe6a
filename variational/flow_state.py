"""The state of a flow's fit: what the loops of `variational.realnvp` and `variational.planar` move, and its average."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from targets.kernel import Matrix, Vector, aligned, zeros
from targets.target import Target
from variational.flow import Map
from variational.gaussian import Gaussian


@dataclass
class State:
    """Arrays that a loop works on."""

    mean: Vector
    root: Matrix
    parameters: Vector
    gradient: Vector
    first: Vector
    second: Vector
    pace: Vector
    total: Vector
    scratch: tuple[Any, ...]

    @classmethod
    def at(cls, flow: Map, parameters: Vector, base: Gaussian, batch: int) -> "State":
        """A state that starts from a map's parameters."""
        size = len(parameters)
        root = np.diag(base.factor) if base.diagonal else base.factor
        rest = zeros(size), zeros(size), zeros(size), zeros(2), zeros(size)
        return cls(aligned(base.mean), aligned(root), aligned(parameters), *rest, flow.scratch(batch))

    def train(
        self,
        target: Target,
        rng: np.random.Generator,
        flow: Map,
        steps: int,
        rate: float,
        share: float,
        beta: float,
        warming: float,
    ) -> int:
        """Make steps; returns the number of draws left out."""
        q = self.mean, self.root, self.parameters
        adam = self.gradient, self.first, self.second, self.pace, self.total
        return int(
            flow.train(target.kernel, target.data, rng, *q, *adam, *self.scratch, steps, rate, share, beta, warming)
        )

    def average(self, steps: int) -> Vector:
        """The average over the last steps, which it forgets."""
        average = self.total / steps
        self.forget()
        return np.asarray(average)

    def forget(self) -> None:
        """Begin an average anew."""
        self.total[:] = 0.0

    def restart(self, parameters: Vector) -> None:
        """Go on from these parameters, without momentum."""
        self.parameters[:] = parameters
        for array in (self.first, self.second, self.pace, self.total):
            array[:] = 0.0

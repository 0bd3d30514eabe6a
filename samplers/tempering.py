"""The tempered path from a Gaussian to a target: pi_beta proportional to reference^(1 - beta) p^beta.

The reference is normalised, so that the ratio of normalisers along the path is that of the target itself. Loops take it
as a matrix, see `Reference.matrix`, and put the two parts together with the helpers here, one coordinate at a time.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import types

from targets.kernel import VECTOR, Matrix, Vector, aligned, helper, zeros


class Scratch(NamedTuple):
    """(dim,) each; nothing in them outlives a trajectory."""

    position: Vector
    gradient: Vector
    momentum: Vector
    slope: Vector
    force: Vector
    spare: Vector


SCRATCH = types.NamedUniTuple(VECTOR, len(Scratch._fields), Scratch)


def scratch_for(dim: int) -> Scratch:
    """Vectors for one thread."""
    return Scratch(*(zeros(dim) for _ in Scratch._fields))


@helper
def tempered(beta, log_density, log_reference):  # type: ignore[no-untyped-def]
    """Compute beta log p + (1 - beta) log reference, for beta > 0; as little finite as log p is."""
    return beta * log_density + (1.0 - beta) * log_reference


@helper
def tempered_slope(beta, slope, x, centre, precision):  # type: ignore[no-untyped-def]
    """One coordinate of the gradient of `tempered`; `slope` is that of log p there."""
    return beta * slope - (1.0 - beta) * precision * (x - centre)


@helper
def log_reference(reference, height, position):  # type: ignore[no-untyped-def]
    """Normalised log density of the reference at a position (dim,): see `Reference.matrix` and `log_height`."""
    squares = 0.0
    for i in range(position.shape[0]):
        squares += reference[1, i] * (position[i] - reference[0, i]) ** 2
    return height - 0.5 * squares


@helper
def bennett(excess):  # type: ignore[no-untyped-def]
    """1 / (1 + exp(-excess)), 0 at -inf: Bennett's weight, whose means at two levels give their normalisers' ratio.

    With W the log ratio of the two unnormalised densities and C a guess of that of their normalisers, the log ratio is
    C + log E_lower[bennett(W - C)] - log E_upper[bennett(C - W)] (Bennett 1976). Both means are of bounded variables.
    """
    if excess >= 0.0:
        return 1.0 / (1.0 + math.exp(-excess))
    rising = math.exp(excess)
    return rising / (1.0 + rising)


@dataclass(frozen=True, eq=False)
class Reference:
    """A Gaussian with independent coordinates.

    Attributes:
        centre: (dim,).
        sd: (dim,), positive.
    """

    centre: Vector
    sd: Vector

    @property
    def matrix(self) -> Matrix:
        """(2, dim): what loops take, the centre and the precisions."""
        return aligned(np.stack([self.centre, self.sd**-2.0]))

    @property
    def log_height(self) -> float:
        """Log density at the centre, normalised."""
        return float(-0.5 * len(self.sd) * math.log(2.0 * math.pi) - np.sum(np.log(self.sd)))

    def log_density(self, x: Matrix) -> Vector:
        """(n,) normalised log densities at the points x (n, dim)."""
        return np.asarray(self.log_height - 0.5 * np.sum(((x - self.centre) / self.sd) ** 2, axis=1))

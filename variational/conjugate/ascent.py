"""Coordinate ascent on a bound: sweeps until the bound stands still, with what it was after each."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ascent:
    """How an ascent went.

    Attributes:
        bounds: the bound after each sweep, in nats.
        converged: whether the last gain was below the tolerance.
    """

    bounds: tuple[float, ...]
    converged: bool

    @property
    def bound(self) -> float:
        """The last one."""
        return self.bounds[-1]


def ascend(sweep: Callable[[], float], *, data: int, tolerance: float, most: int) -> Ascent:
    """Call `sweep`, which returns the bound, until it gains less than `tolerance` nats a datum, `most` times at most.

    The tolerance is on a gain, to which constants of the bound make no difference, and on that per datum, so that more
    data do not ask for more accuracy.
    """
    bounds: list[float] = []
    for _ in range(most):
        bounds.append(sweep())
        if len(bounds) > 1 and bounds[-1] - bounds[-2] < tolerance * data:
            return Ascent(tuple(bounds), True)
    return Ascent(tuple(bounds), False)

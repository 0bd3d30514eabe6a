"""Longer steps along an ascent: SQUAREM (Varadhan and Roland 2008), whose steps count only where the bound rises."""

import numpy as np

from targets.kernel import Vector

LONGEST = 1e3  # in units of a sweep's step


class Path:
    """Positions before the last sweeps. After two sweeps there is a point further along, by the step called S3."""

    def __init__(self) -> None:
        self.positions: list[Vector] = []

    def further(self, position: Vector) -> Vector | None:
        """Where to go from, given the present position; None for an ordinary sweep, which is told of it."""
        self.positions.append(position)
        if len(self.positions) < 3:
            return None
        first, second, third = self.positions
        self.positions = [third]
        step, bend = second - first, third - 2.0 * second + first
        size = float(np.linalg.norm(bend))
        if not size > 0:
            return None
        length = min(float(np.linalg.norm(step)) / size, LONGEST)
        self.positions = []
        return np.asarray(first + 2.0 * length * step + length**2 * bend)

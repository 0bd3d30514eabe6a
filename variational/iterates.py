"""What `variational.advi.AdviRun` asks of the state of a fit: iterates of a family that can be moved and averaged."""

from typing import Any, NamedTuple, Protocol

import numpy as np

from targets.kernel import Vector
from targets.protocols import Approximation
from targets.target import Target

QUADRATIC = 1e-3  # nats^2, or squared sd


class Member(Approximation, Protocol):
    """A member of a family."""

    @property
    def dim(self) -> int: ...

    @property
    def sd(self) -> Vector: ...  # (dim,)

    @property
    def entropy(self) -> float: ...


class Average(NamedTuple):
    """Iterates averaged over a window.

    Attributes:
        q: their average: of means, and of variances or factors.
        mean_variance: largest variance of a mean over the window, in units of q's variance.
        log_variance: largest variance of a log scale over the window.
        level: average log density of a pair of draws with its slope taken out (`variational.descent`).
        level_variance: variance of it over the pairs, in nats^2: none where the target is Gaussian.
    """

    q: Any  # a `Member`, of the family that the state moves in
    mean_variance: float
    log_variance: float
    level: float
    level_variance: float

    @property
    def elbo(self) -> float:
        """The bound on the evidence: at the optimum the slope taken out is worth half a nat a coordinate."""
        return float(self.level - 0.5 * self.q.dim + self.q.entropy)

    @property
    def quadratic(self) -> bool:
        """Whether the log density is quadratic, as far as draws and means show."""
        return max(self.level_variance, self.mean_variance) < QUADRATIC


class Iterates(Protocol):
    """A state that steps move. Averages are over the window that was opened last."""

    steps: int  # made in the open window

    @property
    def cost(self) -> int: ...  # gradients a step

    @property
    def block(self) -> int: ...  # steps after which every direction has been looked at once

    @property
    def aliased(self) -> bool: ...  # whether a block leaves noise even where the target is Gaussian

    @property
    def stalled(self) -> bool: ...  # whether nothing could be evaluated for long, although the scales shrank

    def counts(self) -> dict[str, float]: ...  # of draws that could not be evaluated, and the like

    def advance(self, target: Target, rng: np.random.Generator, steps: int, rate: float, pace: float) -> int: ...

    def current(self) -> Member: ...  # the last iterate

    def average(self) -> Average: ...

    def open_window(self) -> None: ...

    def restart(self, q: Any) -> None: ...  # from q, with a new window

    def difference(self, a: Any, b: Any) -> Vector: ...  # where b lies seen from a: in sd, and in log sds

    def merge(self, a: Any, b: Any, share: float = 0.5) -> Any: ...  # the average of both, of which b is a `share`

    def narrowed(self, q: Any, by: float) -> Any: ...  # q with all sds multiplied

"""Where chains start, and what they know of the target's scale at the start."""

from dataclasses import dataclass

import numpy as np

from samplers.chain import Chain, Tally, chain_at
from targets.kernel import Matrix, Vector, aligned, failures, raise_failure, zeros
from targets.options import require
from targets.target import Target

TRIES = 100  # as Stan


class StartError(Exception):
    """No chain can start; the message says which and why."""


@dataclass(frozen=True)
class Initial:
    """What a warm start hands over.

    Attributes:
        positions: (chains, dim), one starting point a chain; None to draw them as a cold start does.
        metric: (dim,) variances, a first guess that warm-up refines; or (dim, dim) covariance, which is kept; or None.
    """

    positions: Matrix | None = None
    metric: Vector | Matrix | None = None

    def check(self, chains: int, dim: int) -> None:
        """Compare the shapes with the number of chains and the dimension.

        Raises:
            UsageError: they do not fit.
        """
        if self.positions is not None:
            shape = np.shape(self.positions)
            require(
                shape == (chains, dim),
                f"initial positions of shape {shape} are not accepted; {chains} chains in {dim} dimensions take "
                f"({chains}, {dim})",
            )
        if self.metric is not None:
            shape = np.shape(self.metric)
            require(
                shape in ((dim,), (dim, dim)),
                f"an initial metric of shape {shape} is not accepted; it takes variances ({dim},) or a covariance "
                f"({dim}, {dim})",
            )

    @property
    def dense(self) -> bool:
        """Whether the metric is a full covariance."""
        return self.metric is not None and np.ndim(self.metric) == 2

    def scale(self) -> Vector | Matrix | None:
        """The square root of the metric: (dim,) standard deviations or (dim, dim) lower factor; None without a metric.

        Raises:
            StartError: the metric is not positive definite.
        """
        if self.metric is None:
            return None
        try:
            root = np.linalg.cholesky(self.metric) if self.dense else np.sqrt(np.maximum(self.metric, 0.0))
        except np.linalg.LinAlgError:
            root = np.zeros(1)
        diagonal = np.diagonal(root) if root.ndim == 2 else root
        if not (np.all(np.isfinite(root)) and np.all(diagonal > 0.0)):
            raise StartError("the initial metric is not positive definite")
        return aligned(root)


def evaluate(target: Target, position: Vector, gradient: Vector | None) -> float:
    """Log density at a point, outside of compiled loops. Writes the gradient; without one, calls the density alone."""
    if gradient is None:
        value = target.density(position, target.data)
    else:
        value = target.kernel(position, gradient, target.data)
    if failures:
        raise_failure()
    return float(value)


def place(
    target: Target, rngs: list[np.random.Generator], initial: Initial, counters: Tally, gradient_free: bool
) -> list[Chain]:
    """Chains at points where density and gradient are finite; density and evaluations go to `counters`.

    With `gradient_free` the density alone is looked at, and the gradients are zero.

    Raises:
        StartError: a given point has no finite density and gradient, or none was found in `TRIES` draws.
    """
    chains = []
    for c, rng in enumerate(rngs):
        given = None if initial.positions is None else initial.positions[c]
        gradient = zeros(target.dim)
        for _ in range(TRIES if given is None else 1):
            position = aligned(target.start(rng) if given is None else given)
            counters["evaluations"][c] += 1
            counters["log_density"][c] = evaluate(target, position, None if gradient_free else gradient)
            if np.isfinite(counters["log_density"][c]) and np.all(np.isfinite(gradient)):
                break
        else:
            where = f"in {TRIES} starting points drawn" if given is None else "at the starting point given"
            raise StartError(f"no finite log density and gradient {where} for chain {c}")
        chains.append(chain_at(position, gradient))
    return chains

"""Where chains start, and what they know of the target's scale at the start."""

from dataclasses import dataclass

import numpy as np

from samplers.chain import Chain, Tally, chain_at
from samplers.metric import PRIOR
from samplers.scale import Scale, dense_scale, diagonal_scale
from samplers.transition import Starts
from targets.kernel import Matrix, Vector, aligned, empty, failures, raise_failure, zeros
from targets.options import require
from targets.target import Target

TRIES = 100  # as Stan


class StartError(Exception):
    """No chain can start; the message says which and why."""


@dataclass(frozen=True)
class Initial:
    """What a warm start hands over.

    Attributes:
        positions: (points, dim) starting points, those of one chain after those of another, as many as
            `samplers.method.Sampler.starts` says: one a chain, but for ensembles and systems of replicas. None to draw
            them as a cold start does.
        metric: (dim,) variances; or a (dim, dim) covariance; or a `Scale`, such as one of low rank; or None.
        keep: whether the metric stays as it is. By default a covariance does, or a scale with one, and variances are
            refined by warm-up, since freezing them harms wherever the target is correlated.
        strength: what a metric that is not kept weighs against the draws of each window of warm-up, as a number of
            draws: nothing of it is left after the first window at 0, and all of it stays at infinity. See
            `samplers.metric.adapt`.
    """

    positions: Matrix | None = None
    metric: Vector | Matrix | Scale | None = None
    keep: bool | None = None
    strength: float = PRIOR

    def check(self, points: int, dim: int) -> None:
        """Compare the shapes with the number of starting points and the dimension.

        Raises:
            UsageError: they do not fit, or the strength is negative.
        """
        require(self.strength >= 0.0, f"a strength of {self.strength} draws is not accepted; it takes 0 or more")
        if self.positions is not None:
            shape = np.shape(self.positions)
            require(
                shape == (points, dim),
                f"initial positions of shape {shape} are not accepted; {points} starting points in {dim} dimensions "
                f"take ({points}, {dim})",
            )
        if isinstance(self.metric, Scale):
            found = len(self.metric.deviations)
            require(found == dim, f"an initial scale of {found} dimensions is not accepted; it takes {dim}")
        elif self.metric is not None:
            shape = np.shape(self.metric)
            require(
                shape in ((dim,), (dim, dim)),
                f"an initial metric of shape {shape} is not accepted; it takes variances ({dim},) or a covariance "
                f"({dim}, {dim})",
            )

    @property
    def kept(self) -> bool:
        """Whether the metric stays what it is."""
        if self.metric is None:
            return False
        full = not self.metric.is_diagonal if isinstance(self.metric, Scale) else np.ndim(self.metric) == 2
        return full if self.keep is None else self.keep

    def scale(self) -> Scale | None:
        """The square root of the metric; None without a metric.

        Raises:
            StartError: the metric is not positive definite.
        """
        if self.metric is None or isinstance(self.metric, Scale):
            return self.metric
        try:
            dense = np.ndim(self.metric) == 2
            root = np.linalg.cholesky(self.metric) if dense else np.sqrt(np.maximum(self.metric, 0.0))
        except np.linalg.LinAlgError:
            root = np.zeros(1)
        diagonal = np.diagonal(root) if root.ndim == 2 else root
        if not (np.all(np.isfinite(root)) and np.all(diagonal > 0.0)):
            raise StartError("the initial metric is not positive definite")
        return dense_scale(np.asarray(root)) if root.ndim == 2 else diagonal_scale(np.asarray(root))


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
    target: Target,
    rngs: list[np.random.Generator],
    initial: Initial,
    counters: Tally,
    gradient_free: bool,
    points: int = 1,
) -> Starts:
    """So many points a chain where density and gradient are finite; evaluations go to `counters`.

    With `gradient_free` the density alone is looked at, and the gradients are zero.

    Raises:
        StartError: a given point has no finite density and gradient, or none was found in `TRIES` draws.
    """
    starts = Starts(
        empty(len(rngs), points, target.dim), zeros(len(rngs), points, target.dim), empty(len(rngs), points)
    )
    for c, rng in enumerate(rngs):
        for k in range(points):
            given = None if initial.positions is None else initial.positions[c * points + k]
            gradient = zeros(target.dim)
            for _ in range(TRIES if given is None else 1):
                position = aligned(target.start(rng) if given is None else given)
                counters["evaluations"][c] += 1
                value = evaluate(target, position, None if gradient_free else gradient)
                if np.isfinite(value) and np.all(np.isfinite(gradient)):
                    break
            else:
                where = f"in {TRIES} starting points drawn" if given is None else "at the starting point given"
                raise StartError(f"no finite log density and gradient {where} for chain {c}")
            starts.positions[c, k], starts.gradients[c, k], starts.log_densities[c, k] = position, gradient, value
    return starts


def single_chains(starts: Starts, counters: Tally) -> list[Chain]:
    """Chains of one point each, with their log densities in `counters`."""
    counters["log_density"] = starts.log_densities[:, 0]
    return [chain_at(x[0], g[0]) for x, g in zip(starts.positions, starts.gradients, strict=True)]

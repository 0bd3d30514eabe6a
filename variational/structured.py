"""Gaussians between mean field and full rank: blocks, trees and bands, at the optimum of the reverse KL.

The start is a rough mode with the curvature there, in which blocks and trees are found; steps are those of
`variational.structured_steps`, windows and the end those of `variational.advi`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from targets.kernel import Matrix, Vector, aligned, empty, zeros
from targets.options import require
from targets.target import Target
from variational import descent, structured_steps
from variational.advi import AdviRun
from variational.families import State
from variational.gaussian import Gaussian
from variational.graph import Graph, bands, blocks, groups, tree
from variational.iterates import Average, Iterates, Member
from variational.method import Recipe
from variational.mode import compile_search

STRUCTURES = ("tree", "blocks", "banded")
LARGEST_DIM = 2000  # the curvature at the mode is a dense matrix, and 2 dim gradients


class Chained(Gaussian):
    """A Gaussian of a graph: x_i - mean_i = sum over parents j of weights_ij (x_j - mean_j) + sds_i e_i.

    Its `factor` is lower triangular in the order of the graph, with the `sds` on its diagonal.
    """

    def __init__(self, graph: Graph, mean: Vector, weights: Matrix, sds: Vector) -> None:
        factor = np.diag(sds)
        for i in graph.order:
            above = graph.parents[i][graph.parents[i] >= 0]
            factor[i] += weights[i, : len(above)] @ factor[above]
        super().__init__(mean, factor)
        for name, value in (("graph", graph), ("weights", weights), ("sds", sds)):
            object.__setattr__(self, name, value)

    graph: Graph
    weights: Matrix  # (dim, width)
    sds: Vector  # (dim,)

    @property
    def whitener(self) -> Matrix:
        """(dim, dim) the inverse of the factor, with zeros where the graph has no edge."""
        inverse = np.diag(1 / self.sds)
        for i, each in enumerate(self.graph.parents):
            inverse[i, each[each >= 0]] = -self.weights[i, : int(np.sum(each >= 0))] / self.sds[i]
        return np.asarray(inverse)

    @property
    def precision(self) -> Matrix:
        """(dim, dim), with zeros where the graph has no edge."""
        return np.asarray(self.whitener.T @ self.whitener)

    def standardise(self, x: Matrix) -> Matrix:
        """Standard normal coordinates (n, dim) of the points x (n, dim): the inverse of `colour`."""
        return np.asarray((np.atleast_2d(x) - self.mean) @ self.whitener.T)


def nearest(graph: Graph, mean: Vector, covariance: Matrix) -> Chained:
    """The Gaussian of the graph that is nearest to this one under KL(p || q): its regressions on the parents."""
    weights, sds = np.zeros(graph.parents.shape), np.empty(len(mean))
    for i, each in enumerate(graph.parents):
        above = each[each >= 0]
        within = covariance[np.ix_(above, above)]
        solved = cho_solve(cho_factor(within), covariance[above, i]) if len(above) else np.zeros(0)
        weights[i, : len(above)] = solved
        left = covariance[i, i] - float(np.dot(solved, covariance[above, i]))
        sds[i] = np.sqrt(max(left, 1e-12 * covariance[i, i]))
    return Chained(graph, mean, weights, sds)


@dataclass
class Chains:
    """The state of a fit (`variational.iterates`); blocks of draws are those of `variational.families.State`."""

    graph: Graph
    drawn: State
    mean: Vector
    weights: Matrix
    log_sd: Vector
    velocity: Vector
    pull: Vector
    pulls: Matrix
    gathered: np.ndarray
    steps: int = 0

    @classmethod
    def at(cls, q: Chained) -> "Chains":
        """A state that starts from q."""
        dim, width = q.weights.shape
        fresh = zeros(dim), zeros(dim, width), zeros(dim), zeros(dim), zeros(dim), zeros(dim, width)
        state = cls(q.graph, State.at(Gaussian(q.mean, q.sds)), *fresh, zeros(2, dim, width))
        state.restart(q)
        return state

    @property
    def cost(self) -> int:
        """Gradients a step."""
        return 2

    @property
    def block(self) -> int:
        """Pairs whose directions are orthogonal; regressions move after each block."""
        return self.drawn.block

    @property
    def aliased(self) -> bool:
        """Whether there are more coordinates than a block has directions."""
        return self.drawn.aliased

    @property
    def stalled(self) -> bool:
        """Whether blocks in a row could not be evaluated, although the scales shrank."""
        return self.drawn.stalled

    def counts(self) -> dict[str, float]:
        """Pairs that could not be evaluated."""
        return self.drawn.counts()

    def restart(self, q: Chained) -> None:
        """Go on from q, with a new window."""
        self.mean[:], self.weights[:], self.log_sd[:] = q.mean, q.weights, np.log(q.sds)
        self.velocity[:] = 0.0
        self.drawn.restart(Gaussian(q.mean, q.sds))
        self.open_window()

    def open_window(self) -> None:
        """Forget what was averaged."""
        self.drawn.mean[:] = self.mean
        self.drawn.open_window()
        self.gathered[:] = 0.0
        self.steps = 0

    def advance(self, target: Target, rng: np.random.Generator, steps: int, rate: float, pace: float) -> int:
        """Make steps, of two gradients each; fewer where the state is stalled. Returns how many."""
        dim, width = self.weights.shape
        draws, graph = self.drawn, self.graph
        made = structured_steps.structured(
            target.kernel, target.data, rng, draws.directions, draws.tally,
            graph.order, graph.parents, graph.places,
            self.mean, self.weights, self.log_sd, self.velocity, self.pull, self.pulls,
            empty(dim, width + 1, width + 1), empty(8, dim), empty(width, width), empty(width),
            draws.sums, self.gathered, draws.heights, steps, rate, pace,
        )  # fmt: skip
        self.steps += made
        draws.steps += made
        return int(made)

    def current(self) -> Chained:
        """The last iterate."""
        return Chained(self.graph, self.mean.copy(), self.weights.copy(), np.exp(self.log_sd))

    def average(self) -> Average:
        """The average over the window so far, which holds one block at least."""
        own = self.drawn.average()  # of what the regressions leave over, as if there were no edges
        whole = self.steps // self.block * self.block
        weights, squares = self.gathered / whole
        q = Chained(self.graph, own.q.mean, weights, own.q.factor)
        sums = self.drawn.sums / self.steps
        spread = float(np.max((sums[descent.MEAN_SQUARES] - sums[descent.MEANS] ** 2) / q.variance))
        wobble = np.max((squares - weights**2) * (_parents(q, q.variance) / q.sds[:, None] ** 2))
        return Average(q, spread, max(own.log_variance, float(wobble)), own.level, own.level_variance)

    def difference(self, a: Chained, b: Chained) -> Vector:
        """Whitened changes of the means, of the log sds, and of the weights in units of what they explain."""
        change = (b.weights - a.weights) * np.sqrt(_parents(a, a.variance)) / a.sds[:, None]
        return np.concatenate([a.standardise(b.mean)[0], np.log(b.sds / a.sds), change.ravel()])

    def merge(self, a: Chained, b: Chained, share: float = 0.5) -> Chained:
        """The average of both, of which b is a `share`."""
        sds = np.sqrt((1 - share) * a.sds**2 + share * b.sds**2)
        weights = (1 - share) * a.weights + share * b.weights
        return Chained(self.graph, (1 - share) * a.mean + share * b.mean, weights, sds)

    def narrowed(self, q: Chained, by: float) -> Chained:
        """The same with all sds multiplied."""
        return Chained(self.graph, q.mean, q.weights, q.sds * by)


def _parents(q: Chained, values: Vector) -> Matrix:
    """(dim, width) the values of the parents of each coordinate, 0 where there are fewer."""
    return np.where(q.graph.parents >= 0, values[q.graph.parents], 0.0)


@dataclass
class StructuredRun(AdviRun):
    """A fit of a graph that is found at the start, unless it is given."""

    structure: str = "tree"
    width: int = 5
    sizes: tuple[int, ...] = ()

    def _moving(self, q: Any) -> Iterates:
        return Chains.at(q)

    def _start(self, q: Gaussian) -> Member:
        shape = self._curved(Gaussian(q.mean, q.factor))
        covariance = shape.covariance
        return nearest(self._graph(covariance), aligned(shape.mean), covariance)

    def _graph(self, covariance: Matrix) -> Graph:
        dim = len(covariance)
        if self.structure == "banded":
            return bands(dim, min(self.width, max(dim - 1, 1)))
        if self.structure == "tree":
            return tree(_correlation(covariance))
        if self.sizes:
            ends = np.cumsum(self.sizes)
            return blocks([list(range(end - size, end)) for size, end in zip(self.sizes, ends, strict=True)])
        return blocks(groups(_correlation(np.asarray(np.linalg.inv(covariance), dtype=np.float64)), self.width))


def _correlation(covariance: Matrix) -> Matrix:
    sd = np.sqrt(np.diagonal(covariance))
    return np.asarray(covariance / np.outer(sd, sd), dtype=np.float64)


def structured(
    *,
    structure: str = "tree",
    width: int = 5,
    blocks: str | None = None,
    tolerance: float = 0.02,
    rate: float = 0.5,
    pace: float = 0.5,
) -> Recipe:
    """A Gaussian whose precision has zeros wherever a graph has no edge, under the reverse KL.

    Args:
        structure: 'tree' (the Chow-Liu tree of the curvature at a rough mode), 'blocks' (dense within blocks, which are
            found by the partial correlations there), or 'banded' (each coordinate depends on those shortly before it).
        width: largest size of blocks that are found; how many coordinates before it each depends on in 'banded'.
        blocks: sizes of blocks of neighbouring coordinates, such as '2+8', instead of finding them.
        tolerance: accuracy of means, log sds and weights at which it stops, in units of the approximation.
        rate: first step of the means, 1 a Newton step.
        pace: first step of weights and log sds.

    Raises:
        UsageError: an option is out of range.
    """
    require(
        structure in STRUCTURES,
        f"structured: structure={structure!r} is not accepted; it takes {', '.join(STRUCTURES)}",
    )
    require(width >= 1, f"structured: width={width} is not accepted; it takes 1 or more")
    sizes = tuple(int(size) for size in (blocks or "").split("+") if size.isdigit() and int(size) > 0)
    given = blocks is None or (structure == "blocks" and "+".join(map(str, sizes)) == blocks)
    require(given, f"structured: blocks={blocks!r} is not accepted; with structure=blocks it takes sizes such as 2+8")
    for option, value in (("tolerance", tolerance), ("rate", rate), ("pace", pace)):
        require(value > 0, f"structured: {option}={value:g} is not accepted; it takes a positive number")

    def begin(target: Target, seed: int) -> StructuredRun:
        rng = np.random.default_rng(seed)
        return StructuredRun(
            target, rng, True, tolerance, True, rate, pace, structure=structure, width=width, sizes=sizes
        )

    def prepare(target: Target) -> None:
        compile_search(target)
        _ = structured_steps.structured.compiled

    def refuse(target: Target) -> str | None:
        if sizes and sum(sizes) != target.dim:
            return f"its blocks {blocks} are not those of {target.dim} dimensions"
        return (
            None
            if target.dim <= LARGEST_DIM
            else f"the curvature that it starts from takes at most {LARGEST_DIM} dimensions"
        )

    return Recipe(begin, prepare, refuse)

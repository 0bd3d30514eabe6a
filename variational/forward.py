"""Forward KL by moment matching: the Gaussian nearest to p under KL(p || q) has p's mean and (co)variances.

Moments come from a grid in one or two dimensions, and from adaptive importance sampling (Cappe et al. 2004) above.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from targets.kernel import Matrix, Vector
from targets.options import require
from targets.protocols import Phase, Status, Work
from targets.target import Target
from variational.evaluation import compile_log_densities, log_densities
from variational.gaussian import Gaussian
from variational.grid import integrate
from variational.method import Recipe
from variational.mode import around_mode, compile_search, starting_point
from variational.proposal import Mixture, StudentT
from variational.psis import smooth

ROUGH, ROUGH_LIMIT = 1e-2, 500  # of the search for a mode: nats left to gain, and gradients at most
STARTS = 4  # searches, so that modes apart are found where starting points reach them
SPREAD = 50  # starting points whose spread is the wide, defensive part of every proposal
DEFENCE = 0.1  # its share of the draws after the first round
RELIABLE = 0.7  # k-hat below which importance sampling can be trusted
ROUNDS = 25  # after which weights that are still too heavy-tailed are given up
KEPT = 4  # rounds that the moments are averaged over
GROWTH, LARGEST = 1.5, 2_000_000  # of the draws from round to round, and numbers in a round at most
GRID_TOLERANCE = 1e-6  # change of moments, in sd, at which a grid is fine enough
WIDER = 1.1  # a proposal's sd over the moments found so far: too narrow is worse than too wide
LARGEST_DIM = 200  # weights degenerate beyond: their logarithms spread as the dimension does

NOWHERE = "no starting point has a finite density and gradient"
PLANE = "the draws that have weight lie in a plane; the density may have no finite integral"


class Round(NamedTuple):
    """What one round says: effective draws, moments, their squared standard errors in sd, and log normaliser."""

    size: float
    mean: Vector
    covariance: Matrix
    mean_error: float
    spread_error: float
    log_normaliser: float


@dataclass
class ForwardRun:
    """One fit. A round of draws is atomic, as is the whole grid; the first `advance` finds the start."""

    target: Target
    rng: np.random.Generator
    fullrank: bool
    tolerance: float
    draws: int
    q: Gaussian | None = None
    wide: StudentT | None = None
    proposal: Mixture | None = None
    rounds: list[Round] = field(default_factory=list)
    made: int = 0
    k_hat: float = float("nan")
    log_normaliser: float = float("nan")
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def advance(self, work: int) -> None:
        until = self.work.total + work
        while self.status is Status.RUNNING and self.work.total < until:
            if self.proposal is None:
                self._begin()
            else:
                self._round(self.proposal)

    def _begin(self) -> None:
        """The modes that some starting points lead to, and the grid around the first where there are few dimensions."""
        found = []
        for _ in range(STARTS):
            shape = some_mode(self.target, self.rng, self.work)
            if shape is None:
                self._fail(NOWHERE)
                return
            found.append(shape)
            if len(found) == 1 and self.target.dim <= 2 and self._by_grid(found[0]):
                return
        self._open(found)

    def _open(self, found: list[Gaussian]) -> None:
        """The first proposal: a wide part, and one about each shape found."""
        points = np.array([self.target.start(self.rng) for _ in range(SPREAD)])
        self.wide = StudentT(Gaussian(points.mean(axis=0), points.std(axis=0) + 1e-8))
        parts = (self.wide, *(StudentT(shape) for shape in found))
        self.proposal = Mixture(parts, tuple(1 / len(parts) for _ in parts))

    def _by_grid(self, shape: Gaussian) -> bool:
        """Whether a grid held the density; it does not where tails are heavy."""
        grid = integrate(self.target, shape.mean, shape.sd, GRID_TOLERANCE, self.work)
        if grid is None:
            return False
        self._match(grid.mean, grid.covariance)
        self.log_normaliser = grid.log_normaliser
        self.status, self.reason = Status.CONVERGED, f"the grid of {len(grid.points)} points agrees with a coarser one"
        return True

    def _match(self, mean: Vector, covariance: Matrix) -> None:
        self.q = Gaussian.from_moments(mean, covariance if self.fullrank else np.diagonal(covariance).copy())

    def _round(self, proposal: Mixture) -> None:
        """Draw, weight, match the moments of the last rounds, and fit the next proposal to them."""
        weighed = self._weigh(proposal)
        if weighed is None:
            return
        self.rounds = [*self.rounds[1 - KEPT :], summary(*weighed)]
        shares, size, mean, covariance = self._pool()
        # few effective draws: keep some of the last shape, so that the next is never thinner than they can tell
        last = proposal.parts[-1].shape
        trust = size / (size + 2 * self.target.dim)
        try:
            shape = Gaussian.from_moments(mean, WIDER**2 * (trust * covariance + (1 - trust) * last.covariance))
            if size > 2 * self.target.dim:
                self._match(mean, covariance)
        except np.linalg.LinAlgError:
            self._fail(PLANE)
            return
        self._judge(shares, size)
        self._propose((shape,), (1.0,))

    def _weigh(self, proposal: Mixture) -> tuple[Matrix, Vector, Vector] | None:
        """Draws, their log ratios, and their smoothed weights; None where none has a finite density.

        Each round is weighted against its own proposal: against those of later rounds, which were fitted to its draws,
        weights would be biased (Marin, Pudlo and Sedki 2019).
        """
        self.made += 1
        points = proposal.sample(self.rng, self.draws)
        ratios = log_densities(self.target, points, self.work) - proposal.log_density(points)
        weights, self.k_hat = smooth(ratios)
        if np.isfinite(self.k_hat):
            return points, ratios, weights
        self._fail("no draw has a finite density")
        return None

    def _pool(self) -> tuple[Vector, float, Vector, Matrix]:
        """Shares of the rounds, their effective draws in all, and mean and covariance over them."""
        sizes = np.array([r.size for r in self.rounds])
        shares = sizes / sizes.sum()
        mean = np.asarray(shares @ np.array([r.mean for r in self.rounds]))
        covariance = sum(
            (
                s * (r.covariance + np.outer(r.mean - mean, r.mean - mean))
                for s, r in zip(shares, self.rounds, strict=True)
            ),
            np.zeros((len(mean), len(mean))),
        )
        levels = np.array([r.log_normaliser for r in self.rounds])
        self.log_normaliser = float(logsumexp(levels, b=shares))
        return shares, float(sizes.sum()), mean, covariance

    def _propose(self, shapes: tuple[Gaussian, ...], weights: tuple[float, ...]) -> None:
        """The next round draws from a t of each shape, and from the wide one."""
        assert self.wide is not None  # noqa: S101
        shares = tuple((1 - DEFENCE) * weight for weight in weights)
        self.proposal = Mixture((self.wide, *(StudentT(shape) for shape in shapes)), (DEFENCE, *shares))
        self.draws = max(self.draws, min(int(GROWTH * self.draws), LARGEST // self.target.dim))

    def _judge(self, shares: Vector, size: float) -> None:
        """Stop where the standard errors of means and log sds are below the tolerance and can be trusted."""
        squares = np.array([max(r.mean_error, r.spread_error) for r in self.rounds])
        error = float(np.sqrt(np.sum(shares**2 * squares)))
        if self.k_hat < RELIABLE and error <= self.tolerance and self.q is not None:
            self.status = Status.CONVERGED
            self.reason = f"moments to {self.tolerance:g} sd with {size:.0f} effective draws"
        elif self.k_hat >= RELIABLE and self.made >= ROUNDS:
            self._fail(f"k-hat {self.k_hat:.2f} after {self.made} rounds: no proposal found that covers the target")

    def _fail(self, reason: str) -> None:
        self.status, self.reason = Status.FAILED, reason

    def approximation(self) -> Gaussian | None:
        return self.q

    def diagnostics(self) -> dict[str, float]:
        said = {"k_hat": self.k_hat, "log_normaliser": self.log_normaliser}
        return {key: value for key, value in said.items() if np.isfinite(value)}


def some_mode(target: Target, rng: np.random.Generator, work: Work) -> Gaussian | None:
    """A rough mode with the curvature there, from one starting point; None where none can be evaluated."""
    start = starting_point(target, rng, work)
    return None if start is None else around_mode(target, *start, ROUGH, ROUGH_LIMIT, work)


def summary(points: Matrix, ratios: Vector, weights: Vector) -> Round:
    """What draws (n, dim), their log ratios and their normalised weights, (n,) each, say."""
    mean = np.asarray(weights @ points)
    centred = points - mean
    covariance = np.asarray((centred * weights[:, None]).T @ centred)
    scaled = centred**2 / np.maximum(np.diagonal(covariance), 1e-300)
    return Round(
        1 / float(np.sum(weights**2)),
        mean,
        covariance,
        float(np.max(weights**2 @ scaled)),
        float(np.max(weights**2 @ (scaled - 1) ** 2)) / 4,  # of a log sd, half the relative error of a variance
        float(logsumexp(ratios) - np.log(len(ratios))),
    )


def forward_kl_meanfield(*, tolerance: float = 0.02, draws: int = 1000) -> Recipe:
    """A Gaussian with independent coordinates and the target's means and variances.

    `tolerance` is the standard error of means and log sds, in sd, at which it stops; `draws` is the size of the first
    round of importance sampling (more than two dimensions), and later ones grow by a half.
    """
    return _recipe("forward_kl_meanfield", False, tolerance, draws)


def forward_kl_fullrank(*, tolerance: float = 0.02, draws: int = 1000) -> Recipe:
    """A Gaussian with the target's mean and covariance. Options as `forward_kl_meanfield`."""
    return _recipe("forward_kl_fullrank", True, tolerance, draws)


def _recipe(name: str, fullrank: bool, tolerance: float, draws: int) -> Recipe:
    require(tolerance > 0, f"{name}: tolerance={tolerance:g} is not accepted; it takes a positive number")
    require(draws >= 100, f"{name}: draws={draws} is not accepted; it takes 100 or more")

    def begin(target: Target, seed: int) -> ForwardRun:
        return ForwardRun(target, np.random.default_rng(seed), fullrank, tolerance, max(draws, 20 * target.dim))

    def refuse(target: Target) -> str | None:
        return None if target.dim <= LARGEST_DIM else f"importance sampling takes at most {LARGEST_DIM} dimensions"

    def prepare(target: Target) -> None:
        compile_search(target)
        compile_log_densities(target)
        smooth(np.zeros(100))  # loads what it needs

    return Recipe(begin, prepare, refuse)

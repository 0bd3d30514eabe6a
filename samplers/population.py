"""One population of particles on its way from the reference to the target: adaptive tempered SMC.

Del Moral, Doucet & Jasra 2006, with temperatures (Jasra et al. 2011), moves and their number adapted to the particles.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samplers import smc_loop
from samplers.leapfrog import STEP_JITTER, mean_slowdown
from samplers.mixture import Mixture
from samplers.pointer import pointer
from samplers.smc_loop import Particles
from samplers.smc_weights import genealogical_variance, log_weights, metric, next_temperature, systematic, widest
from samplers.tempering import scratch_for
from targets.kernel import Matrix, Vector, aligned, zeros
from targets.target import Target

BLOCKS = 10  # of a sweep: in each the step size stays, and follows its acceptance after it
FIRST_STEP = 1.3  # x dim^(-1/4): accepts about 0.8 on a Gaussian of the metric's shape (Beskos et al. 2013)
SMALLEST_STEP = 1e-10
MOST_TEMPERATURES = 2000  # a Gaussian takes some 20 in a hundred dimensions; a density without an integral has no end
QUARTER = 0.5 * math.pi  # a quarter of the period of a Gaussian of the metric's shape

REMEMBERED = 0.3  # correlation with the start that is small enough, beside what chance gives
STUCK = 0.1  # acceptance below which a sweep does not count, but for its step size
STALLED = 0.95  # a coordinate whose correlation a sweep does not lower to this fraction gets no more for it


@dataclass(frozen=True)
class Settings:
    """How populations move; see `samplers.smc.smc`."""

    ess_fraction: float
    target_accept: float
    max_moves: int
    max_leapfrogs: int
    dense: bool


class Population:
    """Particles, weighted, resampled and moved until they are the target's; `advance` does one compiled call.

    Attributes:
        particles: where they are.
        beta: 0 at the reference, 1 at the target.
        temperatures: how many values beta took after 0.
        log_normaliser: estimate of log(normaliser at beta); exp of it is unbiased but for the adaptation, O(1/n).
        finished: whether the last moves at beta = 1 were made.
        reason: why it cannot go on, or ''.
        evaluations, proposals, acceptance: counts, and the sum of acceptance probabilities.
        variance: relative variance of exp(log_normaliser), once it is finished; see `genealogical_variance`.
        remembered: the largest correlation with where they were that the moves at some temperature have left.
    """

    def __init__(
        self,
        target: Target,
        rng: np.random.Generator,
        reference: Mixture,
        n: int,
        settings: Settings,
        least_sweeps: int = 1,
    ) -> None:
        self.target, self.rng, self.reference, self.settings = target, rng, reference, settings
        self.least_sweeps = least_sweeps
        points = reference.sample(rng, n)
        self.particles = Particles(points, zeros(n, target.dim), zeros(n), aligned(reference.log_density(points)))
        self.beta = 0.0
        self.temperatures = 0
        self.log_normaliser = 0.0
        self.finished = False
        self.reason = ""
        self.evaluations = self.proposals = 0
        self.acceptance = 0.0
        self.log_step = aligned([math.log(FIRST_STEP * target.dim**-0.25)])
        self.block_ends = np.array(sorted({round(n * (k + 1) / BLOCKS) for k in range(BLOCKS)} - {0}), dtype=np.int64)
        self.eves = np.arange(n)
        self.acceptances = zeros(n)
        self.variance = self.remembered = 0.0
        self.next = 0  # particle to be evaluated or moved

    def __len__(self) -> int:
        return len(self.particles.points)

    def advance(self, evaluations: float) -> None:
        """Evaluate or move some particles, at about so many evaluations; then, where all are, go on.

        What becomes of the particles does not depend on how many are taken at a time.
        """
        if self.beta == 0.0:
            self._evaluate(evaluations)
        else:
            self._move(evaluations)

    def _evaluate(self, evaluations: float) -> None:
        last = min(len(self), self.next + max(1, int(evaluations)))
        smc_loop.evaluate(
            *(pointer(self.target.log_density_and_gradient), self.target.data),
            *(self.particles, self.next, last, scratch_for(self.target.dim)),
        )
        self.evaluations += last - self.next
        self.next = last
        if last == len(self):
            self._temper()

    def _temper(self) -> None:
        """Go to the next temperature: weigh, learn the metric, resample."""
        n, densities = len(self), self.particles.densities
        with np.errstate(invalid="ignore"):
            ratios = np.where(np.isfinite(densities), densities - self.particles.references, -np.inf)
        if not np.any(ratios > -np.inf):
            self.reason = f"no finite log density at {n} points drawn from the reference"
            return
        if self.temperatures == MOST_TEMPERATURES:
            self.reason = (
                f"{MOST_TEMPERATURES} temperatures led to beta = {self.beta:.6g} and not to 1; the density may have no "
                "finite integral, or lie far from the reference"
            )
            return
        beta = next_temperature(self.beta, ratios, self.settings.ess_fraction)
        weights = log_weights(beta - self.beta, ratios)
        largest = float(np.max(weights))
        weights = np.exp(weights - largest)
        self.log_normaliser += largest + math.log(float(np.mean(weights)))
        self.beta = beta
        self.temperatures += 1
        along = self._learn(weights / np.sum(weights))
        order = np.argsort(along, kind="stable")
        ancestors = order[systematic(weights[order], n, self.rng.random())]
        self.eves = self.eves[ancestors]
        self.particles = self.particles.picked(ancestors)
        self.origin = self._traced()
        self.memory = np.ones(self.origin.shape[1])
        self.sweeps = 0
        self._begin_sweep()

    def _learn(self, weights: Vector) -> Vector:
        """Learn metric and path; returns (n,) where the particles lie along their widest direction, by the metric.

        The dense metric is that of a Gaussian of any shape, and the path a quarter of its period. The diagonal one
        leaves wider directions, and the path becomes that of the widest.
        """
        points, gradients = self.particles.points, self.particles.gradients
        with np.errstate(over="ignore", invalid="ignore"):
            slopes = self.beta * gradients + (1.0 - self.beta) * self.reference.slopes(points)
        self.scale = metric(points, slopes, weights, self.settings.dense)
        along, variance = widest(points, weights, self.scale)
        self.path = QUARTER * (1.0 if self.scale.is_dense else max(1.0, math.sqrt(variance)))
        return along

    def _traced(self) -> Matrix:
        """(n, dim + 1): coordinates and log density under the target, what particles are to forget."""
        return np.column_stack([self.particles.points, self.particles.densities])

    def _begin_sweep(self) -> None:
        self.next = 0

    def _move(self, evaluations: float) -> None:
        n, most = len(self), self.settings.max_leapfrogs
        cost = min(max(self.path / math.exp(self.log_step[0]) * mean_slowdown(STEP_JITTER), 1.0), float(most))
        last = min(n, self.next + max(1, int(evaluations / cost)))
        self.evaluations += smc_loop.move(
            *(pointer(self.target.log_density_and_gradient), self.target.data, self.rng),
            *(self.particles, self.next, last, self.beta, self.reference, self.scale, self.log_step, self.path, most),
            *(self.acceptances, self.block_ends, self.settings.target_accept, scratch_for(self.target.dim)),
        )
        self.next = last
        if last < n:
            return
        step = math.exp(self.log_step[0])
        if step > SMALLEST_STEP:
            self._end_sweep(float(np.mean(self.acceptances)))
        else:
            self.reason = f"the step size fell to {step:.1e} at beta = {self.beta:.3g}"

    def _end_sweep(self, acceptance: float) -> None:
        """Move again while some coordinate, or the log density, still forgets where it was; see `REMEMBERED`."""
        self.proposals += len(self)
        self.acceptance += acceptance * len(self)
        if acceptance < STUCK:
            self._begin_sweep()
            return
        self.sweeps += 1
        bound = REMEMBERED + 2.0 / math.sqrt(len(self))
        memory = correlations(self.origin, self._traced())
        open_ones = (memory > bound) & (memory < STALLED * self.memory)
        self.memory = memory
        least = self.least_sweeps if self.beta == 1.0 else 1
        if self.sweeps < least or (np.any(open_ones) and self.sweeps < self.settings.max_moves):
            self._begin_sweep()
            return
        self.remembered = max(self.remembered, float(np.nanmax(memory, initial=0.0)))
        if self.beta == 1.0:
            self._finish()
        else:
            self._temper()

    def _finish(self) -> None:
        self.finished = True
        self.variance = genealogical_variance(self.eves)
        self.particles = self.particles.picked(families(self.eves, self.rng))
        del self.origin


def correlations(before: Matrix, after: Matrix) -> Vector:
    """(columns,) correlation of each column with itself, 0 where one does not vary, NaN where squares overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        before, after = before - before.mean(axis=0), after - after.mean(axis=0)
        products = np.einsum("ni,ni->i", before, after)
        squares = np.einsum("ni,ni->i", before, before) * np.einsum("ni,ni->i", after, after)
        return np.asarray(products / np.sqrt(np.where(squares > 0.0, squares, np.inf)))


def families(eves: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """(n,) an order of particles at random in which those of the same first ancestor are neighbours.

    Resampling leaves them in the order of their places, in which parts of a population would look like other targets.
    """
    return np.lexsort((rng.random(len(eves)), rng.permutation(len(eves))[eves]))

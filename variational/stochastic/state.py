"""The state of a stochastic fit: what the loops move, what is recorded of it, and the approximations it stands for."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from targets.blocks import Blocks
from targets.kernel import Matrix, Vector, aligned, compiled, zeros
from targets.protocols import Work
from targets.target import Target
from variational.gaussian import Gaussian
from variational.logistic import Logistic
from variational.lowrank import LowRankGaussian
from variational.stochastic import parts
from variational.stochastic.independent import independent
from variational.stochastic.noise import GAUSSIAN
from variational.stochastic.pairs import pairs
from variational.stochastic.parts import Matrices, Vectors, absent
from variational.stochastic.plan import Plan
from variational.stochastic.shapes import FULLRANK, LOWRANK

POOL = 512  # numbers of base noise that are made at once, where a step takes fewer
WATCHED = 4096  # parameters recorded at most: the means and log diagonals first
ROWS = 400  # of a record
SPREAD = 0.1  # sd of the first low-rank factor: at zero its gradient vanishes


@dataclass
class State:
    """One fit's arrays."""

    plan: Plan
    dim: int
    vectors: Vectors
    matrices: Matrices
    watched: np.ndarray
    settings: np.ndarray
    tally: np.ndarray
    order: np.ndarray
    blocks: Blocks | None

    @classmethod
    def at(cls, plan: Plan, mean: Vector, sd: Vector, rng: np.random.Generator, blocks: Blocks | None) -> "State":
        """A state at independent coordinates with `mean` and `sd` (dim,)."""
        dim, draws, rank = len(mean), plan.draws, plan.rank
        base = dim + rank
        diagonal = diagonals(plan, dim)
        count = parameters(plan, dim)
        theta = zeros(count)
        theta[:dim] = mean
        theta[diagonal] = np.log(sd / plan.noise_sd)
        if plan.family == LOWRANK:
            theta[2 * dim :] = np.tril(SPREAD * sd[:, None] * rng.standard_normal((dim, rank))).ravel()
        taken = base if plan.paired else base * draws
        pool = taken * max(1, POOL // taken)
        pool += pool % 2
        sizes = [count] * 5 + [2, pool, pool] + [2 * dim] * 3 + [dim] * 9 + [rank, base, draws, draws, 2 * dim]
        vectors = Vectors(aligned(theta), *(zeros(size) for size in sizes))
        first = np.union1d(np.arange(dim), diagonal)
        rest = np.setdiff1d(np.arange(count), first)
        room = max(0, WATCHED - len(first))
        shown = rest if len(rest) <= room else rest[:: -(-len(rest) // room)] if room else rest[:0]
        watched = np.ascontiguousarray(np.concatenate([first, shown])[: max(WATCHED, 2)], dtype=np.int64)
        matrices = Matrices(
            zeros(ROWS, len(watched)),
            zeros(rank, rank),
            zeros(dim, rank),
            zeros(draws, dim),
            zeros(draws, dim),
            zeros(draws, base),
        )
        tally = np.zeros(8, dtype=np.int64)
        tally[parts.POOL] = pool  # nothing is drawn yet
        tally[parts.PLACE] = 0 if blocks is None else blocks.count
        order = np.arange(1 if blocks is None else blocks.count, dtype=np.int64)
        settings = np.array([plan.family, plan.noise, plan.estimator, draws, 0, 1], dtype=np.int64)
        state = cls(plan, dim, vectors, matrices, watched, settings, tally, order, blocks)
        state.restart(theta)
        return state

    @property
    def steps(self) -> int:
        """Steps since `restart`."""
        return int(self.tally[parts.STEPS])

    @property
    def thin(self) -> int:
        """Steps between two rows of the record."""
        return int(self.settings[parts.THIN])

    @property
    def rows(self) -> Matrix:
        """The record so far (n, watched)."""
        return self.matrices.record[: self.steps // self.thin]

    @property
    def stalled(self) -> bool:
        """Whether many steps in a row had no finite draw."""
        return bool(self.tally[parts.STALLED] >= parts.HOPELESS)

    def restart(self, theta: Vector) -> None:
        """Go on from theta with a new record, with steps in units of the standard deviations that it has."""
        v = self.vectors
        v.theta[:] = theta
        v.unit[:] = self.lengths(theta)
        if self.plan.family == LOWRANK:  # rotations of its columns change nothing: a triangle of zeros fixes them
            v.unit[2 * self.dim :] *= np.tril(np.ones((self.dim, self.plan.rank))).ravel()
        for array in (v.first, v.second, v.total):
            array[:] = 0.0
        v.powers[:] = 1.0
        self.tally[parts.STEPS] = self.tally[parts.STALLED] = 0
        self.settings[parts.THIN] = 1

    def enter(self, q: Gaussian) -> None:
        """Take over the correlations of q, whose means and sds these are, where the family is a dense one."""
        if self.plan.family != FULLRANK or q.diagonal:
            return
        theta = self.vectors.theta.copy()
        theta[self.dim :] = q.factor[np.tril_indices(self.dim)] / self.plan.noise_sd
        theta[diagonals(self.plan, self.dim)] = np.log(np.diagonal(q.factor) / self.plan.noise_sd)
        self.restart(theta)

    def thin_out(self) -> None:
        """Keep every second row of the record, and so from now on."""
        rows = self.rows[1::2].copy()
        self.matrices.record[: len(rows)] = rows
        self.settings[parts.THIN] *= 2

    def lengths(self, theta: Vector) -> Vector:
        """(parameters,) what counts as one in each: a coordinate's sd, or one where it is a logarithm."""
        sd = approximation(self.plan, self.dim, theta).sd
        lengths = np.ones(len(theta))
        lengths[: self.dim] = sd
        if self.plan.family == FULLRANK:
            rows = np.repeat(np.arange(self.dim), np.arange(1, self.dim + 1))
            lengths[self.dim :] = sd[rows]
            lengths[diagonals(self.plan, self.dim)] = 1.0
        elif self.plan.family == LOWRANK:
            lengths[2 * self.dim :] = np.repeat(sd, self.plan.rank)
        return lengths

    def cost(self, target: Target) -> float:
        """Evaluations that a step takes at most."""
        calls = self.plan.draws * (target.dim + 1 if self.plan.estimator == parts.RAO_BLACKWELL else 1)
        if self.blocks is None:
            return float(calls)
        return calls * float(np.diff(self.blocks.bounds).max()) / len(self.blocks.data)

    def advance(self, target: Target, rng: np.random.Generator, steps: int, step_size: float, work: Work) -> int:
        """Make steps of Adam; fewer where the state stalls. Returns how many."""
        return self._call(target, rng, steps, step_size, self.matrices, True, work)

    def gradients(self, target: Target, rng: np.random.Generator, n: int, work: Work) -> Matrix:
        """(n, parameters) gradients of the objective at theta, which stays where it is."""
        record = zeros(n, len(self.vectors.theta))
        self._call(target, rng, n, 0.0, self.matrices._replace(record=record), False, work)
        return record

    def _call(
        self,
        target: Target,
        rng: np.random.Generator,
        steps: int,
        step_size: float,
        matrices: Matrices,
        moving: bool,
        work: Work,
    ) -> int:
        kernel: Any = target.kernel
        density, prior, likelihood, data, mode = compiled(absent), kernel, kernel, target.data, parts.WHOLE
        bounds = np.zeros(2, dtype=np.int64)
        if self.blocks is not None and target.rows is not None:
            prior, likelihood = compiled(target.rows.prior), compiled(target.rows.likelihood)
            data, bounds, mode = self.blocks.data, self.blocks.bounds, parts.PART
        elif not self.plan.by_path and target.density is not None:
            density, mode = target.density, parts.ALONE
        self.settings[parts.MODE] = mode
        calls, rows = int(self.tally[parts.CALLS]), int(self.tally[parts.ROWS])
        asked = kernel, density, prior, likelihood, data, bounds, self.order, rng, self.tally
        moved = self.vectors, matrices, self.watched, self.settings
        loop = pairs if self.plan.paired else independent
        made = int(loop(*asked, *moved, steps, step_size, self.plan.alpha, moving))
        calls = int(self.tally[parts.CALLS]) - calls
        if mode == parts.WHOLE:
            work.gradient_evaluations += calls
        elif mode == parts.ALONE:
            work.density_evaluations += calls
        else:
            before = work.row_evaluations // len(data)
            work.row_evaluations += int(self.tally[parts.ROWS]) - rows
            work.gradient_evaluations += work.row_evaluations // len(data) - before
        return made


def parameters(plan: Plan, dim: int) -> int:
    """How many parameters the family has."""
    scale = dim * (dim + 1) // 2 if plan.family == FULLRANK else dim * (1 + plan.rank)
    return dim + scale


def diagonals(plan: Plan, dim: int) -> np.ndarray:
    """(dim,) where theta has the logarithms of the scale's diagonal."""
    i = np.arange(dim)
    return dim + i * (i + 3) // 2 if plan.family == FULLRANK else dim + i


def approximation(plan: Plan, dim: int, theta: Vector) -> "Gaussian | LowRankGaussian | Logistic":
    """What the parameters stand for."""
    mean = theta[:dim].copy()
    with np.errstate(over="ignore"):
        diagonal = np.exp(theta[diagonals(plan, dim)])
    if plan.family == LOWRANK:
        return LowRankGaussian(mean, diagonal, theta[2 * dim :].reshape(dim, plan.rank).copy())
    scale: Vector | Matrix = diagonal
    if plan.family == FULLRANK:
        scale = np.zeros((dim, dim))
        scale[np.tril_indices(dim)] = theta[dim:]
        np.fill_diagonal(scale, diagonal)
    return Gaussian(mean, scale) if plan.noise == GAUSSIAN else Logistic(mean, scale)


def weighed_draws(q: Gaussian | LowRankGaussian | Logistic, rng: np.random.Generator, n: int) -> tuple[Matrix, Vector]:
    """Draws (n, dim) with their log densities (n,), exact however thin q is in some direction."""
    if isinstance(q, LowRankGaussian):
        points = q.sample(rng, n)
        return points, q.log_density(points)
    base = (
        Gaussian(np.zeros(q.dim), np.ones(q.dim))
        if isinstance(q, Gaussian)
        else Logistic(np.zeros(q.dim), np.ones(q.dim))
    )
    drawn = base.sample(rng, n)
    return q.colour(drawn), base.log_density(drawn) - q.half_log_determinant


def compile_loops(plan: Plan) -> None:
    """Load or compile what a fit calls."""
    _ = (pairs if plan.paired else independent).compiled, compiled(absent)

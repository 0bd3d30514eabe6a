"""Laplace's approximation: a Gaussian at the mode, with the curvature there."""

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from targets.kernel import Matrix, Vector
from targets.options import require
from targets.protocols import Phase, Status, Work
from targets.target import Target
from variational.evaluation import gradients
from variational.gaussian import Gaussian
from variational.method import Recipe
from variational.mode import FOUND, STUCK, compile_search, curvature, find_mode, starting_point

NEWTON_STEPS = 10


@dataclass
class LaplaceRun:
    """One fit. All of it is done by the first `advance`: there is nothing to say in between."""

    target: Target
    rng: np.random.Generator
    tolerance: float
    limit: int
    q: Gaussian | None = None
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def advance(self, work: int) -> None:
        if self.status is not Status.RUNNING or work <= 0:
            return
        failure = self._fit()
        self.status = Status.FAILED if failure else Status.CONVERGED
        self.reason = failure or f"less than {self.tolerance:g} nats are left to gain at the mode"

    def _fit(self) -> str:
        start = starting_point(self.target, self.rng, self.work)
        if start is None:
            return "no starting point has a finite density and gradient"
        mode = find_mode(self.target, *start, self.tolerance, self.limit, self.work)
        if mode.outcome == STUCK:
            return "no mode found: the density cannot be evaluated further up"
        if mode.outcome != FOUND:
            return f"no mode found within {self.limit} gradients: the density may be unbounded"
        x, gradient = mode.x, mode.gradient
        for _ in range(NEWTON_STEPS):
            hessian = curvature(self.target, x, mode.scale, self.work)
            if not np.all(np.isfinite(hessian)):
                return "the Hessian at the mode is not finite"
            try:
                factor = cho_factor(hessian, lower=True)
            except np.linalg.LinAlgError:
                return "the Hessian at the mode is not positive definite"
            step = cho_solve(factor, gradient)
            if 0.5 * float(step @ gradient) <= self.tolerance:
                self.q = Gaussian(x, _factor(factor[0]))
                return ""
            moved = find_mode(self.target, x + step, *self._at(x + step), self.tolerance, self.limit, self.work)
            x, gradient = moved.x, moved.gradient
        return "no mode found: Newton's steps do not settle"

    def _at(self, x: Vector) -> tuple[float, Vector]:
        values, slopes = gradients(self.target, x[None, :], self.work)
        return float(values[0]), slopes[0]

    def approximation(self) -> Gaussian | None:
        return self.q

    def diagnostics(self) -> dict[str, float]:
        return {}


def _factor(cholesky_of_precision: Matrix) -> Matrix:
    """The lower Cholesky factor of the covariance, from that of the precision."""
    inverse = solve_triangular(np.tril(cholesky_of_precision), np.eye(len(cholesky_of_precision)), lower=True)
    return np.asarray(np.linalg.cholesky(inverse.T @ inverse), dtype=np.float64)


def laplace(*, tolerance: float = 1e-10, max_gradients: int = 10000) -> Recipe:
    """Laplace's approximation from a starting point of the target.

    `tolerance` is the gain in nats left at the mode; `max_gradients` limits each search for it.
    """
    require(tolerance > 0, f"laplace: tolerance={tolerance:g} is not accepted; it takes a positive number")
    require(max_gradients > 0, f"laplace: max_gradients={max_gradients} is not accepted; it takes 1 or more")

    def begin(target: Target, seed: int) -> LaplaceRun:
        return LaplaceRun(target, np.random.default_rng(seed), tolerance, max_gradients)

    return Recipe(begin, compile_search)

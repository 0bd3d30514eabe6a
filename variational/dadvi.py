"""Deterministic ADVI (Giordano, Ingram and Broderick 2023, arXiv:2304.05527): fixed draws, and Newton's method.

With the standard normal draws held fixed, the bound is an ordinary function of means and log sds. A trust-region method
(Steihaug 1983) maximises it; products of its Hessian with a vector come from differences of the kernel's gradients
along the directions in which the vector moves each draw. What the draws leave is seen by doubling them: the difference
of two optima estimates the error of the later one, since half of the later draws are the earlier ones.

Draws come in pairs z, -z. Once there are as many pairs as coordinates their second moments are made exact, and before
that those of each coordinate alone. So a Gaussian target has its mean exactly with any number of draws, and its whole
optimum with as many pairs as coordinates.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from targets.kernel import Matrix, Vector
from targets.options import require
from targets.protocols import Phase, Status, Work
from targets.target import Target
from variational.evaluation import compile_log_densities, gradients, log_densities
from variational.gaussian import Gaussian
from variational.method import Recipe
from variational.mode import compile_search, find_mode, starting_point

COVARIANCES = ("meanfield", "linear_response")
ROUGH, ROUGH_LIMIT = 1e-2, 200  # of the search for a mode: nats left to gain, and gradients at most
APART = 1e-4  # sd between the points of a difference of gradients
WIDEST, NARROWEST = 10.0, 1e-8  # the trust region's radius, in sd
SETTLED = 1e-5  # sd and log sd: a Newton step so small is the last, since what it leaves is its square
FORCING = 0.1  # of the gradient is what conjugate gradients may leave at most
FRESH = 200  # draws that the bound is estimated with at the end: on those it was fitted to it is too high


@dataclass
class Point:
    """The objective at one place: minus the bound, over fixed draws.

    Attributes:
        value: in nats, up to the entropy's constant.
        slopes: (n, dim) gradients of the log density at the draws.
        gradient: (2 dim,) by means in units of sd, and by log sds.
    """

    mean: Vector
    log_sd: Vector
    value: float
    slopes: Matrix
    gradient: Vector


@dataclass
class Objective:
    """Minus the bound of N(mean, diag sd^2) over the draws mean + sd z, with z (n, dim) fixed."""

    target: Target
    standard: Matrix
    work: Work

    def at(self, mean: Vector, log_sd: Vector) -> Point | None:
        """Value and gradient there; None where the density cannot be evaluated. It costs n gradients."""
        sd = np.exp(log_sd)
        with np.errstate(over="ignore", invalid="ignore"):
            heights, slopes = gradients(self.target, mean + sd * self.standard, self.work)
            scaled = slopes * sd
            by_mean, by_log = -scaled.mean(axis=0), -(scaled * self.standard).mean(axis=0) - 1
            value, gradient = -float(heights.mean()) - float(log_sd.sum()), np.concatenate([by_mean, by_log])
        if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
            return None
        return Point(mean, log_sd, value, slopes, gradient)

    def hessian(self, point: Point) -> Callable[[Vector], Vector]:
        """Its product with a vector (2 dim,); each costs n gradients. NaN where the density cannot be evaluated."""
        dim, sd = len(point.mean), np.exp(point.log_sd)
        draws = point.mean + sd * self.standard
        curved = point.slopes * sd * self.standard

        def product(v: Vector) -> Vector:
            along = (v[:dim] + self.standard * v[dim:]) * sd  # where v moves each draw
            size = APART / max(float(np.abs(v[:dim] + self.standard * v[dim:]).max()), 1e-300)
            with np.errstate(over="ignore", invalid="ignore"):
                _, beyond = gradients(self.target, draws + size * along, self.work)
                bend = (beyond - point.slopes) / size * sd
                by_log = (bend * self.standard).mean(axis=0) + curved.mean(axis=0) * v[dim:]
                return np.concatenate([-bend.mean(axis=0), -by_log])

        return product

    def response(self, point: Point) -> Matrix:
        """(dim, dim) the linear response of the mean to a linear term in the log density, which is a covariance.

        It is the block of the means in the inverse Hessian (Giordano, Broderick and Jordan 2018), whose parts come from
        the Hessian at each draw by central differences: 2 n dim gradients.

        Raises:
            numpy.linalg.LinAlgError: the Hessian is not positive definite.
        """
        dim, sd, z = len(point.mean), np.exp(point.log_sd), self.standard
        draws = point.mean + sd * z
        means, mixed, logs = np.zeros((dim, dim)), np.zeros((dim, dim)), np.zeros((dim, dim))
        for j in range(dim):
            offset = np.zeros(dim)
            offset[j] = APART * sd[j]
            with np.errstate(over="ignore", invalid="ignore"):
                above, below = (gradients(self.target, draws + s * offset, self.work)[1] for s in (1.0, -1.0))
                bend = -(above - below) / (2 * APART) * sd  # (n, dim): rows of minus the Hessians, in units of sd
                means[j], mixed[j], logs[j] = (part.mean(axis=0) for part in (bend, bend * z, bend * z * z[:, [j]]))
        with np.errstate(over="ignore", invalid="ignore"):
            logs[np.diag_indices(dim)] -= (point.slopes * sd * z).mean(axis=0)
        whole = np.block([[means, mixed], [mixed.T, logs]])
        if not np.all(np.isfinite(whole)):
            raise np.linalg.LinAlgError("the Hessian is not finite")
        factor = np.linalg.cholesky(0.5 * (whole + whole.T))
        half = np.linalg.solve(factor, np.eye(2 * dim)[:, :dim])
        return np.asarray(sd[:, None] * (half.T @ half) * sd)


def newton_step(product: Callable[[Vector], Vector], gradient: Vector, radius: float) -> tuple[Vector, Vector] | None:
    """Steihaug's conjugate gradients: an approximate minimiser within `radius`, and the Hessian times it.

    None where a product is not finite.
    """
    step, pushed, residual = np.zeros_like(gradient), np.zeros_like(gradient), gradient.copy()
    direction = -residual
    norm = float(np.linalg.norm(gradient))
    if norm == 0:
        return step, pushed
    enough = min(FORCING, np.sqrt(norm)) * norm
    for _ in range(2 * len(gradient)):
        across = product(direction)
        bent = float(direction @ across)
        if not np.isfinite(bent):
            return None
        squared = float(residual @ residual)
        if bent <= 0 or float(np.linalg.norm(step + squared / bent * direction)) >= radius:
            length = _to_edge(step, direction, radius)
            return step + length * direction, pushed + length * across
        length = squared / bent
        step, pushed, residual = step + length * direction, pushed + length * across, residual + length * across
        if float(np.linalg.norm(residual)) <= enough:
            break
        direction = float(residual @ residual) / squared * direction - residual
    return step, pushed


def _to_edge(step: Vector, direction: Vector, radius: float) -> float:
    """How far along the direction the sphere is."""
    a, b = float(direction @ direction), float(step @ direction)
    c = float(step @ step) - radius**2
    return (-b + float(np.sqrt(max(b * b - a * c, 0.0)))) / a


def fixed_draws(base: Matrix, pairs: int) -> Matrix:
    """(2 pairs, dim) from the first rows of `base`: antithetic, with exact second moments as far as that can be."""
    half = base[:pairs]
    dim = base.shape[1]
    if pairs >= dim:
        values, vectors = np.linalg.eigh(half.T @ half / pairs)
        half = half @ (vectors / np.sqrt(values)) @ vectors.T
    else:
        half = half / np.sqrt((half**2).mean(axis=0))
    return np.concatenate([half, -half])


@dataclass
class DadviRun:
    """One fit. A piece of work is a step of Newton's method."""

    target: Target
    rng: np.random.Generator
    draws: int
    max_draws: int
    tolerance: float
    covariance: str
    base: Matrix = field(default_factory=lambda: np.empty((0, 0)))
    point: Point | None = None
    objective: Objective | None = None
    radius: float = 1.0
    settled: Point | None = None
    error: float = float("nan")
    elbo: float = float("nan")
    dense: Gaussian | None = None
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def advance(self, work: int) -> None:
        until = self.work.total + work
        while self.status is Status.RUNNING and self.work.total < until:
            if self.point is None or self.objective is None:
                self._begin()
            else:
                self._step(self.objective, self.point)

    def _begin(self) -> None:
        start = starting_point(self.target, self.rng, self.work)
        if start is None:
            self._fail("no starting point has a finite density and gradient")
            return
        mode = find_mode(self.target, *start, ROUGH, ROUGH_LIMIT, self.work)
        self.base = self.rng.standard_normal((self.max_draws // 2, self.target.dim))
        self._open(mode.x, np.log(mode.scale))

    def _open(self, mean: Vector, log_sd: Vector) -> None:
        """Begin with the draws as many as they are now, narrower where they cannot be evaluated."""
        self.objective = Objective(self.target, fixed_draws(self.base, self.draws // 2), self.work)
        self.radius = 1.0
        for _ in range(20):
            self.point = self.objective.at(mean, log_sd)
            if self.point is not None:
                return
            log_sd = log_sd - 1.0
        self._fail("no draws around the start can be evaluated")

    def _step(self, objective: Objective, point: Point) -> None:
        found = newton_step(objective.hessian(point), point.gradient, self.radius)
        if found is None:
            self._shrink(0.25)
            return
        step, pushed = found
        size = float(np.linalg.norm(step))
        dim = self.target.dim
        predicted = -float(point.gradient @ step) - 0.5 * float(step @ pushed)
        new = objective.at(point.mean + np.exp(point.log_sd) * step[:dim], point.log_sd + step[dim:])
        gained = point.value - new.value if new is not None else -np.inf
        inside = size < 0.99 * self.radius
        if inside and float(np.abs(step).max()) <= SETTLED and predicted >= 0:
            # so small a gain is lost in rounding, and only the gradient says whether the step was a good one
            better = new is not None and np.linalg.norm(new.gradient) < np.linalg.norm(point.gradient)
            self._settle(objective, new if better and new is not None else point)
            return
        if gained > 1e-4 * predicted and new is not None:
            self.point = new
        if gained < 0.25 * predicted:
            self._shrink(0.25 * min(size / self.radius, 1.0))
        elif gained > 0.75 * predicted and not inside:
            self.radius = min(2 * self.radius, WIDEST)

    def _shrink(self, factor: float) -> None:
        self.radius *= factor
        if self.radius < NARROWEST:
            self._fail("no step improves the bound: its gradients do not fit the density")

    def _settle(self, objective: Objective, point: Point) -> None:
        """Newton's method is at its end on these draws: are they enough?"""
        before, self.settled, self.point = self.settled, point, point
        if not (np.abs(point.log_sd).max() < 200 and np.all(np.isfinite(point.mean))):
            self._fail("a scale ran away")
            return
        if before is not None:
            moved = np.concatenate([(point.mean - before.mean) / np.exp(point.log_sd), point.log_sd - before.log_sd])
            self.error = float(np.sqrt(np.mean(moved**2)))
            if self.error <= self.tolerance:
                self._end(objective, point)
                return
        if 2 * self.draws > self.max_draws:
            self._end(objective, point)
            return
        self.draws *= 2
        self._open(point.mean, point.log_sd)

    def _end(self, objective: Objective, point: Point) -> None:
        q = Gaussian(point.mean, np.exp(point.log_sd))
        if self.covariance == "linear_response":
            try:
                self.dense = q = Gaussian.from_moments(point.mean, objective.response(point))
            except np.linalg.LinAlgError:
                self._fail("the Hessian at the optimum is not positive definite: there is no linear response")
                return
        fresh = fixed_draws(self.rng.standard_normal((FRESH // 2, self.target.dim)), FRESH // 2)
        heights = log_densities(self.target, q.colour(fresh), self.work)
        self.elbo = float(heights.mean()) + q.entropy
        if self.error <= self.tolerance:
            self.status = Status.CONVERGED
            self.reason = f"the error that {self.draws} fixed draws leave is {self.error:.2g} sd"
        else:
            self._fail(f"{self.draws} fixed draws leave an error of {self.error:.2g} sd; max_draws allows no more")

    def _fail(self, reason: str) -> None:
        self.status, self.reason = Status.FAILED, reason

    def approximation(self) -> Gaussian | None:
        """The iterate, with independent coordinates; at the end with the linear response, if that was asked for."""
        if self.dense is not None or self.point is None:
            return self.dense
        return Gaussian(self.point.mean, np.exp(self.point.log_sd))

    def diagnostics(self) -> dict[str, float]:
        said = {"elbo": self.elbo, "fixed_draws": float(self.draws), "draws_error": self.error}
        return {key: value for key, value in said.items() if np.isfinite(value)}


def dadvi(*, draws: int = 20, max_draws: int = 160, tolerance: float = 0.1, covariance: str = "meanfield") -> Recipe:
    """A Gaussian with independent coordinates, by Newton's method on fixed draws.

    They begin with `draws` and double until they leave an error of `tolerance` in means and log sds (root mean square,
    in sd), or would exceed `max_draws`. With `covariance=linear_response` the result is the dense Gaussian whose
    covariance is the linear response of the means.
    """
    require(tolerance > 0, f"dadvi: tolerance={tolerance:g} is not accepted; it takes a positive number")
    require(draws >= 2 and draws % 2 == 0, f"dadvi: draws={draws} is not accepted; it takes an even number, 2 or more")
    require(max_draws >= 2 * draws, f"dadvi: max_draws={max_draws} is not accepted; it takes twice `draws` or more")
    require(
        covariance in COVARIANCES, f"dadvi: covariance={covariance} is not accepted; it takes {', '.join(COVARIANCES)}"
    )

    def begin(target: Target, seed: int) -> DadviRun:
        return DadviRun(target, np.random.default_rng(seed), draws, max_draws, tolerance, covariance)

    def prepare(target: Target) -> None:
        compile_search(target)
        compile_log_densities(target)

    tags = {"vi", "fullrank"} if covariance == "linear_response" else {"vi"}
    return Recipe(begin, prepare, tags=frozenset(tags))

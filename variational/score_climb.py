"""Markovian score climbing (Naesseth, Lindsten and Blei 2020): forward KL with draws from chains that leave p as it is.

The gradient of KL(p || q) is -E_p[score of q]. Its expectation is over p, and is taken along Markov chains with p as
their stationary distribution, so that nothing is biased as importance weights are. For a Gaussian q the natural step is
a moment average in closed form: m <- (1 - e) m + e E[x], and the second moments alike, with Robbins-Monro steps e.

Three kernels: conditional importance sampling and independent Metropolis with q as the proposal, the latter as in joint
stochastic approximation (Ou and Song 2020), which holds each chain's last draw and its density in a cache; and HMC in
the coordinates that q whitens. The first two hardly move where q is far from p.
"""

from dataclasses import dataclass, field

import numpy as np

from targets.kernel import Matrix, Vector, aligned, zeros
from targets.options import require
from targets.protocols import Phase, Status, Work
from targets.target import Target
from variational.climbing import resample, trajectories
from variational.evaluation import compile_log_densities, gradients, log_densities
from variational.forward import NOWHERE, some_mode
from variational.gaussian import Gaussian
from variational.method import Recipe
from variational.mode import compile_search
from variational.psis import smooth
from variational.window import Window, judge

CHAINS = 4
STEPS = {"cis": 16, "hmc": 16, "mis": 64}  # of each chain between two moves of q
FIRST_WINDOW = 32  # blocks of steps
DELAY, DECAY = 4.0, 0.75  # the step of block t is (t + DELAY)^-DECAY
PRIOR_MOVES = 2.0  # a dimension: moves of the chains that the last q counts for
ACCEPT = 0.8  # of HMC's trajectories
LENGTH = 1.5  # of them, about a quarter turn of a standard Gaussian
MOST = 64  # leapfrogs of one
FIRST_STEP = 0.5  # of the leapfrog, times dim^-1/4
AGREE = 4.0  # tolerances by which a window may differ from the one before, of half its length
SMOOTHED = 16  # blocks whose weights k-hat is taken from
RELIABLE = 0.5  # k-hat, above which weights have no variance, and batches too few of the largest to tell the error by
FAINTEST, WIDEST = 1e-100, 1e100


@dataclass
class ClimbRun:
    """One fit. A block of `steps` of all chains, in which q stands still, is atomic."""

    target: Target
    rng: np.random.Generator
    kernel: str
    fullrank: bool
    particles: int
    tolerance: float
    q: Gaussian | None = None  # that chains draw with
    best: Gaussian | None = None  # the average over the last whole window
    states: Matrix = field(default_factory=lambda: zeros(CHAINS, 0))
    slopes: Matrix = field(default_factory=lambda: zeros(CHAINS, 0))
    heights: Vector = field(default_factory=lambda: zeros(CHAINS))
    blocks: int = 0
    log_step: float = 0.0
    moved: float = float("nan")  # share of the last window's steps that led elsewhere
    error: float = float("nan")
    r_hat: float = float("nan")
    k_hat: float = float("nan")
    weighed: list[Vector] = field(default_factory=list)  # log p - log q of the last blocks' proposals
    window: Window | None = None
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def advance(self, work: int) -> None:
        until = self.work.total + work
        while self.status is Status.RUNNING and self.work.total < until:
            if self.window is None:
                self._begin()
            else:
                self._block(self.window)

    def _begin(self) -> None:
        """Each chain at a rough mode of its own; q has the moments of what lies around them all."""
        found = []
        for _ in range(CHAINS):
            shape = some_mode(self.target, self.rng, self.work)
            if shape is None:
                self._fail(NOWHERE)
                return
            found.append(shape)
        self.states = aligned([shape.mean for shape in found])
        self.heights, self.slopes = gradients(self.target, self.states, self.work)
        mean = self.states.mean(axis=0)
        away = self.states - mean
        covariance = sum((shape.covariance for shape in found), away.T @ away) / CHAINS
        self.q = Gaussian.from_moments(mean, covariance if self.fullrank else np.diagonal(covariance).copy())
        self.log_step = float(np.log(FIRST_STEP * self.target.dim**-0.25))
        self.window = Window.empty(FIRST_WINDOW, CHAINS, mean, self.q.sd, self.fullrank)

    def _block(self, window: Window) -> None:
        assert self.q is not None  # noqa: S101
        points, shares, moves = self._trajectories(self.q) if self.kernel == "hmc" else self._proposals(self.q)
        shares /= self.steps
        self.blocks += 1
        window.add(points, shares, moves / (CHAINS * self.steps))
        flat, weights = points.reshape(-1, self.target.dim), shares.ravel() / CHAINS
        rate = (self.blocks + DELAY) ** -DECAY * moves / (moves + PRIOR_MOVES * self.target.dim)
        moved = stepped(self.q, flat, weights, rate)
        if moved is None or not np.all((moved.sd > FAINTEST) & (moved.sd < WIDEST)):
            self._fail("the approximation ran away")
            return
        self.q = moved
        if window.blocks == window.length:
            self._decide(window)

    @property
    def steps(self) -> int:
        """Of each chain in a block."""
        return STEPS[self.kernel]

    def _proposals(self, q: Gaussian) -> tuple[np.ndarray, Matrix, float]:
        """Points (chains, n, dim), their shares (chains, n) of the steps, and moves, of kernels that q proposes for."""
        dim, fresh, steps = self.target.dim, self.particles - 1, self.steps
        points = q.sample(self.rng, CHAINS * steps * fresh)
        uniforms = self.rng.random((CHAINS, steps))
        heights = log_densities(self.target, points, self.work)
        log_weights = heights - q.log_density(points)
        log_weights[~np.isfinite(log_weights)] = -np.inf
        self.weighed = [*self.weighed[1 - SMOOTHED :], log_weights]
        retained = self.heights - q.log_density(self.states)
        shares, old_shares = np.zeros((CHAINS, steps, fresh)), np.zeros(CHAINS)
        last = np.zeros(CHAINS, dtype=np.int64)
        moves = resample(
            log_weights.reshape(CHAINS, steps, fresh),
            retained,
            uniforms,
            shares,
            old_shares,
            last,
            self.kernel == "mis",
        )
        apart = points.reshape(CHAINS, steps * fresh, dim)
        all_points = np.concatenate([self.states[:, None, :], apart], axis=1)
        all_shares = np.concatenate([old_shares[:, None], shares.reshape(CHAINS, -1)], axis=1)
        for c in np.flatnonzero(last >= 0):
            self.states[c] = apart[c, last[c]]
            self.heights[c] = heights.reshape(CHAINS, -1)[c, last[c]]
        return all_points, all_shares, moves

    def _trajectories(self, q: Gaussian) -> tuple[np.ndarray, Matrix, float]:
        """As `_proposals`, of Hamiltonian Monte Carlo, whose step size goes on adapting, ever less."""
        dim, steps = self.target.dim, self.steps
        visited = np.empty((CHAINS, steps, dim))
        factor = q.factor[None, :] if q.diagonal else q.factor
        evaluations, moves = trajectories(
            self.target.kernel,
            self.target.data,
            self.states,
            self.slopes,
            self.heights,
            np.ascontiguousarray(factor),
            self.rng.standard_normal((CHAINS, steps, dim)),
            self.rng.random((CHAINS, steps, 2)),
            float(np.exp(self.log_step)),
            LENGTH,
            MOST,
            visited,
            np.empty((4, dim)),
        )
        self.work.gradient_evaluations += evaluations
        self.log_step += (self.blocks + DELAY) ** -DECAY * 4 * (moves / (CHAINS * steps) - ACCEPT)
        return visited, np.ones((CHAINS, steps)), moves

    def _decide(self, window: Window) -> None:
        """Stop where the average over the window is accurate, chains agree, and the window before said the same."""
        said = judge(window)
        if self.weighed:
            self.k_hat = smooth(np.concatenate(self.weighed))[1]
        before, self.moved, self.error, self.r_hat = self.best, said.moved, said.error, said.r_hat
        try:
            self.best = Gaussian.from_moments(said.mean, said.covariance if self.fullrank else said.variance)
        except np.linalg.LinAlgError:
            self.best = None
        if before is not None and self.best is not None:
            change = max(
                float(np.max(np.abs(before.mean - self.best.mean) / self.best.sd)),
                float(np.max(np.abs(np.log(before.sd / self.best.sd)))),
            )
            heavy = self.k_hat >= RELIABLE  # never of HMC, which has none
            if said.error <= self.tolerance and said.agreed and change <= AGREE * self.tolerance and not heavy:
                self.status = Status.CONVERGED
                self.reason = f"averages over {window.length} blocks to {self.tolerance:g} sd, and chains agree"
                return
        assert self.q is not None  # noqa: S101
        self.window = Window.empty(2 * window.length, CHAINS, self.q.mean, self.q.sd, self.fullrank)

    def _fail(self, reason: str) -> None:
        self.status, self.reason = Status.FAILED, reason

    def approximation(self) -> Gaussian | None:
        return self.q if self.best is None else self.best

    def diagnostics(self) -> dict[str, float]:
        said = {"r_hat": self.r_hat, "monte_carlo_error": self.error, "moved": self.moved, "k_hat": self.k_hat}
        return {key: value for key, value in said.items() if np.isfinite(value)}


def stepped(q: Gaussian, points: Matrix, weights: Vector, rate: float) -> Gaussian | None:
    """The Gaussian with the moments of (1 - rate) q + rate x the weighted points; None where they are not proper."""
    with np.errstate(all="ignore"):  # where the density has no finite integral, q may run away
        mean = weights @ points
        away, shift = points - mean, mean - q.mean
        new = q.mean + rate * shift
        covariance = weights @ away**2 if q.diagonal else (away * weights[:, None]).T @ away
        own, between = (q.variance, shift**2) if q.diagonal else (q.covariance, np.outer(shift, shift))
        mixed = (1 - rate) * (own + rate * between) + rate * covariance
    if not (np.all(np.isfinite(new)) and np.all(np.isfinite(mixed))):
        return None
    try:
        return Gaussian.from_moments(new, mixed)
    except np.linalg.LinAlgError:
        return None


def msc(*, kernel: str = "cis", family: str = "fullrank", particles: int = 10, tolerance: float = 0.02) -> Recipe:
    """Markovian score climbing.

    `kernel` is 'cis', conditional importance sampling with `particles` draws, one of them the chain's own, or 'hmc'.
    `family` is 'fullrank' or 'meanfield'. It stops where the standard error of means and log sds, over chains and
    batches, is below `tolerance` sd.
    """
    require(kernel in ("cis", "hmc"), f"msc: kernel={kernel!r} is not accepted; it takes 'cis' or 'hmc'")
    require(2 <= particles <= 1000, f"msc: particles={particles} is not accepted; it takes 2 to 1000")
    return _recipe("msc", kernel, family, particles, tolerance)


def jsa(*, family: str = "fullrank", tolerance: float = 0.02) -> Recipe:
    """Joint stochastic approximation: as `msc`, by independent Metropolis steps with q as the proposal."""
    return _recipe("jsa", "mis", family, 2, tolerance)


def _recipe(name: str, kernel: str, family: str, particles: int, tolerance: float) -> Recipe:
    require(
        family in ("fullrank", "meanfield"),
        f"{name}: family={family!r} is not accepted; it takes 'fullrank' or 'meanfield'",
    )
    require(tolerance > 0, f"{name}: tolerance={tolerance:g} is not accepted; it takes a positive number")

    def begin(target: Target, seed: int) -> ClimbRun:
        return ClimbRun(target, np.random.default_rng(seed), kernel, family == "fullrank", particles, tolerance)

    def prepare(target: Target) -> None:
        compile_search(target)
        compile_log_densities(target)
        _ = (trajectories if kernel == "hmc" else resample).compiled
        smooth(np.zeros(100))  # loads what it needs

    return Recipe(begin, prepare, tags=frozenset({"vi", family}))

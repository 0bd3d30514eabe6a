"""Multi-path Pathfinder (Zhang et al. 2022, algorithm 2): draws of several paths, resampled by importance.

Weights are p / q with q the mixture of all paths' Gaussians (Owen and Zhou 2000). The paper divides by the Gaussian of
the draw's own path instead, which counts a mode as often as paths lead to it: `weights=path` does so.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import logsumexp, softmax

from targets.kernel import Vector
from targets.options import require
from targets.protocols import Approximation, Phase, Status, Work
from targets.target import Target
from variational.evaluation import log_densities
from variational.method import Recipe
from variational.pathfinder import Path, PathfinderRun, compile_path
from variational.psis import smooth
from variational.resampled import ResampledDraws, resample

WEIGHTS = ("mixture", "path")
FEWEST = 100  # draws that the weights have to be worth


@dataclass
class MultiPathfinderRun:
    """Path after path, and then draws from each that ended well."""

    target: Target
    rng: np.random.Generator
    paths: list[PathfinderRun]
    draws: int
    weights: str
    current: int = 0
    pooled: ResampledDraws | None = None
    said: dict[str, float] = field(default_factory=dict)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN
    own: Work = field(default_factory=Work)

    @property
    def work(self) -> Work:
        return sum((path.work for path in self.paths), self.own)

    def advance(self, work: int) -> None:
        until = self.work.total + work
        while self.status is Status.RUNNING and self.work.total < until:
            if self.current == len(self.paths):
                self._pool()
                continue
            path = self.paths[self.current]
            path.advance(until - self.work.total)
            self.current += path.status is not Status.RUNNING

    def _pool(self) -> None:
        ended = [path for path in self.paths if path.status is Status.CONVERGED]
        self.said = {"failed_paths": float(len(self.paths) - len(ended))}
        if not ended:
            self.status, self.reason = Status.FAILED, f"all paths failed; the first: {self.paths[0].reason}"
            return
        points = np.concatenate([_best(path).sample(self.rng, self.draws) for path in ended])
        owner = np.repeat(np.arange(len(ended)), self.draws)
        densities = np.array([_best(path).log_density(points) for path in ended])
        ours = logsumexp(densities, axis=0) - np.log(len(ended))
        if self.weights == "path":
            ours = densities[owner, np.arange(len(points))]
        ratios = log_densities(self.target, points, self.own) - ours
        weights, k_hat = smooth(ratios)
        trouble = _trouble(weights, k_hat)
        if trouble:
            weights = softmax([path.elbo for path in ended])[owner] / self.draws
            self.reason = f"{trouble}: draws count by the bound of their path"
        else:
            self.said["log_normaliser"] = float(logsumexp(ratios) - np.log(len(ratios)))
            self.reason = f"k-hat {k_hat:.2f} of the pooled draws"
        self.pooled = resample(points, weights, self.rng, len(points))
        self.said |= {
            "k_hat": k_hat if np.isfinite(k_hat) else 1e9,
            "fallback": float(bool(trouble)),
            "distinct": float(self.pooled.distinct),
        }
        self.status = Status.CONVERGED

    def approximation(self) -> Approximation | None:
        """The resampled draws; before there are any, the Gaussian of the best path so far."""
        if self.pooled is not None:
            return self.pooled
        seen = [path for path in self.paths if path.best is not None]
        return max(seen, key=lambda path: path.bound).approximation() if seen else None

    def diagnostics(self) -> dict[str, float]:
        return dict(self.said)


def _best(path: PathfinderRun) -> Approximation:
    assert path.best is not None  # noqa: S101  # a path that ended well has one
    return path.best


def _trouble(weights: Vector, k_hat: float) -> str:
    """Why weights (n,) are no guide, or ''."""
    limit = threshold(len(weights))
    if not k_hat <= limit:
        return f"k-hat is {k_hat:.2f}, above {limit:.2f}"
    worth = 1 / float(weights @ weights)
    return f"importance weights are worth {worth:.0f} draws" if worth < FEWEST else ""


def threshold(draws: int) -> float:
    """The k-hat up to which weights of so many draws can be trusted (Vehtari et al. 2024, equation 13)."""
    return float(min(1 - 1 / np.log10(draws), 0.7))


def multi_pathfinder(
    *,
    paths: int = 4,
    history: int = 5,
    elbo_draws: int = 25,
    update: str = "block",
    draws: int = 1000,
    weights: str = "mixture",
) -> Recipe:
    """Draws of several paths, resampled by Pareto-smoothed importance weights.

    `draws` are made from each path's Gaussian. Weights divide by the `mixture` of them all, or by that of each draw's
    own `path`. Where they are no guide (k-hat), draws count by the bound of their path instead. `history`, `elbo_draws`
    and `update` as for `pathfinder`.
    """
    path = Path("multi_pathfinder", history, elbo_draws, update)
    require(paths >= 1, f"multi_pathfinder: paths={paths} is not accepted; it takes 1 or more")
    require(draws >= 100, f"multi_pathfinder: draws={draws} is not accepted; it takes 100 or more")
    require(weights in WEIGHTS, f"multi_pathfinder: weights={weights} is not accepted; it takes {', '.join(WEIGHTS)}")

    def begin(target: Target, seed: int) -> MultiPathfinderRun:
        pool, *each = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(paths + 1))
        return MultiPathfinderRun(target, pool, [path.start(target, rng) for rng in each], draws, weights)

    def prepare(target: Target) -> None:
        compile_path(target)
        smooth(np.zeros(100))  # loads what it needs

    return Recipe(begin, prepare)

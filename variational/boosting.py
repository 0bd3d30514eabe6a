"""Variational boosting: a mixture of Gaussians that grows by one component at a time.

After Guo et al. (2016) and Miller, Foti and Adams (2017). A stage adds one Gaussian f to the fit q so far and maximises
the ELBO of (1 - w) q + w f over f and over all weights; the components before it stay as they are. Where f is alone its
own entropy keeps it wide; where q is dense already the residual log p - log q drives it. So the bound itself
regularises the entropy, and f cannot shrink to a point, as it does where the residual alone is maximised. A stage
starts at a mode that q has missed, or where a draw shows the mass that it leaves out. Steps are those of
`variational.mixture_vi`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from targets.kernel import Vector
from variational.evaluation import log_densities
from variational.gaussian import Gaussian
from variational.method import Recipe
from variational.mixture import MixtureOfGaussians, discrepancy
from variational.mixture_state import State
from variational.mixture_vi import FIRST, RATE, MixtureRun, climbed, recipe

CANDIDATES = 400  # draws that show where mass is left out
WIDER = 2.0  # their sd over that of the fit
MISSED = 1.0  # nats that log p - log q at a mode exceeds what the fit has elsewhere, where q has missed it
NEGLIGIBLE = 1e-3  # mass, as the curvature says, below which a mode is not worth a component
AGREEMENTS = 1  # of windows in a row that end a stage
PATIENCE = 2  # stages in a row that may change nothing


@dataclass
class BoostingRun(MixtureRun):
    """One fit. A stage ends as `MixtureRun` does; the fit ends where new components change nothing, or with the last.

    Attributes:
        grown: the fit that the latest stage began with.
    """

    agreements: int = AGREEMENTS
    grown: MixtureOfGaussians | None = None
    idle: int = 0

    def _begin(self) -> None:
        modes = climbed(self.target, self.rng, 1, 1.0, self.work)
        if not modes:
            self._fail("no starting point has a finite density and gradient")
            return
        self.state = State.at(MixtureOfGaussians((self.shaped(modes[0]),), np.ones(1)))

    def _converge(self, reason: str) -> None:
        """The end of a stage."""
        assert self.before is not None  # noqa: S101  # windows have been compared
        q = self.before
        if len(q.parts) >= self.components:
            super()._converge(f"{len(q.parts)} components; {reason}")
            return
        if self.grown is not None:
            gained = discrepancy(self.grown, q, self.rng)
            self.idle = self.idle + 1 if gained <= 2 * self.target.dim * self.tolerance**2 else 0
            if self.idle >= PATIENCE:
                super()._converge(f"{PATIENCE} components more changed nothing; {reason}")
                return
        self.grown = q
        self._add(q)

    def _add(self, q: MixtureOfGaussians) -> None:
        """A stage more."""
        weight = 1 / (len(q.parts) + 1)
        parts = (*q.parts, self.shaped(self._newcomer(q)))
        free = [False] * len(q.parts) + [True]
        self.state = State.at(MixtureOfGaussians(parts, np.append((1 - weight) * q.weights, weight)), free)
        self.settled, self.agreed, self.step, self.before = False, 0, None, None
        self.window, self.rate, self.change = FIRST, RATE, float("inf")

    def _newcomer(self, q: MixtureOfGaussians) -> Gaussian:
        """A mode that a climb from a widely scattered point finds and q misses, or a draw of what q leaves out."""
        points = self._wider(q)
        log_p, log_q = log_densities(self.target, points, self.work), q.log_density(points)
        ratios = log_p - self._proposal(q).log_density(points)
        level = float(logsumexp(ratios) - np.log(len(points)))  # log normaliser, of what the proposal reaches
        for mode in climbed(self.target, self.rng, 2, self.spread, self.work):
            height = float(log_densities(self.target, mode.mean[None, :], self.work)[0])
            missed = height - float(q.log_density(mode.mean[None, :])[0]) > level + MISSED
            mass = height - float(mode.log_density(mode.mean[None, :])[0]) - level
            if missed and mass > np.log(NEGLIGIBLE):
                return mode
        missing = np.exp(ratios - level) * np.maximum(-np.expm1(np.minimum(log_q - log_p + level, 0.0)), 0.0)
        total = float(missing.sum())
        if not (np.isfinite(total) and total > 0):
            return q.parts[int(np.argmax(q.weights))]
        x = points[self.rng.choice(len(points), p=missing / total)]
        return Gaussian(x, q.parts[_nearest(q, x)].factor)

    def _proposal(self, q: MixtureOfGaussians) -> MixtureOfGaussians:
        return MixtureOfGaussians(tuple(Gaussian(p.mean, WIDER * p.factor) for p in q.parts), q.weights)

    def _wider(self, q: MixtureOfGaussians) -> np.ndarray:
        return self._proposal(q).sample(self.rng, CANDIDATES)


def _nearest(q: MixtureOfGaussians, x: Vector) -> int:
    """The component that x most likely comes from."""
    return int(np.argmax(q.log_parts(x[None, :])[:, 0]))


def boosting(*, components: int = 10, covariance: str = "full", tolerance: float = 0.02, spread: float = 3.0) -> Recipe:
    """A mixture of at most so many `components`, added one by one. Options as `variational.mixture_vi`."""
    return recipe("boosting", BoostingRun, components, covariance, tolerance, spread)

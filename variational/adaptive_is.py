"""Adaptive importance sampling with a mixture: population Monte Carlo, which is the cross-entropy method.

Rounds draw from a mixture of Student t, weight the draws by p, and fit a mixture of Gaussians to them by weighted EM
(Cappe, Douc, Guillin, Marin and Robert 2008), whose every step lowers KL(p || q) as the weighted draws see it. The next
round draws from a t of each component. Where few draws carry the weight, weights are tempered (Koblents and Miguez
2015): q then moves towards p^b q^(1 - b), with b as large as the draws can bear.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import logsumexp

from targets.kernel import Matrix, Vector
from targets.options import require
from targets.target import Target
from variational.evaluation import compile_log_densities
from variational.forward import KEPT, LARGEST_DIM, NOWHERE, PLANE, WIDER, ForwardRun, some_mode, summary
from variational.gaussian import Gaussian
from variational.method import Recipe
from variational.mixture import MixtureOfGaussians
from variational.mode import compile_search
from variational.proposal import Mixture
from variational.psis import smooth

EM_STEPS = 3  # a round
LEAST_SIZE, LEAST_PER_DIM = 50.0, 2.0  # effective draws below which weights are tempered
FAINT = 1e-3  # weight below which a component is given up
PRIOR_DRAWS = 2.0  # a dimension: effective draws that a component's last shape counts for


@dataclass
class AdaptiveRun(ForwardRun):
    """One fit: rounds as `ForwardRun` makes them, with a mixture in place of one Gaussian."""

    components: int = 4
    mixture: MixtureOfGaussians | None = None
    seen: list[tuple[Matrix, Vector, float]] = field(default_factory=list)  # draws, weights, effective number
    temper: float = 0.0

    def _begin(self) -> None:
        """A component about a draw from each mode found, so that no two of them are the same."""
        found = []
        for _ in range(self.components):
            shape = some_mode(self.target, self.rng, self.work)
            if shape is None:
                self._fail(NOWHERE)
                return
            found.append(replace(shape, mean=shape.sample(self.rng, 1)[0]) if self.components > 1 else shape)
        parts = tuple(shape if not shape.diagonal else Gaussian(shape.mean, np.diag(shape.factor)) for shape in found)
        self.mixture = MixtureOfGaussians(parts, np.full(len(parts), 1 / len(parts)))
        self._open(list(parts))

    def _round(self, proposal: Mixture) -> None:
        weighed = self._weigh(proposal)
        if weighed is None or self.mixture is None:
            return
        points, ratios, weights = weighed
        self.rounds = [*self.rounds[1 - KEPT :], summary(points, ratios, weights)]
        shares, size, _, _ = self._pool()
        self.temper = 1.0
        enough = max(LEAST_SIZE, LEAST_PER_DIM * self.target.dim)
        if self.rounds[-1].size < enough:
            weights, self.temper = tempered(ratios, enough)
            self.seen = []
        self.seen = [*self.seen[1 - KEPT :], (points, weights, 1 / float(np.sum(weights**2)))]
        fitted = self._em(self.mixture)
        if fitted is None:
            self._fail(PLANE)
            return
        self.mixture = fitted
        self.q = Gaussian.from_moments(fitted.mean, fitted.covariance) if self.temper == 1.0 else None
        self._judge(shares, size)
        wide = tuple(Gaussian(part.mean, WIDER * part.factor) for part in fitted.parts)
        self._propose(wide, tuple(float(weight) for weight in fitted.weights))

    def _em(self, q: MixtureOfGaussians) -> MixtureOfGaussians | None:
        """Some steps of EM on the weighted draws of the last rounds; None where a covariance is lost."""
        points = np.concatenate([each[0] for each in self.seen])
        total = sum(each[2] for each in self.seen)
        weights = np.concatenate([each[1] * (each[2] / total) for each in self.seen])
        held = weights > 0
        points, weights = points[held], weights[held]
        try:
            for _ in range(EM_STEPS):
                q = em_step(q, points, weights, PRIOR_DRAWS * self.target.dim)
        except np.linalg.LinAlgError:
            return None
        return q

    def approximation(self) -> MixtureOfGaussians | None:  # type: ignore[override]
        return self.mixture if self.made else None

    def diagnostics(self) -> dict[str, float]:
        said = super().diagnostics()
        return {**said, "temper": self.temper} if self.made else said


def em_step(q: MixtureOfGaussians, points: Matrix, weights: Vector, prior: float) -> MixtureOfGaussians:
    """One step of EM on weighted draws, after which KL(p || q) as they estimate it is no larger.

    A component's last shape counts for `prior` effective draws, which slows steps and does not move where they lead; a
    component that holds hardly any weight is dropped.

    Raises:
        numpy.linalg.LinAlgError: the draws of a component lie in a plane.
    """
    logs = q.log_parts(points)
    belonging = np.exp(logs - logsumexp(logs, axis=0)) * weights
    shares = belonging.sum(axis=1)
    parts, kept = [], []
    for mine, share, old in zip(belonging, shares, q.parts, strict=True):
        if share < FAINT:
            continue
        mean = (mine @ points) / share
        away = points - mean
        size = share**2 / float(mine @ mine)
        trust = size / (size + prior)
        covariance = (away * (mine / share)[:, None]).T @ away
        parts.append(Gaussian.from_moments(mean, trust * covariance + (1 - trust) * old.covariance))
        kept.append(share)
    return MixtureOfGaussians(tuple(parts), np.array(kept) / np.sum(kept))


def tempered(ratios: Vector, enough: float) -> tuple[Vector, float]:
    """Weights proportional to exp(b ratio), with the largest b <= 1 that leaves `enough` effective draws; and b."""
    low, high = 0.0, 1.0
    finite = ratios[np.isfinite(ratios)]
    enough = min(enough, 0.5 * len(finite))
    for _ in range(40):
        middle = 0.5 * (low + high)
        size = np.exp(2 * logsumexp(middle * finite) - logsumexp(2 * middle * finite))
        low, high = (middle, high) if size >= enough else (low, middle)
    logs = np.where(np.isfinite(ratios), low * ratios, -np.inf)
    return np.exp(logs - logsumexp(logs)), low


def adaptive_is(*, components: int = 4, tolerance: float = 0.02, draws: int = 1000) -> Recipe:
    """A mixture of Gaussians fitted by adaptive importance sampling, with log normaliser and k-hat.

    `components` is their number at the start, each from a rough mode that a starting point leads to; those without
    weight are dropped. `tolerance` and `draws` are those of `forward_kl_fullrank`.
    """
    require(1 <= components <= 100, f"adaptive_is: components={components} is not accepted; it takes 1 to 100")
    require(tolerance > 0, f"adaptive_is: tolerance={tolerance:g} is not accepted; it takes a positive number")
    require(draws >= 100, f"adaptive_is: draws={draws} is not accepted; it takes 100 or more")

    def begin(target: Target, seed: int) -> AdaptiveRun:
        size = max(draws, 20 * target.dim)
        return AdaptiveRun(target, np.random.default_rng(seed), True, tolerance, size, components=components)

    def refuse(target: Target) -> str | None:
        return None if target.dim <= LARGEST_DIM else f"importance sampling takes at most {LARGEST_DIM} dimensions"

    def prepare(target: Target) -> None:
        compile_search(target)
        compile_log_densities(target)
        smooth(np.zeros(100))  # loads what it needs

    return Recipe(begin, prepare, refuse)

"""What the metrics need of a target's truth, gathered once for all checkpoints of a run."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.metrics import laws, views
from harness.metrics.classifier import Classifier
from harness.metrics.marginals import Marginals
from harness.metrics.moments import MomentLaws, independent_draws
from harness.metrics.normal import Normal, divergence
from harness.metrics.pairs import Pairs
from harness.metrics.sliced import Sliced, directions
from harness.metrics.standard import Standard
from harness.metrics.stein import Stein
from harness.metrics.views import View
from targets.kernel import Matrix
from targets.target import HARD_BOUNDARY, Target
from targets.truth import Truth
from variational.evaluation import log_densities

SEED = 20_240_611  # of everything random in a reference: the same in every run, so that errors are comparable
MOST_VALUES = 2_000_000  # in the reference draws, so that a target of a thousand dimensions stays cheap
MOST_DRAWS, LEAST_DRAWS = 10_000, 2000
PLENTY = 50_000  # draws of an exact sampler behind quantile functions, and moments that nobody knows


def reference_draws(truth: Truth, dim: int) -> Matrix | None:
    """Exact or certified draws (n, dim), the same ones every time."""
    return truth.draws(int(np.clip(MOST_VALUES // dim, LEAST_DRAWS, MOST_DRAWS)), SEED)


def plenty(truth: Truth, dim: int, draws: Matrix | None) -> Matrix | None:
    """More of them where there is an exact sampler, or all that there are."""
    if truth.sample is None and draws is None:
        return None
    return truth.draws(int(np.clip(MOST_VALUES // dim, LEAST_DRAWS, PLENTY)), SEED + 3)


@dataclass(frozen=True)
class Reference:
    """The truth as the metrics use it. What is None or NaN is not known, and metrics that need it are undefined.

    What only the last checkpoint asks for is made when it is first read.

    Attributes:
        target: whose truth it is.
        truth: what is known of it.
        gaussian: whether the target is a Gaussian, so that marginals and projections are exact.
        draws: (n, dim) exact or certified draws.
        normal: the Gaussian with the true mean and covariance.
        moment_laws: floors of the errors of the coordinates' moments.
        named, invariant, predicted: the target's other quantities.
        covariance_factors: mean and sd of `covariance_error` for independent draws, relative to a Gaussian target.
        marginals, wasserstein, sliced: for the metrics of marginal distributions, and of projections.
        independent: how many independent draws the truth is worth; infinite where it is exact.
        mean_log_density: E_p of the unnormalised log density, and its standard error.
    """

    target: Target
    truth: Truth | None
    gaussian: bool = False
    draws: Matrix | None = None
    normal: Normal | None = None
    moment_laws: MomentLaws | None = None
    named: View | None = None
    invariant: View | None = None
    predicted: View | None = None
    covariance_factors: tuple[float, float] = (1.0, 1.0)
    marginals: Marginals | None = None
    wasserstein: Sliced | None = None
    sliced: Sliced | None = None
    independent: float = float("inf")
    mean_log_density: tuple[float, float] = (float("nan"), 0.0)

    @classmethod
    def of(cls, target: Target) -> "Reference":
        """Gather it: below a second up to a thousand dimensions."""
        truth = target.truth
        if truth is None:
            return cls(target, None)
        rng = np.random.default_rng(SEED + 1)
        moments, gaussian = truth.moments, target.gaussian is not None
        draws = reference_draws(truth, target.dim)
        normal = Normal.of(moments.mean, moments.covariance)
        independent = independent_draws(moments)
        marginals, wasserstein, sliced = None, None, None
        many = draws if gaussian else plenty(truth, target.dim, draws)
        if many is not None:
            marginals = Marginals.of(moments.mean, moments.sd, many, gaussian, independent)
            correlation = moments.covariance / np.outer(moments.sd, moments.sd) if gaussian else None
            wasserstein = views.marginal_distance(moments, many, correlation, rng, independent)
            if normal is not None:
                unit = directions(target.dim, rng)
                sliced = Sliced.of(moments.mean, moments.sd, many, unit, correlation, rng, independent)
        return cls(
            target=target,
            truth=truth,
            gaussian=gaussian,
            draws=draws,
            normal=normal,
            moment_laws=MomentLaws.of(moments, draws, gaussian, rng),
            named=views.named(target, truth, many, rng),
            invariant=views.mapped(target.invariant, many, independent, rng),
            predicted=views.mapped(target.predictions, many, independent, rng),
            covariance_factors=_covariance_factors(normal, draws, gaussian),
            marginals=marginals,
            wasserstein=wasserstein,
            sliced=sliced,
            independent=independent,
            mean_log_density=_mean_log_density(target, truth, draws),
        )

    @cached_property
    def standard(self) -> Standard | None:
        """Coordinates in posterior sd."""
        if self.truth is None or self.draws is None:
            return None
        return Standard.of(self.truth.moments, self.draws)

    @cached_property
    def pairs(self) -> Pairs | None:
        """For `mmd_squared` and `energy_distance`."""
        if self.standard is None or self.draws is None:
            return None
        return Pairs.of(self.standard, self.draws, self.independent)

    @cached_property
    def classifier(self) -> Classifier | None:
        """For `classifier_two_sample`."""
        if self.standard is None or self.draws is None or self.pairs is None:
            return None
        return Classifier.of(self.standard, self.draws, self.pairs.width, np.random.default_rng(SEED + 4))

    @cached_property
    def stein(self) -> Stein | None:
        """For `stein_discrepancy_squared`; None where the target has no gradient, or does not vanish where it ends."""
        if not self.target.differentiable or HARD_BOUNDARY in self.target.tags:
            return None
        return Stein.of(self.target, self.standard, self.draws)

    def expected_covariance_error(self, n: float) -> float:
        """The mean of `covariance_error` over sets of n independent draws."""
        dim = 0 if self.normal is None else len(self.normal.mean)
        return laws.gaussian_covariance_error(n, dim)[0] * self.covariance_factors[0]

    def covariance_floor(self, n: float) -> float:
        """The 95 % quantile of `covariance_error` for n independent draws."""
        mean, sd = laws.gaussian_covariance_error(n, 0 if self.normal is None else len(self.normal.mean))
        return laws.gamma_quantile(mean * self.covariance_factors[0], sd * self.covariance_factors[1])


def _covariance_factors(normal: Normal | None, draws: Matrix | None, gaussian: bool) -> tuple[float, float]:
    """Mean and sd of the error of blocks of exact draws, over what a Gaussian would show; ones where draws are few."""
    if normal is None or draws is None or gaussian:
        return 1.0, 1.0
    n, dim = draws.shape
    block = max(100, 4 * dim)
    count = n // block
    if count < 20:
        return 1.0, 1.0
    order = np.random.default_rng(SEED + 2).permutation(n)
    seen = []
    for chosen in np.split(order[: count * block], count):
        covariance = np.cov(draws[chosen].T, bias=True).reshape(dim, dim)
        q = Normal.of(draws[chosen].mean(axis=0), covariance)
        if q is not None:
            seen.append(divergence(q, covariance, normal))
    mean, sd = laws.gaussian_covariance_error(block, dim)
    return float(np.mean(seen)) / mean, float(np.std(seen, ddof=1)) / sd


def _mean_log_density(target: Target, truth: Truth, draws: Matrix | None) -> tuple[float, float]:
    exact = truth.log_normaliser - truth.entropy
    if np.isfinite(exact):
        return exact, float(np.hypot(truth.log_normaliser_error, truth.entropy_error))
    if draws is None:
        return float("nan"), 0.0
    values = log_densities(target, draws)
    return float(values.mean()), float(values.std() / np.sqrt(len(values)))

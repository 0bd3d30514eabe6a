"""What the metrics need of a target's truth, gathered once for all checkpoints of a run."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from harness.metrics import laws
from harness.metrics.moments import MomentLaws, independent_draws
from harness.metrics.normal import Normal, divergence
from harness.metrics.sliced import Sliced
from targets.kernel import Matrix, Vector
from targets.target import Target
from targets.truth import Truth
from variational.evaluation import log_densities

SEED = 20_240_611  # of everything random in a reference: the same in every run, so that errors are comparable
MOST_VALUES = 2_000_000  # in the reference draws, so that a target of a thousand dimensions stays cheap
MOST_DRAWS, LEAST_DRAWS = 10_000, 2000
Z90 = 1.6448536269514722  # the normal quantile of 0.95


def reference_draws(truth: Truth, dim: int) -> Matrix | None:
    """Exact or certified draws (n, dim), the same ones every time."""
    return truth.draws(int(np.clip(MOST_VALUES // dim, LEAST_DRAWS, MOST_DRAWS)), SEED)


@dataclass(frozen=True)
class Marginals:
    """Marginal distribution functions: of a Gaussian (mean and sd), or of reference draws sorted by coordinate."""

    mean: Vector
    sd: Vector
    ordered: Matrix | None  # (dim, n)
    spread: float  # standard deviation over draws of the share of coordinates within their central 90 %

    @classmethod
    def of(cls, mean: Vector, sd: Vector, draws: Matrix, gaussian: bool) -> "Marginals":
        """From reference draws (n, dim)."""
        if gaussian:
            low, high, ordered = mean - Z90 * sd, mean + Z90 * sd, None
        else:
            ordered = np.sort(draws.T, axis=1)
            low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        inside = np.mean((draws >= low) & (draws <= high), axis=1)
        return cls(mean, sd, ordered, float(inside.std()))

    def mass(self, low: Vector, high: Vector) -> float:
        """The mass between low and high (dim,), averaged over coordinates."""
        if self.ordered is None:
            return float(np.mean(ndtr((high - self.mean) / self.sd) - ndtr((low - self.mean) / self.sd)))
        counts = [np.searchsorted(row, (a, b)) for row, a, b in zip(self.ordered, low, high, strict=True)]
        return float(np.mean(np.diff(counts, axis=1)) / self.ordered.shape[1])

    @property
    def reference_floor(self) -> float:
        """Standard error of `mass` near 0.9, from the finite number of reference draws."""
        return 0.0 if self.ordered is None else self.spread / float(np.sqrt(self.ordered.shape[1]))


@dataclass(frozen=True)
class Reference:
    """The truth as the metrics use it. What is None or NaN is not known, and metrics that need it are undefined.

    Attributes:
        truth: the target's.
        gaussian: whether the target is a Gaussian, so that marginals and projections are exact.
        draws: (n, dim) exact or certified draws.
        normal: the Gaussian with the true mean and covariance.
        moment_laws, named_laws: floors of the errors of moments, of coordinates and of named quantities.
        covariance_factors: mean and sd of `covariance_error` for independent draws, relative to a Gaussian target.
        marginals, sliced: for `coverage_90` and `sliced_wasserstein`.
        independent: how many independent draws the truth is worth; infinite where it is exact.
        mean_log_density: E_p of the unnormalised log density, and its standard error.
    """

    truth: Truth | None
    gaussian: bool = False
    draws: Matrix | None = None
    normal: Normal | None = None
    moment_laws: MomentLaws | None = None
    named_laws: MomentLaws | None = None
    covariance_factors: tuple[float, float] = (1.0, 1.0)
    marginals: Marginals | None = None
    sliced: Sliced | None = None
    independent: float = float("inf")
    mean_log_density: tuple[float, float] = (float("nan"), 0.0)

    @classmethod
    def of(cls, target: Target) -> "Reference":
        """Gather it: below half a second up to a thousand dimensions."""
        truth = target.truth
        if truth is None:
            return cls(None)
        rng = np.random.default_rng(SEED + 1)
        moments, gaussian = truth.moments, target.gaussian is not None
        draws = reference_draws(truth, target.dim)
        normal = Normal.of(moments.mean, moments.covariance)
        marginals, sliced = None, None
        if draws is not None:
            marginals = Marginals.of(moments.mean, moments.sd, draws, gaussian)
            if normal is not None:
                correlation = moments.covariance / np.outer(moments.sd, moments.sd) if gaussian else None
                sliced = Sliced.of(moments.mean, moments.sd, draws, correlation, rng)
        named_laws = None
        if truth.named is not None and target.named is not None:
            named_draws = None if draws is None else target.named.values(draws)
            named_laws = MomentLaws.of(truth.named, named_draws, False, rng)
        return cls(
            truth=truth,
            gaussian=gaussian,
            draws=draws,
            normal=normal,
            moment_laws=MomentLaws.of(moments, draws, gaussian, rng),
            named_laws=named_laws,
            covariance_factors=_covariance_factors(normal, draws, gaussian),
            marginals=marginals,
            sliced=sliced,
            independent=independent_draws(moments),
            mean_log_density=_mean_log_density(target, truth, draws),
        )

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

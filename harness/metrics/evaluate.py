"""Every metric of an approximation, with its floors."""

import math
from dataclasses import dataclass

import numpy as np

from harness.metrics import laws
from harness.metrics.divergences import divergences
from harness.metrics.moments import errors
from harness.metrics.normal import Normal, divergence
from harness.metrics.reference import Reference
from harness.metrics.sliced import MOST_DRAWS
from reports.records import METRICS
from targets.kernel import Matrix, Vector
from targets.protocols import Approximation
from targets.target import Target
from targets.truth import Modes

COLUMNS = tuple(column for name in METRICS for column in (name, f"{name}_reference_floor", f"{name}_sampling_floor"))
MOST_SAMPLED, LEAST_SAMPLED, SAMPLED_VALUES = 4000, 1000, 1_000_000


@dataclass(frozen=True)
class Belief:
    """An approximation as the metrics see it.

    Attributes:
        mean, covariance: (dim,), (dim, dim).
        draws: (n, dim), its own, or drawn from its density for the metrics that need some.
        own_draws: whether the draws are all that it is, so that its moments have their noise.
    """

    mean: Vector
    covariance: Matrix
    draws: Matrix
    own_draws: bool

    @classmethod
    def of(cls, approximation: Approximation, dim: int, seed: int) -> "Belief":
        """The same seed at every checkpoint gives common random numbers, and smooth curves."""
        values = getattr(approximation, "values", None)
        if values is not None:
            return cls(approximation.mean, approximation.covariance, np.asarray(values).reshape(-1, dim), True)
        n = int(np.clip(SAMPLED_VALUES // dim, LEAST_SAMPLED, MOST_SAMPLED))
        draws = approximation.sample(np.random.default_rng([seed, dim]), n)
        return cls(approximation.mean, approximation.covariance, draws, False)

    @property
    def finite(self) -> bool:
        """Whether its moments and draws are finite."""
        return all(bool(np.all(np.isfinite(part))) for part in (self.mean, self.covariance, self.draws))

    @property
    def independent(self) -> float:
        """How many draws its moments come from: infinitely many for those of a density."""
        return float(len(self.draws)) if self.own_draws else math.inf


def evaluate(approximation: Approximation | None, target: Target, reference: Reference, seed: int) -> dict[str, float]:
    """All of `COLUMNS`; NaN where a metric is undefined, infinite where the answer is not even finite."""
    result = dict.fromkeys(COLUMNS, math.nan)
    truth = reference.truth
    if approximation is None or truth is None:
        return result
    with np.errstate(over="ignore", invalid="ignore"):
        belief = Belief.of(approximation, target.dim, seed)
        if not belief.finite:
            return result | _hopeless(target, reference)
        result |= from_belief(belief, target, reference)
        result |= _coverage(belief, approximation, reference)
        if approximation.log_density(belief.draws[:1]) is not None:
            result |= divergences(approximation, target, reference, belief.draws)
    return result


def from_belief(belief: Belief, target: Target, reference: Reference) -> dict[str, float]:
    """The metrics that moments and draws suffice for."""
    return {
        **_moments(belief, reference),
        **_covariance(belief, reference),
        **_named(belief, target, reference),
        **_sliced(belief, reference),
        **_modes(belief, reference),
    }


def _hopeless(target: Target, reference: Reference) -> dict[str, float]:
    """What an answer that is not finite gets: infinity in every metric that the truth itself would have at zero."""
    if reference.truth is None:
        return {}
    moments = reference.truth.moments
    draws = moments.mean[None, :] if reference.draws is None else reference.draws
    ideal = from_belief(Belief(moments.mean, moments.covariance, draws, False), target, reference)
    errors_of = {name for name, metric in METRICS.items() if metric.perfect == 0}
    return {name: math.inf for name, value in ideal.items() if name in errors_of and not math.isnan(value)}


def _entry(name: str, value: float, reference_floor: float, sampling_floor: float) -> dict[str, float]:
    return {
        name: value,
        f"{name}_reference_floor": reference_floor,
        f"{name}_sampling_floor": sampling_floor,
    }


def _moments(belief: Belief, reference: Reference) -> dict[str, float]:
    if reference.truth is None or reference.moment_laws is None:
        return {}
    values = errors(belief.mean, np.diagonal(belief.covariance), reference.truth.moments)
    implied, floors = reference.moment_laws.reference, reference.moment_laws.sampling_floors(belief.independent)
    return {
        key: number
        for name, value in values.items()
        for key, number in _entry(name, value, implied[name], floors[name]).items()
    }


def _covariance(belief: Belief, reference: Reference) -> dict[str, float]:
    """KL( N(mean_q, cov_q) || N(mean_p, cov_p) ); infinite while the covariance of draws is singular."""
    if reference.normal is None:
        return {}
    dim = len(belief.mean)
    q = None if belief.independent <= dim else Normal.of(belief.mean, belief.covariance)
    return _entry(
        "covariance_error",
        math.inf if q is None else divergence(q, belief.covariance, reference.normal),
        reference.expected_covariance_error(reference.independent),
        reference.covariance_floor(belief.independent),
    )


def _named(belief: Belief, target: Target, reference: Reference) -> dict[str, float]:
    """The errors of the target's named quantities; of a density, through its draws."""
    truth, named_laws = reference.truth, reference.named_laws
    if truth is None or truth.named is None or target.named is None or named_laws is None:
        return {}
    values = target.named.values(belief.draws)
    seen = errors(values.mean(axis=0), values.var(axis=0), truth.named)
    implied, floors = named_laws.reference, named_laws.sampling_floors(len(belief.draws))
    return {
        **_entry("named_mean_error", seen["mean_error"], implied["mean_error"], floors["mean_error"]),
        **_entry("named_centred_b2", seen["centred_b2"], implied["centred_b2"], floors["centred_b2"]),
    }


def _sliced(belief: Belief, reference: Reference) -> dict[str, float]:
    sliced = reference.sliced
    if sliced is None:
        return {}
    draws = belief.draws
    if len(draws) > MOST_DRAWS:
        draws = draws[np.linspace(0, len(draws) - 1, MOST_DRAWS).astype(np.intp)]
    return _entry(
        "sliced_wasserstein", sliced.distance(draws), sliced.reference_floor, sliced.sampling_floor(len(draws))
    )


def _modes(belief: Belief, reference: Reference) -> dict[str, float]:
    modes = None if reference.truth is None else reference.truth.modes
    if modes is None:
        return {}
    n = len(belief.draws)
    return _entry(
        "mode_mass_error",
        0.5 * float(np.abs(mode_masses(belief, modes) - modes.masses).sum()),
        0.0 if math.isinf(reference.independent) else laws.total_variation_mean(modes.masses, reference.independent),
        laws.total_variation(modes.masses, n, np.random.default_rng(n)),
    )


def mode_masses(belief: Belief, modes: Modes) -> Vector:
    """Shares (modes,) of the draws in each mode."""
    counts = np.bincount(modes.assign(belief.draws), minlength=len(modes.masses))
    return np.asarray(counts / len(belief.draws))


def _coverage(belief: Belief, approximation: Approximation, reference: Reference) -> dict[str, float]:
    """The floors are distances from 0.9."""
    marginals = reference.marginals
    if marginals is None:
        return {}
    low, high = approximation.quantiles(np.array([0.05, 0.95]))
    floor = laws.coverage(len(belief.draws), marginals.spread) if belief.own_draws else 0.0
    return _entry("coverage_90", marginals.mass(low, high), marginals.reference_floor, floor)

"""Every metric of an approximation, with its floors."""

import math
from collections.abc import Iterable

import numpy as np

from harness.metrics import distances, laws
from harness.metrics.belief import Belief
from harness.metrics.divergences import divergences
from harness.metrics.entries import Entries, entry, of_moments
from harness.metrics.marginals import LEVELS, PROBABILITIES, Marginals, interval
from harness.metrics.moments import errors
from harness.metrics.normal import Normal, divergence
from harness.metrics.reference import Reference
from harness.metrics.sliced import MOST_DRAWS, Sliced
from harness.metrics.standard import evenly
from harness.metrics.views import View
from reports.records import METRICS
from targets.kernel import Matrix, Vector
from targets.protocols import Approximation
from targets.target import Target
from targets.truth import Modes

COLUMNS = tuple(column for name in METRICS for column in (name, f"{name}_reference_floor", f"{name}_sampling_floor"))
MARGINAL_VALUES, LEAST_MARGINAL = 200_000, 1000  # draws x coordinates that are sorted at a checkpoint; draws
QUANTILE_VALUES, LEAST_QUANTILE = 500_000, 5000  # draws x quantities that quantiles are taken of; draws
PREDICTED_VALUES, LEAST_PREDICTED = 500_000, 1000  # draws x predictions at a checkpoint; draws
NAMED_MOMENTS = ("mean_error", "mean_error_worst", "centred_b2", "centred_b2_worst", "sd_ratio_worst")
INVARIANT_MOMENTS = ("mean_error", "centred_b2", "sd_ratio_worst")


def evaluate(
    approximation: Approximation | None, target: Target, reference: Reference, seed: int, final: bool = True
) -> Entries:
    """All of `COLUMNS`, those of metrics for the last checkpoint only with `final`.

    NaN where a metric is undefined or not asked for, infinite where the answer is not even finite.
    """
    result = dict.fromkeys(COLUMNS, math.nan)
    if approximation is None or (reference.truth is None and not final):
        return result
    with np.errstate(over="ignore", invalid="ignore"):
        belief = Belief.of(approximation, target.dim, seed)
        if not belief.finite:
            return result | _hopeless(reference, final)
        result |= from_belief(belief, reference, final, seed)
        if reference.truth is None:
            return result
        result |= _marginals(belief, approximation, reference, final)
        if approximation.log_density(belief.draws[:1]) is not None:
            result |= divergences(approximation, target, reference, belief.draws)
    return result


def from_belief(belief: Belief, reference: Reference, final: bool, seed: int) -> Entries:
    """The metrics that moments and draws suffice for."""
    if reference.truth is None:
        return distances.of(belief.draws, reference, seed) if final else {}
    return {
        **_moments(belief, reference),
        **_covariance(belief, reference),
        **_named(belief, reference.named, final),
        **_invariant(belief, reference.invariant),
        **_predicted(belief, reference.predicted),
        **_wasserstein("marginal_wasserstein", belief.draws, reference.wasserstein),
        **_sliced(belief, reference.sliced),
        **_modes(belief, reference),
        **(distances.of(belief.draws, reference, seed) if final else {}),
    }


def _hopeless(reference: Reference, final: bool) -> Entries:
    """What an answer that is not finite gets: infinity in every metric that the truth itself would have at zero."""
    if reference.truth is None:
        return {"stein_discrepancy_squared": math.inf} if final and reference.stein else {}
    moments = reference.truth.moments
    draws = np.stack([moments.mean] * 8) if reference.draws is None else evenly(reference.draws, 100)
    ideal = from_belief(Belief(moments.mean, moments.covariance, draws, False), reference, final, seed=0)
    if reference.marginals is not None:
        ideal |= entry("tail_quantile_error", reference.marginals.tail_reference, 0.0, 0.0)
    errors_of = {name for name, metric in METRICS.items() if metric.perfect == 0}
    return {name: math.inf for name, value in ideal.items() if name in errors_of and not math.isnan(value)}


def _moments(belief: Belief, reference: Reference) -> Entries:
    if reference.truth is None or reference.moment_laws is None:
        return {}
    values = errors(belief.mean, np.diagonal(belief.covariance), reference.truth.moments)
    implied, floors = reference.moment_laws.reference, reference.moment_laws.sampling_floors(belief.independent)
    return of_moments("", tuple(values), values, implied, floors)


def _covariance(belief: Belief, reference: Reference) -> Entries:
    """KL( N(mean_q, cov_q) || N(mean_p, cov_p) ); infinite while the covariance of draws is singular."""
    if reference.normal is None:
        return {}
    dim = len(belief.mean)
    q = None if belief.independent <= dim else Normal.of(belief.mean, belief.covariance)
    return entry(
        "covariance_error",
        math.inf if q is None else divergence(q, belief.covariance, reference.normal),
        reference.expected_covariance_error(reference.independent),
        reference.covariance_floor(belief.independent),
    )


def _of_view(prefix: str, names: Iterable[str], values: Matrix, view: View) -> Entries:
    """The errors of the moments of quantities with these values (n, k)."""
    seen = errors(values.mean(axis=0), values.var(axis=0), view.moments)
    return of_moments(prefix, names, seen, view.laws.reference, view.moment_floors(len(values)))


def _named(belief: Belief, view: View | None, final: bool) -> Entries:
    """The errors of the target's named quantities; of a density, through its draws."""
    if view is None:
        return {}
    values = view.values(belief.draws)
    if not final:
        return _of_view("named_", ("mean_error", "centred_b2"), values, view)
    result = _of_view("named_", NAMED_MOMENTS, values, view)
    if view.marginals is not None:
        quantiles, n = _quantiles(values)
        result |= _coverages("named_", LEVELS, quantiles, view.marginals, n)
        result |= _tails("named_", quantiles, view.marginals, n)
    return result | _wasserstein("named_marginal_wasserstein", values, view.wasserstein)


def _invariant(belief: Belief, view: View | None) -> Entries:
    return {} if view is None else _of_view("invariant_", INVARIANT_MOMENTS, view.values(belief.draws), view)


def _predicted(belief: Belief, view: View | None) -> Entries:
    if view is None:
        return {}
    most = max(PREDICTED_VALUES // len(view.moments.mean), LEAST_PREDICTED)
    values = view.values(evenly(belief.draws, most))
    seen = errors(values.mean(axis=0), values.var(axis=0), view.moments)["mean_error"]
    return entry(
        "predictive_error", seen, view.laws.reference["mean_error"], view.moment_floors(len(values))["mean_error"]
    )


def _wasserstein(name: str, draws: Matrix, truth: Sliced | None) -> Entries:
    if truth is None:
        return {}
    few = evenly(draws, int(np.clip(MARGINAL_VALUES // draws.shape[1], LEAST_MARGINAL, MOST_DRAWS)))
    return entry(name, truth.distance(few), truth.reference_floor, truth.sampling_floor(len(few)))


def _sliced(belief: Belief, sliced: Sliced | None) -> Entries:
    if sliced is None:
        return {}
    draws = evenly(belief.draws, MOST_DRAWS)
    return entry(
        "sliced_wasserstein", sliced.distance(draws), sliced.reference_floor, sliced.sampling_floor(len(draws))
    )


def _modes(belief: Belief, reference: Reference) -> Entries:
    modes = None if reference.truth is None else reference.truth.modes
    if modes is None:
        return {}
    n = len(belief.draws)
    return entry(
        "mode_mass_error",
        0.5 * float(np.abs(mode_masses(belief, modes) - modes.masses).sum()),
        0.0 if math.isinf(reference.independent) else laws.total_variation_mean(modes.masses, reference.independent),
        laws.total_variation(modes.masses, n, np.random.default_rng(n)),
    )


def mode_masses(belief: Belief, modes: Modes) -> Vector:
    """Shares (modes,) of the draws in each mode."""
    counts = np.bincount(modes.assign(belief.draws), minlength=len(modes.masses))
    return np.asarray(counts / len(belief.draws))


def _marginals(belief: Belief, approximation: Approximation, reference: Reference, final: bool) -> Entries:
    marginals = reference.marginals
    if marginals is None:
        return {}
    if belief.own_draws:
        quantiles, n = _quantiles(belief.draws)
    else:
        quantiles, n = approximation.quantiles(PROBABILITIES), math.inf
    names = LEVELS if final else ("coverage_90",)
    return {**_coverages("", names, quantiles, marginals, n), **_tails("", quantiles, marginals, n)}


def _quantiles(draws: Matrix) -> tuple[Matrix, float]:
    """Marginal quantiles at `PROBABILITIES` (len, k) of draws (n, k), and how many of them were looked at."""
    few = evenly(draws, max(QUANTILE_VALUES // draws.shape[1], LEAST_QUANTILE))
    return np.quantile(few, PROBABILITIES, axis=0), float(len(few))


def _coverages(prefix: str, names: Iterable[str], quantiles: Matrix, marginals: Marginals, n: float) -> Entries:
    """The floors are distances from the level."""
    result: Entries = {}
    for name in names:
        mass = marginals.mass(*interval(quantiles, LEVELS[name]))
        result |= entry(prefix + name, mass, marginals.mass_error(name), marginals.mass_floor(name, n))
    return result


def _tails(prefix: str, quantiles: Matrix, marginals: Marginals, n: float) -> Entries:
    return entry(
        f"{prefix}tail_quantile_error",
        marginals.tail_error(quantiles),
        marginals.tail_reference,
        marginals.tail_floor(n),
    )

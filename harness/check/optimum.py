"""Laws of VI: on a Gaussian the optimum of each family is known, and a bound is a bound."""

import math
from collections.abc import Iterator

import numpy as np

from harness.check.answers import DRAWS
from harness.check.spending import BUDGET, advanced, seeds
from targets.check import SIGMAS, Finding
from targets.kernel import Vector
from targets.protocols import Approximation, Method, Run, Status
from targets.target import Target

RUNS = 4
ACCURACY = 0.1  # sd, and log sd, on average over the runs; methods stop at a fifth of it or less
NATS = 0.1  # by which a reported bound, itself an estimate, may be off
ROUNDING = 1e-6  # nats
SHOWN = np.linspace(0.01, 0.99, 50)


def findings(method: Method, target: Target, seed: int) -> Iterator[Finding]:
    """What several fits of one target come to."""
    runs = [advanced(method, target, each, BUDGET) for each in seeds(seed, 4, RUNS)]
    failed = next((run for run in runs if run.status is Status.FAILED or run.approximation() is None), None)
    if failed is not None:
        yield Finding(False, "mean", f"no answer: {failed.status}, {failed.reason or 'no reason given'}")
        return
    approximations = [run.approximation() for run in runs]
    fits = [each for each in approximations if each is not None]
    yield from _moments(method, target, fits)
    yield from _bounds(runs[0], fits[0], target, seed)


def _moments(method: Method, target: Target, fits: list[Approximation]) -> Iterator[Finding]:
    """Their average against the optimum of the family that the tags name."""
    truth = target.truth
    assert truth is not None  # noqa: S101  # a target of `harness.check.method`
    sd = truth.moments.sd
    mean = np.mean([fit.mean for fit in fits], axis=0)
    off = float(np.max(np.abs(mean - truth.moments.mean) / sd))
    yield Finding(
        off <= ACCURACY,
        "mean",
        f"{off:.3f} sd off in the worst coordinate, averaged over {len(fits)} runs; {ACCURACY} is allowed",
        _picture(target, fits),
    )
    found = 0.5 * np.log(np.mean([np.diagonal(fit.covariance) for fit in fits], axis=0))
    low, high, family = _log_sds(method, target)
    gap = float(np.max(np.maximum(low - found, found - high)))
    yield Finding(
        gap <= ACCURACY, "scales are those of its family", f"{family}: log sd at most {max(gap, 0.0):.3f} off"
    )
    if "fullrank" in method.tags:
        correlation = np.mean([fit.covariance for fit in fits], axis=0) / np.outer(np.exp(found), np.exp(found))
        right = truth.moments.covariance / np.outer(sd, sd)
        apart = float(np.max(np.abs(correlation - right)))
        yield Finding(apart <= ACCURACY, "correlations", f"{apart:.3f} off at worst; {ACCURACY} is allowed")


def _log_sds(method: Method, target: Target) -> tuple[Vector, Vector, str]:
    """Bounds (dim,) on the log sds of the optimum.

    Its variances are 1 / precision_ii for the reverse KL and independent coordinates (Bishop 2006, 10.1.2), and the
    marginal ones for the forward KL and for any dense covariance.
    """
    assert target.truth is not None  # noqa: S101
    covariance = target.truth.moments.covariance
    narrow = -0.5 * np.log(np.diagonal(np.linalg.inv(covariance)))
    wide = 0.5 * np.log(np.diagonal(covariance))
    if "fullrank" in method.tags:
        return wide, wide, "dense covariance"
    if "forward-kl" in method.tags and "meanfield" in method.tags:
        return wide, wide, "independent coordinates, forward KL"
    if "meanfield" in method.tags and target.gaussian is not None:
        return narrow, narrow, "independent coordinates, reverse KL"
    return narrow, wide, "between the conditional and the marginal scales"


def _bounds(run: Run, fit: Approximation, target: Target, seed: int) -> Iterator[Finding]:
    """E_q (log p - log q) is the log normaliser less KL(q || p); a bound that is reported is that number."""
    assert target.truth is not None  # noqa: S101
    drawn = np.asarray(fit.sample(np.random.default_rng([seed, 5]), DRAWS))
    density = fit.log_density(drawn)
    if density is None:
        return
    terms = target.log_densities(drawn) - np.asarray(density)
    bound, error = float(terms.mean()), float(terms.std()) / math.sqrt(len(terms))
    known, allowed = target.truth.log_normaliser, SIGMAS * math.hypot(error, target.truth.log_normaliser_error)
    if not math.isnan(known):
        yield Finding(
            bound <= known + allowed + ROUNDING,
            "the bound stays below the log normaliser",
            f"E_q (log p - log q) = {bound:.4f}, log normaliser {known:.4f}",
        )
    said = run.diagnostics().get("elbo", math.nan)
    if not math.isnan(said):
        yield Finding(
            abs(said - bound) <= allowed + NATS,
            "the ELBO that it reports is its own",
            f"{said:.4f} reported, {bound:.4f} from its draws and density",
        )


def _picture(target: Target, fits: list[Approximation]) -> dict[str, object]:
    assert target.truth is not None  # noqa: S101
    exact = target.truth.draws(100_000, 0)
    found = np.array([np.asarray(fit.quantiles(SHOWN))[:, 0] for fit in fits])
    return {
        "kind": "quantiles",
        "exact": [] if exact is None else np.quantile(exact[:, 0], SHOWN).tolist(),
        "found": np.median(found, axis=0).tolist(),
        "low": found.min(axis=0).tolist(),
        "high": found.max(axis=0).tolist(),
        "runs": len(fits),
    }

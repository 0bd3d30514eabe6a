"""The study of coverage: how often intervals hold the parameters that data were drawn with, of VB-EM and of Gibbs.

Parameters come from the prior and data from the parameters, so that exact posterior intervals cover as often as they
say, averaged over repetitions: the chains' coverage is the check of the whole arrangement, and what fits lack of it is
what they lose.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

import targets
from harness.calibration.repetition import simulated
from harness.spec import parse
from samplers.registry import method as sampler
from targets.conjugate.mixture_model import GaussianMixture
from targets.conjugate_mixture import posterior_of, prior_of
from targets.kernel import Matrix, Vector
from targets.options import require
from targets.protocols import Approximation, Status
from targets.target import Named, Target
from variational.registry import method as fit_method

REPETITIONS = 200
SWEEPS = 3000  # of all chains after warm-up, in each repetition
CHAINS, WARMUP = 2, 200
STARTS = 3  # of a fit, of which the best bound is kept
FIT_SWEEPS = 5000  # at most, of each
DRAWS = 2000  # of a fit
LEVELS = (0.5, 0.9)


@dataclass(frozen=True)
class Case:
    """A model that parameters and data are drawn from.

    Attributes:
        name: what the table calls it.
        exact: whether its factors are independent in the posterior too, so that VB-EM is exact.
        make: the target, or None where it is not to be had yet.
    """

    name: str
    exact: bool
    make: Callable[[], Target | None]


def _mixture(components: int, n: int, mean_precision: float) -> Callable[[], Target]:
    """Of features in the plane, whose prior tells how near the components' means are."""

    def make() -> Target:
        prior = replace(prior_of(2), mean_precision=mean_precision)
        return posterior_of(np.zeros((n, 2)), GaussianMixture(prior, components))

    return make


def registered(spec: str) -> Callable[[], Target | None]:
    """A target by its SPEC, where it is registered and both methods take it."""

    def make() -> Target | None:
        wanted = parse(spec)
        if wanted.name not in targets.names():
            return None
        target = targets.load(wanted.name, **wanted.options)
        refused = sampler("gibbs").unfit(target) or fit_method("vbem").unfit(target)
        offers = target.generative is not None and target.generative.conjugate is not None
        return target if offers and refused is None else None

    return make


# A new one is a line here.
CASES: tuple[Case, ...] = (
    Case("one Gaussian, 20 rows", True, _mixture(1, 20, 0.05)),
    Case("two Gaussians apart, 100 rows", False, _mixture(2, 100, 0.02)),
    Case("two Gaussians that overlap, 100 rows", False, _mixture(2, 100, 0.8)),
    Case(
        "regression on 5 covariates, 20 rows, prior of the noise's size",
        True,
        registered("linear_regression[dataset=synthetic,n=20,dim=5,prior=ratio]"),
    ),
    Case(
        "regression on 5 covariates, 20 rows, a prior size to be learned",
        False,
        registered("linear_regression[dataset=synthetic,n=20,dim=5]"),
    ),
    Case("hidden Markov model, 100 times", False, registered("hidden_markov[n=100]")),
)


class Repeated(NamedTuple):
    """What became of one repetition: (k,) each.

    Attributes:
        fit, chains: the share of their draws below the true value.
        fit_sd, chains_sd: their standard deviations.
    """

    fit: Vector
    chains: Vector
    fit_sd: Vector
    chains_sd: Vector


def compute(repetitions: int | None, sweeps: int | None) -> dict[str, Any]:
    """The numbers of the study, ready for JSON: so many repetitions (--seeds), each with so many sweeps of chains."""
    count = REPETITIONS if repetitions is None else repetitions
    length = SWEEPS if sweeps is None else sweeps
    require(count >= 1, f"--seeds {count} is not accepted; it takes 1 or more")
    require(length >= 100, f"--max-gradients {length} is not accepted; it takes 100 or more")
    cases = [numbers for case in CASES if (numbers := _case(case, count, length)) is not None]
    told = {"repetitions": count, "sweeps": length, "starts": STARTS, "levels": list(LEVELS)}
    return {**told, "cases": cases}


def _case(case: Case, count: int, sweeps: int) -> dict[str, Any] | None:
    target = case.make()
    if target is None:
        return None
    quantities = asked(target)
    found = list(repeated(target, quantities, count, sweeps))
    fit, chains, fit_sd, chains_sd = (np.array(part) for part in zip(*found, strict=True))
    return {
        "name": case.name,
        "exact": case.exact,
        "quantities": [
            {
                "name": name,
                "fit": covered(fit[:, i]),
                "chains": covered(chains[:, i]),
                "sd_ratio": float(np.median(fit_sd[:, i] / chains_sd[:, i])),
            }
            for i, name in enumerate(quantities.names)
        ],
    }


def asked(target: Target) -> Named:
    """What is asked for: quantities that no relabelling changes, or the named ones."""
    found = target.invariant if target.relabellings else target.named
    return found or Named(target.coordinates, lambda x: x)


def covered(shares: Vector) -> list[int]:
    """Of repetitions with so many of their draws below the truth, how many central intervals held it, by level."""
    return [int(np.sum(np.abs(shares - 0.5) <= 0.5 * level)) for level in LEVELS]


def repeated(target: Target, quantities: Named, count: int, sweeps: int, seed: int = 1) -> Iterator[Repeated]:
    """Repetition after repetition, each with random numbers of its own."""
    for number in range(count):
        rng = np.random.default_rng([seed, number, *target.name.encode()])
        x, posterior = simulated(target, rng)
        truth = quantities.values(x[None])[0]
        fit = quantities.values(fitted(posterior, rng).sample(rng, DRAWS))
        chains = quantities.values(sampled(posterior, sweeps, int(rng.integers(2**31))))
        yield Repeated(_below(fit, truth), _below(chains, truth), fit.std(axis=0), chains.std(axis=0))


def _below(values: Matrix, truth: Vector) -> Vector:
    return np.asarray(np.mean(values < truth, axis=0))


def fitted(posterior: Target, rng: np.random.Generator) -> Approximation:
    """The fit with the best bound, of several starts."""
    best: tuple[float, Approximation] | None = None
    for _ in range(STARTS):
        run = fit_method("vbem").start(posterior, int(rng.integers(2**31)))
        run.advance(FIT_SWEEPS)
        found, bound = run.approximation(), run.diagnostics().get("bound", -np.inf)
        if run.status is not Status.FAILED and found is not None and (best is None or bound > best[0]):
            best = bound, found
    if best is None:
        raise RuntimeError(f"no fit to {posterior.name} has a finite bound")
    return best[1]


def sampled(posterior: Target, sweeps: int, seed: int) -> Matrix:
    """(sweeps, dim) draws of chains that forgot where they started."""
    run = sampler("gibbs", num_chains=CHAINS, num_warmup=WARMUP).start(posterior, seed)
    run.advance(CHAINS * WARMUP)
    run.advance(sweeps)
    draws = run.approximation()
    if draws is None or run.status is Status.FAILED:
        raise RuntimeError(f"Gibbs on {posterior.name}: {run.reason}")
    return np.asarray(draws.flat)

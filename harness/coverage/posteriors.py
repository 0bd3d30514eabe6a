"""Coverage of targets whose conjugate model both `vbem` and `gibbs` take."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

import targets
from harness.calibration.repetition import simulated
from harness.coverage.repeated import CHAINS, DRAWS, STARTS, WARMUP, Subject
from harness.spec import parse
from samplers.registry import method as sampler
from targets.conjugate.mixture_model import GaussianMixture
from targets.conjugate_mixture import posterior_of, prior_of
from targets.kernel import Matrix, Vector
from targets.protocols import Approximation, Status
from targets.target import Named, Target
from variational.registry import method as fit_method

FIT_SWEEPS = 5000  # at most, of each


def mixture(components: int, n: int, mean_precision: float) -> Callable[[], Subject]:
    """Of features in the plane, whose prior tells how near the components' means are."""

    def make() -> Subject:
        prior = replace(prior_of(2), mean_precision=mean_precision)
        return subject(posterior_of(np.zeros((n, 2)), GaussianMixture(prior, components)))

    return make


def registered(spec: str) -> Callable[[], Subject | None]:
    """A target by its SPEC, where it is registered and both methods take it."""

    def make() -> Subject | None:
        wanted = parse(spec)
        if wanted.name not in targets.names():
            return None
        target = targets.load(wanted.name, **wanted.options)
        refused = sampler("gibbs").unfit(target) or fit_method("vbem").unfit(target)
        offers = target.generative is not None and target.generative.conjugate is not None
        return subject(target) if offers and refused is None else None

    return make


def subject(target: Target) -> Subject:
    """Of a target, by what is asked of it: quantities that no relabelling changes, or the named ones."""
    found = target.invariant if target.relabellings else target.named
    asked = found or Named(target.coordinates, lambda x: x)

    def drawn(rng: np.random.Generator) -> tuple[Vector, Target]:
        x, posterior = simulated(target, rng)
        return asked.values(x[None])[0], posterior

    return Subject(
        target.name,
        asked.names,
        drawn,
        lambda posterior, rng: asked.values(fitted(posterior, rng).sample(rng, DRAWS)),
        lambda posterior, sweeps, seed: asked.values(sampled(posterior, sweeps, seed)),
    )


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

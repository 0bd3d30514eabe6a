"""Figures 1, 2 and 5: coordinate ascent and mean field where everything is known exactly."""

from typing import Any

import numpy as np

from harness.figures_regression import simulate
from targets import registry as targets
from targets.target import Target
from variational.closed_form import kl_from_precision
from variational.gaussian import Gaussian
from variational.objectives import elbo
from variational.quadrature import forward_kl, reverse_kl
from variational.registry import method

SWEEPS = 8


def cavi_states(target: Target, start: tuple[float, ...], start_sd: float, seed: int) -> list[Gaussian]:
    """The start, and the state after each of `SWEEPS` sweeps."""
    recipe = method("cavi", start=start, start_sd=start_sd, tolerance=1e-12)
    recipe.compile(target)
    run = recipe.start(target, seed)
    states = [run.approximation()]
    for _ in range(SWEEPS):
        run.advance(1)
        states.append(run.approximation())
    return [state for state in states if isinstance(state, Gaussian)]


def evidence(seed: int) -> dict[str, Any]:
    """Figure 1: log evidence = ELBO + KL over the sweeps of a fit, the three computed apart.

    The evidence is a marginal density of the data, the ELBO an expectation term by term, and the divergence one between
    Gaussians; `gap` is the largest |ELBO + KL - log evidence|.
    """
    model = simulate(n=20, dim=3, correlation=0.8, seed=seed)
    states = cavi_states(model.target(), (1.0, -1.0, 0.0), 0.3, seed)
    bounds = [model.elbo(q) for q in states]
    divergences = [kl_from_precision(q, model.mean, model.precision) for q in states]
    sums = np.add(bounds, divergences)
    return {
        "log_evidence": model.log_evidence,
        "sweeps": list(range(len(states))),
        "elbo": bounds,
        "kl": divergences,
        "gap": float(np.abs(sums - model.log_evidence).max()),
        "model": "Bayesian linear regression with known noise, 20 observations, 3 correlated inputs; mean-field CAVI",
        "note": "Mean field cannot close the gap: the divergence that is left is that of the factorised optimum.",
    }


def mean_field(seed: int) -> dict[str, Any]:
    """Figure 2: the optima of both divergences over independent coordinates, found by optimisation on quadrature."""
    correlation = 0.9
    target = targets.load("correlated_gaussian", dim=2, rho=correlation)
    if target.truth is None or target.gaussian is None:
        raise RuntimeError("the Gaussian target lacks its truth")
    rng = np.random.default_rng(seed)
    start, sd = rng.uniform(-1, 1, 2), np.exp(rng.uniform(-1, 1, 2))
    reverse, forward = reverse_kl(target, start, sd), forward_kl(target, start, sd)
    return {
        "correlation": correlation,
        "mean": target.truth.moments.mean.tolist(),
        "covariance": target.truth.moments.covariance.tolist(),
        "forward_mean": forward.q.mean.tolist(),
        "forward_variance": forward.q.variance.tolist(),
        "forward_kl": forward.divergence,
        "reverse_mean": reverse.q.mean.tolist(),
        "reverse_variance": reverse.q.variance.tolist(),
        "reverse_kl": reverse.divergence,
        "start": {"mean": start.tolist(), "sd": sd.tolist()},
        "note": "Both optima found by BFGS on quadrature from the start given, without a formula for them.",
    }


def sweeps(seed: int) -> dict[str, Any]:
    """Figure 5: eight sweeps of coordinate ascent on a correlated bivariate Gaussian."""
    correlation = 0.8
    target = targets.load("correlated_gaussian", dim=2, rho=correlation)
    if target.truth is None or target.gaussian is None:
        raise RuntimeError("the Gaussian target lacks its truth")
    states = cavi_states(target, (2.5, 2.0), 1.5, seed)
    means = np.array([q.mean for q in states])
    return {
        "correlation": correlation,
        "covariance": target.truth.moments.covariance.tolist(),
        "precision": target.gaussian.precision.tolist(),
        "sweeps": [
            {"mean": q.mean.tolist(), "variance": q.variance.tolist(), "elbo": elbo(q, target).value} for q in states
        ],
        "contraction": (means[2:] / means[1:-1]).tolist(),
        "log_normaliser": target.truth.log_normaliser,
        "note": (
            "The variances are the reciprocal diagonal of the precision after the first sweep. The means are not at "
            f"the origin after two: from the first sweep on, each sweep multiplies them by the squared correlation, "
            f"{correlation**2:.2f}, so that after {SWEEPS} sweeps {correlation ** (2 * SWEEPS):.3f} of the second "
            "coordinate's start is left."
        ),
    }

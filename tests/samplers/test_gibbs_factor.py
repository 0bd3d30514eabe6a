"""Gibbs sampling of factor analysis: the joint law of parameters and data, planted errors, and what rotations leave.

As in `test_gibbs_regression`: parameters from the prior and rows given them, then sweeps; the alarm is at 5.5 errors.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from samplers.gibbs import factor_analysis
from samplers.gibbs.factor import FactorChain
from targets.conjugate.factor import FactorModel, FactorPrior
from targets.conjugate.least_squares import triangle
from targets.options import UsageError

REPETITIONS, SWEEPS = 800, 5
D, K = 4, 2


def departure(prior: FactorPrior, wrong: FactorPrior, n: int, counted: int = 0) -> float:
    """Largest z of any statistic after sweeps of a chain that goes by the `wrong` prior, or counts more rows."""
    rng = np.random.default_rng(7)
    moved = []
    for _ in range(REPETITIONS):
        noise = rng.gamma(prior.noise_shape, 1 / prior.noise_rate, D if prior.noise == "diagonal" else 1)
        noise = noise * np.ones(D)
        precision = rng.gamma(prior.shape, 1 / prior.rate, K)
        loadings = rng.standard_normal((D, K)) / np.sqrt(precision)
        rows = rng.standard_normal((n, K)) @ loadings.T + rng.standard_normal((n, D)) / np.sqrt(noise)
        data = triangle(rows, centred=False)
        chain = FactorChain(FactorModel(wrong, K, mean=False), data, rng)
        chain.data = replace(data, n=n + counted)
        chain.loadings[:], chain.noise[:], chain.precision[:] = loadings, noise, precision
        before = statistics(loadings, noise, precision)
        chain.advance(np.empty((SWEEPS, len(chain.names))))
        moved.append(statistics(chain.loadings, chain.noise, chain.precision) - before)
    shift = np.array(moved)
    return float(np.abs(shift.mean(axis=0) / (shift.std(axis=0) / math.sqrt(len(shift)))).max())


def statistics(loadings: np.ndarray, noise: np.ndarray, precision: np.ndarray) -> np.ndarray:
    covariance = loadings @ loadings.T
    size = np.log(np.diagonal(covariance))
    together = np.sign(covariance[np.triu_indices(D, 1)])
    return np.concatenate([size, together, np.log(noise), np.log(precision)])


@pytest.mark.parametrize(("n", "noise"), [(3, "diagonal"), (5, "isotropic"), (12, "diagonal"), (12, "isotropic")])
def test_sweeps_keep_the_joint_law(n: int, noise: Any) -> None:
    """With fewer rows than columns, few zero rows behind the triangle, and many: the three ways of adding them."""
    prior = FactorPrior(noise, 4.0, 3.0, 3.0, 2.0)
    assert departure(prior, prior, n) < 5.5


@pytest.mark.parametrize("noise", ["diagonal", "isotropic"])
def test_planted_errors_change_the_joint_law(noise: Any) -> None:
    prior = FactorPrior(noise, 4.0, 3.0, 3.0, 2.0)
    assert departure(prior, replace(prior, noise_shape=8.0), 12) > 5.5
    assert departure(prior, replace(prior, shape=7.0), 12) > 5.5
    assert departure(prior, prior, 12, counted=6) > 5.5


def test_chains_agree_on_what_no_rotation_changes() -> None:
    rng = np.random.default_rng(1)
    loadings = rng.standard_normal((5, 2))
    X = rng.standard_normal((200, 2)) @ loadings.T + 0.6 * rng.standard_normal((200, 5)) + 2.0
    draws = factor_analysis(X, FactorPrior("diagonal", 1.0, 1.0, 1.0, 1.0), n_components=2, num_samples=2000, seed=2)
    assert draws["covariance"].shape == (4, 2000, 5, 5)
    kept = [i for i, name in enumerate(draws.coordinates) if name.startswith(("covariance", "mean", "noise"))]
    assert draws.r_hat[kept].max() < 1.1
    assert draws.r_hat[:10].max() > 1.1  # the loadings themselves
    np.testing.assert_allclose(draws["covariance"].mean(axis=(0, 1)), np.cov(X.T), atol=0.12)
    np.testing.assert_allclose(draws["mean"].mean(axis=(0, 1)), X.mean(axis=0), atol=0.02)
    implied = np.einsum("csik,csjk->csij", draws["loading"], draws["loading"])
    implied[..., range(5), range(5)] += 1 / draws["noise_precision"]
    np.testing.assert_allclose(draws["covariance"], implied, rtol=1e-9)


def test_degenerate_rows_are_sampled() -> None:
    prior = FactorPrior("diagonal", 1.0, 1.0, 1.0, 1.0)
    for X in ([[1.0, 2.0, 3.0]], [[1.0, 2.0], [1.0, 3.0]], np.ones((6, 3))):
        draws = factor_analysis(X, prior, n_components=2, num_samples=50, num_warmup=10, num_chains=2)
        assert np.isfinite(draws.values).all()


@pytest.mark.parametrize(
    ("X", "components", "says"),
    [
        ([[1.0, math.nan]], 1, "NaN"),
        ([1.0], 1, "it takes"),
        (np.empty((0, 2)), 1, "one row"),
        ([[1.0]], 0, "1 or more"),
        ([["a"]], 1, "not numbers"),
    ],
)
def test_bad_input_is_refused(X: Any, components: int, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        factor_analysis(X, n_components=components)

"""Gibbs sampling of conjugate models: the chains, the race's seam, and the mixture's sweep.

The joint distribution test (Geweke 2004) draws parameters and data in two ways: parameters from the prior and data
given them, independently; and in turn, data given parameters and a sweep given data. Where the sweep leaves the
posterior invariant both have the same distribution. Averages are compared at `SIGMAS` standard errors, those of the
second by effective sample size; planted errors are caught.
"""

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
from scipy import stats

import samplers
import targets
from samplers import gibbs
from samplers.draws import Draws
from samplers.gibbs.mixture import MixtureChain, ordered
from targets.conjugate.mixture import MixturePrior
from targets.conjugate.mixture_model import GaussianMixture, MixtureParameters
from targets.kernel import data_matrix
from targets.protocols import Phase
from tests.runs import advanced, warmed

SIGMAS = 6.0  # two-sided 2e-9 each, of some forty averages
PRIOR = MixturePrior(1.5, np.array([0.5, -0.3]), 0.8, 5.0, np.array([[2.0, 0.6], [0.6, 1.0]]))
MODEL = GaussianMixture(PRIOR, 2)
ROWS = 6
TURNS = 1_000
CHAINS = 4


def statistics(weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Functions of draws (n, ...) that no order of the components changes, with finite variances."""
    root = np.linalg.cholesky(covariances)
    logs = np.log(np.diagonal(root, axis1=2, axis2=3))
    tilt = np.tanh(root[:, :, 1, 0])
    bounded = np.tanh(means)
    return np.column_stack(
        [
            (weights**2).sum(axis=1),
            np.einsum("nk,nka->na", weights, bounded),
            np.einsum("nk,nka->na", weights, bounded**2),
            np.einsum("nk,nka->na", weights, logs),
            np.einsum("nk,nka->na", weights, logs**2),
            np.einsum("nk,nk->n", weights, tilt),
            bounded.sum(axis=1),
            logs.sum(axis=1),
        ]
    )


def independent(n: int, seed: int) -> np.ndarray:
    """From the prior, by other code than the project's: scipy's Wishart."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet([PRIOR.weight_concentration] * 2, size=n)
    wishart = stats.wishart(PRIOR.degrees_of_freedom, np.linalg.inv(PRIOR.scale), seed=rng)
    covariances = np.linalg.inv(wishart.rvs(2 * n)).reshape(n, 2, 2, 2)
    noise = np.linalg.cholesky(covariances) @ rng.standard_normal((n, 2, 2, 1))
    return statistics(weights, PRIOR.mean + noise[..., 0] / np.sqrt(PRIOR.mean_precision), covariances)


def in_turn(model: GaussianMixture, seed: int) -> np.ndarray:
    """(turns, k) statistics of one chain whose data are drawn anew after every sweep, given its parameters."""
    rng = np.random.default_rng(seed)
    parameters = MODEL.draw(rng)
    chain = MixtureChain(model, MODEL.simulate(rng, parameters, ROWS), rng)
    chain.means = parameters.means - chain.shift
    chain.factors = np.ascontiguousarray(np.linalg.cholesky(np.linalg.inv(parameters.covariances)))
    rows = np.empty((TURNS, len(chain.names)))
    for turn in range(TURNS):
        chain.data = data_matrix((MODEL.simulate(rng, parameters, ROWS) - chain.shift).T)
        chain.advance(rows[turn : turn + 1])
        parameters = unpacked(rows[turn])
    found = [unpacked(row) for row in rows]
    return statistics(*(np.array(part) for part in zip(*found, strict=True)))


def unpacked(row: np.ndarray) -> MixtureParameters:
    return MixtureParameters(row[:2], row[2:6].reshape(2, 2), row[6:14].reshape(2, 2, 2))


def z_scores(model: GaussianMixture, seed: int) -> np.ndarray:
    apart = independent(CHAINS * TURNS, seed)
    turns = Draws(np.array([in_turn(model, seed + c) for c in range(1, 1 + CHAINS)]))
    error = np.hypot(apart.std(axis=0) / np.sqrt(len(apart)), turns.mcse_mean)
    return np.asarray((apart.mean(axis=0) - turns.mean) / error)


def test_the_joint_distribution_is_left_invariant() -> None:
    assert np.max(np.abs(z_scores(MODEL, 1))) < SIGMAS


@pytest.mark.parametrize(
    ("error", "value"),
    [("degrees_of_freedom", 6.0), ("mean_precision", 1.6), ("weight_concentration", 2.5), ("scale", 1.3 * PRIOR.scale)],
)
def test_planted_errors_are_caught(error: str, value: Any) -> None:
    """A sweep that goes by another prior than data and parameters are drawn from, as a wrong update would."""
    wrong = GaussianMixture(dataclasses.replace(PRIOR, **{error: value}), 2)
    assert np.max(np.abs(z_scores(wrong, 1))) > SIGMAS


@pytest.fixture(scope="module")
def one() -> targets.Target:
    return targets.load("conjugate_mixture", data="simulated", components=1, n=8, dim=3)


def test_one_component_is_the_normal_wishart_posterior(one: targets.Target) -> None:
    """Every sweep is then an independent draw: means, variances and quantiles at six standard errors."""
    assert one.truth is not None and one.truth.quantiles is not None
    draws = samplers.sample(one, "gibbs", num_samples=10_000, num_chains=2, seed=1)
    n, moments = len(draws.flat), one.truth.moments
    assert np.max(np.abs(draws.mean - moments.mean) / moments.sd) < SIGMAS / np.sqrt(n)
    centred = draws.flat - moments.mean
    error = (centred[:, :, None] * centred[:, None, :]).std(axis=0) / np.sqrt(n)
    assert np.all(np.abs(centred.T @ centred / n - moments.covariance) < SIGMAS * error)
    for p, values in zip(one.truth.quantiles.probabilities, one.truth.quantiles.values, strict=True):
        assert np.max(np.abs((draws.flat <= values).mean(axis=0) - p)) < SIGMAS * np.sqrt(p * (1 - p) / n)


def test_draws_do_not_depend_on_threads_and_chains_differ() -> None:
    X = np.random.default_rng(0).standard_normal((30, 2))
    first, second = (
        gibbs.gaussian_mixture(X, PRIOR, n_components=2, num_samples=50, num_chains=3, seed=4, num_threads=threads)
        for threads in (1, 2)
    )
    assert np.array_equal(first.values, second.values)
    assert not np.any(first.values[0] == first.values[1])
    assert first["covariance"].shape == (3, 50, 2, 2, 2)
    np.testing.assert_allclose(first["weight"].sum(axis=-1), 1.0, rtol=1e-12)
    assert first.warmup is not None and first.warmup.coordinates == first.coordinates
    other = gibbs.gaussian_mixture(X, PRIOR, n_components=2, num_samples=50, num_chains=3, seed=5)
    assert not np.any(first.values == other.values)


def test_ordering_permutes_each_draw_and_nothing_else() -> None:
    X = np.random.default_rng(1).standard_normal((10, 2))
    plain, by_second = (
        gibbs.gaussian_mixture(X, PRIOR, n_components=3, num_samples=40, num_chains=2, seed=2, order_by=order)
        for order in (None, 1)
    )
    assert np.all(np.diff(by_second["mean"][..., 1], axis=-1) > 0)
    assert np.array_equal(ordered(plain, 1).values, by_second.values)
    order = np.argsort(plain["mean"][..., 1], axis=-1)
    for name in ("weight", "mean", "covariance"):
        index = order.reshape(*order.shape, *[1] * (plain[name].ndim - 3))
        assert np.array_equal(np.take_along_axis(plain[name], index, axis=2), by_second[name])


@pytest.mark.parametrize("shift", [0.0, 1e7])
def test_far_from_zero_nothing_is_lost(shift: float) -> None:
    X = np.random.default_rng(3).standard_normal((50, 2)) * [1.0, 0.1] + [0.0, 3.0]
    prior = dataclasses.replace(PRIOR, mean=PRIOR.mean + shift)
    near = gibbs.gaussian_mixture(X, PRIOR, n_components=2, num_samples=20, num_chains=1, num_warmup=0, seed=1)
    far = gibbs.gaussian_mixture(X + shift, prior, n_components=2, num_samples=20, num_chains=1, num_warmup=0, seed=1)
    np.testing.assert_allclose(far["covariance"], near["covariance"], rtol=1e-5)
    np.testing.assert_allclose(far["mean"] - shift, near["mean"], atol=1e-5)


def test_fewer_rows_than_components_and_constant_columns_are_sampled() -> None:
    for X in (np.zeros((0, 2)), np.ones((1, 2)), np.column_stack([np.ones(9), np.arange(9.0)]), np.ones((5, 2))):
        draws = gibbs.gaussian_mixture(X, PRIOR, n_components=4, num_samples=30, num_chains=2, seed=1)
        assert np.isfinite(draws.values).all()


def test_bad_input_is_refused_in_one_line() -> None:
    X = np.zeros((4, 2))
    for wrong in (np.full((4, 2), np.nan), np.zeros((4, 3)), np.zeros(4), "rows"):
        with pytest.raises(ValueError, match=r"not accepted|not a matrix"):
            gibbs.gaussian_mixture(wrong, PRIOR, n_components=2, seed=1)
    for option in ({"n_components": 0}, {"order_by": 2}, {"num_samples": 0}, {"num_chains": 0}, {"num_threads": 0}):
        with pytest.raises(targets.UsageError, match="not accepted"):
            gibbs.gaussian_mixture(X, PRIOR, **{"n_components": 2, "seed": 1, **option})


def test_the_race_has_the_same_chains_in_coordinates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds do not depend on how work is cut, a pickled run goes on, and named quantities are those of the sampler."""
    monkeypatch.setattr("samplers.gibbs.labels.MOST", 0)  # labels stay as they are
    target = targets.load("conjugate_mixture", data="simulated", n=40)
    assert target.conjugate is not None and target.named is not None
    method = samplers.method("gibbs", num_warmup=30, num_chains=2)
    run: Any = warmed(method.start(target, 3))  # type: ignore[arg-type]  # rounds as those of other chains
    assert run.work.sweeps == 60 and run.phase is Phase.RUN and run.approximation() is None
    resumed = advanced(pickle.loads(pickle.dumps(run)), 500, slices=7)
    advanced(run, 500)
    assert run.work == resumed.work and np.array_equal(run.draws, resumed.draws)
    model = target.conjugate.model
    draws = gibbs.gaussian_mixture(
        target.conjugate.data,
        model.prior,
        n_components=2,
        num_warmup=30,
        num_samples=run.draws.shape[1],
        num_chains=2,
        seed=3,
    )
    values = target.named.values(run.draws.reshape(-1, target.dim))
    named = dict(zip(target.named.names, values.T, strict=True))
    for name in ("weight[1]", "mean[2,1]"):
        np.testing.assert_allclose(named[name], draws[name].ravel(), rtol=1e-9)
    np.testing.assert_allclose(named["sd[1,2]"] ** 2, draws["covariance[1,2,2]"].ravel(), rtol=1e-9)


def test_what_gibbs_cannot_take_is_refused() -> None:
    method = samplers.method("gibbs")
    assert "conjugate model" in str(method.unfit(targets.load("banana")))
    with pytest.raises(targets.UsageError, match="not accepted"):
        method.start(targets.load("banana"), 1)
    target = targets.load("conjugate_mixture")
    with pytest.raises(targets.UsageError, match="cannot be told where to start"):
        method.start(target, 1, samplers.Initial(np.zeros((4, target.dim))))
    for options in ({"num_chains": 0}, {"num_warmup": -1}):
        with pytest.raises(targets.UsageError, match="not accepted"):
            samplers.method("gibbs", **options)

"""Gaussian processes: densities from scipy, the regression's truth from a plainer sum, the named probabilities."""

import numpy as np
import pytest
from scipy import stats

import targets
from targets import gaussian_process_classification as classification


def correlation(t: np.ndarray, length: float) -> np.ndarray:
    return np.exp(-((t[:, None] - t) ** 2) / (2 * length**2))


def regression_density(target: targets.Target, x: np.ndarray) -> float:
    t, y = target.data
    length, amplitude, noise = np.exp(x)
    covariance = amplitude**2 * correlation(t, length) + noise**2 * np.eye(len(t))
    prior = stats.norm.logpdf(x, [1, 0, -1], 0.5).sum()
    return float(prior + stats.multivariate_normal.logpdf(y, np.zeros(len(y)), covariance))


@pytest.mark.parametrize("species", ["hare", "lynx"])
def test_the_regression_s_density_is_the_model_s(species: str) -> None:
    target = targets.load("gaussian_process_regression", species=species)
    y = target.data[1]
    assert (y.mean(), y.std()) == (pytest.approx(0, abs=1e-12), pytest.approx(1))
    for x in np.random.default_rng(1).uniform(-1.5, 1.5, (10, 3)):
        assert target.log_densities(x[None])[0] == pytest.approx(regression_density(target, x), rel=1e-9)


def test_the_regression_s_truth_from_a_plain_sum_over_another_grid() -> None:
    target = targets.load("gaussian_process_regression")
    truth = target.truth
    assert truth is not None
    axes = [centre + np.linspace(-2.6, 2.6, 40) for centre in (0.65, 0.2, -1.5)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    values = target.log_densities(nodes)
    mass = np.exp(values - truth.log_normaliser) * (5.2 / 39) ** 3
    assert mass.sum() == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(mass @ nodes, truth.moments.mean, atol=1e-4)
    np.testing.assert_allclose(mass @ (nodes - mass @ nodes) ** 2, truth.moments.variance, rtol=1e-3)
    assert truth.named is not None
    np.testing.assert_allclose(mass @ np.exp(nodes), truth.named.mean, rtol=1e-4)


def test_where_rounding_would_decide_the_regression_s_density_is_zero() -> None:
    target = targets.load("gaussian_process_regression")
    assert target.log_densities(np.array([[2.0, 5.0, -9.0]]))[0] == -np.inf


def test_another_species_is_refused() -> None:
    with pytest.raises(targets.UsageError, match="it takes hare or lynx"):
        targets.load("gaussian_process_regression", species="fox")


def test_the_classifier_s_density_is_the_model_s() -> None:
    target = targets.load("gaussian_process_classification")
    assert target.named is not None
    t = classification.TEMPERATURE
    for x in np.random.default_rng(2).uniform(-2, 2, (10, target.dim)):
        length, amplitude = np.exp(x[:2])
        factor = np.linalg.cholesky(correlation(t, length) + 1e-6 * np.eye(len(t)))
        probability = 1 / (1 + np.exp(-amplitude * factor @ x[2:]))
        expected = stats.norm.logpdf(x[:2], [2, 1], 0.5).sum() + stats.norm.logpdf(x[2:]).sum()
        expected += stats.binom.logpmf(classification.FAILED, classification.LAUNCHES, probability).sum()
        assert target.log_densities(x[None])[0] == pytest.approx(expected, rel=1e-9)
        np.testing.assert_allclose(target.named.values(x[None])[0], [length, amplitude, *probability], rtol=1e-9)


def test_the_launches_are_those_before_the_challenger() -> None:
    assert (classification.LAUNCHES.sum(), classification.FAILED.sum()) == (23, 7)
    assert (classification.FAILED <= classification.LAUNCHES).all()

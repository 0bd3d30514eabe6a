"""Logistic regression: the kernel against plain NumPy, the published data, and the truth against other ways to it."""

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

import targets
from targets import importance
from targets.logistic_regression import without_truth

VARIANTS = [
    {"dataset": "breast_cancer"},
    {"dataset": "synthetic", "n": 130, "dim": 1},
    {"dataset": "synthetic", "n": 3, "dim": 9},
    {"dataset": "synthetic", "n": 1001, "dim": 17, "seed": 4},
    {"dataset": "synthetic", "n": 257, "dim": 300},
]


@pytest.fixture(scope="module")
def cancer():
    return targets.load("logistic_regression")


def plain(target, x):
    """Log density and gradient with NumPy and SciPy; the first column holds the signs of the labels."""
    signed = target.data[:, : target.dim]
    margin = signed @ x
    sd = np.full(target.dim, 2.5)
    sd[0] = 10.0
    value = -np.logaddexp(0, -margin).sum() + stats.norm.logpdf(x, scale=sd).sum()
    return value, signed.T @ expit(-margin) - x / sd**2


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_the_kernel_agrees_with_numpy(options, scale):
    target = without_truth(**options)
    x = scale * np.random.default_rng(8).standard_normal(target.dim)
    value, gradient = plain(target, x)
    values, gradients = target.evaluate(x[None])
    assert values[0] == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(gradients[0], gradient, rtol=1e-12, atol=1e-13 * np.abs(gradient).max())
    assert target.density(x, target.data) == pytest.approx(value, rel=1e-13)


def test_huge_margins_neither_overflow_nor_lose_the_gradient():
    target = without_truth(dataset="synthetic", n=50, dim=4)
    for scale in (1e3, 1e8, 1e100):
        x = scale * np.ones(4)
        value, gradient = plain(target, x)
        values, gradients = target.evaluate(x[None])
        assert values[0] == pytest.approx(value, rel=1e-13)
        np.testing.assert_allclose(gradients[0], gradient, rtol=1e-12)


@pytest.mark.parametrize("options", VARIANTS[:4], ids=str)
def test_prior_and_blocks_of_rows_add_up(options):
    target = without_truth(**options)
    x = np.random.default_rng(1).standard_normal(target.dim)
    gradient, total = np.empty(target.dim), np.empty(target.dim)
    value = target.rows.prior(x, total, target.data)
    cuts = [0, *sorted({1, len(target.data) // 3, len(target.data) - 1}), len(target.data)]
    for a, b in itertools.pairwise(cuts):
        gradient[:] = np.nan
        value += target.rows.likelihood(x, gradient, target.data[a:b])
        total += gradient
    values, gradients = target.evaluate(x[None])
    assert value == pytest.approx(values[0], rel=1e-13)
    np.testing.assert_allclose(total, gradients[0], rtol=1e-11, atol=1e-12)


def test_the_data_are_the_published_ones(cancer):
    assert cancer.data.shape == (569, 32)
    assert np.count_nonzero(cancer.data[:, 0] == 1) == 212
    assert np.all(np.abs(cancer.data[:, 0]) == 1)
    covariates = cancer.data[:, 1:31] * cancer.data[:, :1]
    np.testing.assert_allclose(covariates.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(covariates.std(axis=0), 1, atol=1e-13)
    assert np.all(cancer.data[:, 31] == 0)
    assert cancer.coordinates[:2] == ("intercept", "mean_radius")
    # malignant tumours are larger: the point-biserial correlation of the mean radius with the diagnosis is 0.730
    assert np.mean(covariates[:, 0] * (cancer.data[:, 0] == 1)) / np.sqrt(212 * 357) * 569 == pytest.approx(
        0.730, abs=1e-3
    )


def test_the_certificate_speaks_of_this_density(cancer):
    assert cancer.truth.certificate.details["ess_min"] > 1e5
    assert cancer.truth.certificate.details["r_hat_max"] < 1.001
    assert np.all(cancer.truth.moments.mean_error < 0.004 * cancer.truth.moments.sd)
    assert cancer.truth.log_normaliser_error < 0.01


def test_the_certified_draws_satisfy_the_stein_identities(cancer):
    # E g_i = 0 and E x_i g_i = -1; 62 statistics of 4,000 nearly independent draws at |z| < 4.5: a false alarm in 2,400
    # runs; a mean off by 0.1 sd moves the first by 6 standard errors
    x = cancer.truth.reference_draws
    gradients = cancer.evaluate(x)[1]
    for statistic in (gradients, (x - cancer.truth.moments.mean) * gradients + 1):
        z = statistic.mean(axis=0) / statistic.std(axis=0) * np.sqrt(len(x))
        assert np.abs(z).max() < 4.5


def test_the_certified_moments_are_those_of_the_draws(cancer):
    # |z| < 4.5 on 31 statistics: a false alarm in 4,700
    x, moments = cancer.truth.reference_draws, cancer.truth.moments
    z = (x.mean(axis=0) - moments.mean) / moments.sd * np.sqrt(len(x))
    assert np.abs(z).max() < 4.5
    z = (x.var(axis=0) - moments.variance) / np.sqrt(moments.variance_of_centred_square / len(x))
    assert np.abs(z).max() < 4.5


def test_the_certified_evidence_agrees_with_importance_sampling(cancer):
    # from a Student t fitted to the certified moments; 20,000 draws in 31 dimensions leave an error of about 0.03
    rng = np.random.default_rng(4)
    scale = cancer.truth.moments.covariance * 0.9
    draws, log_proposal = importance.student(rng, 20_000, cancer.truth.moments.mean, scale)
    log_weights = cancer.log_densities(draws) - log_proposal
    weights = np.exp(log_weights - log_weights.max())
    estimate = np.log(weights.mean()) + log_weights.max()
    error = weights.std() / weights.mean() / np.sqrt(len(weights))
    assert error < 0.1
    assert abs(estimate - cancer.truth.log_normaliser) < 5 * error


def test_synthetic_truth_of_one_coordinate_agrees_with_quadrature():
    target = targets.load("logistic_regression", dataset="synthetic", n=20, dim=1)
    grid = np.linspace(-12, 12, 4001)
    mass = np.exp(target.log_densities(grid[:, None]))
    normaliser = mass.sum() * (grid[1] - grid[0])
    mean = (mass @ grid) / mass.sum()
    truth = target.truth
    assert abs(truth.log_normaliser - np.log(normaliser)) < 5 * truth.log_normaliser_error < 0.05
    assert abs(truth.moments.mean[0] - mean) < 5 * truth.moments.mean_error[0]
    variance = (mass @ (grid - mean) ** 2) / mass.sum()
    assert abs(truth.moments.variance[0] - variance) < 5 * truth.moments.variance_error[0]
    entropy = np.log(normaliser) - (mass @ np.log(mass)) / mass.sum()
    assert abs(truth.entropy - entropy) < 5 * truth.entropy_error
    assert not truth.exact


def test_synthetic_truth_of_many_rows_is_unknown():
    target = targets.load("logistic_regression", dataset="synthetic", n=100_000, dim=20)
    assert target.data.shape == (100_000, 24)
    assert target.truth is None


def test_synthetic_labels_follow_the_model():
    # the posterior mean is near the coefficients that made the data: the largest |z| of 10 is below 4.5
    target = targets.load("logistic_regression", dataset="synthetic", n=2000, seed=3)
    truth = 2 * np.random.Generator(np.random.PCG64(3)).standard_normal(10) / np.sqrt(10)
    assert np.abs((target.truth.moments.mean - truth) / target.truth.moments.sd).max() < 4.5


@pytest.mark.parametrize(
    "options",
    [{"dataset": "iris"}, {"n": 5}, {"seed": 1}, {"dataset": "synthetic", "n": 0}, {"dataset": "synthetic", "dim": 0}],
)
def test_bad_options_are_refused(options):
    with pytest.raises(targets.UsageError, match="logistic_regression"):
        targets.load("logistic_regression", **options)

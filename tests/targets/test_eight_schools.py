"""Eight schools: quadrature against Monte Carlo, and against the reference draws of posteriordb where there are any."""

import json
import os
import pathlib
import zipfile

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

import targets

BOTH = pytest.mark.parametrize("parameterisation", ["noncentred", "centred"])


@pytest.fixture(scope="module")
def posteriordb():
    """(10, 1000, 10) reference draws of mu, tau, theta[1..8]."""
    named = os.environ.get("CROSSOVER_POSTERIORDB")
    if not named:
        pytest.skip("CROSSOVER_POSTERIORDB names no folder with posterior_database")
    found = sorted(pathlib.Path(named).rglob("eight_schools-eight_schools_noncentered.json.zip"))
    if not found:
        pytest.skip(f"{named} holds no reference draws of the eight schools")
    with zipfile.ZipFile(found[0]) as archive:
        chains = json.loads(archive.read(archive.namelist()[0]))
    names = ["mu", "tau", *(f"theta[{j}]" for j in range(1, 9))]
    return np.array([[chain[name] for name in names] for chain in chains]).transpose(0, 2, 1)


@BOTH
def test_the_named_truth_agrees_with_posteriordb(posteriordb, parameterisation):
    # 20 statistics of 10 nearly independent chains each at |t| < 6.6 with 9 degrees of freedom: a false alarm in 1 of
    # 500; a mean wrong by 0.1 sd is missed once in 2,000
    truth = targets.load("eight_schools", parameterisation=parameterisation).truth
    for x, expected in ((posteriordb, truth.named.mean), (posteriordb**2, truth.named.second_moment)):
        means = x.mean(axis=1)
        t = (means.mean(axis=0) - expected) / (means.std(axis=0, ddof=1) / np.sqrt(10))
        assert np.abs(t).max() < 6.6


@BOTH
def test_exact_draws_have_the_named_moments(parameterisation):
    # |z| < 5 on 20 statistics: a false alarm in 80,000; shifts of 0.02 sd are seen nearly always
    target = targets.load("eight_schools", parameterisation=parameterisation)
    named = target.named.values(target.truth.sample(np.random.default_rng(11), 200_000))
    truth = target.truth.named
    z = (named.mean(axis=0) - truth.mean) / truth.sd * np.sqrt(200_000)
    assert np.abs(z).max() < 5
    z = (named**2).mean(axis=0) - truth.second_moment
    assert np.abs(z / np.sqrt(truth.variance_of_square) * np.sqrt(200_000)).max() < 5


def test_both_parameterisations_share_evidence_and_named_truth():
    one, other = (targets.load("eight_schools", parameterisation=p).truth for p in ("noncentred", "centred"))
    assert one.log_normaliser == other.log_normaliser
    np.testing.assert_allclose(one.named.covariance, other.named.covariance, rtol=1e-12)
    np.testing.assert_allclose(one.moments.mean[:2], other.moments.mean[:2], rtol=1e-12)


def test_the_evidence_agrees_with_importance_sampling_from_the_prior():
    # the plain average of the likelihood over the prior, mu and tau drawn from it and theta integrated out
    target = targets.load("eight_schools")
    rng = np.random.default_rng(5)
    mu, tau = 5 * rng.standard_normal(400_000), 5 * np.abs(rng.standard_cauchy(400_000))
    effect = target.data[0] / target.data[1]
    scale = np.sqrt(1 / target.data[1] ** 2 + tau[:, None] ** 2)
    likelihood = stats.norm.logpdf(effect, mu[:, None], scale).sum(axis=1)
    weights = np.exp(likelihood - logsumexp(likelihood))
    error = np.sqrt((weights**2).sum() - 1 / len(weights))
    assert abs(logsumexp(likelihood) - np.log(400_000) - target.truth.log_normaliser) < 5 * error < 0.02


@BOTH
def test_the_entropy_is_minus_the_mean_log_density(parameterisation):
    # with the evidence checked above: H = log Z - E log p~, at |z| < 5
    target = targets.load("eight_schools", parameterisation=parameterisation)
    values = target.log_densities(target.truth.sample(np.random.default_rng(2), 40_000))
    expected = target.truth.log_normaliser - target.truth.entropy
    assert abs(values.mean() - expected) < 5 * values.std() / 200


@BOTH
def test_the_density_without_gradient_is_the_same(parameterisation):
    target = targets.load("eight_schools", parameterisation=parameterisation)
    x = target.truth.sample(np.random.default_rng(0), 50) * 1.5
    alone = [target.density(point, target.data) for point in x]
    np.testing.assert_allclose(alone, target.log_densities(x), rtol=1e-12)


def test_another_parameterisation_is_refused():
    with pytest.raises(targets.UsageError, match="centred"):
        targets.load("eight_schools", parameterisation="both")

"""Posteriors of mixtures: kernels against SciPy, label symmetry to rounding, truth against other ways to it."""

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln, logsumexp

import targets
from targets import reference
from targets.gmm_full import modes, without_truth
from targets.gmm_full_kernels import SIZE
from targets.importance import student
from targets.kernel import densities


def relabellings(components: int) -> list[np.ndarray]:
    """All K! orders of the coordinates that leave the density unchanged, (5 K,) each; the identity comes first."""
    blocks = np.arange(SIZE * components).reshape(components, SIZE)
    return [blocks[list(order)].ravel() for order in itertools.permutations(range(components))]


def plain_means(target, x):
    y = target.data[0]
    each = stats.norm.logpdf(y[:, None], x) + np.log(0.5)
    return logsumexp(each, axis=1).sum() + stats.norm.logpdf(x, scale=5).sum()


def plain_full(target, x):
    """The density of the model's statement; log g has the Jacobian g."""
    blocks = x.reshape(-1, 5)
    g, mean, log_sd = np.exp(blocks[:, 0]), blocks[:, 1:3], blocks[:, 3:]
    log_weight = np.log(g / g.sum())
    each = stats.norm.logpdf(target.data.T[:, None, :], mean, np.exp(log_sd)).sum(axis=2) + log_weight
    prior = stats.gamma.logpdf(g, 2).sum() + blocks[:, 0].sum()
    prior += stats.norm.logpdf(mean, scale=5).sum() + stats.norm.logpdf(log_sd).sum()
    return logsumexp(each, axis=1).sum() + prior


@pytest.mark.parametrize("scale", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("n", [1, 100, 1000])
def test_the_density_of_the_means_is_the_model(n, scale):
    target = targets.load("gmm_posterior", n=n)
    x = scale * np.random.default_rng(n).standard_normal(2)
    assert target.log_densities(x)[0] == pytest.approx(plain_means(target, x), rel=1e-13)
    assert target.density(x, target.data) == pytest.approx(plain_means(target, x), rel=1e-13)


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
@pytest.mark.parametrize(("components", "n"), [(2, 100), (2, 700), (2, 1), (3, 100), (10, 700)])
def test_the_density_of_the_full_model_is_the_model(components, n, scale):
    target = without_truth(components, n, 4.0, 7)
    x = scale * np.random.default_rng(components).standard_normal(target.dim)
    # one component more than 700 nats below the best counts as 700 below, and far out all of them may be
    assert target.log_densities(x)[0] == pytest.approx(plain_full(target, x), rel=1e-12)
    assert target.density(x, target.data) == pytest.approx(plain_full(target, x), rel=1e-12)


def test_the_prior_on_the_weights_is_dirichlet():
    # K Gamma(2, 1) variables are their sum, a Gamma(2 K, 1) variable, times Dirichlet weights, one Jacobian apart
    target = without_truth(3, 1, 4.0, 0)
    x = np.random.default_rng(0).standard_normal(15)
    g = np.exp(x[::5])
    dirichlet = stats.dirichlet.logpdf(g / g.sum(), [2, 2, 2])
    total = stats.gamma.logpdf(g.sum(), 6)
    joint = sum(2 * u - np.exp(u) - gammaln(2) for u in x[::5])  # of the log g, as in the kernel's documentation
    # d(g) = sum^(K - 1) d(weights, sum), and d(g) = product of g d(log g)
    assert joint == pytest.approx(dirichlet + total - 2 * np.log(g.sum()) + np.log(g).sum(), rel=1e-12)
    assert target.named.values(x[None])[0, ::5] == pytest.approx(g / g.sum(), rel=1e-14)


@pytest.mark.parametrize("components", [2, 3])
def test_relabelling_changes_nothing_but_the_mode(components):
    target = without_truth(components, 50, 3.0, 1)
    orders = relabellings(components)
    x = np.random.default_rng(1).standard_normal(target.dim)
    values, gradients = target.evaluate(np.array([x[order] for order in orders]))
    np.testing.assert_allclose(values, values[0], rtol=1e-13)
    for order, gradient in zip(orders, gradients, strict=True):
        np.testing.assert_allclose(gradient, gradients[0][order], rtol=1e-9, atol=1e-10)
    found = modes(components).assign(np.array([x[order] for order in orders]))
    assert sorted(found) == list(range(len(orders)))
    np.testing.assert_allclose(modes(components).masses, 1 / len(orders))


@pytest.mark.parametrize("components", [2, 3, 4])
def test_a_certificate_is_averaged_over_all_relabellings_that_follow_from_exchanges(components):
    place = reference.attach(without_truth(components, 50, 3.0, 1)).place
    found = [tuple(order) for order in place.relabellings]
    assert len(found) == len(set(found))
    assert set(found) == {tuple(order) for order in relabellings(components)}


@pytest.mark.parametrize(
    ("options", "reach"), [({}, 6.0), ({"separation": 1.0, "n": 30}, 40.0), ({"n": 3}, 50.0)], ids=str
)
def test_quadrature_of_the_means_agrees_with_gauss_legendre_panels(options, reach):
    # another rule on another grid; 1e-8 is what the truth promises
    target = targets.load("gmm_posterior", **options)
    truth = target.truth
    unit, weight = np.polynomial.legendre.leggauss(12)
    edges = np.linspace(-reach, reach, 81)
    half = (edges[1] - edges[0]) / 2
    line = (edges[:-1, None] + half * (unit + 1)).ravel()
    points = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    values = np.empty(len(points))
    densities(target.density, target.data, np.ascontiguousarray(points), values)
    mass = np.exp(values - truth.log_normaliser) * np.outer(*[np.tile(half * weight, 80)] * 2).ravel()
    assert mass.sum() == pytest.approx(1, abs=1e-8)
    np.testing.assert_allclose(mass @ points, truth.moments.mean, atol=1e-8)
    covariance = (points.T * mass) @ points - np.outer(truth.moments.mean, truth.moments.mean)
    np.testing.assert_allclose(covariance, truth.moments.covariance, atol=1e-8 * covariance[0, 0])
    seen = mass > 0
    assert truth.log_normaliser - mass[seen] @ values[seen] == pytest.approx(truth.entropy, abs=1e-8)
    np.testing.assert_allclose(truth.moments.variance_of_square, mass @ points**4 - (mass @ points**2) ** 2, rtol=1e-8)


def test_the_sampler_of_the_means_is_exact():
    # |z| < 5 on 4 statistics: a false alarm in 400,000; half of the draws belong to each mode
    truth = targets.load("gmm_posterior").truth
    x = truth.sample(np.random.default_rng(3), 200_000)
    assert np.abs((x.mean(axis=0) - truth.moments.mean) / truth.moments.sd * np.sqrt(2e5)).max() < 5
    assert abs(truth.modes.assign(x).mean() - 0.5) * np.sqrt(4 * 2e5) < 5
    # within a mode, where the other cannot hide an error
    gap = np.abs(x[:, 0] - x[:, 1])
    assert stats.kstest(gap[:100_000], gap[100_000:]).pvalue > 1e-4
    gradients = targets.load("gmm_posterior").evaluate(x[:50_000])[1]
    stein = (x[:50_000] - x[:50_000].mean(axis=0)) * gradients + 1
    assert np.abs(stein.mean(axis=0) / stein.std(axis=0) * np.sqrt(5e4)).max() < 5


@pytest.fixture(scope="module", params=[2])
def full(request):
    return targets.load("gmm_posterior", model="full", components=request.param)


def test_the_certificate_of_the_full_model(full):
    details = full.truth.certificate.details
    assert details["ess_min"] > 1e5
    assert details["r_hat_max"] < 1.001
    assert full.truth.log_normaliser_error < 0.01
    assert np.all(full.truth.moments.mean_error < 0.004 * full.truth.moments.sd)


def test_the_certified_truth_is_symmetric(full):
    moments = full.truth.moments
    for order in relabellings(full.dim // 5):
        for field in (moments.mean, moments.mean_error, moments.variance_of_square, full.truth.named.mean):
            np.testing.assert_allclose(field, field[order], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(moments.covariance, moments.covariance[np.ix_(order, order)], rtol=1e-6, atol=1e-9)
    assert full.truth.named.mean[::5].sum() == pytest.approx(1, abs=1e-9)


def test_the_certified_draws_have_the_moments_modes_and_stein_identities(full):
    # |z| < 4.7 on at most 90 statistics of 4,000 nearly independent draws: a false alarm in 4,000 runs
    truth, x = full.truth, full.truth.reference_draws
    root = np.sqrt(len(x))
    assert np.abs((x.mean(axis=0) - truth.moments.mean) / truth.moments.sd * root).max() < 4.7
    spread = np.sqrt(truth.moments.variance_of_centred_square)
    assert np.abs((((x - truth.moments.mean) ** 2).mean(axis=0) - truth.moments.variance) / spread * root).max() < 4.7
    named = full.named.values(x)
    assert np.abs((named.mean(axis=0) - truth.named.mean) / truth.named.sd * root).max() < 4.7
    shares = np.bincount(truth.modes.assign(x), minlength=len(truth.modes.masses)) / len(x)
    assert np.abs((shares - truth.modes.masses) / np.sqrt(truth.modes.masses) * root).max() < 4.7
    gradients = full.evaluate(x)[1]
    for statistic in (gradients, (x - truth.moments.mean) * gradients + 1):
        assert np.abs(statistic.mean(axis=0) / statistic.std(axis=0) * root).max() < 4.7


def test_the_certified_evidence_agrees_with_importance_sampling(full):
    # from a Student t about the draws of one mode, with all relabellings as heavy: K! times the evidence of one label
    truth = full.truth
    x = truth.reference_draws
    order = np.array(relabellings(full.dim // 5))[:, ::5] // 5
    # bring every draw to the order of its components by the first coordinate of their means
    rank = np.argsort(x[:, 1::5], axis=1)
    sorted_draws = np.take_along_axis(x.reshape(len(x), -1, 5), rank[:, :, None], axis=1).reshape(x.shape)
    rng = np.random.default_rng(9)
    draws, _ = student(rng, 20_000, sorted_draws.mean(axis=0), np.cov(sorted_draws.T))
    blocks = draws.reshape(len(draws), -1, 5)
    log_proposal = logsumexp(
        [student_density(blocks[:, list(o)].reshape(draws.shape), sorted_draws) for o in order], axis=0
    )
    log_weights = full.log_densities(draws) - log_proposal + np.log(len(order))
    weights = np.exp(log_weights - log_weights.max())
    error = weights.std() / weights.mean() / np.sqrt(len(weights))
    assert error < 0.05
    assert abs(np.log(weights.mean()) + log_weights.max() - truth.log_normaliser) < 5 * error


def student_density(x, draws):
    return stats.multivariate_t(draws.mean(axis=0), np.cov(draws.T), df=10).logpdf(x)


def test_other_options_have_no_certificate():
    assert targets.load("gmm_posterior", model="full", n=50).truth is None


@pytest.mark.parametrize(
    "options",
    [
        {"model": "both"},
        {"components": 3},
        {"n": 0},
        {"n": 10**6},
        {"separation": -1.0},
        {"separation": float("inf")},
        {"model": "full", "components": 1},
        {"model": "full", "n": 0},
    ],
    ids=str,
)
def test_bad_options_are_refused(options):
    with pytest.raises(targets.UsageError, match="gmm_posterior"):
        targets.load("gmm_posterior", **options)

"""Sites of expectation propagation: what a Gaussian times one of them comes to, against quadrature and in the tails."""

import math

import numpy as np
import pytest
from scipy import integrate, special, stats

import targets
from targets.check import check_target
from targets.kernel import compiled
from targets.sites import clutter, logistic, normal, probit
from targets.target import Sites

NONE = np.zeros(0)


def tilted(site, mean, covariance, parameters=NONE):  # type: ignore[no-untyped-def]
    mean, covariance = np.atleast_1d(np.asarray(mean, float)), np.atleast_2d(np.asarray(covariance, float))
    new_mean, new_covariance = np.empty_like(mean), np.empty_like(covariance)
    log_z = compiled(site)(mean, covariance, np.asarray(parameters, float), new_mean, new_covariance)
    return log_z, new_mean, new_covariance


def by_quadrature(log_site, mean: float, variance: float):  # type: ignore[no-untyped-def]
    """Log normaliser, mean and variance, from a grid about the mode that is far finer than it needs to be."""
    sd = math.sqrt(variance)
    wide = np.linspace(mean - 40 * sd, mean + 40 * sd + 3 * variance, 200_001)
    centre = wide[np.argmax(log_site(wide) - 0.5 * (wide - mean) ** 2 / variance)]
    u = np.linspace(centre - 12 * sd, centre + 12 * sd, 400_001)
    logs = log_site(u) - 0.5 * (u - mean) ** 2 / variance - 0.5 * math.log(2 * math.pi * variance)
    mass = np.exp(logs - logs.max())
    total = integrate.simpson(mass, x=u)
    first = integrate.simpson(mass * u, x=u) / total
    return logs.max() + math.log(total), first, integrate.simpson(mass * (u - first) ** 2, x=u) / total


@pytest.mark.parametrize(("site", "log_site"), [(probit, special.log_ndtr), (logistic, special.log_expit)])
@pytest.mark.parametrize("mean", [-30.0, -5.0, 0.0, 2.0, 40.0])
@pytest.mark.parametrize("variance", [1e-4, 0.3, 9.0, 400.0])
def test_moments_of_a_gaussian_times_a_site(site, log_site, mean: float, variance: float) -> None:  # type: ignore[no-untyped-def]
    log_z, new_mean, new_covariance = tilted(site, mean, variance)
    expected = by_quadrature(log_site, mean, variance)
    sd = math.sqrt(expected[2])
    assert log_z == pytest.approx(expected[0], rel=1e-9, abs=1e-9)
    assert new_mean[0] == pytest.approx(expected[1], abs=1e-7 * sd)
    assert new_covariance[0, 0] == pytest.approx(expected[2], rel=1e-6)


def test_tails_stay_numbers() -> None:
    """Far out a logistic site is exp(u), which shifts a Gaussian by its variance, and a probit one is a Gaussian."""
    for mean in (-1e3, -1e6):
        log_z, new_mean, new_covariance = tilted(logistic, mean, 4.0)
        assert log_z == pytest.approx(mean + 2.0, rel=1e-12)
        assert new_mean[0] == pytest.approx(mean + 4.0, rel=1e-12) and new_covariance[0, 0] == pytest.approx(4.0)
        log_z, new_mean, new_covariance = tilted(probit, mean, 4.0)
        assert log_z == pytest.approx(stats.norm.logcdf(mean / math.sqrt(5)), rel=1e-10)
        assert new_mean[0] == pytest.approx(mean / 5, rel=1e-4) and new_covariance[0, 0] == pytest.approx(0.8, rel=1e-3)
    assert np.isfinite(tilted(logistic, 0.0, 1e8)[0])


def test_a_normal_site_is_bayes_rule() -> None:
    log_z, mean, covariance = tilted(normal, 1.0, 4.0, [3.0, 2.0])
    assert log_z == pytest.approx(stats.norm.logpdf(3.0, 1.0, math.sqrt(6.0)))
    assert mean[0] == pytest.approx(1.0 + 4 / 6 * 2) and covariance[0, 0] == pytest.approx(8 / 6)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_clutter_is_a_mixture_of_two_updates(width: int) -> None:
    rng = np.random.default_rng(width)
    mean, y = rng.standard_normal(width), 2 * rng.standard_normal(width)
    factor = rng.standard_normal((width, width + 2))
    covariance = factor @ factor.T
    share, spread = 0.3, 7.0
    log_z, new_mean, new_covariance = tilted(clutter, mean, covariance, [share, spread, *y])
    unit = np.eye(width)
    masses = np.array(
        [
            (1 - share) * stats.multivariate_normal(mean, covariance + unit).pdf(y),
            share * stats.multivariate_normal(np.zeros(width), spread * unit).pdf(y),
        ]
    )
    gain = covariance @ np.linalg.inv(covariance + unit)
    means = np.array([mean + gain @ (y - mean), mean])
    spreads = covariance - gain @ covariance, covariance
    belief = masses / masses.sum()
    centre = belief @ means
    total = sum(b * (s + np.outer(m - centre, m - centre)) for b, m, s in zip(belief, means, spreads, strict=True))
    assert log_z == pytest.approx(math.log(masses.sum()))
    np.testing.assert_allclose(new_mean, centre, rtol=1e-10)
    np.testing.assert_allclose(new_covariance, total, rtol=1e-9)


def test_sites_that_are_not_the_density_are_found() -> None:
    """`check_target` holds prior and sites against the kernel: here with a site's sign turned."""
    target = targets.load("probit_regression", n=20)
    assert target.sites is not None
    turned = target.sites.projections.copy()
    turned[3] *= -1
    wrong = targets.Target(
        "turned",
        2,
        target.log_density_and_gradient,
        target.data,
        log_density=target.log_density,
        gaussian_prior=target.gaussian_prior,
        sites=Sites(target.sites.tilted, turned, target.sites.parameters),
    )
    found = [finding for finding in check_target(wrong) if not finding.ok]
    assert [finding.what for finding in found] == ["prior and sites make the kernel's density"]


def test_sites_need_a_gaussian_prior() -> None:
    target = targets.load("probit_regression", n=20)
    with pytest.raises(ValueError, match="Gaussian prior"):
        targets.Target("bare", 2, target.log_density_and_gradient, target.data, sites=target.sites)


def test_clutter_is_its_formula() -> None:
    target = targets.load("clutter", dim=2, n=7, share=0.2, spread=5.0, seed=3)
    y = target.data[:, 2:]
    points = np.random.default_rng(1).standard_normal((5, 2)) * 3
    expected = stats.norm.logpdf(points, scale=10.0).sum(axis=1)
    for k, point in enumerate(points):
        near = stats.norm.pdf(y, point, 1.0).prod(axis=1)
        far = stats.norm.pdf(y, 0.0, math.sqrt(5.0)).prod(axis=1)
        expected[k] += np.log(0.8 * near + 0.2 * far).sum()
    np.testing.assert_allclose(target.log_densities(points), expected, rtol=1e-12)


def test_probit_regression_is_its_formula_and_its_two_truths_agree() -> None:
    target = targets.load("probit_regression", n=30, dim=3, seed=2)
    points = np.random.default_rng(1).standard_normal((5, 3)) * 3
    expected = stats.norm.logpdf(points, scale=2.5).sum(axis=1) + special.log_ndtr(points @ target.data.T).sum(axis=1)
    np.testing.assert_allclose(target.log_densities(points), expected, rtol=1e-12)
    one = targets.load("probit_regression", n=40, dim=1)
    assert one.truth is not None
    grid = np.linspace(-15, 15, 20_001)[:, None]
    logs = one.log_densities(grid)
    evidence = math.log(np.exp(logs - logs.max()).sum() * 30 / 20_000) + logs.max()
    assert one.truth.log_normaliser == pytest.approx(evidence, abs=6 * one.truth.log_normaliser_error)


@pytest.mark.parametrize("options", [{"dim": 3}, {"n": 0}, {"share": 1.0}, {"spread": -1.0}])
def test_clutter_says_what_it_takes(options: dict[str, float]) -> None:
    with pytest.raises(targets.UsageError, match="it takes"):
        targets.load("clutter", **options)

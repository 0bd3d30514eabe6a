"""What long runs say, and how well: moments, quantiles, bridge sampling, and the chains made for it."""

import math

import numpy as np
import pytest

import targets
from harness.references.runs import Kept
from harness.references.whitened import Whitened
from targets.bridge import bridge, one_labelling
from targets.long_run import estimates

CHAINS = 8


def test_the_errors_of_estimates_are_honest() -> None:
    # AR(1) chains of exponentials by their normal scores: 22 statistics a seed, 12 seeds. The mean of z² is 1, with
    # a standard error of sqrt(2 / 264) if they were independent, and at most three times that as they are.
    from scipy import stats

    p = np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
    z = []
    for seed in range(12):
        rng = np.random.default_rng([71, seed])
        normal = np.empty((CHAINS, 4000, 2))
        normal[:, 0] = rng.standard_normal((CHAINS, 2))
        for n in range(1, 4000):
            normal[:, n] = 0.6 * normal[:, n - 1] + 0.8 * rng.standard_normal((CHAINS, 2))
        found = estimates(stats.expon.ppf(stats.norm.cdf(normal)))
        moments, q = found.moments, found.quantiles
        assert found.r_hat < 1.01
        assert 0.15 < found.ess / (CHAINS * 4000) < 0.4  # (1 - 0.6) / (1 + 0.6) for the normal scores
        z += [
            *((moments.mean - 1) / moments.mean_error),
            *((moments.variance - 1) / moments.variance_error),
            *((moments.second_moment - 2) / moments.second_moment_error),
            *((moments.fourth_moment - 9) / moments.fourth_moment_error),
            *((q.values - stats.expon.ppf(p)[:, None]) / q.errors).ravel(),
        ]
    assert 0.6 < np.mean(np.square(z)) < 1.5
    assert np.abs(z).max() < 7  # fourth powers of exponentials are far from normal


def test_estimates_are_averaged_over_relabellings() -> None:
    rng = np.random.default_rng(72)
    x = rng.standard_normal((CHAINS, 2000, 2)) + np.array([-3.0, 3.0])
    swap = (np.array([0, 1]), np.array([1, 0]))
    found = estimates(x, swap)
    np.testing.assert_allclose(found.moments.mean, found.moments.mean[::-1], atol=1e-12)
    assert np.abs(found.moments.mean / found.moments.mean_error).max() < 5
    assert np.abs((found.moments.variance - 10) / found.moments.variance_error).max() < 5
    assert found.r_hat < 1.01
    np.testing.assert_allclose(found.quantiles.values[3], 0.0, atol=3.0)
    flipped = np.where(rng.random((CHAINS, 2000, 1)) < 0.5, x, x[:, :, ::-1])
    aligned = one_labelling(flipped, swap)
    assert np.all(np.sign(aligned[..., 1] - aligned[..., 0]) == np.sign(aligned[0, 0, 1] - aligned[0, 0, 0]))


def skewed(dim: int, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    """Logarithms of Gamma variables, mixed linearly: log density up to a known normaliser, and exact draws."""
    from scipy.special import gammaln

    shapes = 1.0 + 4.0 * rng.random(dim)
    mix = np.linalg.qr(rng.standard_normal((dim, dim)))[0] * np.exp(rng.uniform(-1, 1, dim))
    inverse = np.linalg.inv(mix)

    def log_density(x: np.ndarray) -> np.ndarray:
        u = x @ inverse.T
        return np.asarray((shapes * u - np.exp(u)).sum(axis=1))

    def sample(n: int) -> np.ndarray:
        return np.asarray(np.log(rng.gamma(shapes, size=(n, dim))) @ mix.T)

    return log_density, sample, float(gammaln(shapes).sum() + np.linalg.slogdet(mix)[1])


@pytest.mark.parametrize("dim", [1, 2, 5, 20, 50])
def test_bridge_sampling_is_right_and_its_error_honest(dim: int) -> None:
    # 10 seeds: the mean square of z, chi-squared with 10 degrees of freedom over 10 if errors are exact, is above 4.7
    # once in 1e6; errors are the larger of two, hence cautious, and so it may be small
    z, errors = [], []
    for seed in range(10):
        rng = np.random.default_rng([73, dim, seed])
        log_density, sample, truth = skewed(dim, rng)
        values = sample(CHAINS * 2000).reshape(CHAINS, 2000, dim)
        found = bridge(log_density, values, (), rng)
        z.append((found.value - truth) / found.error)
        errors.append(found.error)
    assert max(errors) < 0.1
    assert np.mean(np.square(z)) < 4.7
    assert np.mean(np.square(z)) > 0.05, "an error that is never used up is no error"
    # power: a normaliser off by 0.5 is seen every time
    assert min(abs(z + 0.5 / error) for z, error in zip(z, errors, strict=True)) > 4


def test_a_bridge_to_nowhere_says_so() -> None:
    rng = np.random.default_rng(74)
    centre = np.where(rng.random((CHAINS, 1000, 1)) < 0.5, -40.0, 40.0)  # far modes, which one Gaussian does not meet
    values = centre + 0.01 * rng.standard_normal((CHAINS, 1000, 6))

    def log_density(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.logaddexp(*(-0.5 * (((x - m) / 0.01) ** 2).sum(axis=1) for m in (-40.0, 40.0))))

    assert math.isnan(bridge(log_density, values, (), rng).value)


def test_whitened_hmc_is_right_on_a_gaussian() -> None:
    # whitened wrongly on purpose; |z| < 5 by the run's own standard errors, which must themselves be small
    target = targets.load("correlated_gaussian", dim=4, rho=0.5)
    assert target.truth is not None
    covariance = np.diag(np.diagonal(target.truth.moments.covariance)) * 0.5
    rngs = [np.random.default_rng(child) for child in np.random.SeedSequence(75).spawn(4)]
    chains = Whitened(target, 0.3 * np.ones(4), covariance, rngs)
    values = np.concatenate([chains.draws(3000), chains.draws(3000)], axis=1)
    found = estimates(values)
    moments = found.moments
    assert found.ess > 3000
    assert found.r_hat < 1.02
    assert np.abs((moments.mean - target.truth.moments.mean) / moments.mean_error).max() < 5
    assert np.abs((moments.variance - target.truth.moments.variance) / moments.variance_error).max() < 5
    assert chains.divergences == 0
    assert chains.evaluations > chains.done


def test_thinning_keeps_draws_evenly_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.references.runs.MOST_VALUES", 100)
    kept, sizes = Kept(), [7, 13, 40, 1, 60, 33, 90, 5]
    drawn = np.arange(float(sum(sizes)))[None, :, None]
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        kept.add(drawn[:, end - size : end], afresh=False)
        np.testing.assert_array_equal(kept.values, drawn[:, :end][:, :: kept.stride])
    assert kept.stride == 4
    assert kept.drawn == sum(sizes)


def test_draws_taken_off_are_those_of_a_run_that_keeps_them() -> None:
    from samplers import method
    from targets.protocols import Phase

    target = targets.load("correlated_gaussian", dim=2)
    runs = [method("nuts", num_chains=2, num_warmup=50).start(target, 1) for _ in range(2)]
    for run in runs:
        while run.phase is Phase.WARMUP:
            run.advance(1)
    whole, cut = runs
    taken = []
    for _ in range(5):
        cut.advance(300)
        taken.append(cut.approximation().values)  # type: ignore[union-attr]
        cut.forget()  # type: ignore[attr-defined]
    together = np.concatenate(taken, axis=1)
    while whole.done < together.shape[1]:
        whole.advance(1)
    np.testing.assert_array_equal(whole.approximation().values[:, : together.shape[1]], together)  # type: ignore[union-attr]

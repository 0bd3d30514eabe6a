"""Stochastic volatility: the density from scipy, coordinate by coordinate."""

import numpy as np
import pytest
from scipy import stats

import targets
from targets import stochastic_volatility


@pytest.mark.parametrize("n", [2, 3, 50])
def test_the_density_is_the_model_s(n: int) -> None:
    target = targets.load("stochastic_volatility", n=n, seed=4)
    returns = stochastic_volatility._returns(n, 4)
    np.testing.assert_allclose(target.data[0], returns**2)
    assert target.named is not None
    for x in np.random.default_rng(1).uniform(-2, 2, (10, target.dim)):
        mu, phi, sigma, *h = target.named.values(x[None])[0]
        share = 1 / (1 + np.exp(-x[1]))
        assert phi == pytest.approx(2 * share - 1)
        away = np.array(h) - mu
        np.testing.assert_allclose(away, np.append(0, phi * away[:-1]) + sigma * x[3:], rtol=1e-9, atol=1e-12)
        prior = stats.norm.logpdf(mu, 0, 2) + stats.norm.logpdf(x[4:]).sum()
        prior += stats.norm.logpdf(x[3], 0, 1 / np.sqrt(1 - phi**2))
        prior += stats.beta.logpdf(share, 20, 1.5) + np.log(share * (1 - share))
        prior += stats.invgamma.logpdf(sigma**2, 2.5, scale=0.025) + np.log(2 * sigma**2)
        expected = prior + stats.norm.logpdf(returns, 0, np.exp(0.5 * np.array(h))).sum()
        assert target.log_densities(x[None])[0] == pytest.approx(expected, rel=1e-10)


def test_the_returns_come_from_the_model() -> None:
    """log return^2 = h + log chi^2: its mean is mu - 1.27, its variance sigma^2 / (1 - phi^2) + pi^2 / 2."""
    squares = np.log(stochastic_volatility._returns(20_000, 1) ** 2)
    assert squares.mean() == pytest.approx(-1 - 1.2704, abs=0.2)  # its standard error is 0.04
    assert squares.var() == pytest.approx(0.25**2 / (1 - 0.95**2) + np.pi**2 / 2, rel=0.1)


@pytest.mark.parametrize("n", [1, 0, 100_001])
def test_bad_options_get_one_line(n: int) -> None:
    with pytest.raises(targets.UsageError, match="is not accepted"):
        targets.load("stochastic_volatility", n=n)

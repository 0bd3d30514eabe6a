"""The tail of p / q on Gaussians, and what Pareto k measures of it; alpha-divergences by quadrature."""

import numpy as np
import pytest

import targets
from harness import directions, tails
from variational.gaussian import Gaussian
from variational.psis import smooth, tail_shape
from variational.quadrature import alpha_divergence, forward_kl, reverse_kl


def normal(mean: float, sd: float) -> Gaussian:
    return Gaussian(np.array([mean]), np.array([sd]))


@pytest.mark.parametrize(
    ("q", "p", "shape"),
    [
        (normal(0, 0.5), normal(0, 1), 0.75),
        (normal(5, 0.5), normal(0, 1), 0.75),
        (normal(0, 1), normal(0.5, 1), 0.0),
        (normal(0, 1), normal(0, 1), 0.0),
        (normal(0, 2), normal(0, 1), -2.0),
        (Gaussian(np.zeros(3), np.array([2.0, 3.0, 1.0])), Gaussian(np.zeros(3), np.ones(3)), -1.0),
        (Gaussian(np.zeros(3), np.array([2.0, 0.9, 0.8])), Gaussian(np.zeros(3), np.ones(3)), 0.36),
    ],
)
def test_the_shape_of_the_tail(q: Gaussian, p: Gaussian, shape: float) -> None:
    assert tail_shape(q, p) == pytest.approx(shape, abs=1e-9)


@pytest.mark.parametrize("directions", [1, 2, 4])
def test_the_tail_does_not_depend_on_coordinates(directions: int) -> None:
    for width in (0.4, 0.8, 1.0, 1.7):
        q, p = tails.pair(width, directions, np.random.default_rng([directions, round(10 * width)]))
        known = 1 - width**2 if width < 1 else 0.0 if width == 1 else -2 / directions
        assert tail_shape(q, p) == pytest.approx(known, abs=1e-8)
        x = q.sample(np.random.default_rng(1), 200)  # log p / q is the power of chi^2 that the quantiles are those of
        z = q.standardise(x)
        ratios = p.log_density(x) - q.log_density(x)
        assert (
            np.all(np.isfinite(ratios)) and np.ptp(ratios) <= 0.5 * abs(1 - width**2) * (z**2).sum(axis=1).max() + 1e-8
        )


def test_exact_quantiles_tend_to_the_known_shape() -> None:
    """Two directions make an exact power law; one and five are off by what logarithms leave, less and less."""
    assert smooth(tails.log_ratios(0.5, 2, 1_000_000))[1] == pytest.approx(0.75, abs=0.003)
    for width, count in ((0.5, 1), (0.8, 5), (1.5, 3)):
        known = 1 - width**2 if width < 1 else -2 / count
        off = [abs(smooth(tails.log_ratios(width, count, n))[1] - known) for n in (2000, 200_000)]
        assert off[1] < off[0]


@pytest.mark.parametrize(("width", "count"), [(0.5, 1), (0.7, 2), (0.9, 5), (1.5, 2)])
def test_estimates_are_those_of_the_exact_quantiles(width: float, count: int) -> None:
    """Five standard errors of 60 runs and 0.02 for the estimator's curvature; another width is then twelve away."""
    found = tails.measured(width, count, 1000, 60, 5)
    assert abs(found.mean - found.at_size) < 5 * found.error + 0.02
    planted = smooth(tails.log_ratios(width + 0.2, count, 1000))[1]
    assert abs(found.mean - planted) > 5 * found.error + 0.02 or width > 1


def test_ratios_that_hardly_differ_have_no_tail() -> None:
    heavy = np.random.default_rng(1).standard_cauchy(4000)
    assert smooth(1e-7 * heavy / np.abs(heavy).max())[1] == 0.0
    assert smooth(heavy / np.abs(heavy).max())[1] > 0.5


def test_alpha_divergences_lie_between_the_two_of_kullback_and_leibler() -> None:
    target = targets.load("bimodal_mixture", separation=3.0, weight=0.3, sd_ratio=1.5)
    start = np.zeros(1), np.full(1, 2.0)
    ends = reverse_kl(target, *start), forward_kl(target, *start)
    near = alpha_divergence(target, 1e-5, *start), alpha_divergence(target, 1 - 1e-5, *start)
    for end, close in zip(ends, near, strict=True):
        assert close.stable and close.gradient < 1e-6
        assert close.divergence == pytest.approx(end.divergence, abs=1e-4)
        assert close.q.mean[0] == pytest.approx(end.q.mean[0], abs=1e-3)
        assert close.q.sd[0] == pytest.approx(end.q.sd[0], rel=1e-3)
    sds = [alpha_divergence(target, alpha, *start).q.sd[0] for alpha in (0.1, 0.5, 0.9)]
    assert ends[0].q.sd[0] < sds[0] < sds[1] < sds[2] < ends[1].q.sd[0]
    exact = alpha_divergence(targets.load("correlated_gaussian", dim=1, mean=2.0), 0.5, *start)
    assert (exact.q.mean[0], exact.q.sd[0]) == (pytest.approx(2.0, abs=1e-6), pytest.approx(1.0, abs=1e-6))
    for wrong in (0.0, 1.0):
        with pytest.raises(targets.UsageError, match="above 0 and below 1"):
            alpha_divergence(target, wrong, *start)


def test_the_best_gaussian_leaves_its_mode_between_the_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directions, "ALPHAS", (0.0, 0.7, 0.75, 1.0))
    section = directions.measure([])
    best = {row["alpha"]: row for row in section.numbers if row.get("best")}
    assert [best[alpha]["mass"] < 0.01 for alpha in (0.0, 0.7, 0.75, 1.0)] == [True, True, False, False]
    assert best[0.0]["kl_reverse"] == pytest.approx(-np.log(0.7), abs=1e-4)
    assert best[1.0]["mean"] == pytest.approx(2.0, abs=1e-4)  # the mixture's own moments
    assert best[1.0]["sd"] == pytest.approx(np.sqrt(22.0), abs=1e-4)


def test_the_wider_the_ratios_the_larger_the_shape() -> None:
    """Up to where all weights but a few vanish beside the largest, which once made the estimate a small number."""
    standard = np.random.default_rng(1).standard_normal(4000)
    found = [smooth(spread * standard)[1] for spread in (1, 3, 10, 100, 300, 400, 1e5)]
    assert found == sorted(found)
    assert found[2] > 3
    assert found[-1] == np.inf
    few = np.full(4000, -1000.0)
    few[:10] = standard[:10]
    weights, shape = smooth(few)
    assert shape == np.inf
    assert weights.sum() == pytest.approx(1.0)
    assert weights[:10].sum() == pytest.approx(1.0)


@pytest.mark.parametrize("n", [1, 2, 10, 20])
def test_few_ratios_have_weights_but_no_shape(n: int) -> None:
    ratios = np.arange(n) * 3.0
    weights, shape = smooth(ratios)
    assert weights == pytest.approx(np.exp(ratios) / np.exp(ratios).sum())
    assert np.isnan(shape) == (n > 1)

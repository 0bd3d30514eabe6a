"""Shifted exponentials: the density from scipy, its edges, and the answer where it is known in closed form."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

import targets
from targets.target import HARD_BOUNDARY


def test_the_density_is_the_model_s_and_ends_where_the_model_does() -> None:
    target = targets.load("shifted_exponential", groups=3, n=4, seed=5)
    shortest, total = target.data[0], target.data[1, 1]
    rng = np.random.default_rng(1)
    waits = shortest[:, None] + np.hstack([np.zeros((3, 1)), rng.random((3, 3))])
    waits[:, 1:] *= 1 + (total - waits.sum()) / waits[:, 1:].sum()  # the same shortest and sum as the data
    for _ in range(10):
        x = np.append(rng.standard_normal(), shortest * rng.random(3))
        expected = stats.norm.logpdf(x[0]) + stats.uniform.logpdf(x[1:], 0, 5).sum()
        expected += stats.expon.logpdf(waits, x[1:, None], np.exp(-x[0])).sum()
        assert target.log_densities(x[None])[0] == pytest.approx(expected, rel=1e-11)
        for j in range(3):
            for outside in (-1e-9, shortest[j] + 1e-9):
                beyond = x.copy()
                beyond[1 + j] = outside
                assert target.log_densities(beyond[None])[0] == -math.inf
    assert HARD_BOUNDARY in target.tags


def test_one_group_by_adaptive_quadrature() -> None:
    target = targets.load("shifted_exponential", groups=1, n=3, seed=2)
    truth = target.truth
    assert truth is not None
    density, shortest = target.density, target.data[0, 0]
    x = np.empty(2)

    def moment(p: int, q: int) -> float:
        def integrand(delay: float, u: float) -> float:
            x[:] = u, delay
            return float(np.exp(density(x, target.data) - truth.log_normaliser) * u**p * delay**q)

        return float(integrate.dblquad(integrand, -9, 7, 0, shortest, epsabs=1e-10, epsrel=1e-8)[0])

    assert moment(0, 0) == pytest.approx(1.0, abs=1e-7)
    mean = moment(0, 1)
    assert mean == pytest.approx(truth.moments.mean[1], abs=1e-7)
    assert moment(0, 2) == pytest.approx(truth.moments.second_moment[1], abs=1e-7)
    assert moment(1, 1) - moment(1, 0) * mean == pytest.approx(truth.moments.covariance[0, 1], abs=1e-7)
    fourth = moment(0, 4) - moment(0, 2) ** 2
    assert fourth == pytest.approx(truth.moments.variance_of_square[1], abs=1e-7)


def test_most_of_a_delay_s_mass_lies_near_its_edge() -> None:
    target = targets.load("shifted_exponential", groups=2, n=50)
    truth = target.truth
    assert truth is not None
    draws = truth.draws(2000, 1)
    assert draws is not None
    gap = target.data[0] - draws[:, 1:]
    assert (gap >= 0).all()
    assert np.median(gap) < 0.03


@pytest.mark.parametrize("options", [{"groups": 0}, {"n": 0}])
def test_bad_options_get_one_line(options: dict[str, object]) -> None:
    with pytest.raises(targets.UsageError, match="is not accepted"):
        targets.load("shifted_exponential", **options)

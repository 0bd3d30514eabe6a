"""The exponential that vectorises and the logarithm of one plus, against the C library's."""

import math

import numpy as np
from numba import float64

from targets.exponential import exp_minus, log_one_plus
from targets.kernel import VECTOR, loop


@loop(float64(VECTOR, VECTOR))
def each(a, values):
    for i in range(a.shape[0]):
        values[i] = exp_minus(a[i])
    return 0.0


@loop(float64(VECTOR, VECTOR))
def each_logarithm(u, values):
    for i in range(u.shape[0]):
        values[i] = log_one_plus(u[i])
    return 0.0


def exponentials(a):
    values = np.empty(len(a))
    each(np.array(a, dtype=np.float64), values)
    return values


def test_it_errs_by_rounding_alone():
    a = np.concatenate([np.linspace(0, 1, 100_001), np.geomspace(1e-300, 700, 100_001)])
    relative = np.abs(exponentials(a) / np.exp(-a) - 1)
    assert np.all(relative < 4.5e-16 * (1 + a))


def test_its_ends():
    values = exponentials([0.0, 701.0, math.inf, math.nan])
    assert values[0] == 1.0
    np.testing.assert_allclose(values[1:3], math.exp(-700), rtol=1e-12)
    assert math.isnan(values[3])


def test_log_one_plus():
    u = np.concatenate([[0.0], np.geomspace(1e-300, 1e300, 100_001), np.linspace(0.01, 0.03, 1001)])
    values = np.empty(len(u))
    each_logarithm(u, values)
    np.testing.assert_allclose(values, np.log1p(u), rtol=1e-14)
    each_logarithm(np.array([math.inf, math.nan]), values)
    assert values[0] == math.inf
    assert math.isnan(values[1])

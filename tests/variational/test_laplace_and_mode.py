"""The mode search and Laplace's approximation, against modes and curvatures known in closed form."""

import numpy as np
import pytest

import targets
from targets.kernel import kernel
from targets.protocols import Status, Work
from targets.target import Target
from variational import method
from variational.gaussian import Gaussian
from variational.mode import EXHAUSTED, FOUND, curvature, find_mode


def laplace(target: Target, seed: int = 1, **options: object):  # type: ignore[no-untyped-def]
    run = method("laplace", **options).start(target, seed)
    run.advance(1)
    return run


@pytest.mark.parametrize("dim", [1, 10, 100])
def test_a_gaussian_is_its_own_approximation(dim: int) -> None:
    target = targets.load("correlated_gaussian", dim=dim, structure="rotated", condition=1000.0)
    assert target.truth is not None
    q = laplace(target).approximation()
    np.testing.assert_allclose(q.covariance, target.truth.moments.covariance, atol=1e-6)
    assert np.max(np.abs(q.mean) / q.sd) < 1e-4


def test_the_curvature_of_a_student_t_at_its_mode() -> None:
    target = targets.load("student_t", dim=4, df=5.0)
    assert target.truth is not None
    scale = target.truth.moments.covariance * 3 / 5
    np.testing.assert_allclose(laplace(target).approximation().covariance, scale * 5 / (5 + 4), atol=1e-5)


def test_a_saddle_or_an_unbounded_density_is_a_named_failure() -> None:
    run = laplace(targets.load("eight_schools", parameterisation="centred"))
    assert run.status is Status.FAILED and run.reason and run.approximation() is None


@kernel
def slope(x, gradient, data):  # type: ignore[no-untyped-def]
    """A plane: higher and higher along the first coordinate."""
    for i in range(x.shape[0]):
        gradient[i] = 0.0
    gradient[0] = 1.0
    return x[0] + data[0, 0]


def test_no_mode_is_a_named_failure() -> None:
    run = laplace(Target("slope", 2, slope, targets.data_matrix([[0.0]])), max_gradients=500)
    assert run.status is Status.FAILED
    assert "no mode found within 500 gradients" in run.reason


def test_the_search_keeps_to_its_limit_and_counts() -> None:
    target, work = targets.load("correlated_gaussian", dim=50, rho=0.95), Work()
    x = np.ones(50)
    values, gradients = target.evaluate(x)
    mode = find_mode(target, x, float(values[0]), gradients[0], 1e-10, 20, work)
    assert mode.outcome == EXHAUSTED and work.gradient_evaluations == 20
    assert target.log_densities(mode.x)[0] > values[0]
    mode = find_mode(target, x, float(values[0]), gradients[0], 1e-10, 10_000, work)
    assert mode.outcome == FOUND and 0.5 * np.sum(mode.x * -mode.gradient) < 1e-6


def test_the_scale_that_a_search_sees_is_that_of_the_target() -> None:
    target = targets.load("correlated_gaussian", dim=3, rho=0.5)
    values, gradients = target.evaluate(np.array([2.0, -1.0, 1.0]))
    mode = find_mode(target, np.array([2.0, -1.0, 1.0]), float(values[0]), gradients[0], 1e-14, 1000, Work())
    np.testing.assert_allclose(mode.scale, 1.0, rtol=0.35)


def test_curvature_is_minus_the_hessian() -> None:
    target, work = targets.load("correlated_gaussian", dim=6, rho=0.8), Work()
    assert target.gaussian is not None
    found = curvature(target, np.ones(6), np.full(6, 0.5), work)
    np.testing.assert_allclose(found, target.gaussian.precision, atol=1e-7)
    assert work.gradient_evaluations == 12


def test_its_factor_is_that_of_the_inverse_hessian() -> None:
    target = targets.load("banana")
    q = laplace(target).approximation()
    hessian = curvature(target, q.mean, q.sd, Work())
    assert isinstance(q, Gaussian)
    np.testing.assert_allclose(q.covariance @ hessian, np.eye(2), atol=1e-4)

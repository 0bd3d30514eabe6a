"""ADVI with fixed draws: exact where it can be, its Hessian that of its objective, its doubling honest."""

import numpy as np
import pytest

import targets
from targets.protocols import Status, Work
from variational import method
from variational.dadvi import DadviRun, Objective, fixed_draws, newton_step
from variational.gaussian import Gaussian


def ended(target: targets.Target, seed: int, **options: object) -> DadviRun:
    run = method("dadvi", **options).start(target, seed)
    while run.status is Status.RUNNING:
        run.advance(100_000)
    assert isinstance(run, DadviRun)
    return run


@pytest.mark.parametrize("structure", ["ar1", "rotated", "equicorrelated"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_optimum_of_a_gaussian_is_exact(structure: str, seed: int) -> None:
    """Twenty draws are ten pairs, as many as coordinates: their second moments are exact."""
    target = targets.load("correlated_gaussian", dim=10, rho=0.8, structure=structure)
    assert target.gaussian is not None and target.truth is not None
    run = ended(target, seed)
    q = run.approximation()
    assert run.status is Status.CONVERGED and q is not None
    np.testing.assert_allclose(q.variance * np.diagonal(target.gaussian.precision), 1.0, rtol=1e-6)
    assert np.max(np.abs(q.mean - target.gaussian.mean) / q.sd) < 1e-6
    gap = 0.5 * (
        np.sum(np.log(np.diagonal(target.gaussian.precision))) - np.linalg.slogdet(target.gaussian.precision)[1]
    )
    assert run.diagnostics()["elbo"] == pytest.approx(target.truth.log_normaliser - gap, abs=1e-6)


@pytest.mark.parametrize("dim", [3, 40])
def test_linear_response_is_the_covariance_of_a_gaussian_with_any_number_of_draws(dim: int) -> None:
    target = targets.load("correlated_gaussian", dim=dim, rho=0.9)
    assert target.truth is not None
    covariance = target.truth.moments.covariance
    run = ended(target, 1, covariance="linear_response", tolerance=1.0)
    q = run.approximation()
    assert isinstance(q, Gaussian)
    np.testing.assert_allclose(q.covariance, covariance, atol=1e-7 * covariance.max())
    assert "fullrank" in method("dadvi", covariance="linear_response").tags


def objective(dim: int = 3, pairs: int = 10) -> Objective:
    target = targets.load("eight_schools") if dim == 10 else targets.load("banana", dim=dim)
    return Objective(target, fixed_draws(np.random.default_rng(1).standard_normal((pairs, dim)), pairs), Work())


@pytest.mark.parametrize("dim", [3, 10])
def test_gradient_and_hessian_are_those_of_the_objective(dim: int) -> None:
    """Both by central differences, in the units of the step: means in sd, and log sds."""
    made = objective(dim)
    mean, log_sd = 0.3 * np.ones(dim), np.linspace(-1.5, -0.5, dim)
    point = made.at(mean, log_sd)
    assert point is not None
    rng, h = np.random.default_rng(2), 1e-4
    for _ in range(3):
        v = rng.standard_normal(2 * dim)
        ends = [made.at(mean + s * h * np.exp(log_sd) * v[:dim], log_sd + s * h * v[dim:]) for s in (1.0, -1.0)]
        assert ends[0] is not None and ends[1] is not None
        assert point.gradient @ v == pytest.approx((ends[0].value - ends[1].value) / (2 * h), rel=1e-5, abs=1e-6)
        # gradients at the ends are in their own units of sd
        turned = [np.concatenate([e.gradient[:dim] * np.exp(log_sd - e.log_sd), e.gradient[dim:]]) for e in ends if e]
        expected = (turned[0] - turned[1]) / (2 * h)
        np.testing.assert_allclose(made.hessian(point)(v), expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


def test_linear_response_is_a_block_of_the_inverse_hessian() -> None:
    """The block of the means in the inverse of the whole Hessian, built column by column from its products."""
    made = objective(10, 20)
    run = ended(made.target, 3, draws=20, max_draws=40, tolerance=10.0)
    assert run.objective is not None and run.point is not None
    covariance = run.objective.response(run.point)
    assert np.all(np.linalg.eigvalsh(covariance) > 0)
    product, dim = run.objective.hessian(run.point), 10
    whole = np.array([product(e) for e in np.eye(2 * dim)])
    sd = np.exp(run.point.log_sd)
    expected = sd[:, None] * np.linalg.inv(0.5 * (whole + whole.T))[:dim, :dim] * sd
    np.testing.assert_allclose(covariance, expected, rtol=2e-2, atol=2e-3 * expected.max())


def test_newton_steps_end_at_the_minimum_or_at_the_edge() -> None:
    root = np.random.default_rng(1).standard_normal((6, 6))
    hessian, gradient = root @ root.T + np.eye(6), 1e-6 * np.arange(1.0, 7.0)
    found = newton_step(lambda v: hessian @ v, gradient, 1.0)
    assert found is not None
    np.testing.assert_allclose(found[0], -np.linalg.solve(hessian, gradient), rtol=2e-2, atol=1e-8)
    np.testing.assert_allclose(found[1], hessian @ found[0], rtol=1e-9)
    for curvature in (hessian, -np.eye(6)):
        found = newton_step(lambda v, c=curvature: c @ v, 1e3 * gradient / 1e-6, 0.5)  # type: ignore[misc]
        assert found is not None and np.linalg.norm(found[0]) == pytest.approx(0.5)
    assert newton_step(lambda v: v * np.nan, gradient, 1.0) is None
    assert not np.any(newton_step(lambda v: 0 * v, 0 * gradient, 1.0)[0])  # type: ignore[index]


@pytest.mark.parametrize(("dim", "pairs"), [(3, 10), (10, 10), (30, 10)])
def test_fixed_draws_have_exact_moments(dim: int, pairs: int) -> None:
    draws = fixed_draws(np.random.default_rng(5).standard_normal((pairs, dim)), pairs)
    assert draws.shape == (2 * pairs, dim)
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=1e-12)
    second = draws.T @ draws / len(draws)
    np.testing.assert_allclose(np.diagonal(second), 1, atol=1e-9)
    if pairs >= dim:
        np.testing.assert_allclose(second, np.eye(dim), atol=1e-9)


def test_the_error_that_draws_leave_is_about_what_it_says() -> None:
    """Root mean square over 12 seeds against the optimum of many draws, within a factor of two.

    Mean squares of 20 parameters over 12 seeds vary by 0.1 of themselves if they are independent, by 0.4 if those of a
    fit are all one; a factor of two in the root is a factor of four in the square.
    """
    target = targets.load("student_t", dim=10)
    best = ended(target, 100, draws=5000, max_draws=10_000, tolerance=10.0)
    assert best.point is not None
    off, said = [], []
    for seed in range(12):
        run = ended(target, seed, tolerance=10.0)
        assert run.point is not None
        moved = (run.point.mean - best.point.mean) / np.exp(best.point.log_sd), run.point.log_sd - best.point.log_sd
        off.append(np.mean(np.square(moved)))
        said.append(run.error**2)
    assert 0.25 < np.mean(off) / np.mean(said) < 4


def test_too_few_draws_are_a_named_failure_with_an_answer() -> None:
    run = ended(targets.load("bioassay"), 1, tolerance=1e-5)
    assert run.status is Status.FAILED and "max_draws allows no more" in run.reason
    assert run.approximation() is not None and run.diagnostics()["draws_error"] > 1e-5


@pytest.mark.parametrize("option", ["draws=3", "max_draws=20", "covariance=full"])
def test_bad_options_are_one_line(option: str) -> None:
    name, _, value = option.partition("=")
    with pytest.raises(targets.options.UsageError, match=f"dadvi: {option} is not accepted; it takes"):
        method("dadvi", **{name: int(value) if value.isdigit() else value})

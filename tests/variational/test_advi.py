"""Reverse KL by stochastic gradients: the exact floor on Gaussians, and sense elsewhere."""

import numpy as np
import pytest

import targets
from targets.kernel import kernel
from targets.plain import from_python
from targets.protocols import Status
from targets.target import Target
from variational import method
from variational.closed_form import reverse_divergence
from variational.families import State, difference
from variational.gaussian import Gaussian
from variational.objectives import elbo
from variational.quadrature import reverse_kl

FLOORS = [
    (structure, dim, rho)
    for structure, rhos in (("ar1", (0.3, 0.95)), ("equicorrelated", (0.3, 0.9)), ("rotated", (0.5,)))
    for dim in (2, 10, 50)
    for rho in rhos
]


def run_to_end(name: str, target: Target, seed: int, budget: int = 1_000_000, **options: object):  # type: ignore[no-untyped-def]
    run = method(name, **options).start(target, seed)
    while run.status is Status.RUNNING and run.work.total < budget:
        run.advance(50_000)
    return run


@pytest.mark.parametrize(("structure", "dim", "rho"), FLOORS)
def test_mean_field_reaches_the_exact_floor(structure: str, dim: int, rho: float) -> None:
    """Centred b^2 is (1 - v / S)^2 / 2 with v = 1 / L_ii: mean and worst within 5 %, from three seeds each."""
    target = targets.load("correlated_gaussian", dim=dim, structure=structure, rho=rho)
    assert target.gaussian is not None and target.truth is not None
    variance = target.truth.moments.variance
    exact = (1 - 1 / np.diagonal(target.gaussian.precision) / variance) ** 2 / 2
    for seed in range(3):
        run = run_to_end("advi_meanfield", target, seed)
        q = run.approximation()
        reached = (1 - q.variance / variance) ** 2 / 2
        assert run.status is Status.CONVERGED and run.work.total < 20_000
        assert reached.max() == pytest.approx(exact.max(), rel=0.05)
        assert reached.mean() == pytest.approx(exact.mean(), rel=0.05)
        offset = (q.mean - target.truth.moments.mean) / target.truth.moments.sd
        assert np.sqrt(np.mean(offset**2)) < 0.02
        assert run.diagnostics()["elbo"] == pytest.approx(
            target.truth.log_normaliser - reverse_divergence(target.gaussian.precision), abs=0.02
        )


@kernel
def stretched(x, gradient, data):  # type: ignore[no-untyped-def]
    """Independent normals with means data[0] and standard deviations data[1]."""
    total = 0.0
    for i in range(x.shape[0]):
        z = (x[i] - data[0, i]) / data[1, i]
        gradient[i] = -z / data[1, i]
        total -= 0.5 * z * z
    return total


@pytest.mark.parametrize("name", ["advi_meanfield", "advi_fullrank"])
@pytest.mark.parametrize("warm_start", [True, False])
@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e2])
def test_scales_far_from_one_are_found(name: str, warm_start: bool, scale: float) -> None:
    sd = scale * np.array([0.5, 1.0, 4.0])
    target = Target("stretched", 3, stretched, targets.data_matrix([[1.0, -2.0, 30.0 * scale], sd]))
    run = run_to_end(name, target, 1, warm_start=warm_start)
    q = run.approximation()
    assert run.status is Status.CONVERGED
    np.testing.assert_allclose(q.sd, sd, rtol=0.02)
    assert np.max(np.abs(q.mean - [1.0, -2.0, 30.0 * scale]) / sd) < 0.02


@pytest.mark.parametrize("fullrank", [False, True])
def test_a_curved_target_gives_the_optimum_that_quadrature_finds(fullrank: bool) -> None:
    """Averages over windows agree to 0.02 sd; the largest of five errors stays below four times that."""
    target = targets.load("banana")
    exact = reverse_kl(target, np.zeros(2), np.ones(2), fullrank=fullrank).q
    exact = exact if fullrank else Gaussian(exact.mean, exact.sd)
    q = run_to_end("advi_fullrank" if fullrank else "advi_meanfield", target, 2).approximation()
    assert np.max(np.abs(difference(exact, q))) < 0.08


@pytest.mark.parametrize("name", ["advi_meanfield", "advi_fullrank"])
@pytest.mark.parametrize("hard", ["funnel", "student_t", "eight_schools", "bimodal_mixture", "banana"])
def test_on_every_shape_the_bound_is_below_the_evidence_and_not_far(name: str, hard: str) -> None:
    target = targets.load(hard)
    assert target.truth is not None
    run = run_to_end(name, target, 1, budget=100_000)
    assert run.status is not Status.FAILED
    bound = elbo(run.approximation(), target)
    evidence = target.truth.log_normaliser
    slack = 4 * bound.error + 1e-9
    assert bound.value - slack < evidence < bound.value + slack + 1.5
    assert run.diagnostics()["elbo"] == pytest.approx(bound.value, abs=0.3)


@kernel
def half_line(x, gradient, data):  # type: ignore[no-untyped-def]
    """Gamma(5, 1) in each coordinate: nothing below zero can be evaluated."""
    total = data[0, 0]
    for i in range(x.shape[0]):
        if x[i] <= 0.0:
            gradient[i] = np.nan
            total = -np.inf
        else:
            gradient[i] = 4.0 / x[i] - 1.0
            total += 4.0 * np.log(x[i]) - x[i]
    return total


def test_draws_that_cannot_be_evaluated_are_skipped_and_counted() -> None:
    target = Target("half_line", 2, half_line, targets.data_matrix([[0.0]]))
    run = run_to_end("advi_meanfield", target, 1, budget=50_000)
    q = run.approximation()
    assert run.diagnostics()["skipped"] > 0
    assert np.all(np.abs(q.mean - 4.8) < 1.0) and np.all((q.sd > 1.2) & (q.sd < 2.5))


@kernel
def island(x, gradient, data):  # type: ignore[no-untyped-def]
    """Normals of standard deviation data[0, 0], which cannot be evaluated beyond five of it."""
    total = 0.0
    for i in range(x.shape[0]):
        z = x[i] / data[0, 0]
        gradient[i] = -z / data[0, 0] if abs(z) < 5.0 else np.nan
        total -= 0.5 * z * z if abs(z) < 5.0 else np.inf
    return total


@pytest.mark.parametrize("name", ["advi_meanfield", "advi_fullrank"])
def test_a_fit_is_taken_back_until_the_density_can_be_evaluated(name: str) -> None:
    target = Target("island", 2, island, targets.data_matrix([[1e-3]]), initial=lambda _: np.full(2, 1e-3))
    run = run_to_end(name, target, 1, warm_start=False)
    q = run.approximation()
    assert run.status is Status.CONVERGED and run.diagnostics()["retreats"] > 0
    np.testing.assert_allclose(q.sd, 1e-3, rtol=0.05)
    assert np.max(np.abs(q.mean)) < 5e-5


@kernel
def cliff(x, gradient, data):  # type: ignore[no-untyped-def]
    """Can be evaluated at single points alone: data counts how close to an integer x must be."""
    for i in range(x.shape[0]):
        gradient[i] = 0.0 if abs(x[i]) < data[0, 0] else np.nan
    return 0.0 if abs(x[0]) < data[0, 0] else np.nan


def test_no_progress_is_a_named_failure() -> None:
    target = Target("cliff", 2, cliff, targets.data_matrix([[1e-320]]), initial=lambda _: np.zeros(2))
    run = run_to_end("advi_meanfield", target, 1)
    assert run.status is Status.FAILED
    assert "no finite gradient" in run.reason
    assert run.diagnostics() == {} and run.approximation() is not None


@kernel
def flat(x, gradient, data):  # type: ignore[no-untyped-def]
    """Not a density at all: constant everywhere."""
    for i in range(x.shape[0]):
        gradient[i] = 0.0
    return data[0, 0]


@pytest.mark.parametrize("name", ["advi_meanfield", "advi_fullrank"])
def test_a_scale_without_bound_is_a_named_failure(name: str) -> None:
    run = run_to_end(name, Target("flat", 3, flat, targets.data_matrix([[0.0]])), 1)
    assert run.status is Status.FAILED
    assert "ran away" in run.reason


def drawn(dim: int, diagonal: bool, pairs: int) -> np.ndarray:
    """The points (2 pairs, dim) that a state at the standard normal evaluates, which does not move."""
    seen: list[np.ndarray] = []

    def density(x: np.ndarray) -> tuple[float, np.ndarray]:
        seen.append(x)
        return -0.5 * float(x @ x), -x

    state = State.at(Gaussian(np.zeros(dim), np.ones(dim) if diagonal else np.eye(dim)))
    state.advance(from_python(density, dim), np.random.default_rng(1), pairs, 1e-12, 1e-12)
    return np.array(seen)


def columns(dim: int) -> int:
    """Coordinates that a direction has: groups are filled up."""
    return State.at(Gaussian(np.zeros(dim), np.ones(dim))).directions.columns


@pytest.mark.parametrize("dim", [1, 2, 5, 32, 64, 100])
def test_weighted_draws_of_a_block_are_orthogonal(dim: int) -> None:
    block = State.at(Gaussian(np.zeros(dim), np.ones(dim))).block
    draws = drawn(dim, True, block)[::2]
    total = columns(dim)
    if total > dim:  # the length lies partly in coordinates that the target has not: rows that fill them tell it
        draws = drawn(total, True, block)[::2]
    weighted = total / np.sum(draws**2, axis=1)
    products = (draws * weighted[:, None]).T @ draws / block
    np.testing.assert_allclose(products, np.diag(np.diagonal(products)), atol=1e-10)
    if total <= 32:
        np.testing.assert_allclose(products, np.eye(total), atol=1e-10)


@pytest.mark.parametrize("dim", [8, 96])
@pytest.mark.parametrize("diagonal", [False, True])
def test_weighted_draws_are_standard_normal(dim: int, diagonal: bool) -> None:
    """Second, fourth and mixed moments over 5,000 pairs, within four standard errors of independent draws."""
    draws = drawn(dim, diagonal, 5_000)[::2]
    weights = dim / np.sum(draws**2, axis=1)[:, None]
    n = draws.size
    assert np.mean(weights * draws**2) == pytest.approx(1.0, abs=4 * np.sqrt(2 / n))
    assert np.mean(weights * draws**4) == pytest.approx(3.0, abs=4 * np.sqrt(96 / n))
    pairs = weights * draws**2 * np.roll(draws, 1, axis=1) ** 2
    assert np.mean(pairs) == pytest.approx(1.0, abs=4 * np.sqrt(8 / n))


def test_a_gaussian_target_leaves_no_noise_at_the_optimum() -> None:
    """At the mean-field optimum of a correlated Gaussian a block's steps are exactly nothing."""
    target = targets.load("correlated_gaussian", dim=8, rho=0.9)
    assert target.gaussian is not None
    q = Gaussian(target.gaussian.mean, 1 / np.sqrt(np.diagonal(target.gaussian.precision)))
    state = State.at(q)
    state.advance(target, np.random.default_rng(1), 20 * state.block, 1.0, 0.5)
    np.testing.assert_allclose(state.current().factor, q.factor, rtol=1e-10)
    np.testing.assert_allclose(state.mean, q.mean, atol=1e-10)
    assert state.average().level_variance < 1e-20

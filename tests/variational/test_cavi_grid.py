"""Free-form coordinate ascent: monotone on any table, the closed form on Gaussians, better than Gaussians elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import targets
from targets.kernel import kernel
from targets.protocols import Status
from targets.target import DENSITY_ALONE, Target
from variational import method
from variational.cavi_grid import CaviGridRun, Table
from variational.closed_form import reverse_divergence
from variational.product import Marginal, Product
from variational.quadrature import reverse_kl


def ended(target: Target, seed: int = 1) -> CaviGridRun:
    run = method("cavi_grid").start(target, seed)
    while run.status is Status.RUNNING:
        run.advance(1_000_000)
    assert isinstance(run, CaviGridRun)
    return run


@given(st.integers(1, 3), st.integers(0, 10_000), st.floats(0.1, 300.0))
@settings(max_examples=60, deadline=None)
def test_no_sweep_lowers_the_bound_of_any_table(dim: int, seed: int, rough: float) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(3, 9, dim))
    axes = tuple(np.linspace(0.0, 1.0 + rng.random(), n) for n in shape)
    heights = rough * rng.standard_normal(shape)
    table = Table.of(axes, heights, [rng.standard_normal(n) for n in shape])
    bounds = np.array([table.sweep()[0] for _ in range(15)])
    assert np.all(np.diff(bounds) >= -1e-10 * max(1.0, np.abs(bounds).max()))
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    assert bounds[-1] <= np.log(np.exp(heights - heights.max()).sum() * cell) + heights.max() + 1e-9
    for j, log in enumerate(table.logs):  # a sweep leaves the last factor at its optimum, and others near theirs
        assert table.masses[j].sum() == pytest.approx(1.0) and np.all(np.isfinite(log))


def test_a_wrong_sign_would_be_seen() -> None:
    """The same sweeps with the expectation's sign turned lower the bound of some table."""
    rng = np.random.default_rng(1)
    axes, heights = (np.linspace(0, 1, 6),) * 2, rng.standard_normal((6, 6))
    right, wrong = (Table.of(axes, sign * heights, [rng.standard_normal(6)] * 2) for sign in (1.0, -1.0))
    for table in (right, wrong):
        for _ in range(20):
            table.sweep()
    bound = [float(t.masses[0] @ heights @ t.masses[1]) + t.entropy for t in (right, wrong)]
    assert bound[1] < bound[0] - 0.1


@pytest.mark.parametrize(("dim", "rho"), [(2, 0.5), (2, 0.95), (3, 0.8)])
def test_a_gaussian_has_its_closed_form(dim: int, rho: float) -> None:
    target = targets.load("correlated_gaussian", dim=dim, rho=rho, mean=1.0)
    assert target.gaussian is not None and target.truth is not None
    run = ended(target)
    q = run.approximation()
    assert run.status is Status.CONVERGED and q is not None
    precision = target.gaussian.precision
    np.testing.assert_allclose(q.variance * np.diagonal(precision), 1.0, rtol=2e-3)
    assert np.max(np.abs(q.mean - 1.0) / q.sd) < 1e-3
    assert run.elbo == pytest.approx(target.truth.log_normaliser - reverse_divergence(precision), abs=1e-6)


@pytest.mark.parametrize("name", ["banana", "bioassay"])
def test_its_bound_is_the_best_of_all_products(name: str) -> None:
    """At least that of the best Gaussian with independent coordinates, by quadrature, and not above the evidence."""
    target = targets.load(name)
    assert target.truth is not None
    moments = target.truth.moments
    run = ended(target)
    gaussian = reverse_kl(target, moments.mean, 0.5 * moments.sd)
    assert gaussian.normalised and run.status is Status.CONVERGED
    assert target.truth.log_normaliser - gaussian.divergence <= run.elbo + 1e-6
    assert run.elbo <= target.truth.log_normaliser + 4 * target.truth.log_normaliser_error + 1e-8


def test_a_product_is_its_own_approximation() -> None:
    """Independent Student t: heavy tails, and no Gaussian anywhere. The bound is the evidence."""
    target = targets.load("student_t", dim=1)
    assert target.truth is not None
    run = ended(target)
    q = run.approximation()
    assert q is not None and run.status is Status.CONVERGED
    assert run.elbo == pytest.approx(target.truth.log_normaliser, abs=1e-6)
    assert abs(np.log(q.sd[0] / target.truth.moments.sd[0])) < 5e-3


@kernel
def across(x, gradient, data):  # type: ignore[no-untyped-def]
    """Two unit Gaussians of equal weight at +-(a, a), with a = data[0, 0]: no product holds both."""
    a = data[0, 0]
    left = -0.5 * ((x[0] + a) ** 2 + (x[1] + a) ** 2)
    right = -0.5 * ((x[0] - a) ** 2 + (x[1] - a) ** 2)
    top = max(left, right)
    total = top + np.log(np.exp(left - top) + np.exp(right - top))
    share = np.exp(right - total)
    for i in range(2):
        gradient[i] = -(x[i] + a) + 2.0 * a * share
    return total - np.log(4.0 * np.pi)


def test_the_start_decides_between_optima() -> None:
    """Each costs the log of the mass that it holds. One side alone has a chance of 2^-23."""
    target = Target("across", 2, across, targets.data_matrix([[4.0]]), initial=lambda rng: 4 * rng.standard_normal(2))
    runs = [ended(target, seed) for seed in range(24)]
    sides = {int(np.sign(run.approximation().mean[0])) for run in runs}  # type: ignore[union-attr]
    assert sides == {-1, 1}
    np.testing.assert_allclose([run.elbo for run in runs], -np.log(2), atol=1e-4)


@kernel
def cut(x, gradient, data):  # type: ignore[no-untyped-def]
    """A Gaussian pair with correlation data[0, 0], of which only the half plane x[0] > 0 exists."""
    r = data[0, 0]
    gradient[0] = -(x[0] - r * x[1]) / (1 - r * r)
    gradient[1] = -(x[1] - r * x[0]) / (1 - r * r)
    value = 0.5 * (x[0] * gradient[0] + x[1] * gradient[1])
    return value if x[0] > 0.0 else -np.inf


def test_where_a_density_is_zero_so_is_its_factor() -> None:
    target = Target("cut", 2, cut, targets.data_matrix([[0.6]]), initial=lambda rng: np.abs(rng.standard_normal(2)))
    q = ended(target).approximation()
    assert q is not None
    draws = q.sample(np.random.default_rng(1), 10_000)
    assert np.mean(draws[:, 0] < 0) < 0.02  # one cell of the grid lies across the edge
    assert np.all(np.isfinite(q.covariance))


def test_gradients_are_not_needed() -> None:
    base = targets.load("banana")
    target = replace(base, tags=base.tags | {DENSITY_ALONE}, registered=False)
    run = ended(target)
    assert run.status is Status.CONVERGED and run.work.gradient_evaluations == 0
    assert run.elbo == pytest.approx(ended(base).elbo, abs=1e-4)


@given(st.integers(3, 30), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_a_marginal_is_one_distribution(nodes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    heights = rng.exponential(size=nodes) * (rng.random(nodes) > 0.2) + 1e-3
    marginal = Marginal(np.linspace(-1.0, 2.0, nodes), heights)
    fine = np.linspace(-1.0, 2.0, 20 * (nodes - 1) + 1)
    density, step = np.exp(marginal.log_density(fine)), fine[1] - fine[0]
    weights = np.full(len(fine), step)
    weights[[0, -1]] *= 0.5
    assert weights @ density == pytest.approx(1.0)
    assert weights @ (density * fine) == pytest.approx(marginal.mean, abs=5e-3)
    assert weights @ (density * (fine - marginal.mean) ** 2) == pytest.approx(marginal.variance, rel=1e-2)
    shares = np.linspace(0.001, 0.999, 41)
    below = np.interp(
        marginal.quantile(shares), fine, np.concatenate([[0], np.cumsum(0.5 * step * (density[1:] + density[:-1]))])
    )
    np.testing.assert_allclose(below, shares, atol=2e-3)
    assert np.all(np.diff(marginal.quantile(shares)) > 0)


def test_a_product_draws_from_its_density() -> None:
    """Kolmogorov's distance of 10,000 draws, at a false alarm rate below 1e-6 (2 exp(-2 n d^2))."""
    rng = np.random.default_rng(2)
    marginals = tuple(Marginal(np.linspace(0, 1, 9), rng.exponential(size=9)) for _ in range(2))
    draws = Product(marginals).sample(rng, 10_000)
    shares = (np.arange(10_000) + 0.5) / 10_000
    fine = np.linspace(0, 1, 801)
    for marginal, column in zip(marginals, np.sort(draws, axis=0).T, strict=True):
        density = np.exp(marginal.log_density(fine))
        below = np.concatenate([[0], np.cumsum(0.5 * (density[1:] + density[:-1]) / 800)])
        assert np.abs(np.interp(column, fine, below) - shares).max() < 0.03


def test_four_dimensions_are_refused() -> None:
    assert method("cavi_grid").unfit(targets.load("correlated_gaussian", dim=4)) == "a grid takes at most 3 dimensions"

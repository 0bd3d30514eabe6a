"""Flows: inverse, volume, density, score and gradients; what they gain on a Gaussian, and two modes that they cover."""

from typing import Any

import numpy as np
import pytest

import targets
from targets.options import UsageError
from targets.protocols import Status
from variational import Gaussian, method
from variational.evaluation import log_densities
from variational.flow import Flow, Map
from variational.flow_state import State
from variational.flow_vi import FlowRun
from variational.planar import Planar
from variational.realnvp import RealNVP

MAPS: dict[str, Map] = {
    "realnvp": RealNVP(3, 5, 6),
    "realnvp, two dimensions": RealNVP(2, 4, 8),
    "planar": Planar(3, 6),
    "planar, one dimension": Planar(1, 3),
}


def parameters_of(flow: Map, seed: int, by: float = 0.4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return flow.initial(rng) + by * rng.standard_normal(flow.size)


def base_of(dim: int) -> Gaussian:
    rng = np.random.default_rng(dim)
    return Gaussian(rng.standard_normal(dim), np.tril(0.3 * rng.standard_normal((dim, dim)), -1) + np.eye(dim))


@pytest.mark.parametrize("name", MAPS)
def test_it_starts_as_the_identity(name: str) -> None:
    flow = MAPS[name]
    z = np.random.default_rng(1).standard_normal((20, flow.dim))
    y, log_determinant = flow.push(flow.initial(np.random.default_rng(2)), z)
    np.testing.assert_allclose(y, z, atol=1e-14)
    np.testing.assert_allclose(log_determinant, 0.0, atol=1e-14)


@pytest.mark.parametrize("name", MAPS)
def test_the_inverse_is_one_at_foreign_points(name: str) -> None:
    """Points far out too, and more than one batch of them."""
    flow, parameters = MAPS[name], parameters_of(MAPS[name], 3)
    y = 3.0 * np.random.default_rng(4).standard_normal((300, flow.dim))
    z, log_determinant = flow.pull(parameters, y)
    back, same = flow.push(parameters, z)
    np.testing.assert_allclose(back, y, atol=1e-10)
    np.testing.assert_allclose(log_determinant, same, atol=1e-10)


@pytest.mark.parametrize("name", MAPS)
def test_the_log_determinant_is_that_of_finite_differences(name: str) -> None:
    flow, parameters = MAPS[name], parameters_of(MAPS[name], 5)
    z, step = np.random.default_rng(6).standard_normal((5, flow.dim)), 1e-5
    columns = [
        flow.push(parameters, z + step * e)[0] - flow.push(parameters, z - step * e)[0] for e in np.eye(flow.dim)
    ]
    jacobians = np.stack(columns, axis=2) / (2 * step)
    np.testing.assert_allclose(flow.push(parameters, z)[1], np.linalg.slogdet(jacobians)[1], atol=1e-7)


def test_planar_layers_at_the_edge_of_invertibility() -> None:
    """u far against w, where the raw layer would fold: u' . w stays above -1, and the inverse is found."""
    flow = Planar(2, 2)
    parameters = np.array([1.0, 2.0, -9.0, -9.0, 0.3, 2.0, -1.0, -30.0, 20.0, -0.2])
    z = 2.0 * np.random.default_rng(7).standard_normal((500, 2))
    y, log_determinant = flow.push(parameters, z)
    assert np.all(np.isfinite(log_determinant)) and log_determinant.min() < -5
    again = flow.push(parameters, flow.pull(parameters, y)[0])[0]
    np.testing.assert_allclose(again, y, atol=1e-10)


@pytest.mark.parametrize("name", ["realnvp, two dimensions", "planar, one dimension"])
def test_the_density_integrates_to_one(name: str) -> None:
    flow = MAPS[name]
    q = Flow(base_of(flow.dim), flow, parameters_of(flow, 8, 0.3))
    axis = np.linspace(-14, 14, 561 if flow.dim == 2 else 40_001)
    grid = np.stack([a.ravel() for a in np.meshgrid(*[axis] * flow.dim)], axis=1)
    total = np.exp(q.log_density(grid)).sum() * (axis[1] - axis[0]) ** flow.dim
    assert total == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("share", [0.0, 1.0, 0.4])
def test_the_gradient_is_that_of_finite_differences(name: str, share: float) -> None:
    """Of E (log p - log q), with the draws' q held fixed: the path's part; and of log q at fixed draws: the score's."""
    flow, parameters = MAPS[name], parameters_of(MAPS[name], 9, 0.3)
    target, base, batch, beta = targets.load("bimodal_mixture", dim=flow.dim, separation=3.0), base_of(flow.dim), 6, 0.7
    state = State.at(flow, parameters, base, batch)
    state.train(target, np.random.default_rng(10), flow, 1, 0.0, share, beta, 0.0)
    rng = np.random.default_rng(10)
    half = batch // 2
    z = rng.standard_normal((flow.dim, half)).T if isinstance(flow, RealNVP) else rng.standard_normal((half, flow.dim))
    z = np.concatenate([z, -z])
    q = Flow(base, flow, parameters)

    def log_ratio(x: np.ndarray) -> np.ndarray:
        annealed = beta * log_densities(target, x) + (1 - beta) * base.log_density(x)
        return np.asarray(annealed - q.log_density(x))

    drawn = q.colour(z)
    weights = log_ratio(drawn) - log_ratio(drawn).mean()
    weights *= batch / (batch - 1)

    def objective(moved: np.ndarray) -> float:
        other = Flow(base, flow, moved)
        return float(np.mean((1 - share) * log_ratio(other.colour(z)) + share * weights * other.log_density(drawn)))

    step = 1e-5
    rng = np.random.default_rng(11)
    for unit in rng.standard_normal((20, flow.size)):
        slope = (objective(parameters + step * unit) - objective(parameters - step * unit)) / (2 * step)
        assert state.gradient @ unit == pytest.approx(slope, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_gradient_has_no_noise_where_the_flow_is_exact(share: float) -> None:
    target = targets.load("correlated_gaussian", dim=3, rho=0.6)
    assert target.truth is not None
    flow = RealNVP(3, 3, 4)
    base = Gaussian.from_moments(target.truth.moments.mean, target.truth.moments.covariance)
    state = State.at(flow, flow.initial(np.random.default_rng(1)), base, 4)
    state.train(target, np.random.default_rng(2), flow, 1, 0.0, share, 1.0, 0.0)
    assert np.max(np.abs(state.gradient)) < 1e-12


def finished(name: str, target: targets.Target, seed: int, budget: int, **options: Any) -> FlowRun:
    run = method(name, **options).start(target, seed)
    assert isinstance(run, FlowRun)
    while run.status is Status.RUNNING and run.work.total < budget:
        run.advance(20_000)
    return run


def bound(run: FlowRun, target: targets.Target) -> tuple[float, float]:
    """E_q (log p - log q) from draws of its own, with its standard error."""
    q = run.approximation()
    assert q is not None
    draws = q.sample(np.random.default_rng(12), 20_000)
    density = q.log_density(draws)
    assert density is not None
    ratios = target.log_densities(draws) - density
    return float(ratios.mean()), float(ratios.std() / np.sqrt(len(ratios)))


def test_a_flow_on_independent_coordinates_learns_their_correlation() -> None:
    """On a Gaussian the family contains the target: 0.83 nats are lost by its base, and nearly none by the flow."""
    target = targets.load("correlated_gaussian", dim=2, rho=0.9)
    assert target.truth is not None
    run = finished("realnvp", target, 1, 150_000, base="meanfield", rate=0.003, couplings=4)
    value, error = bound(run, target)
    assert target.truth.log_normaliser - value < 0.03 + 6 * error


@pytest.mark.parametrize("name", ["realnvp", "planar"])
def test_a_flow_is_never_worse_than_its_base(name: str) -> None:
    """And much better on a banana; what it says of its bound is so."""
    target = targets.load("banana", dim=2, scale=1.0, curvature=0.5)
    base = finished(name, target, 3, 1, annealing=0)
    while base.state is None:
        base.advance(1000)
    before, before_error = bound(base, target)
    run = finished(name, target, 3, 60_000)
    after, after_error = bound(run, target)
    assert after > before + 6 * np.hypot(before_error, after_error)
    spread = np.std(run.log_ratios) / np.sqrt(len(run.log_ratios)) if run.log_ratios is not None else np.nan
    assert run.diagnostics()["elbo"] == pytest.approx(after, abs=6 * np.hypot(spread, after_error))


def test_an_annealed_flow_covers_both_modes() -> None:
    """Ten standard deviations apart, where a fit without annealing takes one: off by a half. This is within a fifth."""
    target = targets.load("bimodal_mixture", dim=2, separation=10.0)
    lost = finished("planar", target, 2, 60_000).approximation()
    covered = finished("planar", target, 2, 300_000, annealing=4000).approximation()
    assert lost is not None and covered is not None and target.truth is not None and target.truth.modes is not None
    masses = [target.truth.modes.assign(q.sample(np.random.default_rng(1), 4000)).mean() for q in (lost, covered)]
    assert abs(masses[0] - 0.5) == pytest.approx(0.5, abs=1e-3)
    assert abs(masses[1] - 0.5) < 0.2


def test_options_are_checked_in_a_line() -> None:
    for name, options, message in (
        ("realnvp", {"base": "cauchy"}, "takes fullrank, meanfield, laplace, starts or none"),
        ("planar", {"layers": 0}, "takes 1 or more"),
        ("realnvp", {"draws": 3}, "takes an even number"),
        ("realnvp", {"annealing": -1}, "number of steps, or 0 for none"),
    ):
        with pytest.raises(UsageError, match=message):
            method(name, **options)
    assert method("realnvp").unfit(targets.load("correlated_gaussian", dim=1)) is not None

"""A network against finite differences and against numpy; Adam against its formula."""

import numpy as np
import pytest

from targets.options import UsageError
from variational.network import BETA_1, BETA_2, EARLY, EPSILON, SUDDEN, Network, run_adam

# Row and column counts that are no multiples of the blocks of the loops, and such that are.
SHAPES = [(3, 7, 6, 5), (4, 8, 8, 4), (1, 1), (5, 2, 1)]


def parameters_of(network: Network, rng: np.random.Generator) -> np.ndarray:
    return network.initial(rng) + 0.3 * rng.standard_normal(network.size)


def by_numpy(network: Network, parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
    at = 0
    for k, (a, b) in enumerate(zip(network.layers[:-1], network.layers[1:], strict=True)):
        weights = parameters[at : at + a * b].reshape(b, a)
        x = x @ weights.T + parameters[at + a * b : at + (a + 1) * b]
        at += (a + 1) * b
        if k < len(network.layers) - 2:
            x = np.tanh(x) if network.activation == "tanh" else np.maximum(x, 0.0)
    return x


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("layers", SHAPES)
def test_outputs_are_those_of_numpy(layers: tuple[int, ...], activation: str) -> None:
    rng = np.random.default_rng(1)
    network = Network(layers, activation)
    parameters, x = parameters_of(network, rng), 5.0 * rng.standard_normal((9, layers[0]))
    np.testing.assert_allclose(network(parameters, x), by_numpy(network, parameters, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("layers", SHAPES)
def test_gradients_are_those_of_finite_differences(layers: tuple[int, ...], activation: str) -> None:
    rng = np.random.default_rng(2)
    network = Network(layers, activation)
    parameters, x = parameters_of(network, rng), rng.standard_normal((6, layers[0]))
    slopes, step = rng.standard_normal((6, layers[-1])), 1e-6
    found, found_inputs = network.gradient(parameters, x, slopes)
    for k, unit in enumerate(np.eye(network.size)):
        change = by_numpy(network, parameters + step * unit, x) - by_numpy(network, parameters - step * unit, x)
        assert found[k] == pytest.approx(np.sum(slopes * change) / (2 * step), abs=1e-7)
    for i, unit in enumerate(np.eye(layers[0])):
        change = by_numpy(network, parameters, x + step * unit) - by_numpy(network, parameters, x - step * unit)
        np.testing.assert_allclose(found_inputs[:, i], np.sum(slopes * change, axis=1) / (2 * step), atol=1e-7)


def test_tanh_is_tanh_everywhere() -> None:
    network = Network((1, 1, 1))
    identity = np.array([1.0, 0.0, 1.0, 0.0])
    x = np.concatenate([np.linspace(-40, 40, 4001), np.geomspace(1e-12, 1, 100)])
    np.testing.assert_allclose(network(identity, x[:, None])[:, 0], np.tanh(x), rtol=2e-15)


def test_adam_is_that_of_the_paper_until_a_gradient_is_sudden() -> None:
    rng = np.random.default_rng(3)
    size, rate = 5, 0.01
    x, first, second, pace = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(2)
    ours, m, v = np.zeros(size), np.zeros(size), np.zeros(size)
    for t in range(1, int(EARLY) + 20):
        gradient = rng.standard_normal(size)
        run_adam(x, gradient, first, second, pace, rate)
        m, v = BETA_1 * m + (1 - BETA_1) * gradient, BETA_2 * v + (1 - BETA_2) * gradient**2
        ours += rate * m / (1 - BETA_1**t) / (np.sqrt(v / (1 - BETA_2**t)) + EPSILON)
        np.testing.assert_allclose(x, ours, rtol=1e-10)
    usual = pace[1]
    before = first.copy()
    run_adam(x, np.full(size, 1e9), first, second, pace, rate)
    jump = (first - BETA_1 * before) / (1 - BETA_1)
    assert np.linalg.norm(jump) == pytest.approx(SUDDEN * usual)
    kept = x.copy()
    run_adam(x, np.full(size, np.nan), first, second, pace, rate)
    np.testing.assert_array_equal(x, kept)


def test_shapes_that_are_no_networks_are_refused() -> None:
    with pytest.raises(UsageError, match="two or more layers"):
        Network((3,))
    with pytest.raises(UsageError, match="takes tanh, relu"):
        Network((3, 2), "sine")

"""Labels drawn anew for every draw: all orders, as often as each other, and the same however the work is cut."""

import numpy as np
import pytest

import samplers
import targets
from samplers.gibbs.labels import MOST, relabelled
from targets.relabelling import all_from
from tests.runs import advanced


@pytest.mark.parametrize(("components", "expected"), [(2, 2), (3, 6), (4, 24), (8, 0)])
def test_orders_are_all_that_exchanges_of_neighbours_generate(components: int, expected: int) -> None:
    exchanges = []
    for k in range(components - 1):
        order = list(range(components))
        order[k], order[k + 1] = k + 1, k
        exchanges.append(tuple(order))
    found = all_from(exchanges, MOST)
    assert len({tuple(order) for order in found}) == len(found) == expected
    assert not found or np.array_equal(found[0], np.arange(components))


def test_each_order_comes_as_often() -> None:
    """60,000 draws: 5.5 standard errors of a frequency of a sixth are 0.0084, and alarm once in 4e6."""
    among = all_from([(1, 0, 2), (0, 2, 1)])
    drawn = relabelled(np.tile([1.0, 2.0, 3.0], (60_000, 1)), among, (1, 2), 0)
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert np.all(np.abs(counts / len(drawn) - 1 / 6) < 0.0084)


def test_a_draw_keeps_its_order_whatever_comes_before_it() -> None:
    among, draws = all_from([(1, 0)]), np.random.default_rng(0).normal(size=(50, 2))
    assert np.array_equal(relabelled(draws, among, (3,), 0)[20:], relabelled(draws[20:], among, (3,), 20))


def test_chains_of_gibbs_weigh_both_orders_of_a_mixture_alike() -> None:
    """Components far apart, of which sweeps never exchange any: without new labels each chain would have one order."""
    target = targets.load("conjugate_mixture")
    draws = advanced(samplers.method("gibbs").start(target, 1), 20_000).draws
    means = draws[:, :, [target.coordinates.index(name) for name in target.coordinates if name.startswith("mean")]]
    share = np.mean(means[:, :, 0] < means[:, :, 2], axis=1)
    assert np.all(np.abs(share - 0.5) < 5.5 * 0.5 / np.sqrt(draws.shape[1]))
    assert np.max(samplers.Draws(draws).r_hat) < 1.01


@pytest.mark.parametrize("name", ["conjugate_mixture", "hidden_markov"])
def test_races_have_the_moments_of_the_certificate(name: str) -> None:
    """In every coordinate, those that the data say nothing of included: six standard errors, once in 5e8 each."""
    target = targets.load(name)
    assert target.truth is not None
    moments = target.truth.moments
    draws = samplers.Draws(advanced(samplers.method("gibbs").start(target, 2), 40_000).draws)
    squares = samplers.Draws((draws.values - moments.mean) ** 2)
    assert np.min([draws.ess_bulk, squares.ess_bulk]) > 400
    assert np.max(np.abs(draws.mean - moments.mean) / np.sqrt(moments.variance / draws.ess_bulk)) < 6
    error = np.sqrt(moments.variance_of_centred_square / squares.ess_bulk)
    assert np.max(np.abs(squares.mean - moments.variance) / error) < 6

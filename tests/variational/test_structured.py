"""Gaussians of a graph: their densities, the optimum of the reverse KL, and the structures that are found."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import approx_fprime

import targets
from targets.kernel import aligned
from targets.options import UsageError
from targets.plain import from_python
from targets.protocols import Status
from targets.target import Target
from variational import method
from variational.closed_form import kl_from_precision
from variational.gaussian import Gaussian
from variational.graph import Graph, bands, blocks, groups, tree
from variational.structured import Chained, nearest
from variational.structured_steps import clique_covariances

GRAPHS = {
    "bands": bands(6, 2),
    "blocks": blocks([[0, 3], [1, 2, 5], [4]]),
    "tree": Graph.of([2, 0, 4, 1, 3, 5], {2: [], 0: [2], 4: [2], 1: [4], 3: [0], 5: [4]}),
}


def member(graph: Graph, seed: int = 0) -> Chained:
    rng = np.random.default_rng(seed)
    dim, width = (int(n) for n in graph.parents.shape)
    weights = np.where(graph.parents < 0, np.zeros((dim, width)), rng.standard_normal((dim, width)))
    return Chained(graph, rng.standard_normal(dim), weights, np.exp(0.5 * rng.standard_normal(dim)))


def gaussian(precision: np.ndarray, mean: np.ndarray) -> Target:
    """A Gaussian target from plain Python."""

    def density(x: np.ndarray) -> tuple[float, np.ndarray]:
        slope = -precision @ (x - mean)
        return 0.5 * float(slope @ (x - mean)), slope

    return from_python(density, dim=len(mean))


def random_precision(dim: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((2 * dim, dim))
    return rows.T @ rows / dim


def fit(target: Target, **options: Any) -> Chained:
    run = method("structured", **options).start(target, 1)
    while run.status is Status.RUNNING and run.work.total < 100_000:
        run.advance(10_000)
    q = run.approximation()
    assert run.status is Status.CONVERGED and isinstance(q, Chained)
    return q


@pytest.mark.parametrize("name", GRAPHS)
def test_a_member_is_the_gaussian_that_its_covariance_says(name: str) -> None:
    q = member(GRAPHS[name])
    plain = Gaussian.from_moments(q.mean, q.covariance)
    x = q.sample(np.random.default_rng(1), 50)
    np.testing.assert_allclose(q.log_density(x), plain.log_density(x), rtol=1e-9)
    np.testing.assert_allclose(q.colour(q.standardise(x)), x, rtol=1e-9)
    np.testing.assert_allclose(q.entropy, plain.entropy)
    np.testing.assert_allclose(q.precision @ q.covariance, np.eye(6), atol=1e-9)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_precision_has_the_zeros_of_the_graph(name: str) -> None:
    graph = GRAPHS[name]
    edges = np.eye(6, dtype=bool)
    for i, each in enumerate(graph.parents):
        edges[i, each[each >= 0]] = edges[each[each >= 0], i] = True
    assert np.all(member(graph).precision[~edges] == 0) and not np.all(edges)


@pytest.mark.parametrize("name", GRAPHS)
def test_cliques_have_the_covariance_of_the_whole(name: str) -> None:
    q = member(GRAPHS[name], 3)
    dim, width = q.weights.shape
    graph, cliques = q.graph, np.zeros((dim, width + 1, width + 1))
    clique_covariances.py_func(graph.order, graph.parents, graph.places, aligned(q.weights), np.log(q.sds), cliques)
    for i, each in enumerate(graph.parents):
        inside = [*each[each >= 0], i]
        n = len(inside)
        np.testing.assert_allclose(cliques[i, :n, :n], q.covariance[np.ix_(inside, inside)], rtol=1e-9)


def test_regressions_give_back_what_has_the_structure() -> None:
    for graph in GRAPHS.values():
        q = member(graph, 5)
        np.testing.assert_allclose(nearest(graph, q.mean, q.covariance).covariance, q.covariance, rtol=1e-8)


@pytest.mark.parametrize("structure", ["tree", "banded"])
def test_a_chain_is_fitted_exactly(structure: str) -> None:
    """AR(1) is a Markov chain: its tree, and every band, hold it."""
    target = targets.load("correlated_gaussian", dim=8, rho=0.9)
    assert target.truth is not None
    q = fit(target, structure=structure, width=1)
    np.testing.assert_allclose(q.covariance, target.truth.moments.covariance, atol=1e-6)


def test_blocks_have_the_precision_of_the_target_within_them() -> None:
    """The optimum of the reverse KL over independent blocks: Bishop 2006, section 10.1.2, block by block."""
    precision = random_precision(5, 2)
    q = fit(gaussian(precision, np.arange(5.0)), structure="blocks", blocks="2+3")
    np.testing.assert_allclose(q.precision[:2, :2], precision[:2, :2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(q.precision[2:, 2:], precision[2:, 2:], rtol=1e-5, atol=1e-6)
    assert np.all(q.precision[:2, 2:] == 0)
    np.testing.assert_allclose(q.mean, np.arange(5.0), atol=1e-3)


@pytest.mark.parametrize("options", [{"structure": "tree"}, {"structure": "banded", "width": 2}])
def test_no_member_is_nearer_where_the_family_lacks_the_target(options: dict[str, object]) -> None:
    """The derivative of KL(q || p) in every weight and log sd vanishes, by finite differences of its closed form."""
    precision, mean = random_precision(5, 4), np.zeros(5)
    q = fit(gaussian(precision, mean), **options)

    def divergence(free: np.ndarray) -> float:
        weights = np.zeros_like(q.weights)
        held = q.graph.parents >= 0
        weights[held] = free[5:]
        return kl_from_precision(Chained(q.graph, mean, weights, np.exp(free[:5])), mean, precision)

    free = np.concatenate([np.log(q.sds), q.weights[q.graph.parents >= 0]])
    slope = approx_fprime(free, divergence, 1e-6)
    assert divergence(free) > 0.01
    assert np.max(np.abs(slope)) < 2e-3
    planted = free.copy()
    planted[-1] += 0.1
    assert np.max(np.abs(approx_fprime(planted, divergence, 1e-6))) > 1e-2


def test_the_tree_of_the_strongest_information_is_found() -> None:
    """Of a star and of a chain out of order, from their correlations alone."""
    rng = np.random.default_rng(0)
    for edges in ([(3, 0), (3, 1), (3, 2), (3, 4)], [(4, 0), (0, 2), (2, 1), (1, 3)]):
        first = edges[0][0]
        order: list[int] = [first]
        parents: dict[int, list[int]] = {first: []}
        for a, b in edges:
            order.append(b)
            parents[b] = [a]
        graph = Graph.of(order, parents)
        weights = np.where(graph.parents >= 0, rng.choice([-0.8, 0.8], (5, 1)), 0.0)
        q = Chained(graph, np.zeros(5), weights, np.full(5, 0.6))
        correlation = q.covariance / np.outer(q.sd, q.sd)
        found = tree(correlation)
        seen = {frozenset((i, int(each[0]))) for i, each in enumerate(found.parents) if each[0] >= 0}
        assert seen == {frozenset(edge) for edge in edges}


def test_groups_join_what_is_coupled() -> None:
    coupling = np.eye(5)
    for i, j, strength in ((0, 4, 0.9), (1, 2, -0.8), (2, 3, 0.7), (0, 1, 0.1)):
        coupling[i, j] = coupling[j, i] = strength
    assert groups(coupling, 3) == [[0, 4], [1, 2, 3]]
    assert groups(coupling, 1) == [[0], [1], [2], [3], [4]]


def test_options_that_are_not_accepted() -> None:
    for options, message in (
        ({"structure": "ring"}, "it takes tree, blocks, banded"),
        ({"width": 0}, "it takes 1 or more"),
        ({"blocks": "2+x", "structure": "blocks"}, "sizes such as 2"),
        ({"blocks": "2+3"}, "structure=blocks"),
    ):
        with pytest.raises(UsageError, match=message):
            method("structured", **options)
    refused = method("structured", structure="blocks", blocks="2+3").unfit(targets.load("correlated_gaussian", dim=4))
    assert refused is not None and "2+3" in refused

"""Known answers for the Rosenbrock densities."""

import itertools

import numpy as np
import pytest

import targets


def chains_of(variant: str, length: int, chains: int) -> list[list[int]]:
    """Indices of each chain's coordinates, written out."""
    if variant == "even":
        return [list(range(j * length, (j + 1) * length)) for j in range(chains)]
    return [[0, *range(1 + j * (length - 1), 1 + (j + 1) * (length - 1))] for j in range(chains)]


@pytest.mark.parametrize("variant", ["hybrid", "even"])
@pytest.mark.parametrize(("length", "chains"), [(2, 1), (2, 4), (3, 2), (5, 3)])
def test_the_density_is_the_sum_over_chains(variant: str, length: int, chains: int) -> None:
    target = targets.load("rosenbrock", variant=variant, length=length, chains=chains, mu=0.5, a=0.7, b=3.0)
    x = np.random.default_rng(1).standard_normal((20, target.dim))
    expected, seen = np.zeros(20), set()
    for chain in chains_of(variant, length, chains):
        if chain[0] not in seen:
            expected -= 0.7 * (x[:, chain[0]] - 0.5) ** 2
        for previous, k in itertools.pairwise(chain):
            expected -= 3.0 * (x[:, k] - x[:, previous] ** 2) ** 2
        seen.update(chain)
    assert seen == set(range(target.dim))
    np.testing.assert_allclose(target.log_densities(x), expected, rtol=1e-12)


@pytest.mark.parametrize("variant", ["hybrid", "even"])
def test_moments_by_quadrature(variant: str) -> None:
    """Two chains of three: Gauss-Hermite quadrature is exact for polynomials of the standard normals behind them."""
    mu, a, b = 0.5, 0.7, 3.0
    truth = targets.load("rosenbrock", variant=variant, length=3, chains=2, mu=mu, a=a, b=b).truth
    assert truth is not None
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    weights /= weights.sum()
    # within a chain
    one, two, three = np.meshgrid(nodes, nodes, nodes, indexing="ij")
    mass = np.einsum("i,j,k->ijk", weights, weights, weights)
    first = mu + one / np.sqrt(2 * a)
    second = first**2 + two / np.sqrt(2 * b)
    third = second**2 + three / np.sqrt(2 * b)
    chain = chains_of(variant, 3, 2)[1]
    for i, x in zip(chain, (first, second, third), strict=True):
        mean = (mass * x).sum()
        assert truth.moments.mean[i] == pytest.approx(mean, rel=1e-12)
        for j, y in zip(chain, (first, second, third), strict=True):
            expected = (mass * (x - mean) * y).sum()
            assert truth.moments.covariance[i, j] == pytest.approx(expected, rel=1e-11)
        if i != chain[-1]:  # its eighth power is beyond these nodes
            squares = (mass * x**4).sum() - (mass * x**2).sum() ** 2
            assert truth.moments.variance_of_square[i] == pytest.approx(squares, rel=1e-11)
    # between chains: through the first coordinate, or not at all
    other = chains_of(variant, 3, 2)[0]
    given_first = [first, first**2, first**4 + 0.5 / b]
    for i, x in zip(other[1:], given_first[1:], strict=True):
        for j, y in zip(chain[1:], given_first[1:], strict=True):
            expected = (mass * x * y).sum() - (mass * x).sum() * (mass * y).sum()
            claimed = truth.moments.covariance[i, j]
            assert claimed == pytest.approx(expected if variant == "hybrid" else 0.0, rel=1e-11)


def test_one_chain_of_two_is_a_banana() -> None:
    rosenbrock, banana = targets.load("rosenbrock", length=2, chains=1, mu=0.0, a=0.125, b=0.5), targets.load("banana")
    scale, curvature = 2.0, 1.0
    banana = targets.load("banana", scale=scale, curvature=curvature)
    x = np.random.default_rng(2).standard_normal((10, 2))
    shifted = x + np.array([0.0, curvature * scale**2])
    np.testing.assert_allclose(rosenbrock.log_densities(shifted), banana.log_densities(x), rtol=1e-12)
    assert rosenbrock.truth is not None
    assert banana.truth is not None
    np.testing.assert_allclose(rosenbrock.truth.moments.covariance, banana.truth.moments.covariance, atol=1e-12)
    np.testing.assert_allclose(
        rosenbrock.truth.moments.variance_of_centred_square,
        banana.truth.moments.variance_of_centred_square,
        rtol=1e-12,
    )
    assert rosenbrock.truth.entropy == pytest.approx(banana.truth.entropy)


@pytest.mark.parametrize(
    "options",
    [{"variant": "full"}, {"length": 1}, {"length": 6}, {"chains": 0}, {"a": 0.0}, {"b": -1.0}, {"mu": 1e300}],
)
def test_bad_options_get_one_line(options: dict[str, object]) -> None:
    with pytest.raises(targets.UsageError, match="is not accepted"):
        targets.load("rosenbrock", **options)

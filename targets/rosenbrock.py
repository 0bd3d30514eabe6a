"""Rosenbrock densities that can be drawn from and integrated exactly (Pagani, Wiegand and Nadarajah 2022).

    -log p = a (first - mu)^2 + b * sum over each chain first -> second -> ... of (next - previous^2)^2

"An n-dimensional Rosenbrock distribution for MCMC testing", Scandinavian Journal of Statistics 49. The `hybrid` has one
first coordinate, from which all chains start; in the `even` each chain has its own. Given the one before it, each
coordinate is Gaussian about its square.
"""

import math
from collections.abc import Iterator

import numpy as np

from targets.kernel import Matrix, Vector, data_matrix, density, helper, kernel
from targets.options import require
from targets.target import Target
from targets.truth import Certificate, Moments, Truth

VARIANTS = ("hybrid", "even")
LONGEST = 5  # coordinates in a chain: the fourth moment of the last is one of order 64 of the first


@helper
def _chain(x, gradient, root, start, links, b):  # type: ignore[no-untyped-def]
    """Writes the gradient of the chain's own coordinates; its energy, and its pull on its first coordinate."""
    first = x[root]
    away = x[start] - first * first
    energy, pull = b * away * away, 4.0 * b * first * away
    for k in range(links - 1):
        value = x[start + k]
        ahead = x[start + k + 1] - value * value
        gradient[start + k] = 4.0 * b * value * ahead - 2.0 * b * away
        energy += b * ahead * ahead
        away = ahead
    gradient[start + links - 1] = -2.0 * b * away
    return energy, pull


@helper
def _chain_energy(x, root, start, links, b):  # type: ignore[no-untyped-def]
    previous, energy = x[root], 0.0
    for k in range(links):
        away = x[start + k] - previous * previous
        energy += b * away * away
        previous = x[start + k]
    return energy


@kernel
def hybrid(x, gradient, data):  # type: ignore[no-untyped-def]
    """One row: mu, a, b, and the number of links of a chain."""
    mu, a, b, links = data[0, 0], data[0, 1], data[0, 2], int(data[0, 3])
    away = x[0] - mu
    energy, slope = a * away * away, -2.0 * a * away
    for j in range((x.shape[0] - 1) // links):
        more, pull = _chain(x, gradient, 0, 1 + j * links, links, b)
        energy += more
        slope += pull
    gradient[0] = slope
    return -energy


@density
def hybrid_density(x, data):  # type: ignore[no-untyped-def]
    """As `hybrid`."""
    links = int(data[0, 3])
    energy = data[0, 1] * (x[0] - data[0, 0]) ** 2
    for j in range((x.shape[0] - 1) // links):
        energy += _chain_energy(x, 0, 1 + j * links, links, data[0, 2])
    return -energy


@kernel
def even(x, gradient, data):  # type: ignore[no-untyped-def]
    """As `hybrid` for the data."""
    mu, a, b, links = data[0, 0], data[0, 1], data[0, 2], int(data[0, 3])
    energy = 0.0
    for j in range(x.shape[0] // (links + 1)):
        root = j * (links + 1)
        away = x[root] - mu
        more, pull = _chain(x, gradient, root, root + 1, links, b)
        gradient[root] = pull - 2.0 * a * away
        energy += a * away * away + more
    return -energy


@density
def even_density(x, data):  # type: ignore[no-untyped-def]
    """As `hybrid` for the data."""
    links = int(data[0, 3])
    energy = 0.0
    for j in range(x.shape[0] // (links + 1)):
        root = j * (links + 1)
        energy += data[0, 1] * (x[root] - data[0, 0]) ** 2 + _chain_energy(x, root, root + 1, links, data[0, 2])
    return -energy


def rosenbrock(
    *, variant: str = "hybrid", length: int = 3, chains: int = 2, mu: float = 1.0, a: float = 0.5, b: float = 5.0
) -> Target:
    """A Rosenbrock density of chains of coordinates, with everything known in closed form.

    Args:
        variant: 'hybrid': all chains start from one coordinate, 1 + chains (length - 1) dimensions; 'even': each from
            its own, chains x length dimensions. One chain of two is the well-known banana in either.
        length: coordinates of a chain, the first included; n1 in the paper.
        chains: their number; n2 in the paper.
        mu: mean of the first coordinates.
        a: half the precision of the first coordinates.
        b: half the precision of each other coordinate about the square of the one before.

    Raises:
        UsageError: an option is out of range.
    """
    require(variant in VARIANTS, f"rosenbrock: variant={variant!r} is not accepted; it takes {' or '.join(VARIANTS)}")
    require(2 <= length <= LONGEST, f"rosenbrock: length={length} is not accepted; it takes 2 to {LONGEST}")
    require(chains >= 1, f"rosenbrock: chains={chains} is not accepted; it takes 1 or more")
    require(math.isfinite(mu), f"rosenbrock: mu={mu:g} is not accepted; it takes a finite number")
    for name, value in (("a", a), ("b", b)):
        require(0.0 < value < math.inf, f"rosenbrock: {name}={value:g} is not accepted; it takes a positive number")
    shared = variant == "hybrid"
    links = length - 1
    roots = 1 if shared else chains
    dim = roots + chains * links
    moments = _moments(shared, length, chains, mu, 0.5 / a, 0.5 / b)
    require(
        bool(np.isfinite(moments.variance_of_square).all()),
        f"rosenbrock: a={a:g}, b={b:g}, mu={mu:g} is not accepted with length={length}: the moments are too large",
    )

    layout = list(_layout(shared, length, chains))
    first = sorted({root for root, _ in layout})
    sd = np.full(dim, math.sqrt(0.5 / b))
    sd[first] = math.sqrt(0.5 / a)

    def sample(rng: np.random.Generator, n: int) -> Matrix:
        draws: Matrix = rng.standard_normal((n, dim)) * sd
        draws[:, first] += mu
        for root, rest in layout:
            for previous, k in zip((root, *rest), rest, strict=False):
                draws[:, k] += draws[:, previous] ** 2
        return draws

    truth = Truth(
        moments,
        Certificate("closed form"),
        sample=sample,
        log_normaliser=0.5 * (roots * math.log(math.pi / a) + chains * links * math.log(math.pi / b)),
    )
    return Target(
        name="rosenbrock",
        dim=dim,
        log_density_and_gradient=hybrid if shared else even,
        log_density=hybrid_density if shared else even_density,
        data=data_matrix([[mu, a, b, links]]),
        truth=truth.with_entropy_from(-0.5 * dim),
        coordinates=_names(shared, length, chains),
        description=f"{variant} Rosenbrock density in {dim} dimensions",
    )


def _layout(shared: bool, length: int, chains: int) -> Iterator[tuple[int, range]]:
    """Of each chain, the index of its first coordinate and those of the others."""
    for j in range(chains):
        root = 0 if shared else j * length
        start = 1 + j * (length - 1) if shared else root + 1
        yield root, range(start, start + length - 1)


def _names(shared: bool, length: int, chains: int) -> tuple[str, ...]:
    rest = [[f"x[{j},{i}]" for i in range(2, length + 1)] for j in range(1, chains + 1)]
    if shared:
        return ("x[1]", *(name for chain in rest for name in chain))
    return tuple(name for j, chain in enumerate(rest, 1) for name in (f"x[{j},1]", *chain))


def _given_previous(polynomial: Vector, variance: float) -> Vector:
    """The coefficients of E[p(x) | y] as a polynomial in y, where x ~ N(y^2, variance)."""
    given = np.zeros(2 * len(polynomial) - 1)
    for k, coefficient in enumerate(polynomial):
        moment = 1.0  # of order 2 m of a standard normal, times variance^m
        for m in range(k // 2 + 1):
            given[2 * (k - 2 * m)] += coefficient * math.comb(k, 2 * m) * moment
            moment *= (2 * m + 1) * variance
    return given


def _expected(polynomial: Vector, mean: float, variance: float) -> float:
    """E p(x) for x ~ N(mean, variance)."""
    before, moment = 0.0, 1.0  # of the orders k - 1 and k
    total = 0.0
    for k, coefficient in enumerate(polynomial):
        total += coefficient * moment
        before, moment = moment, mean * moment + k * variance * before
    return total


def _moments(shared: bool, length: int, chains: int, mu: float, first: float, other: float) -> Moments:
    """Every moment is that of a polynomial, taken back along its chain to a first coordinate N(mu, first)."""

    def to_root(polynomial: Vector, steps: int) -> Vector:
        for _ in range(steps):
            polynomial = _given_previous(polynomial, other)
        return polynomial

    powers = np.eye(5)
    with np.errstate(over="ignore", invalid="ignore"):
        raw = np.array([[_expected(to_root(power, i), mu, first) for power in powers] for i in range(length)])
        one, two, three, four = raw[:, 1:].T
        within, across = np.empty((length, length)), np.empty((length, length))
        for i in range(length):
            for later in range(i, length):
                forth = to_root(powers[1], later - i)
                within[i, later] = within[later, i] = _expected(to_root(np.append(0.0, forth), i), mu, first)
                both = np.convolve(to_root(powers[1], i), to_root(powers[1], later))
                across[i, later] = across[later, i] = _expected(both, mu, first)
        central = np.array([two - one**2, three - 3 * one * two + 2 * one**3])
        fourth = four - 4 * one * three + 6 * one**2 * two - 3 * one**4
    within -= np.outer(one, one)
    across -= np.outer(one, one)
    place = _places(shared, length, chains)
    chain, order = place.T
    same = chain[:, None] == chain
    rooted = shared * np.ones_like(same) | same
    covariance = np.where(same, within[np.ix_(order, order)], rooted * across[np.ix_(order, order)])
    return Moments.from_central(one[order], covariance, central[1][order], fourth[order])


def _places(shared: bool, length: int, chains: int) -> np.ndarray:
    """(dim, 2) integers: of each coordinate its chain, and its order in it."""
    dim = (1 if shared else chains) + chains * (length - 1)
    place = np.zeros((dim, 2), dtype=np.intp)
    for j, (root, rest) in enumerate(_layout(shared, length, chains)):
        place[root] = j, 0
        place[list(rest), 0] = j
        place[list(rest), 1] = range(1, length)
    return place

"""Two Gaussians side by side, in any dimension, with their weights, distance and widths chosen."""

import math

import numpy as np
from scipy.special import gammainccinv, gammaincinv, gammaln, ndtr

from targets.kernel import Matrix, Vector, data_matrix, density, kernel
from targets.options import require
from targets.target import Target
from targets.truth import Certificate, Modes, Moments, Truth


@kernel
def pair(x, gradient, data):  # type: ignore[no-untyped-def]
    """One row: half the separation, then for each component its precision and its log weight less dim log sd."""
    half, left, right = data[0, 0], data[0, 1], data[0, 3]
    first = x[0]
    rest = 0.0
    for i in range(1, x.shape[0]):
        rest += x[i] * x[i]
    to_left, to_right = first + half, first - half
    # log of the right over the left component, arranged so that nothing cancels far out where the widths agree
    ratio = data[0, 4] - data[0, 2] - 0.5 * (right - left) * (rest + to_right * to_right) + 2.0 * left * half * first
    small = math.exp(-abs(ratio))
    share = 1.0 / (1.0 + small)
    left_height = data[0, 2] - 0.5 * left * (rest + to_left * to_left)
    right_height = data[0, 4] - 0.5 * right * (rest + to_right * to_right)
    pull_left = left * share * (small if ratio > 0.0 else 1.0)
    pull_right = right * share * (1.0 if ratio > 0.0 else small)
    gradient[0] = -pull_left * to_left - pull_right * to_right
    pull = pull_left + pull_right
    for i in range(1, x.shape[0]):
        gradient[i] = -pull * x[i]
    return (right_height if ratio > 0.0 else left_height) + math.log(1.0 + small)


@density
def pair_density(x, data):  # type: ignore[no-untyped-def]
    """As `pair`."""
    half, left, right = data[0, 0], data[0, 1], data[0, 3]
    first = x[0]
    rest = 0.0
    for i in range(1, x.shape[0]):
        rest += x[i] * x[i]
    to_left, to_right = first + half, first - half
    ratio = data[0, 4] - data[0, 2] - 0.5 * (right - left) * (rest + to_right * to_right) + 2.0 * left * half * first
    left_height = data[0, 2] - 0.5 * left * (rest + to_left * to_left)
    right_height = data[0, 4] - 0.5 * right * (rest + to_right * to_right)
    return (right_height if ratio > 0.0 else left_height) + math.log(1.0 + math.exp(-abs(ratio)))


def bimodal_mixture(*, dim: int = 1, separation: float = 5.0, weight: float = 0.5, sd_ratio: float = 1.0) -> Target:
    """The density weight N(-separation/2 e, I) + (1 - weight) N(separation/2 e, sd_ratio^2 I), with e the first axis.

    Args:
        dim: number of coordinates.
        separation: distance between the two means, in standard deviations of the left component.
        weight: of the left component.
        sd_ratio: width of the right component over that of the left.

    The density leaves out (2 pi)^(-dim/2). The two modes are told apart by the plane as many standard deviations away
    from the one mean as from the other; their masses are those of its two sides.

    Raises:
        UsageError: an option is out of range.
    """
    require(dim >= 1, f"bimodal_mixture: dim={dim} is not accepted; it takes 1 or more")
    require(
        0.0 < separation < math.inf,
        f"bimodal_mixture: separation={separation:g} is not accepted; it takes a positive number",
    )
    require(
        0.0 < weight < 1.0,
        f"bimodal_mixture: weight={weight:g} is not accepted; it takes a number above 0 and below 1",
    )
    require(
        0.0 < sd_ratio < math.inf,
        f"bimodal_mixture: sd_ratio={sd_ratio:g} is not accepted; it takes a positive number",
    )
    weights, sds = np.array([weight, 1.0 - weight]), np.array([1.0, sd_ratio])
    centres = np.array([-0.5, 0.5]) * separation
    border = centres[0] + separation / (1.0 + sd_ratio)

    def sample(rng: np.random.Generator, n: int) -> Matrix:
        component = (rng.random(n) >= weight).astype(np.intp)
        draws: Matrix = rng.standard_normal((n, dim)) * sds[component, None]
        draws[:, 0] += centres[component]
        return draws

    left_mass = float(weights @ ndtr((border - centres) / sds))
    height = np.log(weights) - dim * np.log(sds)
    return Target(
        name="bimodal_mixture",
        dim=dim,
        log_density_and_gradient=pair,
        log_density=pair_density,
        data=data_matrix([[0.5 * separation, 1.0, height[0], sd_ratio**-2, height[1]]]),
        truth=Truth(
            _moments(dim, weights, centres, sds),
            Certificate("closed form", "the entropy by quadrature"),
            sample=sample,
            log_normaliser=0.5 * dim * math.log(2.0 * math.pi),
            entropy=_entropy(dim, weights, centres, sds),
            modes=Modes(lambda x: (x[:, 0] > border).astype(np.intp), np.array([left_mass, 1.0 - left_mass])),
        ),
        description=f"two Gaussians {separation:g} apart in {dim} dimensions",
    )


def _moments(dim: int, weights: Vector, centres: Vector, sds: Vector) -> Moments:
    mean = np.zeros(dim)
    mean[0] = weights @ centres
    offset = np.zeros((2, dim))
    offset[:, 0] = centres - mean[0]
    squared = sds[:, None] ** 2
    variance = weights @ (squared + offset**2)
    third = weights @ (offset**3 + 3.0 * offset * squared)
    fourth = weights @ (offset**4 + 6.0 * offset**2 * squared + 3.0 * squared**2)
    return Moments.from_central(mean, np.diag(variance), third, fourth)


def _entropy(dim: int, weights: Vector, centres: Vector, sds: Vector) -> float:
    """Trapezia over the first axis, and over the log of the distance from it, which is all that the density needs."""
    along = np.linspace(-9.5, 9.5, 801)[:, None]
    along_mass = np.exp(-0.5 * along**2) * (19.0 / 800.0) / math.sqrt(2.0 * math.pi)
    if dim == 1:
        radius, radius_mass = np.zeros(1), np.ones(1)
    else:
        shape = 0.5 * (dim - 1)  # half the squared radius has the Gamma(shape) distribution
        lowest, highest = math.log(gammaincinv(shape, 1e-18)), math.log(gammainccinv(shape, 1e-18))
        log_half = np.linspace(lowest, highest, 401)
        radius = np.sqrt(2.0 * np.exp(log_half))
        radius_mass = np.exp(shape * log_half - np.exp(log_half) - gammaln(shape)) * (highest - lowest) / 400.0
    entropy = 0.0
    for weight, centre, sd in zip(weights, centres, sds, strict=True):
        first, rest = centre + sd * along, (sd * radius) ** 2
        heights = [
            math.log(w) - dim * math.log(s) - 0.5 * ((first - c) ** 2 + rest) / s**2
            for w, c, s in zip(weights, centres, sds, strict=True)
        ]
        entropy -= weight * float(np.sum(along_mass * radius_mass * np.logaddexp(*heights)))
    return float(entropy + 0.5 * dim * math.log(2.0 * math.pi))

"""The assignments of a Gaussian mixture, its weights and means integrated out: a few data, each in one of K components.

    weights ~ Dirichlet(alpha, ..., alpha)   mean_k ~ N(centre_k, prior_sd)   y_i ~ N(mean_{z_i}, 1)

Given weights and means the assignments are independent; without them they are not, since each tells of the others'
components. The centres are evenly spaced, `separation` apart, which tells the labels apart. Soft indicators enter as
soft counts, sums and sums of squares (the log joint is a function of these).
"""

import math

import numpy as np

from targets.discrete import DiscreteModel
from targets.kernel import data_matrix, density, helper, kernel
from targets.options import require

ALPHA, PRIOR_VARIANCE, CATEGORIES = range(
    3
)  # columns of the first row; the second holds the centres, the third the data
SHIFT = 6.0  # from which on the series of digamma is exact to 1e-12

_LOG_TWO_PI = math.log(2 * math.pi)


@helper
def digamma(a):  # type: ignore[no-untyped-def]
    """The derivative of log gamma at a > 0, by recurrence and its asymptotic series (Abramowitz & Stegun 6.3.18)."""
    below = 0.0
    while a < SHIFT:
        below += 1.0 / a
        a += 1.0
    s = 1.0 / (a * a)
    series = s * (
        1.0 / 12.0
        - s
        * (1.0 / 120.0 - s * (1.0 / 252.0 - s * (1.0 / 240.0 - s * (1.0 / 132.0 - s * (691.0 / 32760.0 - s / 12.0)))))
    )
    return math.log(a) - 0.5 / a - series - below


@helper
def component(count, total, squares, alpha, variance, centre):  # type: ignore[no-untyped-def]
    """What a component adds to the log joint, from its soft count, sum and sum of squares of the data."""
    precision = count + 1.0 / variance
    pull = total + centre / variance
    quadratic = squares + centre * centre / variance - pull * pull / precision
    evidence = -0.5 * (count * _LOG_TWO_PI + math.log(variance * precision) + quadratic)
    return math.lgamma(count + alpha) - math.lgamma(alpha) + evidence


@kernel
def log_joint_and_gradient(x, gradient, data):  # type: ignore[no-untyped-def]
    """The log joint of assignments x (n * K,) and the data."""
    alpha, variance, categories = data[0, ALPHA], data[0, PRIOR_VARIANCE], int(data[0, CATEGORIES])
    n = x.shape[0] // categories
    value = math.lgamma(alpha * categories) - math.lgamma(alpha * categories + n)
    for k in range(categories):
        count, total, squares = 0.0, 0.0, 0.0
        for i in range(n):
            share, y = x[i * categories + k], data[2, i]
            count += share
            total += share * y
            squares += share * y * y
        value += component(count, total, squares, alpha, variance, data[1, k])
        precision = count + 1.0 / variance
        mean = (total + data[1, k] / variance) / precision
        level = digamma(count + alpha) - 0.5 * (_LOG_TWO_PI + 1.0 / precision)
        for i in range(n):
            away = data[2, i] - mean
            gradient[i * categories + k] = level - 0.5 * away * away
    return value


@density
def log_joint(x, data):  # type: ignore[no-untyped-def]
    """As `log_joint_and_gradient`, without the gradient."""
    alpha, variance, categories = data[0, ALPHA], data[0, PRIOR_VARIANCE], int(data[0, CATEGORIES])
    n = x.shape[0] // categories
    value = math.lgamma(alpha * categories) - math.lgamma(alpha * categories + n)
    for k in range(categories):
        count, total, squares = 0.0, 0.0, 0.0
        for i in range(n):
            share, y = x[i * categories + k], data[2, i]
            count += share
            total += share * y
            squares += share * y * y
        value += component(count, total, squares, alpha, variance, data[1, k])
    return value


def mixture_assignments(
    *,
    n: int = 8,
    components: int = 3,
    separation: float = 2.0,
    prior_sd: float = 1.0,
    alpha: float = 1.0,
    seed: int = 0,
) -> DiscreteModel:
    """The posterior of the assignments of simulated data: n sites of so many values each."""
    require(n >= 1, f"mixture_assignments: n={n} is not accepted; it takes 1 or more")
    require(components >= 2, f"mixture_assignments: components={components} is not accepted; it takes 2 or more")
    require(seed >= 0, f"mixture_assignments: seed={seed} is not accepted; it takes 0 or more")
    for name, value in (("prior_sd", prior_sd), ("alpha", alpha)):
        require(
            0 < value < math.inf, f"mixture_assignments: {name}={value:g} is not accepted; it takes a positive number"
        )
    require(
        0 <= separation < math.inf,
        f"mixture_assignments: separation={separation:g} is not accepted; it takes 0 or a positive number",
    )
    rng = np.random.default_rng(seed)
    centres = separation * (np.arange(components) - 0.5 * (components - 1))
    means = rng.normal(centres, prior_sd)
    assigned = rng.choice(components, size=n, p=rng.dirichlet(np.full(components, alpha)))
    data = np.zeros((3, max(3, components, n)))
    data[0, :3] = alpha, prior_sd**2, components
    data[1, :components] = centres
    data[2, :n] = rng.normal(means[assigned], 1.0)
    names = tuple(f"z[{i + 1}]" for i in range(n))
    return DiscreteModel(n, components, log_joint_and_gradient, log_joint, data_matrix(data), names)

"""What an estimator of the ELBO's gradient in the logits of independent sites is.

A compiled function

    estimate(kernel, density, data, rng, p, log_p, tuning, control, space, samples, gradient, spent) -> float64

adds one estimate of d ELBO / d logits to `gradient` (sites, categories), from `samples` draws, and returns one of the
ELBO (of its relaxation, where it relaxes). `p` and `log_p` are q, normalised. `tuning` begins with the temperature;
`control` is what the estimator learns as it goes, and uses for later draws alone, so that it biases nothing.
`space` (rows, sites * categories) is scratch, and `spent` counts density and gradient evaluations.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import float64, int64, types, void

from targets.discrete import DiscreteModel
from targets.kernel import DATA, DENSITY, KERNEL, MATRIX, VECTOR, Matrix, Vector, compiled, first_class, helper, loop
from targets.options import require, spec
from variational.discrete.family import Factorised

RNG = types.npy_rng
COUNTS = int64[::1]
DENSITIES, GRADIENTS = 0, 1  # places in `spent`
TEMPERATURE, COOLING, COLDEST = range(3)  # places in `tuning`: it falls by the factor COOLING a step, down to COLDEST

ESTIMATE_SIGNATURE = float64(KERNEL, DENSITY, DATA, RNG, MATRIX, MATRIX, VECTOR, VECTOR, MATRIX, int64, MATRIX, COUNTS)
ESTIMATE = types.FunctionType(ESTIMATE_SIGNATURE)
estimate = first_class(ESTIMATE_SIGNATURE)  # the decorator of estimators

ROWS = 6  # of `space`


@helper
def normalise(logits, p, log_p):  # type: ignore[no-untyped-def]
    """Fill `p` and `log_p` (sites, categories) from the logits."""
    for i in range(logits.shape[0]):
        top, total = logits[i, 0], 0.0
        for k in range(logits.shape[1]):
            top = max(top, logits[i, k])
        for k in range(logits.shape[1]):
            total += math.exp(logits[i, k] - top)
        for k in range(logits.shape[1]):
            log_p[i, k] = logits[i, k] - top - math.log(total)
            p[i, k] = math.exp(log_p[i, k])


@helper
def race(rng, p, log_p, times, x):  # type: ignore[no-untyped-def]
    """Draw a state: the indicators x of the first arrival at each site. Returns log q of it.

    Value k arrives at an exponential time of rate p_k, and the first to arrive is k with probability p_k. Minus log of
    the times are Gumbel variables shifted by log p: this is the Gumbel-max trick without the logarithms.
    """
    sites, categories = p.shape
    log_q = 0.0
    for i in range(sites):
        first = 0
        for k in range(categories):
            times[i * categories + k] = rng.standard_exponential() / p[i, k]
            x[i * categories + k] = 0.0
            if times[i * categories + k] < times[i * categories + first]:
                first = k
        x[i * categories + first] = 1.0
        log_q += log_p[i, first]
    return log_q


@helper
def soften(times, temperature, sites, categories, y):  # type: ignore[no-untyped-def]
    """Fill y with softmax(-log times / temperature), site by site: the relaxation of the indicators of a race."""
    for i in range(sites):
        first, total = np.inf, 0.0
        for k in range(categories):
            first = min(first, times[i * categories + k])
        for k in range(categories):
            y[i * categories + k] = (first / times[i * categories + k]) ** (1.0 / temperature)
            total += y[i * categories + k]
        for k in range(categories):
            y[i * categories + k] /= total


@loop(void(ESTIMATE, KERNEL, DENSITY, DATA, RNG, MATRIX, VECTOR, VECTOR, int64, MATRIX, COUNTS))
def replicate(estimate, kernel, density, data, rng, logits, tuning, control, samples, estimates, spent):  # type: ignore[no-untyped-def]
    """Fill every row of `estimates` (n, dim) with an estimate of the gradient at the logits, in turn."""
    sites, categories = logits.shape
    p, log_p, gradient = np.empty_like(logits), np.empty_like(logits), np.empty_like(logits)
    space = np.empty((ROWS, sites * categories))
    normalise(logits, p, log_p)
    for n in range(estimates.shape[0]):
        for i in range(sites):
            for k in range(categories):
                gradient[i, k] = 0.0
        estimate(kernel, density, data, rng, p, log_p, tuning, control, space, samples, gradient, spent)
        for i in range(sites):
            for k in range(categories):
                estimates[n, i * categories + k] = gradient[i, k]


def nothing(_: DiscreteModel, __: np.random.Generator) -> Vector:
    """The control of an estimator that learns nothing."""
    return np.zeros(1)


@dataclass(frozen=True)
class Estimator:
    """An estimator with its options fixed.

    Attributes:
        estimate: the compiled function; see the module.
        samples: draws an estimate.
        temperature, cooling, coldest: of relaxations; `cooling` is the factor a step of an ascent.
        control: makes the initial state of what is learned.
        tags: 'unbiased' or 'biased', and more.
        name, options, changed: as the registry resolved them.
    """

    estimate: Any
    samples: int
    temperature: float = 1.0
    cooling: float = 1.0
    coldest: float = 1.0
    control: Callable[[DiscreteModel, np.random.Generator], Vector] = nothing
    tags: frozenset[str] = frozenset()
    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    changed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in (("temperature", self.temperature), ("coldest", self.coldest)):
            require(
                1e-6 <= value <= 1e6,
                f"{self.name or 'estimator'}: {name}={value:g} is not accepted; it takes 1e-6 to 1e6",
            )

    def __reduce__(self) -> Any:
        """Pickle as name and options, from which the registry makes it anew."""
        from variational.registry import remake_estimator

        return (remake_estimator, (self.name, dict(self.options))) if self.options else super().__reduce__()

    @property
    def label(self) -> str:
        """The name with the options that differ from their defaults."""
        return spec(self.name, {key: self.options[key] for key in self.changed})

    @property
    def unbiased(self) -> bool:
        return "unbiased" in self.tags

    @property
    def tuning(self) -> Vector:
        """As the compiled function takes it."""
        return np.array([self.temperature, self.cooling, self.coldest])


@dataclass(frozen=True, eq=False)
class Replicates:
    """Estimates of one gradient.

    Attributes:
        estimates: (n, sites, categories).
        evaluations: of density or gradient, an estimate.
    """

    estimates: np.ndarray
    evaluations: float


def replicates(
    model: DiscreteModel, estimator: Estimator, q: Factorised, *, n: int, seed: int, learn: int = 0
) -> Replicates:
    """Estimates, n of them, of the gradient of the ELBO at q, after `learn` more that are thrown away.

    An unbiased estimator that learns gives differences of a martingale: uncorrelated, with the exact gradient as mean.
    """
    require(n >= 1 and learn >= 0, f"replicates: n={n}, learn={learn} are not accepted; they take 1 or more, 0 or more")
    model.compile()
    rng = np.random.default_rng(seed)
    control = estimator.control(model, rng)
    estimates, spent = np.empty((learn + n, model.dim)), np.zeros(2, np.int64)
    fixed: tuple[Any, ...] = (compiled(estimator.estimate), model.kernel, model.density, model.data, rng)
    logits: Matrix = np.ascontiguousarray(q.logits)
    replicate(*fixed, logits, estimator.tuning, control, estimator.samples, estimates, spent)
    shape = (n, model.sites, model.categories)
    return Replicates(estimates[learn:].reshape(shape), float(spent.sum()) / len(estimates))

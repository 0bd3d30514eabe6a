"""Bias and variance of gradient estimators, at a given q, against the gradient by enumeration."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats

from harness.spec import parse
from targets.discrete import DiscreteModel
from targets.kernel import Matrix, Vector
from variational import registry
from variational.discrete import Factorised, exact, replicates

ESTIMATORS = (
    "reinforce",
    "reinforce_baseline",
    "rloo",
    "rloo[samples=8]",
    "local_expectation",
    "rebar",
    "relax",
    "gumbel_softmax[temperature=0.1]",
    "gumbel_softmax",
    "gumbel_softmax[temperature=2]",
    "straight_through",
    "straight_through_gumbel",
)
TEMPERATURES = tuple(float(t) for t in np.round(np.geomspace(0.05, 5.0, 9), 3))
RELAXED = ("gumbel_softmax", "straight_through_gumbel", "rebar")
REPLICATES, LEARN = 20_000, 5_000
FEWER = 5_000  # replicates at each temperature
LEVEL, POWER = 1e-5, 0.99  # of the tests
AWAY, NEAR = 1.0, 0.3  # sd of the logits of the random q, and of what is added to those of the optimum
NOISELESS = 1e-9  # variance relative to the largest, below which a direction carries no noise


@dataclass(frozen=True)
class Bias:
    """What estimates (n, k) say of their expectation, which is to be a known one.

    Attributes:
        bias: length of the difference, the noise's share in its square subtracted; `low` and `high` its 95 % interval.
        variance: sum over components, of one estimate.
        p: of Hotelling's test that there is none.
        detectable: the length of a bias, in the noisiest direction, that the test at level `LEVEL` finds with
            probability `POWER`; in every other direction it finds shorter ones.
    """

    bias: float
    low: float
    high: float
    variance: float
    p: float
    detectable: float

    @property
    def significant(self) -> bool:
        return self.p < LEVEL


def judge(estimates: Matrix, expected: Vector) -> Bias:
    """Estimates (n, k) of a vector (k,), independent or at least uncorrelated."""
    n = len(estimates)
    away = estimates.mean(axis=0) - expected
    spread, directions = np.linalg.eigh(np.cov(estimates.T))
    noisy = spread > NOISELESS * spread[-1]
    along = directions.T @ away
    rank = int(noisy.sum())
    beyond = float(np.abs(along[~noisy]).max(initial=0.0))
    squared = float(n * np.sum(along[noisy] ** 2 / spread[noisy]))
    p = 0.0 if beyond > 6 * np.sqrt(NOISELESS * spread[-1] / n) + 1e-10 else float(stats.chi2.sf(squared, rank))
    variance = float(spread.sum())
    size = float(away @ away) - variance / n
    error = np.sqrt(4 * float(np.sum(along**2 * np.maximum(spread, 0))) / n + 2 * float(np.sum(spread**2)) / n**2)
    low, middle, high = (float(np.sqrt(max(size + z * error, 0.0))) for z in (-1.96, 0.0, 1.96))
    return Bias(middle, low, high, variance, p, float(np.sqrt(noncentrality(rank) * spread[-1] / n)))


def noncentrality(rank: int) -> float:
    """How far a chi-squared statistic of that rank has to be shifted for the test to have its power."""
    threshold = stats.chi2.isf(LEVEL, rank)
    return float(optimize.brentq(lambda shift: stats.ncx2.sf(threshold, rank, shift) - POWER, 1e-3, 1e4))


def places(model: DiscreteModel, optimum: Factorised, seed: int = 1) -> dict[str, Factorised]:
    """The two q at which estimators are looked at: random, and near the optimum."""
    rng = np.random.default_rng(seed)
    shape = (model.sites, model.categories)
    return {
        "random": Factorised(rng.normal(scale=AWAY, size=shape)),
        "near the optimum": Factorised(optimum.log_probabilities + rng.normal(scale=NEAR, size=shape)),
    }


def measure(model: DiscreteModel, q: Factorised, label: str, n: int, learn: int, seed: int) -> dict[str, Any]:
    """One estimator at one q."""
    chosen = parse(label)
    estimator = registry.estimator(chosen.name, **chosen.options)
    gradient = exact(model.enumeration, q).gradient
    made = replicates(model, estimator, q, n=n, seed=seed, learn=learn)
    found = judge(made.estimates.reshape(n, -1), gradient.ravel())
    return {
        "estimator": label,
        "claim": "unbiased" if estimator.unbiased else "biased",
        "gradient": float(np.linalg.norm(gradient)),
        "evaluations": made.evaluations,
        "work_normalised": found.variance * made.evaluations,
        "significant": found.significant,
        **asdict(found),
    }


def table(model: DiscreteModel, optimum: Factorised) -> list[dict[str, Any]]:
    """All estimators at both places."""
    return [
        {"at": where, **measure(model, q, label, REPLICATES, LEARN, 1 + number)}
        for where, q in places(model, optimum).items()
        for number, label in enumerate(ESTIMATORS)
    ]


def temperatures(model: DiscreteModel, optimum: Factorised) -> list[dict[str, Any]]:
    """The relaxations near the optimum, by temperature."""
    q = places(model, optimum)["near the optimum"]
    return [
        {
            "temperature": temperature,
            **measure(model, q, f"{name}[temperature={temperature}]", FEWER, FEWER // 5, 1),
            "estimator": name,
        }
        for name in RELAXED
        for temperature in TEMPERATURES
    ]

"""The rows of factor analysis with two factors of six columns."""

from collections.abc import Callable
from typing import Any

import numpy as np

from harness import coverage
from harness.variational_em.rows import Row, least_gain, off, sd_ratio, seconds
from samplers import gibbs
from samplers.gibbs.factor import FactorChain
from targets.conjugate.factor import FactorModel, FactorPrior
from targets.conjugate.least_squares import triangle
from targets.kernel import Matrix, Vector
from variational.conjugate.factor import FactorAnalysis

COLUMNS, FACTORS, ROWS = 6, 2, 60
PRIOR: dict[str, Any] = {"noise_shape": 3.0, "noise_rate": 1.0, "shape": 3.0, "rate": 3.0}
TIMED_SWEEPS = 20
CHAINS, WARMUP = 4, 1000
DRAWS = 20_000
REPEATED_SWEEPS = 2000

# Name, points, q(z), what the bound is below, options.
ALGORITHMS: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    ("EM", "parameters", "exact", "log likelihood", {"inference": "em"}),
    ("variational EM", "parameters", "independent coordinates", "log likelihood", {"inference": "vem"}),
    ("VB-EM", "the mean", "independent of parameters", "log evidence", {"inference": "vbem", **PRIOR}),
)


def rows(repetitions: int, sweeps: int) -> list[Row]:
    """Every algorithm on the same rows, and the chains that they are compared with."""
    X = simulated(np.random.default_rng(1))[1]
    prior = FactorPrior(**PRIOR)
    draws = gibbs.factor_analysis(
        X, prior, n_components=FACTORS, num_samples=-(-sweeps // CHAINS), num_warmup=WARMUP, num_chains=CHAINS, seed=1
    )
    posterior = asked(draws["covariance"].reshape(-1, COLUMNS, COLUMNS))
    times, covered = _times(X, prior), _coverage(prior, repetitions)
    made = []
    for name, points, latent, below, options in ALGORITHMS:
        fit = FactorAnalysis(n_components=FACTORS, accelerate=False, **options).fit(X)
        drawn = _drawn(fit) if name == "VB-EM" else None
        made.append(
            Row(
                model="factor analysis",
                algorithm=name,
                points=points,
                latent=latent,
                below=below,
                bound=fit.lower_bound_,
                gap=None if drawn is not None else fit.gap_,
                gap_error=0.0,
                least_gain=least_gain(fit.lower_bounds_),
                sweeps=fit.n_iter_,
                cost=times[name] / times["EM"],
                seconds=times[name],
                off=off(asked(fit.get_covariance()[None])[0] if drawn is None else drawn.mean(axis=0), posterior),
                sd_ratio=0.0 if drawn is None else sd_ratio(drawn, posterior),
                coverage=0.0 if drawn is None else covered[0],
            )
        )
    chains = Row(
        model="factor analysis",
        algorithm="Gibbs",
        points="nothing",
        latent="drawn",
        below="",
        bound=None,
        gap=None,
        gap_error=0.0,
        least_gain=None,
        sweeps=sweeps,
        cost=times["Gibbs"] / times["EM"],
        seconds=times["Gibbs"],
        off=0.0,
        sd_ratio=1.0,
        coverage=covered[1],
    )
    return [*made, chains]


def simulated(rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    """A covariance (d, d) of rows drawn from the prior, and rows (n, d) given it, about zero."""
    precision = rng.gamma(PRIOR["shape"], 1 / PRIOR["rate"], FACTORS)
    loadings = rng.standard_normal((COLUMNS, FACTORS)) / np.sqrt(precision)
    noise = rng.gamma(PRIOR["noise_shape"], 1 / PRIOR["noise_rate"], COLUMNS)
    covariance = loadings @ loadings.T + np.diag(1 / noise)
    return covariance, rng.standard_normal((ROWS, COLUMNS)) @ np.linalg.cholesky(covariance).T


def asked(covariances: np.ndarray) -> Matrix:
    """(n, k) standard deviations and correlations: what no rotation of the factors changes."""
    sd = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    above = np.triu_indices(COLUMNS, 1)
    return np.concatenate([sd, (covariances / (sd[:, :, None] * sd[:, None, :]))[:, above[0], above[1]]], axis=1)


def _drawn(fit: FactorAnalysis) -> Matrix:
    return asked(fit.sample_parameters(DRAWS, random_state=2)["covariance"])


def _times(X: Matrix, prior: FactorPrior) -> dict[str, float]:
    """Seconds a sweep; those of this model do not depend on the number of rows."""

    def fitted(options: dict[str, Any]) -> Callable[[], object]:
        start: dict[str, Any] = {
            "tol": 0.0,
            "max_iter": TIMED_SWEEPS,
            "init": "random",
            "random_state": 1,
            "accelerate": False,
        }
        return lambda: FactorAnalysis(n_components=FACTORS, **start, **options).fit(X)

    chain = FactorChain(FactorModel(prior, FACTORS), triangle(X, centred=True), np.random.default_rng(1))
    drawn = np.empty((TIMED_SWEEPS, len(chain.names)))
    calls = {name: fitted(options) for name, *_, options in ALGORITHMS}
    return seconds({**calls, "Gibbs": lambda: chain.advance(drawn)}, TIMED_SWEEPS)


def _coverage(prior: FactorPrior, repetitions: int) -> tuple[float, float]:
    """Of the 90 % intervals of VB-EM and of Gibbs, mean over quantities and repetitions."""
    shares: tuple[list[Vector], list[Vector]] = [], []
    for number in range(repetitions):
        covariance, X = simulated(np.random.default_rng([2, number]))
        truth = asked(covariance[None])[0]
        fit = FactorAnalysis(n_components=FACTORS, inference="vbem", n_init=2, random_state=number, **PRIOR).fit(X)
        draws = gibbs.factor_analysis(
            X, prior, n_components=FACTORS, num_samples=REPEATED_SWEEPS, num_warmup=200, num_chains=1, seed=number
        )
        chains = asked(draws["covariance"].reshape(-1, COLUMNS, COLUMNS))
        for found, values in zip(shares, (_drawn(fit), chains), strict=True):
            found.append(np.mean(values < truth, axis=0))
    held = [coverage.covered(np.ravel(found))[-1] / np.size(found) for found in shares]
    return held[0], held[1]

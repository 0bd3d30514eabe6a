"""Coverage of factor analysis: two factors of six columns, by what no rotation of the factors changes."""

from typing import Any

import numpy as np

from harness.coverage.repeated import CHAINS, DRAWS, STARTS, WARMUP, Subject
from samplers import gibbs
from samplers.draws import Draws
from targets.conjugate.factor import FactorPrior
from targets.kernel import Matrix, Vector
from variational.conjugate.factor import FactorAnalysis

COLUMNS, FACTORS, ROWS = 6, 2, 60
PRIOR: dict[str, Any] = {"noise_shape": 3.0, "noise_rate": 1.0, "shape": 3.0, "rate": 3.0}
_ABOVE = np.triu_indices(COLUMNS, 1)
NAMES = (
    *(f"sd[{j + 1}]" for j in range(COLUMNS)),
    *(f"correlation[{j + 1},{m + 1}]" for j, m in zip(*_ABOVE, strict=True)),
    *(f"noise_sd[{j + 1}]" for j in range(COLUMNS)),
)


def subject() -> Subject:
    """Standard deviations of columns and of their noise, and correlations between columns."""
    return Subject("factor_analysis", NAMES, _simulated, _fitted, _sampled)


def simulated(rng: np.random.Generator) -> tuple[Matrix, Vector, Matrix]:
    """A covariance (d, d) of rows and variances (d,) of noise drawn from the prior, and rows (n, d) about zero."""
    precision = rng.gamma(PRIOR["shape"], 1 / PRIOR["rate"], FACTORS)
    loadings = rng.standard_normal((COLUMNS, FACTORS)) / np.sqrt(precision)
    noise = 1 / rng.gamma(PRIOR["noise_shape"], 1 / PRIOR["noise_rate"], COLUMNS)
    covariance = loadings @ loadings.T + np.diag(noise)
    return covariance, noise, rng.standard_normal((ROWS, COLUMNS)) @ np.linalg.cholesky(covariance).T


def asked(covariances: np.ndarray, noise: Matrix) -> Matrix:
    """(n, k) the quantities, of covariances (n, d, d) of rows and variances (n, d) of noise."""
    sd = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    correlations = (covariances / (sd[:, :, None] * sd[:, None, :]))[:, *_ABOVE]
    return np.concatenate([sd, correlations, np.sqrt(noise)], axis=1)


def of_fit(fit: FactorAnalysis, n: int) -> Matrix:
    """(n, k) of draws from q."""
    drawn = fit.sample_parameters(n, random_state=2)
    return asked(drawn["covariance"], 1 / drawn["noise_precision"])


def of_draws(draws: Draws) -> Matrix:
    """(n, k) of draws of chains."""
    covariances, precisions = (draws[name] for name in ("covariance", "noise_precision"))
    return asked(covariances.reshape(-1, COLUMNS, COLUMNS), 1 / precisions.reshape(-1, COLUMNS))


def _simulated(rng: np.random.Generator) -> tuple[Vector, Matrix]:
    covariance, noise, X = simulated(rng)
    return asked(covariance[None], noise[None])[0], X


def _fitted(X: Matrix, rng: np.random.Generator) -> Matrix:
    seed = int(rng.integers(2**31))
    fit = FactorAnalysis(n_components=FACTORS, inference="vbem", n_init=STARTS, random_state=seed, **PRIOR)
    return of_fit(fit.fit(X), DRAWS)


def _sampled(X: Matrix, sweeps: int, seed: int) -> Matrix:
    draws = gibbs.factor_analysis(
        X,
        FactorPrior(**PRIOR),
        n_components=FACTORS,
        num_samples=-(-sweeps // CHAINS),
        num_warmup=WARMUP,
        num_chains=CHAINS,
        seed=seed,
    )
    return of_draws(draws)

"""The rows of factor analysis with two factors of six columns."""

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.coverage.factors import FACTORS, PRIOR, asked, of_draws, of_fit, simulated, subject
from harness.coverage.repeated import together
from harness.variational_em.factor_evidence import log_evidence
from harness.variational_em.rows import Row, least_gain, off, sd_ratio, seconds
from samplers import gibbs
from samplers.gibbs.factor import FactorChain
from targets.conjugate.factor import FactorModel, FactorPrior
from targets.conjugate.least_squares import triangle
from targets.kernel import Matrix, Vector
from variational.conjugate.factor import FactorAnalysis

TIMED_SWEEPS = 20
CHAINS, WARMUP = 4, 1000
DRAWS = 20_000  # of q

# Name, points, q(z), what the bound is below, options.
ALGORITHMS: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    ("EM", "parameters", "exact", "log likelihood", {"inference": "em"}),
    ("variational EM", "parameters", "independent coordinates", "log likelihood", {"inference": "vem"}),
    ("VB-EM", "the mean", "independent of parameters", "log evidence", {"inference": "vbem", **PRIOR}),
)


def rows(repetitions: int, sweeps: int) -> list[Row]:
    """Every algorithm on the same rows, and the chains that they are compared with."""
    X = simulated(np.random.default_rng(1))[2]
    prior = FactorPrior(**PRIOR)
    draws = gibbs.factor_analysis(
        X, prior, n_components=FACTORS, num_samples=-(-sweeps // CHAINS), num_warmup=WARMUP, num_chains=CHAINS, seed=1
    )
    posterior = of_draws(draws)
    evidence = log_evidence(triangle(X, centred=True), prior, draws["loading"], draws["noise_precision"])
    times, covered = _times(X, prior), together(subject(), repetitions)
    made = []
    for name, points, latent, below, options in ALGORITHMS:
        fit = FactorAnalysis(n_components=FACTORS, accelerate=False, **options).fit(X)
        drawn = of_fit(fit, DRAWS) if name == "VB-EM" else None
        made.append(
            Row(
                model="factor analysis",
                algorithm=name,
                points=points,
                latent=latent,
                below=below,
                bound=fit.lower_bound_,
                gap=fit.gap_ if drawn is None else evidence.value - fit.lower_bound_,
                gap_error=0.0 if drawn is None else evidence.error,
                least_gain=least_gain(fit.lower_bounds_),
                sweeps=fit.n_iter_,
                cost=times[name] / times["EM"],
                seconds=times[name],
                off=off(_points(fit) if drawn is None else drawn.mean(axis=0), posterior),
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


def _points(fit: FactorAnalysis) -> Vector:
    """(k,) the quantities of EM and of variational EM."""
    return np.asarray(asked(fit.get_covariance()[None], fit.noise_variance_[None])[0])


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

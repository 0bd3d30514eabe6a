"""The rows of a mixture of two Gaussians that overlap."""

from collections.abc import Callable
from typing import Any

import numpy as np

from harness import coverage
from harness.variational_em.rows import Row, least_gain, off, sd_ratio, seconds
from samplers.chain import Values
from samplers.gibbs.mixture import MixtureChain
from samplers.registry import method as sampler
from targets.bridge import Bridged, bridge
from targets.conjugate import mixture_coordinates
from targets.conjugate.mixture_family import MixtureFamily
from targets.conjugate.mixture_model import GaussianMixture, MixtureParameters
from targets.conjugate_mixture import posterior_of, prior_of, simulated
from targets.kernel import Matrix, Vector, data_matrix
from targets.target import Target
from variational.conjugate.em import MixtureEM, shares
from variational.evaluation import log_densities

COMPONENTS, ROWS, FEATURES, SEPARATION = 2, 200, 2, 2.0
TIMED_ROWS, TIMED_SWEEPS = 20_000, 10
CHAINS, WARMUP = 4, 1000
STARTS = 5
DRAWS = 20_000  # of q
CASE = "two Gaussians that overlap, 100 rows"  # of `harness.coverage`

# Name, points, q(z), what the bound is below, options.
ALGORITHMS: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    ("EM", "parameters", "exact", "log likelihood", {"parameters": "likelihood"}),
    ("variational EM", "parameters", "one component a row", "log likelihood", {"parameters": "likelihood", "kept": 1}),
    ("MAP-EM", "parameters", "exact", "log joint density", {"parameters": "mode"}),
    ("VB-EM", "nothing", "independent of parameters", "log evidence", {"parameters": "distribution"}),
)


def rows(repetitions: int, sweeps: int) -> list[Row]:
    """Every algorithm on the same rows, and the chains that they are compared with."""
    model = GaussianMixture(prior_of(FEATURES), COMPONENTS)
    X = simulated(COMPONENTS, ROWS, FEATURES, SEPARATION, 1)
    fits = {
        name: MixtureEM(n_components=COMPONENTS, prior=model.prior, n_init=STARTS, random_state=1, **options).fit(X)
        for name, *_, options in ALGORITHMS
    }
    target, times, covered = posterior_of(X, model), _times(model), _coverage(repetitions)
    draws = sampled(target, sweeps)
    evidence, posterior = log_evidence(target, draws), of_coordinates(draws.reshape(-1, target.dim), model)
    made = [_row(labels, fits[labels[0]], X, posterior, evidence, times, covered[0]) for *labels, _ in ALGORITHMS]
    chains = Row(
        model="mixture",
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


def _row(
    labels: list[Any],
    fit: MixtureEM,
    X: Matrix,
    posterior: Matrix,
    evidence: Bridged,
    times: dict[str, float],
    covered: float,
) -> Row:
    name, points, latent, below = labels
    q = fit.posterior_
    drawn = None if q is None else of_coordinates(q.sample(np.random.default_rng(2), DRAWS), q)
    exact = Bridged(_touched(fit, X), 0.0) if drawn is None else evidence
    return Row(
        model="mixture",
        algorithm=name,
        points=points,
        latent=latent,
        below=below,
        bound=fit.lower_bound_,
        gap=exact.value - fit.lower_bound_,
        gap_error=exact.error,
        least_gain=least_gain(fit.lower_bounds_),
        sweeps=fit.n_iter_,
        cost=times[name] / times["EM"],
        seconds=times[name],
        off=off(of_points(fit) if drawn is None else drawn.mean(axis=0), posterior),
        sd_ratio=0.0 if drawn is None else sd_ratio(drawn, posterior),
        coverage=0.0 if drawn is None else covered,
    )


def asked(parameters: MixtureParameters) -> Matrix:
    """(n, k) weights, means, standard deviations and correlations in the order of the first feature's means."""
    found = mixture_coordinates.ordered(mixture_coordinates.moments(parameters))
    return np.asarray(found.reshape(len(found), -1))


def of_points(fit: MixtureEM) -> Vector:
    """(k,) what `asked` says of them."""
    return np.asarray(asked(MixtureParameters(fit.weights_[None], fit.means_[None], fit.covariances_[None]))[0])


def of_coordinates(x: Matrix, of: GaussianMixture | MixtureFamily) -> Matrix:
    """(n, k) what `asked` says of coordinates (n, dim) of a mixture."""
    components = of.n_components if isinstance(of, GaussianMixture) else of.components
    return asked(mixture_coordinates.parameters_of(mixture_coordinates.parts(x, components, of.d)))


def sampled(target: Target, sweeps: int) -> Values:
    """(chains, n, dim) draws of a mixture target, after warm-up."""
    run = sampler("gibbs", num_chains=CHAINS, num_warmup=WARMUP).start(target, 1)
    run.advance(CHAINS * WARMUP)
    run.advance(sweeps)
    draws = run.approximation()
    assert draws is not None  # noqa: S101  # there are some after warm-up
    return draws.values


def _touched(fit: MixtureEM, X: Matrix) -> float:
    """What the bound would be with an exact E-step: the log likelihood, and of the mode the log prior density too."""
    gained = shares(data_matrix(X.T), fit.treatment_.seen(), COMPONENTS, want=False)[1]
    return gained + fit.treatment_.term


def log_evidence(target: Target, draws: Values) -> Bridged:
    """Of a mixture target, from draws (chains, n, dim) of it."""
    assert target.place is not None  # noqa: S101  # where its relabellings are
    return bridge(lambda x: log_densities(target, x), draws, target.place.relabellings, np.random.default_rng(3))


def _times(model: GaussianMixture) -> dict[str, float]:
    """Seconds a sweep over many more rows, so that it is the rows that cost."""
    X = simulated(COMPONENTS, TIMED_ROWS, FEATURES, SEPARATION, 2)

    def fitted(options: dict[str, Any]) -> Callable[[], object]:
        fit = MixtureEM(n_components=COMPONENTS, prior=model.prior, random_state=1, tol=0.0, max_iter=TIMED_SWEEPS)
        return lambda: fit.set_params(**options).fit(X)

    chain = MixtureChain(model, X, np.random.default_rng(1))
    drawn = np.empty((TIMED_SWEEPS, len(chain.names)))
    calls = {name: fitted({"kept": None, **options}) for name, *_, options in ALGORITHMS}
    return seconds({**calls, "Gibbs": lambda: chain.advance(drawn)}, TIMED_SWEEPS)


def _coverage(repetitions: int) -> tuple[float, float]:
    """Of the 90 % intervals of VB-EM and of Gibbs, mean over quantities."""
    subject = next(case.make() for case in coverage.CASES if case.name == CASE)
    assert subject is not None  # noqa: S101  # of this project
    return coverage.together(subject, repetitions)

"""The rows of a mixture of two Gaussians that overlap."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import logsumexp

from harness import coverage
from harness.variational_em.rows import Row, least_gain, off, sd_ratio, seconds
from samplers import gibbs
from samplers.gibbs.mixture import MixtureChain
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
KNOWN = 0.5  # of the rows: what the proposal of importance sampling is given, so that its tails are the heavier ones
PROPOSED, FROM_PRIOR = 100_000, 0.2
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
    posterior, times, covered = sampled(model, X, sweeps), _times(model), _coverage(repetitions)
    assert fits["VB-EM"].posterior_ is not None  # noqa: S101  # a distribution
    evidence = log_evidence(posterior_of(X, model), fits["VB-EM"].posterior_)
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
    evidence: tuple[float, float],
    times: dict[str, float],
    covered: float,
) -> Row:
    name, points, latent, below = labels
    drawn = None if fit.posterior_ is None else of_family(fit.posterior_)
    exact, error = evidence if drawn is not None else (_touched(fit, X), 0.0)
    return Row(
        model="mixture",
        algorithm=name,
        points=points,
        latent=latent,
        below=below,
        bound=fit.lower_bound_,
        gap=exact - fit.lower_bound_,
        gap_error=error,
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


def of_family(q: MixtureFamily) -> Matrix:
    """(draws, k) what `asked` says of q's draws."""
    x = q.sample(np.random.default_rng(2), DRAWS)
    return asked(mixture_coordinates.parameters_of(mixture_coordinates.parts(x, q.components, q.d)))


def sampled(model: GaussianMixture, X: Matrix, sweeps: int) -> Matrix:
    """(draws, k) what `asked` says of those of the posterior."""
    draws = gibbs.gaussian_mixture(
        X,
        model.prior,
        n_components=model.n_components,
        num_samples=-(-sweeps // CHAINS),
        num_warmup=WARMUP,
        num_chains=CHAINS,
        seed=1,
    )
    parts = (draws[name] for name in ("weight", "mean", "covariance"))
    return asked(MixtureParameters(*(part.reshape(-1, *part.shape[2:]) for part in parts)))


def _touched(fit: MixtureEM, X: Matrix) -> float:
    """What the bound would be with an exact E-step: the log likelihood, and of the mode the log prior density too."""
    gained = shares(data_matrix(X.T), fit.treatment_.seen(), COMPONENTS, want=False)[1]
    return gained + fit.treatment_.term


def log_evidence(target: Target, q: MixtureFamily) -> tuple[float, float]:
    """Of a mixture target, with its standard error: by importance sampling from q as if it knew fewer rows.

    A share of the draws is from the prior, for what q knows nothing of. The others have one order of the components and
    are weighted by the mean of their density over all of them: the target is the same under each, so that this is
    sampling from that mean.
    """
    prior = MixtureFamily.of_prior(target.conjugate.model.prior, q.components)  # type: ignore[union-attr]
    counts = q.concentration - prior.concentration
    shrunk = prior.mean_precision * counts / q.mean_precision
    means = q.centres + (prior.mean_precision / np.maximum(counts, 1e-12))[:, None] * (q.centres - prior.centres)
    apart = means - prior.centres
    scatters = q.scale - prior.scale - shrunk[:, None, None] * apart[:, :, None] * apart[:, None, :]
    proposal = prior.given(KNOWN * counts, means, KNOWN * scatters)
    rng, of_prior = np.random.default_rng(3), round(FROM_PRIOR * PROPOSED)
    x = np.concatenate([prior.sample(rng, of_prior), proposal.sample(rng, PROPOSED - of_prior)])
    orders = [np.arange(target.dim), *(np.array(order) for order in target.relabellings)]  # all of two components
    mean = logsumexp([proposal.log_density(x[:, order]) for order in orders], axis=0) - math.log(len(orders))
    both = [mean + math.log(1 - FROM_PRIOR), prior.log_density(x) + math.log(FROM_PRIOR)]
    weights = log_densities(target, x) - logsumexp(both, axis=0)
    top = weights.max()
    ratios = np.exp(weights - top)
    return float(top + np.log(ratios.mean())), float(ratios.std() / ratios.mean() / math.sqrt(len(x)))


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
    target = next(case.make() for case in coverage.CASES if case.name == CASE)
    assert target is not None  # noqa: S101  # of this project
    found = list(coverage.repeated(target, coverage.asked(target), repetitions, coverage.SWEEPS))
    fit, chains = (np.array([getattr(each, name) for each in found]) for name in ("fit", "chains"))
    held = [coverage.covered(shares.ravel())[-1] / shares.size for shares in (fit, chains)]
    return held[0], held[1]

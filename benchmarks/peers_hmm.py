"""Sweeps of a hidden Markov model beside plain NumPy, and beside hmmlearn where that is installed, on one core.

    python -m benchmarks.peers_hmm

Each pair is timed in turn in one process, from the same responsibilities; printed are medians of the ratios. A sweep of
hmmlearn's `VariationalGaussianHMM` (its recursions are C++) is the difference of fits of twelve and of two iterations.
"""

import contextlib
import logging
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from samplers.gibbs.hidden_markov import HiddenMarkovChain
from targets.conjugate.hidden_markov import GaussianEmissions, HiddenMarkov, path
from targets.kernel import Matrix
from variational.conjugate.hmm_fit import Fit, begun

SIZES = ((2, 1), (3, 2), (10, 5))  # states, features
N = 20_000
REPEATS = 7


def simulated(states: int, features: int) -> Matrix:
    """(N, features)."""
    rng = np.random.default_rng(1)
    transitions = 0.8 * np.eye(states) + 0.2 / states
    means = 2.0 * rng.standard_normal((states, features))
    hidden = path(rng, np.full(states, 1 / states), transitions, N)
    return np.asarray(means[hidden] + rng.standard_normal((N, features)))


def ours(X: Matrix, states: int) -> tuple[Fit, HiddenMarkovChain]:
    d = X.shape[1]
    model = HiddenMarkov(states, GaussianEmissions(X.mean(axis=0), 1.0, d + 1.0, np.atleast_2d(np.cov(X.T))))
    fit = begun(model, np.ascontiguousarray(X.T), np.array([len(X)]), np.random.default_rng(1), point=False)
    return fit, HiddenMarkovChain(model, X, np.random.default_rng(1))


def plain(X: Matrix, fit: Fit) -> Callable[[], object]:
    """The same E-step and moments as textbooks have them: a step of the recursions is one expression in NumPy."""

    def sweep() -> object:
        emissions, start, transitions = fit.emissions, np.exp(fit.start.logs[0]), np.exp(fit.transitions.logs)
        distances = np.empty(fit.shares.shape)
        roots = emissions.roots * np.sqrt(emissions.amounts)[:, None, None]  # type: ignore[union-attr]
        for k, (mean, root) in enumerate(zip(emissions.means, roots, strict=True)):  # type: ignore[union-attr]
            distances[:, k] = 0.5 * np.square((X - mean) @ root.T).sum(axis=1)
        weights = np.exp(distances.min(axis=1, keepdims=True) - distances)
        ahead, later, scale = np.empty_like(weights), np.ones_like(weights), np.empty(len(X))
        for t in range(len(X)):
            ahead[t] = weights[t] * (ahead[t - 1] @ transitions if t else start)
            scale[t] = ahead[t].sum()
            ahead[t] /= scale[t]
        for t in range(len(X) - 1, 0, -1):
            later[t - 1] = transitions @ (weights[t] * later[t]) / scale[t]
        shares = ahead * later
        pairs = transitions * (ahead[:-1].T @ (weights[1:] * later[1:] / scale[1:, None]))
        sums = shares.T @ X
        return pairs, [(share[:, None] * X).T @ X for share in shares.T], sums

    return sweep


def hmmlearn(X: Matrix, states: int) -> Callable[[], float] | None:
    """Seconds of a sweep of hmmlearn's, where it is installed."""
    with contextlib.suppress(ImportError):
        from hmmlearn.vhmm import VariationalGaussianHMM  # type: ignore[import-not-found]  # no dependency

        def fitted(iterations: int) -> float:
            peer = VariationalGaussianHMM(states, covariance_type="full", n_iter=iterations, tol=-1e9, random_state=0)
            return seconds(lambda: peer.fit(X))

        return lambda: (fitted(12) - fitted(2)) / 10
    return None


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    warnings.simplefilter("ignore")  # hmmlearn warns that it did not converge
    logging.disable()
    sys.stdout.write("states features   VB sweep  x NumPy  x hmmlearn   Gibbs sweep\n")
    for states, features in SIZES:
        X = simulated(states, features)
        fit, chain = ours(X, states)
        row = np.empty((3, len(chain.names)))
        numpy, peer = plain(X, fit), hmmlearn(X, states)
        fit.sweep(), chain.advance(row)
        times, gibbs, by_numpy, by_peer = [], [], [], []
        for _ in range(REPEATS):
            times.append(seconds(fit.sweep))
            gibbs.append(seconds(lambda: chain.advance(row)) / 3)  # noqa: B023
            by_numpy.append(seconds(numpy) / times[-1])
            by_peer.append(peer() / seconds(fit.sweep) if peer else np.nan)
        sys.stdout.write(
            f"{states:6} {features:8} {1e3 * statistics.median(times):8.2f} ms {statistics.median(by_numpy):8.0f} "
            f"{statistics.median(by_peer):11.1f} {1e3 * statistics.median(gibbs):10.2f} ms\n"
        )


if __name__ == "__main__":
    with threadpool_limits(1):
        main()

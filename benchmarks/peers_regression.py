"""Regressions and factor analysis beside scikit-learn's, timed in turns: `python -m benchmarks.peers_regression`.

Each row is one data set and one pair: medians over alternating repetitions in one process, threads pinned to one. The
ratio is their seconds over ours, above one where ours are faster.
"""

import statistics
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.decomposition import FactorAnalysis as TheirFactors
from sklearn.linear_model import ARDRegression, BayesianRidge
from threadpoolctl import threadpool_limits

from variational import BayesianLinearRegression, FactorAnalysis

Pair = tuple[str, Callable[[], str], Callable[[], str]]


def regressions() -> list[Pair]:
    X, y = load_diabetes(return_X_y=True)
    cases = {"diabetes 442 x 10": (X * np.sqrt(len(X)), y)}
    rng = np.random.default_rng(0)
    for n, p in ((10_000, 20), (100_000, 20), (2000, 100), (50, 200)):
        X = rng.standard_normal((n, p))
        cases[f"synthetic {n} x {p}"] = X, X[:, :5] @ np.ones(5) + rng.standard_normal(n)
    return [pair for name, (X, y) in cases.items() for pair in _pairs(name, X, y)]


def _pairs(name: str, X: np.ndarray, y: np.ndarray) -> list[Pair]:
    """Both to their own default tolerances; what they end in is told beside."""

    def ours(prior: str) -> str:
        fitted = BayesianLinearRegression(prior=prior).fit(X, y)  # type: ignore[arg-type]
        return f"R2 {fitted.score(X, y):.6f}, {fitted.n_iter_} sweeps"

    def theirs(peer: type) -> str:
        fitted = peer().fit(X, y)
        return f"R2 {fitted.score(X, y):.6f}, {fitted.n_iter_} sweeps"

    return [
        (f"BayesianRidge, {name}", lambda: ours("shared"), lambda: theirs(BayesianRidge)),
        (f"ARDRegression, {name}", lambda: ours("ard"), lambda: theirs(ARDRegression)),
    ]


def factors() -> list[Pair]:
    """To a tolerance at which both have the same likelihood to 1e-4 nats or so, and to their own defaults."""
    pairs: list[Pair] = []
    rng = np.random.default_rng(1)
    for n, d, k in ((1000, 10, 3), (20_000, 30, 5), (200, 100, 5)):
        X = rng.standard_normal((n, k)) @ rng.standard_normal((k, d))
        X += rng.standard_normal((n, d)) * rng.uniform(0.5, 2, d)

        def ours(X: np.ndarray = X, k: int = k, tol: float = 1e-8) -> str:
            fitted = FactorAnalysis(n_components=k, tol=tol, max_iter=10_000).fit(X)
            return f"{fitted.log_likelihood_:.4f} nats, {fitted.n_iter_} sweeps"

        def theirs(X: np.ndarray = X, k: int = k, tol: float = 1e-4) -> str:
            fitted = TheirFactors(k, tol=tol, max_iter=10_000, svd_method="lapack").fit(X)
            return f"{fitted.score(X) * len(X):.4f} nats, {fitted.n_iter_} sweeps"

        pairs.append((f"FactorAnalysis, {n} x {d}, {k} factors", ours, theirs))
    return pairs


def measure(ours: Callable[[], str], theirs: Callable[[], str], repetitions: int) -> tuple[float, float, str, str]:
    """Median seconds of each, and what they came to."""
    said = ours(), theirs()
    seconds: tuple[list[float], list[float]] = [], []
    for _ in range(repetitions):
        for each, taken in zip((ours, theirs), seconds, strict=True):
            start = time.perf_counter()
            each()
            taken.append(time.perf_counter() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1]), *said


def main(repetitions: int = 5) -> None:
    """Print the table."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, ours, theirs in (*regressions(), *factors()):
            mine, other, said, heard = measure(ours, theirs, repetitions)
            told = f"ratio {other / mine:8.1f}   {mine * 1e3:9.2f} ms ({said})   {other * 1e3:9.2f} ms ({heard})"
            sys.stdout.write(f"{name:45} {told}\n")


if __name__ == "__main__":
    main()

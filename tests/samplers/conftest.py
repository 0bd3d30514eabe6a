"""What tests of single kinds of chain share: exact starts, and loops with an error planted in them."""

import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

import targets
from samplers.chain import no_stats, tallies
from targets.kernel import FASTMATH, NO_POINTER, Loop, aligned, empty

# Every registered target that has an exact sampler, small enough for thousands of chains.
EXACT = [
    ("correlated_gaussian", {"dim": 1, "mean": -1.0}),
    ("correlated_gaussian", {"dim": 3, "rho": 0.5}),
    ("bimodal_mixture", {"separation": 3.0}),
    ("student_t", {"dim": 2, "df": 9.0}),
    ("banana", {"dim": 2, "scale": 1.0, "curvature": 0.5}),
    ("funnel", {"dim": 3}),
    ("funnel", {"dim": 3, "parameterisation": "centred"}),
    ("eight_schools", {}),
    ("eight_schools", {"parameterisation": "centred"}),
    ("gmm_posterior", {"n": 20, "separation": 2.0}),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `exact` each of the targets in turn."""
    if "exact" in metafunc.fixturenames:
        ids = ["-".join([name, *map(str, options.values())]) for name, options in EXACT]
        metafunc.parametrize("exact", [targets.load(name, **options) for name, options in EXACT], ids=ids)


# Targets on which planted errors show: with two modes, of equal mass or not, correlated, and curved.
TELLING = [
    ("bimodal_mixture", {"separation": 4.0}),
    ("bimodal_mixture", {"separation": 4.0, "weight": 0.3, "sd_ratio": 3.0}),
    ("correlated_gaussian", {"dim": 3, "rho": 0.5}),
    ("banana", {"dim": 2, "scale": 1.0, "curvature": 1.0}),
]


@pytest.fixture
def telling() -> list[targets.Target]:
    return [targets.load(name, **options) for name, options in TELLING]


def features(target: targets.Target, x: np.ndarray) -> np.ndarray:
    """(n, features): of y = arsinh of the standardised x, y_i, |y_i|, y_i^2 and products of neighbours."""
    assert target.truth is not None
    moments = target.truth.moments
    y = np.arcsinh((x - moments.mean) / np.sqrt(moments.variance))
    return np.concatenate([y, np.abs(y), y**2, y[..., 1:] * y[..., :-1]], axis=-1)


@pytest.fixture
def drift() -> Callable[..., float]:
    """`drift(target, begin, move, n, members)`: how far chains from exact starts drift, in standard errors.

    `begin(positions (members, dim), log densities)` makes a chain, `move(chain, tally, rng, draws, stats)` advances it
    by the rows of draws. Under invariance E f(end) = E f(start) for all features f; the largest of at most 39 means
    exceeds 5.5 standard errors falsely in one of 7e5 runs. From 4000 chains a shift of 0.15 standard deviations of the
    difference is found with probability above 0.999.
    """

    def worst(target: targets.Target, begin: Any, move: Any, n: int = 4000, members: int = 1) -> float:
        assert target.truth is not None
        dim = target.dim
        starts = target.truth.draws(n * members, 21)
        assert starts is not None
        starts = np.asarray(starts).reshape(n, members, dim)
        heights = target.log_densities(starts.reshape(-1, dim)).reshape(n, members)
        rng = np.random.default_rng(22)
        ends, draws, stats, tally = np.empty_like(starts), empty(3, members * dim), no_stats(3), tallies(1)
        for k, start in enumerate(starts):
            tally["log_density"] = heights[k, 0]
            move(begin(aligned(start), heights[k]), tally, rng, draws, stats)
            ends[k] = draws[-1].reshape(members, dim)
        change = (features(target, ends) - features(target, starts)).mean(axis=1)
        moved = change.std(axis=0)
        assert np.all(moved > 0.02), "chains must move"
        return float(np.max(np.abs(change.mean(axis=0)) / (moved / np.sqrt(n))))

    return worst


@pytest.fixture
def planted() -> Callable[..., Any]:
    """`planted(module, name, right, wrong)`: the module's loop of that name, with `wrong` in the place of `right`."""

    def plant(module: Any, name: str, right: str, wrong: str) -> Any:
        loop = getattr(module, name)
        assert isinstance(loop, Loop)
        source = textwrap.dedent(inspect.getsource(loop.function))
        assert source.count(right) == 1, right
        names = dict(vars(module))
        exec(source[source.index("def " + name) :].replace(right, wrong), names)  # noqa: S102
        return numba.njit(loop.signature, error_model="numpy", fastmath=set(FASTMATH), **NO_POINTER)(names[name])

    return plant

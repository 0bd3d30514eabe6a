"""Chains that start from exact draws stay exact, and planted errors do not.

From n = 4000 exact draws three transitions are made at a fixed step that accepts about 0.7. Under invariance every mean
of f(end) - f(start) is zero; f are x_i, x_i^2, x_i x_j and |x_i|, 18 at most. The test alarms beyond five standard
errors: falsely once in 1e5 runs of a target. A shift of 0.15 standard deviations of the difference is found with
probability 0.999. The planted errors shift by more, as the last test shows.
"""

import inspect
import textwrap
from typing import Any

import numba
import numpy as np
import pytest

import targets
from samplers import leapfrog, metropolis
from samplers.chain import chain_at, tallies
from samplers.pointer import pointer
from targets.kernel import FASTMATH, Loop, aligned, zeros

DRAWS = 4000
ALARM = 5.0

# Target, and step sizes of HMC and of the random walk.
CASES = [
    ("correlated_gaussian", {"dim": 3, "rho": 0.5}, 1.8, 1.0),
    ("bimodal_mixture", {"separation": 3.0}, 2.0, 3.0),
    ("student_t", {"dim": 2, "df": 9.0}, 1.9, 1.5),
    ("banana", {"dim": 2, "scale": 1.0, "curvature": 0.5}, 1.6, 1.2),
]
IDS = [case[0] for case in CASES]


def features(x: np.ndarray) -> np.ndarray:
    """(n, features): first and second moments, products and absolute values."""
    dim = x.shape[1]
    products = [x[:, i] * x[:, j] for i in range(dim) for j in range(i, dim)]
    return np.column_stack([x, np.abs(x), *products])


def worst(target: targets.Target, move: Any, step: float, gradient_free: bool = False) -> float:
    """Largest |mean difference| in standard errors, after `move(chain, tally, rng, draws)` from exact draws."""
    assert target.truth is not None
    starts = target.truth.draws(DRAWS, 11)
    assert starts is not None
    rng = np.random.default_rng(12)
    ends = np.empty_like(starts)
    draws, gradient = zeros(3, target.dim), zeros(target.dim)
    tally = tallies(1)
    for n, start in enumerate(starts):
        tally["log_density"] = target.kernel(aligned(start), gradient, target.data)
        tally["log_step"] = np.log(step)
        move(chain_at(start, gradient), tally, rng, draws)
        ends[n] = draws[-1]
    assert 0.2 < tally["acceptance"][0] / tally["iterations"][0] < 0.97, "the acceptance must matter"
    change = features(ends) - features(starts)
    return float(np.max(np.abs(change.mean(axis=0)) / (change.std(axis=0) / np.sqrt(DRAWS))))


def hmc(target: targets.Target, loop: Any = leapfrog.advance, dense: bool = False) -> Any:
    kernel = pointer(target.log_density_and_gradient)
    diagonal, factor = (
        aligned(np.full(target.dim, 0.9)),
        aligned(np.eye(target.dim) * 0.9 - np.eye(target.dim, k=-1) * 0.3),
    )

    def move(chain: Any, tally: Any, rng: np.random.Generator, draws: np.ndarray) -> None:
        loop(kernel, target.data, rng, chain, tally, diagonal, factor, dense, draws, 2.0, 0.75, 50, 0.0)

    return move


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("dense", [False, True])
def test_hmc_leaves_the_target_invariant(case: tuple[str, dict[str, Any], float, float], dense: bool) -> None:
    target = targets.load(case[0], **case[1])
    assert worst(target, hmc(target, dense=dense), case[2]) < ALARM


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("gradient_free", [False, True])
def test_the_random_walk_leaves_the_target_invariant(
    case: tuple[str, dict[str, Any], float, float], dense: bool, gradient_free: bool
) -> None:
    target = targets.load(case[0], **case[1])
    kernel = pointer(target.log_density_and_gradient)
    density = pointer(target.log_density or metropolis.no_density)
    diagonal, factor = aligned(np.full(target.dim, 0.9)), aligned(np.eye(target.dim) - np.eye(target.dim, k=-1) * 0.3)

    def move(chain: Any, tally: Any, rng: np.random.Generator, draws: np.ndarray) -> None:
        metropolis.walk(
            density, kernel, gradient_free, target.data, rng, chain, tally, diagonal, factor, dense, draws, 2, 0.0
        )

    assert worst(target, move, case[3]) < ALARM


PLANTED = {
    "sign of the acceptance ratio": ("metropolis(change)", "metropolis(-change)"),
    "momentum left out of the energy": ("energy - (0.5 * kinetic - end)", "end - log_density"),
    "steps that depend on the state": ("steps = steps_of(", "steps = 1 if position[0] > 0.5 else steps_of("),
}


@pytest.mark.parametrize("error", PLANTED)
def test_planted_errors_are_caught(error: str) -> None:
    right, wrong = PLANTED[error]
    source = textwrap.dedent(inspect.getsource(leapfrog.advance.function))
    assert source.count(right) == 1
    names = dict(vars(leapfrog))
    exec(source[source.index("def advance") :].replace(right, wrong), names)  # noqa: S102
    broken = numba.njit(leapfrog.advance.signature, error_model="numpy", fastmath=set(FASTMATH))(names["advance"])
    assert isinstance(leapfrog.advance, Loop)
    alarms = []
    for name, options, step, _ in CASES:
        target = targets.load(name, **options)
        alarms.append(worst(target, hmc(target, broken), step))
    assert max(alarms) > 2 * ALARM, alarms

"""Chains that start from exact draws stay exact, and planted errors do not.

From n = 4000 exact draws three transitions are made at a fixed step that accepts about 0.7. Under invariance every mean
of f(end) - f(start) is zero; f are x_i, x_i^2, x_i x_j and |x_i|, 75 at most. The test alarms beyond 5.5 standard
errors: falsely once in 7000 runs of all that is here. A shift of 0.15 standard deviations of the difference is found
with probability 0.999. The planted errors shift by more, as the last tests show.
"""

import inspect
import textwrap
from typing import Any

import numba
import numpy as np
import pytest

import targets
from samplers import leapfrog, metropolis, tree
from samplers.chain import chain_at, no_stats, tallies
from samplers.gradient_free import no_density
from samplers.pointer import pointer
from samplers.scale import Scale, dense_scale, diagonal_scale, low_rank_scale
from targets.kernel import FASTMATH, Loop, aligned, zeros
from tests.tiers import seldom

DRAWS = 4000
DRAWS_OF_NUTS = 16000  # errors in trees shift less: half the difference is found with the same probability
ALARM = 5.5
SEEN = 10.0  # what a planted error must reach

# Target, and step sizes of HMC and of the random walk.
CASES = [
    ("correlated_gaussian", {"dim": 3, "rho": 0.5}, 1.8, 1.0),
    ("bimodal_mixture", {"separation": 3.0}, 2.0, 3.0),
    ("student_t", {"dim": 2, "df": 9.0}, 1.9, 1.5),
    ("banana", {"dim": 2, "scale": 1.0, "curvature": 0.5}, 1.6, 1.2),
    ("funnel", {"dim": 3}, 1.8, 1.0),
    ("funnel", {"dim": 3, "scale": 1.0, "parameterisation": "centred"}, 1.2, 0.8),
    ("eight_schools", {}, 1.2, 0.5),
    ("eight_schools", {"parameterisation": "centred"}, 0.3, 0.2),
]
IDS = [f"{case[0]}-{case[2]}" for case in CASES]
SHORTER = (0.7, 0.5)  # steps of NUTS in those of HMC: trees of a few states, or of some more


def features(x: np.ndarray) -> np.ndarray:
    """(n, features): first and second moments, products and absolute values."""
    dim = x.shape[1]
    products = [x[:, i] * x[:, j] for i in range(dim) for j in range(i, dim)]
    return np.column_stack([x, np.abs(x), *products])


def worst(target: targets.Target, move: Any, step: float, n: int = DRAWS, sound: bool = True) -> float:
    """Largest |mean difference| in standard errors, after `move(chain, tally, rng, draws)` from n exact draws."""
    assert target.truth is not None
    starts = target.truth.draws(n, 11)
    assert starts is not None
    rng = np.random.default_rng(12)
    ends = np.empty_like(starts)
    draws, stats, gradient = zeros(3, target.dim), no_stats(3), zeros(target.dim)
    tally, acceptance = tallies(1), 0.0
    for k, start in enumerate(starts):
        tally["log_density"] = target.kernel(aligned(start), gradient, target.data)
        tally["log_step"] = np.log(step)
        move(chain_at(start, gradient), tally, rng, draws, stats)
        acceptance += stats["acceptance_rate"].mean() / n
        ends[k] = draws[-1]
    if sound:
        assert 0.2 < acceptance < 0.97, "the acceptance must matter"
    change = features(ends) - features(starts)
    return float(np.max(np.abs(change.mean(axis=0)) / (change.std(axis=0) / np.sqrt(n))))


SHAPES = ["diagonal", "dense", "low rank"]


def scale_of(shape: str, target: targets.Target) -> Scale:
    """Standard deviations that fit so roughly that the acceptance matters."""
    assert target.truth is not None
    dim, sd = target.dim, 0.9 * np.sqrt(np.minimum(target.truth.moments.variance, 100.0))
    if shape == "dense":
        return dense_scale(sd[:, None] * (np.eye(dim) - np.eye(dim, k=-1) * 0.3))
    along = np.ones((1, dim)) / np.sqrt(dim)
    return diagonal_scale(sd) if shape == "diagonal" else low_rank_scale(sd, along, np.array([1.3]))


def hmc(target: targets.Target, loop: Any = leapfrog.advance, shape: str = "diagonal") -> Any:
    kernel, scale = pointer(target.log_density_and_gradient), scale_of(shape, target)

    def move(chain: Any, tally: Any, rng: np.random.Generator, draws: np.ndarray, stats: np.ndarray) -> None:
        loop(kernel, target.data, rng, chain, tally, scale, draws, stats, 2.0, 0.75, 50, 1, 0.0)

    return move


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_hmc_leaves_the_target_invariant(case: tuple[str, dict[str, Any], float, float], shape: str) -> None:
    target = targets.load(case[0], **case[1])
    assert worst(target, hmc(target, shape=shape), case[2]) < ALARM


def nuts(target: targets.Target, loop: Any = tree.advance, shape: str = "diagonal") -> Any:
    kernel, scale = pointer(target.log_density_and_gradient), scale_of(shape, target)

    def move(chain: Any, tally: Any, rng: np.random.Generator, draws: np.ndarray, stats: np.ndarray) -> None:
        loop(kernel, target.data, rng, tree.tree_chain(chain, 5), tally, scale, draws, stats, False, 5, 0.0)

    return move


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize(
    ("shape", "shorter"),
    [
        ("diagonal", SHORTER[0]),
        pytest.param("diagonal", SHORTER[1], marks=pytest.mark.long),
        pytest.param("low rank", SHORTER[0], marks=pytest.mark.long),
        pytest.param("dense", SHORTER[0], marks=pytest.mark.long),
    ],
)
def test_nuts_leaves_the_target_invariant(
    case: tuple[str, dict[str, Any], float, float], shape: str, shorter: float
) -> None:
    target = targets.load(case[0], **case[1])
    assert worst(target, nuts(target, shape=shape), shorter * case[2], DRAWS_OF_NUTS) < ALARM


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gradient_free", [False, True])
def test_the_random_walk_leaves_the_target_invariant(
    case: tuple[str, dict[str, Any], float, float], shape: str, gradient_free: bool
) -> None:
    target = targets.load(case[0], **case[1])
    kernel = pointer(target.log_density_and_gradient)
    density, scale = pointer(target.log_density or no_density), scale_of(shape, target)

    def move(chain: Any, tally: Any, rng: np.random.Generator, draws: np.ndarray, stats: np.ndarray) -> None:
        metropolis.walk(density, kernel, gradient_free, target.data, rng, chain, tally, scale, draws, stats, 2, 0.0)

    assert worst(target, move, case[3]) < ALARM


TOP = "growing = a0 > 0.0 and a1 > 0.0 and b0 > 0.0 and b1 > 0.0 and c0 > 0.0 and c1 > 0.0\n" + 12 * " " + "for"
JOIN = "if not growing:\n" + 16 * " " + "break\n\n" + 12 * " " + "# the subtree joins"

PLANTED_IN_NUTS = {
    "uniform weights": ("w = math.exp(change - base)", "w = 1.0"),
    "biased inside a subtree": ("rng.random() * subweight < w", "rng.random() * (subweight - w) < w"),
    "biased at the top": ("rng.random() * weight < subweight", "rng.random() * subweight < weight"),
    "subtrees that turned or diverged join": (JOIN, "# the subtree joins"),
    "wrong sign in the turn": (TOP, TOP.replace("= ", "= not (").replace("\n", ")\n")),
    "momentum left out of the energy": ("start - (0.5 * squares - there)", "there - log_density"),
}

# The recursive reference of test_nuts.py sees each of these too, in no time.
SLOWLY_SEEN = {
    "uniform weights",
    "biased inside a subtree",
    "subtrees that turned or diverged join",
    "wrong sign in the turn",
}

PLANTED = {
    "sign of the acceptance ratio": ("metropolis(change)", "metropolis(-change)"),
    "momentum left out of the energy": ("change = energy - (0.5 * kinetic - end)", "change = end - log_density"),
    "steps that depend on the state": ("steps = steps_of(", "steps = 1 if position[0] > 0.5 else steps_of("),
}


@pytest.mark.parametrize("error", seldom(PLANTED, {"steps that depend on the state"}))
def test_planted_errors_are_caught(error: str) -> None:
    broken = planted(leapfrog, *PLANTED[error])
    alarms = []
    for name, options, step, _ in CASES:
        target = targets.load(name, **options)
        alarms.append(worst(target, hmc(target, broken), step, sound=False))
    assert max(alarms) > SEEN, alarms


@pytest.mark.parametrize("error", seldom(PLANTED_IN_NUTS, SLOWLY_SEEN))
def test_planted_errors_in_nuts_are_caught(error: str) -> None:
    broken = planted(tree, *PLANTED_IN_NUTS[error])

    def alarm(case: tuple[str, dict[str, Any], float, float], shorter: float) -> float:
        target = targets.load(case[0], **case[1])
        return worst(target, nuts(target, broken), shorter * case[2], DRAWS_OF_NUTS, sound=False)

    assert any(alarm(case, shorter) > SEEN for shorter in SHORTER for case in CASES)


def planted(module: Any, right: str, wrong: str) -> Any:
    """The module's loop `advance` with an error in it."""
    assert isinstance(module.advance, Loop)
    source = textwrap.dedent(inspect.getsource(module.advance.function))
    assert source.count(right) == 1
    names = dict(vars(module))
    exec(source[source.index("def advance") :].replace(right, wrong), names)  # noqa: S102
    return numba.njit(module.advance.signature, error_model="numpy", fastmath=set(FASTMATH))(names["advance"])

"""Scans of parallel tempering leave the joint law of all levels alone, and count what they meet.

Invariance. From n = 4000 systems that start from exact draws at every level, three scans are made, so that pairs of
both parities are proposed, at fixed steps and a ladder of four. Every mean of f(end) - f(start) is then zero; f are x,
x^2 and |x| at each level and x_k x_k+1 of neighbours: 15. The test alarms beyond five standard errors, falsely once in
1e5 runs of a target; a shift of 0.15 standard deviations of the difference is found with probability 0.999. The planted
errors are looked for with twice as many systems, where the quietest of them stands at seven standard errors. A wrong
force leaves the law alone, as Metropolis corrects it: energies tell it.
"""

import inspect
import math
from typing import Any

import numba
import numpy as np
import pytest

import targets
from samplers import tempered_ladder, tempered_scan
from samplers.chain import no_stats, tallies
from samplers.pointer import pointer
from samplers.scale import diagonal_scale
from samplers.tempered_ladder import communication, gaussian_betas, log_ratios
from samplers.tempered_replicas import DOWNWARDS, NOWHERE, UPWARDS, replicas_at
from samplers.tempered_scan import Ladder
from samplers.tempering import Reference, scratch_for
from targets.kernel import FASTMATH, aligned, zeros
from tests.tiers import always

SYSTEMS = 4000
SCANS = 3
ALARM = 5.0
BETAS = np.array([0.0, 0.15, 0.5, 1.0])
REFERENCE = Reference(np.array([1.0]), np.array([4.0]))
PAIRS = [("correlated_gaussian", {"dim": 1}), ("bimodal_mixture", {"separation": 6.0, "weight": 0.3, "sd_ratio": 2.0})]


def ladder_of(betas: np.ndarray, reference: Reference, sds: np.ndarray, leapfrogs: float = 2.0) -> Ladder:
    levels = len(betas)
    return Ladder(
        aligned(betas),
        aligned(sds),
        aligned(np.full(levels, leapfrogs)),
        zeros(levels),
        reference.matrix,
        aligned([reference.log_height]),
    )


def exact_draws(target: targets.Target, betas: np.ndarray, n: int, seed: int) -> np.ndarray:
    """(n, levels) from the tempered densities of a target on a line, by inverting their distribution functions."""
    grid = np.linspace(-30.0, 30.0, 60_001)
    values = target.log_densities(grid[:, None])
    rng = np.random.default_rng(seed)
    found = []
    for beta in betas:
        logs = beta * values + (1.0 - beta) * REFERENCE.log_density(grid[:, None])
        mass = np.cumsum(np.exp(logs - logs.max()))
        found.append(np.interp(rng.random(n), mass / mass[-1], grid))
    return np.stack(found, axis=1)


def features(x: np.ndarray) -> np.ndarray:
    """(n, features) of the positions (n, levels) at all levels."""
    return np.column_stack([x, x**2, np.abs(x), x[:, 1:] * x[:, :-1]])


def scanned(target: targets.Target, module: dict[str, Any], step: float, n: int) -> tuple[float, float]:
    """Largest |mean difference| in standard errors after some scans from exact draws, and mean acceptance."""
    starts = exact_draws(target, BETAS, n, 11)
    rng = np.random.default_rng(12)
    sds = np.sqrt(np.var(exact_draws(target, BETAS, 2000, 10), axis=0))[:, None]
    ladder = ladder_of(BETAS, REFERENCE, sds)
    scratch, scale, draws, stats = (
        scratch_for(1),
        diagonal_scale(np.ones(1)),
        zeros(SCANS, 1),
        no_stats(SCANS),
    )
    ends, acceptance = np.empty_like(starts), 0.0
    for row, start in enumerate(starts):
        values, gradients = target.evaluate(start[:, None])
        replicas = replicas_at(start[:, None], gradients, values, REFERENCE, math.log(step))
        module["advance"](
            pointer(target.log_density_and_gradient),
            target.data,
            rng,
            replicas,
            tallies(1),
            scale,
            ladder,
            scratch,
            draws,
            stats,
            0.0,
        )
        ends[row] = replicas.positions[replicas.slots.astype(int), 0]
        assert ends[row, -1] == draws[-1, 0]
        acceptance += stats["acceptance_rate"].mean() / n
    difference = features(ends) - features(starts)
    return float(np.max(np.abs(difference.mean(axis=0) / difference.std(axis=0)) * math.sqrt(n))), acceptance


@pytest.mark.parametrize(("name", "options"), PAIRS)
def test_scans_leave_the_joint_law_of_all_levels_alone(name: str, options: dict[str, Any]) -> None:
    alarm, acceptance = scanned(targets.load(name, **options), vars(tempered_scan), 1.2, SYSTEMS)
    assert alarm < ALARM
    assert 0.5 < acceptance < 0.97


STALE = """
    lowers, uppers = np.empty(betas.shape[0]), np.empty(betas.shape[0])
    for k in range(betas.shape[0] - 1):
        lowers[k], uppers[k] = log_ratios(replicas, betas, k)
    for k in range(betas.shape[0] - 1):
        lower, upper = lowers[k], uppers[k]
"""
LOOP = """
    for k in range(int(replicas.counts[SCANS]) % 2, betas.shape[0] - 1, 2):
        lower, upper = log_ratios(replicas, betas, k)
"""
SWAP = "if rng.random() < metropolis(lower - upper):"
RATIOS = """
    lower = rise * (replicas.log_densities[low] - replicas.references[low])
    return lower, rise * (replicas.log_densities[high] - replicas.references[high])
"""
PLANTED = {
    "sign of the swap ratio": (SWAP, SWAP.replace("lower - upper", "upper - lower")),
    "swap ratio that forgets the reference": (RATIOS, RATIOS.replace("- replicas", "- 0.0 * replicas")),
    "pairs of both parities by ratios from before": (LOOP, STALE),
    "reference kept from before a trajectory": ("replicas.references[slot] = reference_there", "pass"),
    "width of the draws from the reference": ("/ math.sqrt(reference[1, i])", "* math.sqrt(reference[1, i])"),
}
FORCE = ("slope_here = tempered_slope(", "slope_here = gradient[i] + 0.0 * tempered_slope(")


def planted(right: str, wrong: str) -> dict[str, Any]:
    """The module of the loop with an error in it."""
    source = inspect.getsource(tempered_scan)
    assert source.count(right) == 1
    names = dict(vars(tempered_scan))  # the classes stay the same: loops are compiled for them
    exec(source[source.index("@helper") :].replace(right, wrong), names)  # noqa: S102
    loop = names["advance"]
    names["advance"] = numba.njit(loop.signature, error_model="numpy", fastmath=set(FASTMATH))(loop.function)
    return names


@pytest.mark.parametrize("error", always(PLANTED, {"sign of the swap ratio"}))
def test_planted_errors_are_caught(error: str) -> None:
    broken = planted(*PLANTED[error])
    assert any(scanned(targets.load(name, **options), broken, 1.2, 2 * SYSTEMS)[0] > ALARM for name, options in PAIRS)


@pytest.mark.long
def test_energies_are_kept_by_small_steps_and_not_with_a_wrong_force() -> None:
    """The error of the energy falls with the square of the step: at 0.05 it is far below 0.01."""
    target = targets.load(*PAIRS[0][:1], **PAIRS[0][1])
    assert scanned(target, vars(tempered_scan), 0.05, 500)[1] > 0.995
    assert scanned(target, planted(*FORCE), 0.05, 500)[1] < 0.98


def test_the_barrier_between_gaussians_is_the_known_one() -> None:
    """On a line, for widths s and 1, V is quadratic and E|V - V'| / 2 integrates to (2 / pi) log s.

    The sum of rejections of 15 intervals lies below by a part in a thousand, and its standard error is 1 %.
    """
    target = targets.load("correlated_gaussian", dim=1)
    reference = Reference(np.zeros(1), np.array([10.0]))
    betas = gaussian_betas(16, math.log(10.0))
    sds = tempered_ladder.between(betas, np.ones(1), reference.sd)
    rng = np.random.default_rng(5)
    start = sds * rng.standard_normal((16, 1))
    values, gradients = target.evaluate(start)
    replicas = replicas_at(start, gradients, values, reference, 0.0)
    ladder = ladder_of(betas, reference, sds)
    n = 10_000
    tempered_scan.advance(
        pointer(target.log_density_and_gradient),
        target.data,
        rng,
        replicas,
        tallies(1),
        diagonal_scale(np.ones(1)),
        ladder,
        scratch_for(1),
        zeros(n, 1),
        no_stats(n),
        0.0,
    )
    found = communication(replicas.rejections[:15] / n)[-1]
    assert found == pytest.approx(2.0 / math.pi * math.log(10.0), rel=0.05)
    assert target.truth is not None
    assert np.sum(log_ratios(replicas.forwards[:15], replicas.backwards[:15], ladder.shifts[:-1])) == pytest.approx(
        target.truth.log_normaliser, abs=0.05
    )


def test_round_trips_are_counted_from_the_reference_to_the_target_and_back() -> None:
    follow = tempered_scan.follow.py_func
    headings = np.full(3, NOWHERE)
    history = [  # permutations, and whether the replica at the bottom has just come back from the top
        ([0, 1, 2], 0),  # replica 2 stands at the top without having been at the bottom: it comes from nowhere
        ([1, 0, 2], 0),
        ([1, 2, 0], 0),  # 0 arrives at the top, and turns
        ([2, 1, 0], 0),  # 2 arrives at the bottom, having never been there: no trip
        ([2, 0, 1], 0),  # 1 arrives at the top
        ([0, 2, 1], 1),  # 0 is back
        ([0, 1, 2], 0),  # staying there is no second trip; 2 is at the top
        ([1, 0, 2], 1),
        ([2, 0, 1], 1),
        ([2, 0, 1], 0),
    ]
    found = [follow(np.array(slots, dtype=float), headings, 2) for slots, _ in history]
    assert found == [trip for _, trip in history]
    assert list(headings) == [UPWARDS, DOWNWARDS, UPWARDS]

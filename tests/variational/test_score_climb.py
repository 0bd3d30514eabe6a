"""Markovian score climbing: kernels leave p invariant, averages are those of the chains, and slow mixing is told."""

from typing import Any

import numpy as np
import pytest

import targets
from targets.protocols import Status
from targets.target import Target
from variational import method
from variational.climbing import resample, trajectories
from variational.gaussian import Gaussian
from variational.score_climb import stepped
from variational.window import BATCHES, Window, judge

REPEATS = 20_000
TWO_MODES = targets.load("bimodal_mixture", dim=1, separation=3.0, weight=0.3, sd_ratio=1.5)
Q = Gaussian(np.array([0.5]), np.array([2.0]))


def weights(points: np.ndarray) -> np.ndarray:
    return TWO_MODES.log_densities(points.reshape(-1, 1)).reshape(points.shape) - Q.log_density(
        points.reshape(-1, 1)
    ).reshape(points.shape)


def exact(n: int, seed: int) -> np.ndarray:
    assert TWO_MODES.truth is not None and TWO_MODES.truth.sample is not None
    return TWO_MODES.truth.sample(np.random.default_rng(seed), n)[:, 0]


def same_law(values: np.ndarray, shares: np.ndarray | None = None) -> float:
    """Largest t of three expectations, against independent exact draws: beyond six once in 1e8."""
    shares = np.ones((len(values), 1)) if shares is None else shares
    values = values.reshape(len(values), -1)
    other = exact(4 * len(values), 91)
    worst = 0.0
    for f in (lambda x: x, lambda x: x**2, lambda x: (x < 0).astype(float)):
        seen = (f(values) * shares).sum(axis=1)
        error = np.hypot(seen.std() / np.sqrt(len(seen)), f(other).std() / np.sqrt(len(other)))
        worst = max(worst, abs(seen.mean() - f(other).mean()) / error)
    return worst


def chosen(metropolis: bool, fresh: int, spoil: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where REPEATS chains from exact draws are after three steps; all their points, and the shares of those.

    What chains hold is weighed with q to the power 1 - `spoil`; at -1 the bias is 13 to 16 standard errors.
    """
    rng = np.random.default_rng(7)
    old, new = exact(REPEATS, 8), Q.sample(rng, REPEATS * 3 * fresh)[:, 0].reshape(REPEATS, 3, fresh)
    shares, old_shares, last = np.zeros((REPEATS, 3, fresh)), np.zeros(REPEATS), np.zeros(REPEATS, dtype=np.int64)
    retained = weights(old) + spoil * Q.log_density(old[:, None])
    resample(weights(new), retained, rng.random((REPEATS, 3)), shares, old_shares, last, metropolis)
    points = np.column_stack([old, new.reshape(REPEATS, -1)])
    shares = np.column_stack([old_shares, shares.reshape(REPEATS, -1)]) / 3
    return points[np.arange(REPEATS), last + 1], points, shares


@pytest.mark.parametrize(("metropolis", "fresh"), [(False, 1), (False, 4), (True, 1)])
def test_proposals_from_q_leave_p_as_it_is(metropolis: bool, fresh: int) -> None:
    """Both where a chain is and the average over a step's weighted points; a bias of 0.05 sd would be seen."""
    ends, points, shares = chosen(metropolis, fresh)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert same_law(ends) < 6
    assert same_law(points, shares) < 6


@pytest.mark.parametrize(("metropolis", "fresh"), [(False, 4), (True, 1)])
def test_a_retained_weight_that_is_wrong_would_be_seen(metropolis: bool, fresh: int) -> None:
    assert same_law(chosen(metropolis, fresh, spoil=-1.0)[0]) > 8


@pytest.mark.parametrize("scale", [0.7, 2.5])
def test_trajectories_leave_p_as_it_is(scale: float) -> None:
    rng, n = np.random.default_rng(9), REPEATS
    states = exact(n, 10)[:, None].copy()
    heights, slopes = TWO_MODES.evaluate(states)
    visited = np.empty((n, 2, 1))
    factor = np.full((1, 1), scale)
    normals, uniforms = rng.standard_normal((n, 2, 1)), rng.random((n, 2, 2))
    kernel, data, spare = TWO_MODES.kernel, TWO_MODES.data, np.empty((4, 1))
    evaluations, moves = trajectories(
        kernel, data, states, slopes, heights, factor, normals, uniforms, 0.6, 1.5, 64, visited, spare
    )
    assert 2 * n <= evaluations <= 64 * 2 * n and 0.2 * 2 * n < moves < 2 * n
    np.testing.assert_array_equal(visited[:, -1], states)
    np.testing.assert_array_equal(TWO_MODES.evaluate(states)[0], heights)
    assert same_law(states[:, 0]) < 6


def test_small_steps_conserve_energy_in_any_direction_of_the_factor() -> None:
    """On a Gaussian: acceptance tends to one as the square of the step; a wrong transpose would not."""
    target = targets.load("correlated_gaussian", dim=3, rho=0.6)
    rng = np.random.default_rng(11)
    factor = np.linalg.cholesky(np.cov(rng.standard_normal((3, 8))))
    loss = []
    for step in (0.2, 0.1, 0.05):
        states = rng.standard_normal((200, 3))
        heights, slopes = target.evaluate(states)
        rest = rng.standard_normal((200, 4, 3)), rng.random((200, 4, 2)), step, 1.5, 64
        _, moves = trajectories(
            target.kernel, target.data, states, slopes, heights, factor, *rest, np.empty((200, 4, 3)), np.empty((4, 3))
        )
        loss.append(1 - moves / 800)
    assert loss[0] > 2.5 * loss[1] > 2.5**2 * loss[2] > 0


def test_a_step_mixes_moments_exactly() -> None:
    """Against a large sample of the mixture (1 - rate) q + rate x points."""
    rng = np.random.default_rng(12)
    q = Gaussian(np.array([1.0, -1.0]), np.array([[1.0, 0.0], [0.5, 0.7]]))
    points, shares = 2 * rng.standard_normal((30, 2)) + 3, rng.dirichlet(np.ones(30))
    moved = stepped(q, points, shares, 0.3)
    mean = 0.7 * q.mean + 0.3 * shares @ points
    second = 0.7 * (q.covariance + np.outer(q.mean, q.mean)) + 0.3 * (points * shares[:, None]).T @ points
    assert moved is not None
    np.testing.assert_allclose(moved.mean, mean)
    np.testing.assert_allclose(moved.covariance, second - np.outer(mean, mean))
    diagonal = stepped(Gaussian(q.mean, q.sd), points, shares, 0.3)
    assert diagonal is not None
    np.testing.assert_allclose(diagonal.variance, np.diagonal(moved.covariance))
    assert stepped(q, np.full((1, 2), np.inf), np.ones(1), 0.3) is None


def test_a_window_says_mean_covariance_and_its_error() -> None:
    """Of independent draws the stated error is that of an average; chains that differ are seen to."""
    rng, chains, blocks, n, dim = np.random.default_rng(13), 4, 64, 50, 3
    factor = np.tril(rng.standard_normal((dim, dim))) + 2 * np.eye(dim)
    window = Window.empty(blocks, chains, np.full(dim, 5.0), np.full(dim, 2.0), True)
    apart = Window.empty(blocks, chains, np.zeros(dim), np.ones(dim), False)
    for _ in range(blocks):
        x = rng.standard_normal((chains, n, dim)) @ factor.T + 4.0
        window.add(x, np.full((chains, n), 1 / n), 1.0)
        apart.add(x + np.arange(chains)[:, None, None], np.full((chains, n), 1 / n), 1.0)
    said = judge(window)
    total = chains * blocks * n
    sd = np.sqrt(np.diagonal(factor @ factor.T))
    assert np.max(np.abs(said.mean - 4.0) / sd) < 6 / np.sqrt(total)
    assert np.max(np.abs(said.covariance - factor @ factor.T) / np.outer(sd, sd)) < 9 / np.sqrt(total)
    # the largest of six standard errors, each estimated from 32 batches
    assert 0.5 / np.sqrt(total) < said.error < 2 / np.sqrt(total)
    assert said.agreed and said.moved == 1.0 and blocks % BATCHES == 0
    assert not judge(apart).agreed


def run_to_end(name: str, target: Target, seed: int = 1, budget: int = 150_000, **options: object):  # type: ignore[no-untyped-def]
    run = method(name, **options).start(target, seed)
    while run.status is Status.RUNNING and run.work.total < budget:
        run.advance(10_000)
    return run


@pytest.mark.parametrize(("name", "options"), [("msc", {}), ("msc", {"kernel": "hmc"}), ("jsa", {})], ids=str)
@pytest.mark.parametrize("family", ["fullrank", "meanfield"])
def test_it_matches_the_moments_of_two_modes(name: str, options: dict[str, Any], family: str) -> None:
    """The forward-KL optimum is the mixture's own moments. It stops at 0.02 sd: six such errors."""
    target = targets.load("bimodal_mixture", dim=2, separation=3.0, weight=0.3)
    assert target.truth is not None
    run = run_to_end(name, target, family=family, **options)
    q, moments = run.approximation(), target.truth.moments
    assert run.status is Status.CONVERGED and q.diagonal == (family == "meanfield")
    assert run.diagnostics()["monte_carlo_error"] <= 0.02
    assert np.max(np.abs(q.mean - moments.mean) / moments.sd) < 0.12
    assert np.max(np.abs(np.log(q.sd / moments.sd))) < 0.12


def test_where_q_is_far_chains_hardly_move_and_it_says_so() -> None:
    """Independent coordinates on a correlated target: q covers p and wastes its draws, the more the more dimensions."""
    moved = []
    for dim in (2, 6, 20):
        target = targets.load("correlated_gaussian", dim=dim)
        run = run_to_end("msc", target, budget=40_000, family="meanfield")
        moved.append(run.diagnostics()["moved"])
    assert moved[0] > moved[1] > moved[2] and moved[2] < 0.05
    assert run.status is not Status.CONVERGED and run.diagnostics()["r_hat"] > 1.05
    free = run_to_end("msc", target, budget=40_000, family="meanfield", kernel="hmc")
    assert free.diagnostics()["moved"] > 0.5


@pytest.mark.parametrize("options", [{"kernel": "mis"}, {"family": "mixture"}, {"particles": 1}])
def test_options_say_what_they_take(options: dict[str, object]) -> None:
    with pytest.raises(targets.UsageError, match="it takes"):
        method("msc", **options)

"""NUTS against a slow recursive reference, and what it learns and reports.

The reference is written from the papers: trees as lists of states, built by recursion (Hoffman & Gelman 2014, algorithm
3), weights, biased progression and checks as in Betancourt 2017 and in Stan since 2.21. It draws its random numbers in
the order of the loop, so that both must visit the same states, whatever the target.
"""

import inspect
import math
import textwrap
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
import pytest

import samplers
import targets
from samplers import tree
from samplers.chain import chain_at, no_stats, tallies
from samplers.chains import ChainsRun
from samplers.draws import Draws
from samplers.metric import covariance_factor, draw_gradient_deviations, draw_gradient_low_rank
from samplers.nuts import METRICS
from samplers.pointer import pointer
from samplers.scale import Scale, dense_scale, diagonal_scale, low_rank_scale
from targets.kernel import FASTMATH, aligned, zeros
from targets.plain import from_python
from targets.protocols import Phase
from tests.tiers import seldom

FIELDS = ("lp", "n_steps", "diverging", "acceptance_rate", "tree_depth", "energy")


@dataclass
class State:
    x: np.ndarray
    r: np.ndarray
    gradient: np.ndarray
    log_density: float

    @property
    def energy(self) -> float:
        return float(0.5 * self.r @ self.r - self.log_density)


@dataclass
class Trajectory:
    """One transition of the reference, with the scale A: x = A z."""

    target: targets.Target
    scale: np.ndarray
    step: float
    rng: np.random.Generator
    start: float = 0.0
    probabilities: list[float] = field(default_factory=list)
    divergent: bool = False

    def state(self, x: np.ndarray, r: np.ndarray) -> State:
        gradient = zeros(self.target.dim)
        return State(x, r, gradient, self.target.kernel(aligned(x), gradient, self.target.data))

    def leapfrog(self, state: State, step: float) -> State:
        r = state.r + 0.5 * step * self.scale.T @ state.gradient
        there = self.state(state.x + step * self.scale @ r, r)
        there.r = r + 0.5 * step * self.scale.T @ there.gradient
        return there

    def build(self, state: State, step: float, depth: int) -> tuple[list[State], bool]:
        """The 2^depth states that follow `state`, in the order made, and whether they neither turn nor diverge."""
        if depth == 0:
            leaf = self.leapfrog(state, step)
            error = leaf.energy - self.start
            self.divergent = not error <= 1000.0
            self.probabilities.append(0.0 if self.divergent else min(1.0, math.exp(-error)))
            return [leaf], not self.divergent
        left, fine = self.build(state, step, depth - 1)
        if not fine:
            return left, False
        right, fine = self.build(left[-1], step, depth - 1)
        return left + right, fine and not turns(left, right)

    def weight(self, state: State) -> float:
        return math.exp(self.start - state.energy)

    def draw(self, states: list[State], uniforms: list[float]) -> State:
        """One of the states by their weights: each replaces those before it with its share of the sum so far."""
        chosen, total = states[0], self.weight(states[0])
        for state, uniform in zip(states[1:], uniforms, strict=True):
            total += self.weight(state)
            if uniform * total < self.weight(state):
                chosen = state
        return chosen

    def run(self, x: np.ndarray, most: int) -> tuple[State, int]:
        """The next state and the number of doublings."""
        drawn = self.state(x, np.array([self.rng.standard_normal() for _ in x]))
        self.start = drawn.energy
        states, depth = [drawn], 0  # in the order of time
        while depth < most:
            forward = self.rng.random() < 0.5
            new, fine = self.build(states[-1 if forward else 0], self.step if forward else -self.step, depth)
            if not fine:
                # the loop drew for every leaf but the first, and but the last if that diverged
                self.rng.random(len(new) - 1 - (self.divergent and len(new) > 1))
                break
            candidate = self.draw(new, [self.rng.random() for _ in new[1:]])
            depth += 1
            if self.rng.random() * sum(map(self.weight, states)) < sum(map(self.weight, new)):
                drawn = candidate
            halves = (states, new) if forward else (new[::-1], states)
            states = halves[0] + halves[1]
            if turns(*halves):
                break
        return drawn, depth


def turns(left: list[State], right: list[State]) -> bool:
    """Whether the joined halves turn, or either with the nearest state of the other."""
    pieces = (left + right, [*left, right[0]], [left[-1], *right])
    return any(not (piece[end].r @ sum(s.r for s in piece) > 0) for piece in pieces for end in (0, -1))


def scale_of(shape: str, dim: int) -> Scale:
    if shape == "dense":
        return dense_scale(np.eye(dim) * 0.9 - np.eye(dim, k=-1) * 0.3)
    sd = np.linspace(0.7, 1.2, dim)
    return diagonal_scale(sd) if shape == "diagonal" else low_rank_scale(sd, np.eye(dim)[-1:], np.array([0.5]))


CASES = [  # target, options, step, most doublings; of the last, trajectories diverge
    ("correlated_gaussian", {"dim": 1}, 0.3, 10),
    ("correlated_gaussian", {"dim": 1}, 1.7, 10),
    ("correlated_gaussian", {"dim": 4, "rho": 0.8}, 0.15, 10),
    ("correlated_gaussian", {"dim": 3, "rho": 0.5}, 0.1, 3),
    ("student_t", {"dim": 2, "df": 9.0}, 0.6, 10),
    ("bimodal_mixture", {"dim": 2, "separation": 3.0}, 0.4, 10),
    ("funnel", {"dim": 3, "parameterisation": "centred"}, 0.9, 6),
]


def disagreement(case: tuple[str, dict[str, Any], float, int], shape: str, loop: Any = tree.advance) -> float:
    """Largest relative difference between loop and reference over transitions; each starts where the loop ended."""
    name, options, step, most = case
    target = targets.load(name, **options)
    assert target.truth is not None
    scale = scale_of(shape, target.dim)
    rng, same = np.random.default_rng(3), np.random.default_rng(3)
    starts = target.truth.draws(TRANSITIONS, 4)
    assert starts is not None
    worst = 0.0
    for x in starts:
        gradient, draws = zeros(target.dim), zeros(1, 2 * target.dim)
        tally, stats = tallies(1), no_stats(1)
        tally["log_density"] = target.kernel(aligned(x), gradient, target.data)
        tally["log_step"] = np.log(step)
        loop(
            pointer(target.log_density_and_gradient),
            target.data,
            rng,
            tree.tree_chain(chain_at(x, gradient), most),
            tally,
            scale,
            draws,
            stats,
            True,
            most,
            0.0,
        )
        reference = Trajectory(target, scale.matrix, step, same)
        state, depth = reference.run(x, most)
        leaves = len(reference.probabilities)
        expected = (
            *(state.log_density, leaves, reference.divergent, np.mean(reference.probabilities)),
            *(depth, state.energy, *state.x, *state.gradient),
        )
        found = np.array([*(stats[0][name] for name in FIELDS), *draws[0]], dtype=np.float64)
        with np.errstate(over="ignore"):
            worst = max(worst, float(np.max(np.abs(found - expected) / (1.0 + np.abs(expected)))))
        if worst > TOLERANCE:
            return worst
    return worst


TRANSITIONS = 150
TOLERANCE = 1e-6  # rounding grows along trajectories that are chaotic


@pytest.mark.parametrize("case", CASES, ids=[f"{case[0]}-{case[2]}" for case in CASES])
@pytest.mark.parametrize("shape", ["diagonal", "dense", "low rank"])
def test_it_does_what_the_recursive_reference_does(case: tuple[str, dict[str, Any], float, int], shape: str) -> None:
    """States, weights' use, depths, leapfrogs, acceptance, divergences and energies, transition by transition."""
    assert disagreement(case, shape) < TOLERANCE


ACROSS = " and b0 > 0.0 and b1 > 0.0 and c0 > 0.0 and c1 > 0.0"
PLANTED = {
    "no check across the join of subtrees": (ACROSS + "\n" + 24 * " " + "right", "\n" + 24 * " " + "right"),
    "no check across the join at the top": (ACROSS + "\n" + 12 * " " + "for", "\n" + 12 * " " + "for"),
    "wrong sign in the turn of a pair": ("product + squares > 0.0", "product + squares < 0.0"),
    "force of the end that stays": ("far_force[i] = swap", "far_force[i] = force[i]"),
    "checkpoint of another subtree": ("left = right - 1", "left = 0"),
    "rejected subtrees left out of the acceptance": (
        "probability = probabilities / leaves",
        "probability = probabilities / max(1, (1 << depth) - 1)",
    ),
    "the top unbiased": ("rng.random() * weight < subweight", "rng.random() * (weight + subweight) < subweight"),
    "uniform weights": ("w = math.exp(change - base)", "w = 1.0"),
    "a divergence threshold of one": ("-DIVERGENCE <=", "-1.0 <="),
    "one doubling more": ("depth < most", "depth <= most"),
    "energy of the end, not of the draw": ("energy = candidate_energy\n", "energy = start - change\n"),
}


def planted(right: str, wrong: str) -> Any:
    """The loop with an error in it."""
    source = textwrap.dedent(inspect.getsource(tree.advance.function))
    assert source.count(right) == 1, right
    names = dict(vars(tree))
    exec(source[source.index("def advance") :].replace(right, wrong), names)  # noqa: S102
    return numba.njit(tree.advance.signature, error_model="numpy", fastmath=set(FASTMATH))(names["advance"])


@pytest.mark.parametrize(
    "error",
    seldom(
        PLANTED,
        {
            "energy of the end, not of the draw",
            "one doubling more",
            "the top unbiased",
            "no check across the join at the top",
            "uniform weights",
            "force of the end that stays",
            "a divergence threshold of one",
            "checkpoint of another subtree",
            "rejected subtrees left out of the acceptance",
        },
    ),
)
def test_the_reference_tells_planted_errors(error: str) -> None:
    broken = planted(*PLANTED[error])
    assert any(disagreement(case, "diagonal", broken) > 1e-3 for case in CASES)


def warmed(target: targets.Target, seed: int, **options: object) -> ChainsRun:
    run = samplers.method("nuts", **options).start(target, seed)
    while run.phase is Phase.WARMUP:
        run.advance(1_000_000)
    return run


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("funnel", {}),
        ("eight_schools", {}),
        ("logistic_regression", {}),
        ("banana", {"dim": 2, "scale": 1.0, "curvature": 0.5}),
        ("correlated_gaussian", {"dim": 30, "structure": "rotated", "condition": 100.0}),
    ],
)
def test_moments_agree_with_the_truth(metric: str, name: str, options: dict[str, Any]) -> None:
    """Six standard errors, of the chains' effective sample size and of the truth: false once in 1e6 runs of all."""
    target = targets.load(name, **options)
    assert target.truth is not None
    moments = target.truth.moments
    draws = samplers.sample(target, "nuts", metric=metric, num_samples=3000, seed=5)
    squares = Draws((draws.values - moments.mean) ** 2)
    assert np.min([draws.ess_bulk, squares.ess_bulk]) > 400
    floor = 0.0 if "exact" in target.tags else 0.02  # standard errors of references, in sd
    z = np.abs(draws.mean - moments.mean) / np.sqrt(moments.variance)
    assert np.max((z - floor) * np.sqrt(draws.ess_bulk)) < 6
    z = np.abs(squares.mean - moments.variance) / np.sqrt(squares.flat.var(axis=0))
    assert np.max((z - floor) * np.sqrt(squares.ess_bulk)) < 6


@pytest.mark.parametrize("goal", [0.6, 0.8, 0.95])
def test_the_step_size_accepts_what_is_asked_for(goal: float) -> None:
    """Within 0.07, over six seeds, whose acceptance varies by 0.02."""
    target = targets.load("correlated_gaussian", dim=20, structure="rotated")
    found = []
    for seed in range(6):
        run = warmed(target, seed, target_accept=goal)
        run.advance(20_000)
        found.append(run.diagnostics()["accept"])
    assert np.mean(found) == pytest.approx(goal, abs=0.07)


@pytest.mark.parametrize("most", [1, 3, 7])
def test_trees_are_no_deeper_than_asked_for(most: int) -> None:
    """One round of warm-up, where the step is far too short for a Gaussian of condition 1e6; counted exactly at one."""
    target = targets.load("correlated_gaussian", dim=10, structure="rotated", condition=1e6)
    run = samplers.method("nuts", max_tree_depth=most, num_chains=1, num_warmup=20).start(target, 1)
    before = run.work.total
    run.advance(1)
    iterations = int(run.counters["iterations"].sum())
    assert iterations > 0
    assert run.work.total - before <= iterations * (2**most - 1)
    assert run.stats["tree_depth"][:, : run.done].max() <= most
    if most == 1:
        assert run.work.total - before == iterations


def test_e_bfmi_is_that_of_the_energies() -> None:
    """Against the formula; and low on the centred funnel, about one on a Gaussian."""
    low = warmed(targets.load("funnel", parameterisation="centred"), 1)
    high = warmed(targets.load("correlated_gaussian"), 1)
    for run in (low, high):
        run.advance(50_000)
        energy = run.approximation().stats["energy"]
        about = energy - energy.mean(axis=1, keepdims=True)
        expected = np.min(np.mean(np.diff(energy) ** 2, axis=1) / np.mean(about**2, axis=1))
        assert run.diagnostics()["e_bfmi"] == pytest.approx(expected, rel=0.01)
    assert low.diagnostics()["e_bfmi"] < 0.3
    assert high.diagnostics()["e_bfmi"] > 0.7
    assert 2.0 < high.diagnostics()["tree_depth"] < 5.0


def test_gradients_stand_behind_the_draws_of_warm_up() -> None:
    target = targets.load("banana")
    run = samplers.method("nuts").start(target, 1)
    run.advance(3000)
    assert run.phase is Phase.WARMUP
    assert run.values.shape[2] == 2 * target.dim
    assert run.draws.shape[2] == target.dim
    gradient = zeros(target.dim)
    for row in run.values[:, : run.done].reshape(-1, 2 * target.dim)[::20]:
        target.kernel(aligned(row[: target.dim]), gradient, target.data)
        assert np.array_equal(row[target.dim :], gradient)
    assert warmed(target, 1).values.shape[2] == target.dim


@pytest.mark.parametrize("metric", ["stan", "nutpie"])
def test_the_scale_is_learned(metric: str) -> None:
    """Independent coordinates of very different widths. From 2000 draws alone it is known to 0.02.

    Stan's variances are never much below 5e-3 / n, which would hide widths of less than 0.01.
    """
    sd = np.logspace(-3 if metric == "nutpie" else -1, 3, 7)
    target = from_python(lambda x: (float(-0.5 * np.sum((x / sd) ** 2)), -x / sd**2), 7)
    scale = warmed(target, 1, metric=metric).tuning.scale.diagonal
    assert np.allclose(scale, sd, rtol=1e-9 if metric == "nutpie" else 0.15)


@pytest.mark.parametrize("metric", ["stan_dense", "nutpie_low_rank"])
def test_the_covariance_is_learned(metric: str) -> None:
    target = targets.load("correlated_gaussian", dim=10, structure="rotated", condition=1000.0)
    assert target.truth is not None
    scale = warmed(target, 1, metric=metric).tuning.scale
    ratios = np.linalg.eigvals(np.linalg.solve(target.truth.moments.covariance, scale.covariance)).real
    assert np.min(ratios) > 0.5
    assert np.max(ratios) < 2.0


def test_metrics_from_few_draws() -> None:
    """Draws and gradients of a Gaussian agree from two draws on; a covariance waits for three draws a dimension."""
    rng = np.random.default_rng(1)
    sd = np.array([1e-4, 1.0, 1e3])
    before = diagonal_scale(sd)
    values = 5.0 * sd + sd * rng.standard_normal((2, 4, 3))
    assert np.allclose(draw_gradient_deviations(values, -values / sd**2, before).diagonal, sd)
    assert np.allclose(draw_gradient_deviations(values, 0.0 * values, before).diagonal, sd)
    assert not covariance_factor(values, before).is_dense
    assert covariance_factor(np.tile(values, (2, 1, 1)), before).is_dense
    correlated = rng.standard_normal((4, 5000, 3)) @ np.array([[1.0, 0.9, 0.0], [0.0, 0.4, 0.0], [0.0, 0.0, 1.0]]) * sd
    scale = covariance_factor(correlated, before)
    assert np.allclose(scale.covariance / np.outer(sd, sd), np.cov((correlated / sd).reshape(-1, 3).T), atol=0.01)
    again = covariance_factor(correlated[:, :2], scale)  # fewer draws than asked for, and a factor before
    assert not again.is_dense


@pytest.mark.parametrize(("dim", "n"), [(5, 40), (60, 20), (300, 100)])
def test_the_low_rank_metric_finds_directions_that_stand_out(dim: int, n: int) -> None:
    """A Gaussian that is wide in one direction and narrow in another, over coordinates of different widths.

    After a diagonal scale alone the condition number is in the hundreds or thousands; with the two it is below 8 once
    there are a few more draws than dimensions. (From 100 draws in 300 dimensions it falls from 8000 to 124: what is
    left is the noise of the diagonal along the wide direction.)
    """
    rng = np.random.default_rng(2)
    vectors = np.linalg.qr(rng.standard_normal((dim, 2)))[0].T
    truth = low_rank_scale(np.logspace(-2, 2, dim), vectors, np.array([100.0, 0.01]))
    draws = truth.times(rng.standard_normal((4 * n, dim)))
    gradients = -np.linalg.solve(truth.covariance, draws.T).T
    found = draw_gradient_low_rank(draws.reshape(4, n, dim), gradients.reshape(4, n, dim), diagonal_scale(np.ones(dim)))
    assert np.allclose(found.vectors @ found.vectors.T, np.eye(len(found.vectors)), atol=1e-9)

    def condition(scale: Scale) -> float:
        sizes = np.linalg.svd(np.linalg.solve(scale.matrix, truth.matrix), compute_uv=False)
        return float((sizes[0] / sizes[-1]) ** 2)

    assert condition(diagonal_scale(found.diagonal)) > 100.0
    assert condition(found) < 8.0


def test_a_scale_does_what_its_matrix_does() -> None:
    rng = np.random.default_rng(3)
    sd, vectors = rng.uniform(0.5, 2.0, 4), np.linalg.qr(rng.standard_normal((4, 2)))[0].T
    z = rng.standard_normal((3, 4))
    for scale in (
        diagonal_scale(sd),
        dense_scale(np.linalg.cholesky(np.cov(rng.standard_normal((4, 20))))),
        low_rank_scale(sd, vectors, np.array([9.0, 0.2])),
    ):
        assert np.allclose(scale.times(z), z @ scale.matrix.T)
        assert np.allclose(scale.transposed(z), z @ scale.matrix)
        assert np.allclose(scale.times(scale.solve(z)), z)
        assert np.allclose(scale.deviations**2, np.diag(scale.covariance))
    expected = sd[:, None] * (np.eye(4) + vectors.T @ np.diag([8.0, -0.8]) @ vectors) * sd
    assert np.allclose(low_rank_scale(sd, vectors, np.array([9.0, 0.2])).covariance, expected)


def test_bad_options_are_refused() -> None:
    for bad in ({"target_accept": 1.0}, {"max_tree_depth": 0}, {"max_tree_depth": 21}, {"metric": "round"}):
        with pytest.raises(targets.UsageError, match="not accepted"):
            samplers.method("nuts", **bad)

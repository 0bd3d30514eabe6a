"""Gibbs sampling of hidden Markov models against all paths, closed forms, and the joint distribution (Geweke 2004)."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest
from numba import int64, void
from scipy import stats
from scipy.special import gammaln

import samplers
import targets
from samplers import gibbs
from samplers.chain import RNG
from samplers.draws import Draws
from samplers.gibbs.hidden_markov import HiddenMarkovChain
from samplers.gibbs.hidden_markov_sweep import _draw_states
from targets.conjugate.forward_backward import INTEGERS
from targets.conjugate.hidden_markov import (
    CategoricalEmissions,
    GaussianEmissions,
    HiddenMarkov,
    HiddenMarkovParameters,
)
from targets.kernel import MATRIX, data_matrix, loop

SIGMAS = 6.0  # two-sided 2e-9
SYMBOLS = np.array([0, 2, 0, 1, 1, 2, 2])
LENGTHS = (4, 3)
MODEL = HiddenMarkov(2, CategoricalEmissions(3, 0.8), 1.5, 0.7, 0.6)


def exact(model: HiddenMarkov) -> tuple[np.ndarray, np.ndarray]:
    """First and second moments of start (2), transitions (4) and emissions (6), as a mixture over all 2^7 paths."""
    k, m = 2, 3
    priors = np.vstack([model.start_prior[None], model.transition_prior]), np.full((k, m), 0.8)
    logs, first, second = [], [], []
    for path in itertools.product(range(k), repeat=len(SYMBOLS)):
        counts, emitted, begin = priors[0].copy(), priors[1].copy(), 0
        for n in LENGTHS:
            counts[0, path[begin]] += 1
            for t in range(begin + 1, begin + n):
                counts[1 + path[t - 1], path[t]] += 1
            begin += n
        np.add.at(emitted, (list(path), SYMBOLS), 1)
        means, squares = [], []
        for a in (counts, emitted):
            total = a.sum(axis=1, keepdims=True)
            means.append((a / total).ravel())
            squares.append((a * (a + 1) / (total * (total + 1))).ravel())
        logs.append(sum((gammaln(a).sum() - gammaln(a.sum(axis=1)).sum()) for a in (counts, emitted)))
        first.append(np.concatenate(means))
        second.append(np.concatenate(squares))
    weight = np.exp(np.array(logs) - max(logs))
    weight /= weight.sum()
    return weight @ np.array(first), weight @ np.array(second)


def away(model: HiddenMarkov, seed: int) -> float:
    """The largest distance of the moments of draws from those of `MODEL`, in standard errors."""
    draws = gibbs.hidden_markov(SYMBOLS, model, lengths=LENGTHS, num_samples=8_000, num_warmup=50, seed=seed)
    first, second = exact(MODEL)
    x = Draws(draws.values[..., :12])
    squares = Draws(x.values**2)
    found = np.abs(x.mean - first) / x.mcse_mean, np.abs(squares.mean - second) / squares.mcse_mean
    return float(np.max(found))


def test_the_posterior_is_the_mixture_over_all_paths() -> None:
    assert away(MODEL, 1) < SIGMAS


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_concentration": 2.5},
        {"transition_concentration": 1.1},
        {"stickiness": 0.2},
        {"emissions": CategoricalEmissions(3, 1.1)},
    ],
)
def test_another_prior_is_seen(wrong: dict[str, object]) -> None:
    assert away(dataclasses.replace(MODEL, **wrong), 1) > SIGMAS


@loop(void(INTEGERS, RNG, MATRIX, MATRIX, MATRIX, int64[:, ::1]))
def many_paths(ends, rng, log_start, log_transitions, distances, paths):  # type: ignore[no-untyped-def]
    """Draw states given parameters, for every row of `paths`."""
    n, k = distances.shape
    carried = np.empty(k), np.empty((k, k)), np.empty((k, k)), np.empty((k, k)), np.empty(k)
    relative, ahead, scale = np.empty((n, k)), np.empty((n, k)), np.empty(n)
    starts, pairs = np.empty((1, k)), np.empty((k, k))
    for row in range(paths.shape[0]):
        _draw_states(
            rng, ends, log_start, log_transitions, distances, relative, ahead, scale, carried, paths[row], starts, pairs
        )


@pytest.mark.parametrize("kind", ["scaled", "zeros", "far"])
def test_paths_are_drawn_by_their_probabilities(kind: str) -> None:
    """In plain numbers, in watched ones, and in logarithms: transitions of 1e-300 against emissions of as little."""
    rng = np.random.default_rng(0)
    logs, distances = np.log(rng.dirichlet(np.ones(2), size=3)), rng.exponential(size=(4, 2))
    if kind == "zeros":
        logs[1] = 0.0, -np.inf
    if kind == "far":
        logs[1:] = [[0.0, -800.0], [-1.0, -0.5]]
        distances = np.array([[0.0, 1.0], [401.0, 0.0], [399.5, 0.0], [0.2, 0.0]])
    distances -= distances.min(axis=1, keepdims=True)
    every = np.array(list(itertools.product(range(2), repeat=4)))
    weight = logs[0, every[:, 0]] - distances[np.arange(4), every].sum(axis=1)
    weight = weight + logs[1 + every[:, :-1], every[:, 1:]].sum(axis=1)
    masses = np.exp(weight - weight.max())
    masses /= masses.sum()
    paths = np.empty((40_000, 4), np.int64)
    many_paths(np.array([4]), np.random.default_rng(1), logs[:1].copy(), logs[1:].copy(), distances, paths)
    found = np.bincount(paths @ [8, 4, 2, 1], minlength=16) / len(paths)
    assert np.all(np.abs(found - masses) <= SIGMAS * np.sqrt(masses * (1 - masses) / len(paths)) + 1e-12)


GAUSSIAN = GaussianEmissions(np.array([0.5, -0.3]), 0.8, 5.0, np.array([[2.0, 0.6], [0.6, 1.0]]))
JOINT = {
    "full": HiddenMarkov(2, GAUSSIAN, 1.5, 1.2, 0.5),
    "diag": HiddenMarkov(2, dataclasses.replace(GAUSSIAN, scale=np.array([2.0, 1.0])), 1.5, 1.2, 0.5),
}
ROWS, TURNS, CHAINS = (4, 3), 500, 4


def statistics(found: list[HiddenMarkovParameters]) -> np.ndarray:
    """Functions of draws that no order of the states changes, with finite variances."""
    starts, pairs, means, covariances, _ = (
        np.array([draw[i] for draw in found]) if found[0][i] is not None else None for i in range(5)
    )
    assert means is not None and covariances is not None and pairs is not None and starts is not None
    root = np.linalg.cholesky(covariances)
    logs, bounded = np.log(np.diagonal(root, axis1=2, axis2=3)), np.tanh(means)
    return np.column_stack(
        [
            (starts**2).sum(axis=1),
            np.einsum("nkk->n", pairs),
            (pairs**2).sum(axis=(1, 2)),
            np.einsum("nk,nka->na", starts, bounded),
            np.einsum("nkj,nka->na", pairs**2, bounded**2),
            logs.sum(axis=1),
            (logs**2).sum(axis=1),
            np.tanh(root[:, :, 1, 0]).sum(axis=1),
            bounded.sum(axis=1),
        ]
    )


def in_turn(right: HiddenMarkov, model: HiddenMarkov, seed: int) -> np.ndarray:
    """(turns, m) statistics of one chain whose data are drawn anew after every sweep, given its parameters."""
    rng = np.random.default_rng(seed)
    parameters = right.draw(rng)
    ends, assigned = np.cumsum(ROWS), np.empty(sum(ROWS), np.int64)
    chain: HiddenMarkovChain | None = None
    row, found = np.empty((1, 0)), []
    for _ in range(TURNS):
        made = [right.simulate(rng, parameters, n) for n in ROWS]
        data, assigned = np.vstack([part[0] for part in made]), np.concatenate([part[1] for part in made])
        if chain is None:
            chain = HiddenMarkovChain(model, data, rng, ends)
            row = np.empty((1, len(chain.names)))
        # a sweep draws parameters given states, and then states: data and states together are drawn given the former
        chain.data, chain.path = data_matrix(data.T), assigned
        chain._count()
        chain.advance(row)
        parameters = unpacked(row[0].copy(), model.emissions.scale.ndim == 2)  # type: ignore[union-attr]
        found.append(parameters)
    return statistics(found)


def unpacked(row: np.ndarray, full: bool) -> HiddenMarkovParameters:
    spread = row[10:18].reshape(2, 2, 2) if full else np.array([np.diag(row[10:12]), np.diag(row[12:14])])
    return HiddenMarkovParameters(row[:2], row[2:6].reshape(2, 2), row[6:10].reshape(2, 2), spread)


@functools.cache
def independent(model: HiddenMarkov, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return statistics([model.draw(rng) for _ in range(CHAINS * TURNS)])


def z_scores(right: HiddenMarkov, model: HiddenMarkov, seed: int) -> np.ndarray:
    apart = independent(right, seed)
    turns = Draws(np.array([in_turn(right, model, seed + c) for c in range(1, 1 + CHAINS)]))
    error = np.hypot(apart.std(axis=0) / np.sqrt(len(apart)), turns.mcse_mean)
    error[error == 0] = 1.0  # of independent features the covariance is zero
    return np.asarray((apart.mean(axis=0) - turns.mean) / error)


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_the_joint_distribution_is_left_invariant(kind: str) -> None:
    assert np.max(np.abs(z_scores(JOINT[kind], JOINT[kind], 1))) < SIGMAS


@pytest.mark.parametrize(
    ("error", "value"),
    [("degrees_of_freedom", 6.5), ("mean_precision", 1.8), ("scale", 1.4 * GAUSSIAN.scale), ("stickiness", 3.0)],
)
def test_planted_errors_are_caught(error: str, value: object) -> None:
    """A sweep that goes by another prior than data and parameters are drawn from, as a wrong update would."""
    right = JOINT["full"]
    if error == "stickiness":
        wrong = dataclasses.replace(right, stickiness=value)
    else:
        wrong = dataclasses.replace(right, emissions=dataclasses.replace(GAUSSIAN, **{error: value}))
    assert np.max(np.abs(z_scores(right, wrong, 1))) > SIGMAS


@pytest.mark.parametrize("full", [True, False])
def test_of_one_state_draws_are_independent_and_known(full: bool) -> None:
    X = np.random.default_rng(0).standard_normal((9, 2)) + 2.0
    scale = GAUSSIAN.scale if full else np.diag(GAUSSIAN.scale)
    prior = dataclasses.replace(GAUSSIAN, scale=scale)
    draws = gibbs.hidden_markov(X, HiddenMarkov(1, prior), num_warmup=1, num_samples=2_000, seed=1)
    kappa, nu, n = prior.mean_precision + 9, prior.degrees_of_freedom + 9, 9
    off = X.mean(axis=0) - prior.mean
    own = np.diag(scale) if full else scale
    s = own + X.var(axis=0) * n + prior.mean_precision * n / kappa * off**2
    centre = prior.mean + n / kappa * off
    free = nu - 1 if full else nu  # of an element on the diagonal of an inverse Wishart matrix (2, 2)
    variance = draws["covariance"][..., 0, [0, 1], [0, 1]] if full else draws["variance"][..., 0, :]
    for a in range(2):
        t = stats.t(free, centre[a], np.sqrt(s[a] / (kappa * free)))
        assert stats.kstest(draws["mean"][..., 0, a].ravel(), t.cdf).pvalue > 1e-6
        assert stats.kstest(s[a] / variance[..., a].ravel(), stats.chi2(free).cdf).pvalue > 1e-6
    assert np.all(draws["start"] == 1.0) and np.all(draws["transition"] == 1.0)
    if full:
        evidence = np.array([[2.0, 0.6], [0.6, 1.0]]) + (X - X.mean(0)).T @ (X - X.mean(0))
        evidence += prior.mean_precision * n / kappa * np.outer(off, off)
        mean = draws["covariance"].mean(axis=(0, 1))[0]
        np.testing.assert_allclose(mean, evidence / (nu - 3), atol=SIGMAS * np.max(evidence) / (nu - 3) * 0.02)


def test_draws_depend_on_the_seed_alone() -> None:
    X = np.random.default_rng(0).standard_normal((30, 2))
    model = JOINT["full"]
    first, second, other = (
        gibbs.hidden_markov(X, model, num_samples=40, num_chains=3, num_warmup=5, seed=seed, num_threads=threads)
        for seed, threads in ((4, 1), (4, 2), (5, 1))
    )
    assert np.array_equal(first.values, second.values)
    assert not np.any(first.values == other.values) and not np.any(first.values[0] == first.values[1])
    assert first["covariance"].shape == (3, 40, 2, 2, 2) and first["transition"].shape == (3, 40, 2, 2)
    np.testing.assert_allclose(first["transition"].sum(axis=-1), 1.0, rtol=1e-12)
    prior = gibbs.hidden_markov(np.zeros((0, 2)), model, num_samples=500, seed=1)
    assert np.all(prior["log_likelihood"] == 0.0) and np.isfinite(prior.values).all()


def test_bad_input_is_refused_in_one_line() -> None:
    model = JOINT["full"]
    for wrong in (np.full((4, 2), np.nan), np.zeros((4, 3)), np.zeros(4), "rows", [[np.inf, 0.0]]):
        with pytest.raises(ValueError, match=r"not accepted|not an array"):
            gibbs.hidden_markov(wrong, model, seed=1)
    for symbols in ([0, 3], [-1, 0], [0.5], [[0, 1]]):
        with pytest.raises(ValueError, match="whole numbers from 0 to 2"):
            gibbs.hidden_markov(symbols, MODEL, seed=1)
    for lengths in ([3], [4, 1], [4, 0], [1.5, 2.5], []):
        with pytest.raises(ValueError, match="lengths"):
            gibbs.hidden_markov(np.zeros((4, 2)), model, lengths=lengths, seed=1)
    for wrong_model in ({"n_components": 0}, {"stickiness": -1.0}, {"start_concentration": np.inf}):
        with pytest.raises(targets.UsageError, match="not accepted"):
            dataclasses.replace(model, **wrong_model)
    constant = gibbs.hidden_markov(np.ones((5, 2)), model, num_samples=20, num_warmup=2, seed=1)
    assert np.isfinite(constant.values).all()


def test_the_race_has_the_same_chains_in_coordinates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samplers.gibbs.labels.MOST", 0)  # labels stay as they are
    for emissions in ("gaussian", "categorical"):
        target = targets.load("hidden_markov", emissions=emissions, n=40)
        assert target.conjugate is not None and target.named is not None
        options = {"num_samples": 50, "num_chains": 2, "seed": 3}
        raced = samplers.sample(target, "gibbs", num_warmup=10, **options)
        alone = gibbs.hidden_markov(target.conjugate.data, target.conjugate.model, num_warmup=10, **options)
        values = target.named.values(raced.flat)
        named = dict(zip(target.named.names, values.T, strict=True))
        np.testing.assert_allclose(named["transition[2,1]"], alone["transition"][..., 1, 0].ravel(), rtol=1e-9)
        if emissions == "gaussian":
            np.testing.assert_allclose(named["sd[2]"] ** 2, alone["covariance"][..., 1, 0, 0].ravel(), rtol=1e-9)
        else:
            np.testing.assert_allclose(named["emission[1,long]"], alone["emission"][..., 0, 1].ravel(), rtol=1e-9)

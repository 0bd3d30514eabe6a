"""`BayesianHMM`: recursions against all paths, bounds against closed forms, and what it refuses."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import gammaln, logsumexp
from sklearn.base import clone

from targets.conjugate.forward_backward import smooth, viterbi
from targets.conjugate.hidden_markov import path
from tests.ascents import QUARTERS, assert_caught, assert_rises, plant
from variational import BayesianHMM
from variational.conjugate.hmm_factors import Gaussian, Rows

SIGMAS = 6.0  # two-sided 2e-9


def drawn(seed: int, n: int = 300, features: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Rows of three states that are well apart, and the states."""
    rng = np.random.default_rng(seed)
    states = path(rng, np.ones(3) / 3, np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]), n)
    means = np.array([[0.0, 0.0], [5.0, 1.0], [-1.0, 6.0]])[:, :features]
    return means[states] + rng.standard_normal((n, features)), states


def rows_of(rng: np.random.Generator, k: int, kind: str) -> np.ndarray:
    """Log weights (k + 1, k) of start and transitions: ordinary, with zeros, near zero, or unnormalised."""
    logs = np.log(rng.dirichlet(np.full(k, 0.5), size=k + 1) + 1e-9)
    if kind == "zeros":
        logs[rng.random(logs.shape) < 0.4] = -np.inf
        logs[0, 0] = 0.0
    elif kind == "tiny":
        logs -= rng.choice([0.0, 80.0, 300.0, 2000.0], size=logs.shape)
    elif kind == "unnormalised":
        logs -= rng.exponential(size=logs.shape)
    return logs


@pytest.mark.parametrize("kind", ["ordinary", "zeros", "tiny", "unnormalised"])
@pytest.mark.parametrize("far", [3.0, 500.0, 1e5])
def test_recursions_are_sums_and_maxima_over_all_paths(kind: str, far: float) -> None:
    """Two sequences; densities that are far apart underflow in plain arithmetic, and zeros leave nothing else."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        k, lengths = 3, (4, 2)
        logs = rows_of(rng, k, kind)
        distances = rng.exponential(far, size=(sum(lengths), k))
        distances -= distances.min(axis=1, keepdims=True)
        shares, starts, pairs = np.empty_like(distances), np.empty(k), np.empty((k, k))
        value = smooth(np.cumsum(lengths), logs[0], logs[1:], distances, shares, starts, pairs)
        total, best, begin = 0.0, 0.0, 0
        expected, expected_pairs, expected_starts = np.zeros_like(shares), np.zeros((k, k)), np.zeros(k)
        for n in lengths:
            paths = np.array(list(itertools.product(range(k), repeat=n)))
            weight = logs[0, paths[:, 0]] - distances[np.arange(begin, begin + n), paths].sum(axis=1)
            for t in range(1, n):
                weight = weight + logs[1 + paths[:, t - 1], paths[:, t]]
            whole = logsumexp(weight)
            total, best = total + whole, best + weight.max()
            mass = np.exp(weight - whole) if np.isfinite(whole) else np.zeros(len(weight))
            for t in range(n):
                np.add.at(expected[begin + t], paths[:, t], mass)
                if t:
                    np.add.at(expected_pairs, (paths[:, t - 1], paths[:, t]), mass)
            np.add.at(expected_starts, paths[:, 0], mass)
            begin += n
        states = np.empty(sum(lengths), np.int64)
        np.testing.assert_allclose(viterbi(np.cumsum(lengths), logs[0], logs[1:], distances, states), best, rtol=1e-12)
        if not np.isfinite(total):
            assert value == -np.inf
            continue
        np.testing.assert_allclose(value, total, rtol=1e-12, atol=1e-11)
        np.testing.assert_allclose(shares, expected, atol=1e-10)
        np.testing.assert_allclose(pairs, expected_pairs, atol=1e-10)
        np.testing.assert_allclose(starts, expected_starts, atol=1e-10)


def test_long_sequences_lose_nothing() -> None:
    """Of 20,000 steps, whose weight is far below the smallest double, the log weight is that of a matrix power."""
    n, p = 20_000, np.array([[0.9, 0.1], [0.2, 0.8]])
    distances = np.tile([0.0, 2.0], (n, 1))
    shares, starts, pairs = np.empty((n, 2)), np.empty(2), np.empty((2, 2))
    value = smooth(np.array([n]), np.log([0.5, 0.5]), np.log(p), distances, shares, starts, pairs)
    emitted, vector, growth = np.exp([0.0, -2.0]), np.array([0.5, 0.5]), 0.0
    for t in range(n):
        vector = (vector @ p if t else vector) * emitted
        growth, vector = growth + np.log(vector.sum()), vector / vector.sum()
    np.testing.assert_allclose(value, growth, rtol=1e-12)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-9)
    np.testing.assert_allclose(pairs.sum(), n - 1, rtol=1e-9)


OPTIONS = st.fixed_dictionaries(
    {
        "n_components": st.integers(1, 4),
        "covariance_type": st.sampled_from(["full", "diag"]),
        "inference": st.sampled_from(["vb", "em"]),
        "stickiness": st.sampled_from([0.0, 3.0]),
        "mean_precision_prior": st.sampled_from([1e-3, 1.0]),
    }
)


@pytest.mark.parametrize("quarter", QUARTERS)
@settings(max_examples=50, deadline=None, derandomize=True)
@given(OPTIONS, st.sampled_from([0.02, 1.0, 2.0]), st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_every_bound_rises(
    quarter: int, options: dict[str, object], concentration: float, seed: int, symbols: bool, outlier: bool
) -> None:
    """In every sweep of every option, over random data of any shape and scale; the scale may make the bound zero."""
    rng = np.random.default_rng([seed, quarter])
    n, d = int(rng.integers(6, 80)), int(rng.integers(1, 4))
    lengths = [n] if rng.random() < 0.5 else [1, 2, n - 3]
    if options["inference"] == "em":
        concentration = max(concentration, 1.0)
    given = {f"{name}_concentration_prior": concentration for name in ("start", "transition", "emission")}
    if symbols:
        X = rng.choice(4, size=(n, 1), p=rng.dirichlet(np.ones(4)))
        more = {"emissions": "categorical", "n_symbols": 5}
    else:
        X = rng.standard_normal((n, d)) * 10.0 ** rng.integers(-6, 6, size=d) + rng.choice([0.0, 1e3])
        X[n // 2 :] += X.std(axis=0) * rng.choice([0.0, 10.0])
        if outlier:
            X[0, 0] += 1e6 * X[:, 0].std()
        more = {}
    model = BayesianHMM(max_iter=25, tol=0.0, random_state=seed, **options, **given, **more).fit(X, lengths)
    assert_rises(model.lower_bounds_, 1e-9)
    assert model.lower_bound_ == model.lower_bounds_[-1]
    np.testing.assert_allclose(model.predict_proba(X, lengths).sum(axis=1), 1.0, rtol=1e-9)
    np.testing.assert_allclose(model.transmat_.sum(axis=1), 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("owner", "name", "right", "wrong", "symbols"),
    [
        (Gaussian, "update", "+ product(away, shrunk)", "+ 3.0 * product(away, shrunk)", False),
        (Gaussian, "distances", "self.d * _LOG_2PI - spread", "self.d * _LOG_2PI + spread", False),
        (Rows, "update", "self.prior + counts", "0.5 * self.prior + counts", True),
    ],
)
def test_a_fault_in_an_update_lowers_it(
    owner: type, name: str, right: str, wrong: str, symbols: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, owner, name, right, wrong)
    options = {"n_components": 3, "covariance_type": "full", "inference": "vb", "mean_precision_prior": 1.0}
    case = {"quarter": 0, "options": options, "concentration": 1.0, "symbols": symbols, "outlier": False}
    assert_caught(test_every_bound_rises, ({"seed": s, **case} for s in range(20)))


def test_of_one_state_the_bound_is_the_evidence() -> None:
    """Rows one after the other, each given those before, are Student's t; in scipy, by sums of squares from scratch."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((15, 2)) @ np.array([[1.0, 0.0], [0.7, 0.5]]) + 3.0
    m, kappa, nu, scale = np.array([1.0, 2.0]), 0.3, 4.0, np.array([[2.0, 0.3], [0.3, 1.0]])
    given = {"mean_prior": m, "mean_precision_prior": kappa, "degrees_of_freedom_prior": nu}
    full = BayesianHMM(covariance_prior=scale, **given).fit(X, [10, 5])
    diag = BayesianHMM(covariance_prior=np.diag(scale), covariance_type="diag", **given).fit(X)
    expected = np.zeros(2)
    for t in range(len(X)):
        past = X[:t]
        mean = past.mean(axis=0) if t else m
        off = (mean - m)[:, None]
        k, degrees = kappa + t, nu + t
        s = scale + (past - mean).T @ (past - mean) + kappa * t / k * off @ off.T
        centre = (kappa * m + past.sum(axis=0)) / k
        shape = s * (k + 1) / (k * (degrees - 1))
        expected[0] += stats.multivariate_t(centre, shape, degrees - 1).logpdf(X[t])
        width = np.sqrt(np.diag(s) * (k + 1) / (k * degrees))
        expected[1] += stats.t(degrees, centre, width).logpdf(X[t]).sum()
    np.testing.assert_allclose([full.lower_bound_, diag.lower_bound_], expected, rtol=1e-10)
    np.testing.assert_allclose(full.degrees_of_freedom_, nu + 15)
    y = rng.integers(3, size=20)
    counts, alpha = np.bincount(y, minlength=4), 0.7
    symbols = BayesianHMM(emissions="categorical", n_symbols=4, emission_concentration_prior=alpha).fit(y[:, None])
    evidence = gammaln(4 * alpha) - gammaln(4 * alpha + 20) + (gammaln(alpha + counts) - gammaln(alpha)).sum()
    np.testing.assert_allclose(symbols.lower_bound_, evidence, rtol=1e-12)


def test_of_one_state_em_finds_the_mode_of_the_joint_density() -> None:
    X = drawn(3, 20)[0]
    nu, kappa, scale, m = 5.0, 0.5, np.array([[2.0, 0.3], [0.3, 1.0]]), np.array([0.5, -0.5])
    given = {"mean_prior": m, "mean_precision_prior": kappa, "degrees_of_freedom_prior": nu, "inference": "em"}
    found = BayesianHMM(covariance_prior=scale, **given).fit(X)

    def joint(mean: np.ndarray, covariance: np.ndarray) -> float:
        value = stats.multivariate_normal(mean, covariance).logpdf(X).sum()
        value += stats.multivariate_normal(m, covariance / kappa).logpdf(mean)
        return float(value + stats.wishart(nu, np.linalg.inv(scale)).logpdf(np.linalg.inv(covariance)))

    np.testing.assert_allclose(found.lower_bound_, joint(found.means_[0], found.covariances_[0]), rtol=1e-12)
    rng = np.random.default_rng(0)
    precision = np.linalg.inv(found.covariances_[0])
    for _ in range(20):
        step = 1e-2 * rng.standard_normal((2, 2))
        nearby = np.linalg.inv(precision + precision @ (step + step.T) @ precision * 0.1)
        assert joint(found.means_[0] + 1e-2 * rng.standard_normal(2), nearby) < found.lower_bound_
    diag = BayesianHMM(covariance_prior=np.diag(scale), covariance_type="diag", **given).fit(X)
    value, variances = 0.0, diag.covariances_[0]
    for a in range(2):
        sd = np.sqrt(variances[a])
        value += stats.norm(diag.means_[0, a], sd).logpdf(X[:, a]).sum()
        value += stats.norm(m[a], sd / np.sqrt(kappa)).logpdf(diag.means_[0, a])
        value += stats.gamma(nu / 2, scale=2 / scale[a, a]).logpdf(1 / variances[a])
    np.testing.assert_allclose(diag.lower_bound_, value, rtol=1e-12)


@pytest.mark.parametrize("inference", ["vb", "em"])
def test_the_predictive_density_is_normalised_and_what_samples_are_drawn_from(inference: str) -> None:
    y = np.array([0, 0, 1, 1, 1, 2, 0, 1, 2, 2, 0, 1])[:, None]
    model = BayesianHMM(n_components=2, emissions="categorical", inference=inference).fit(y, [7, 5])
    everything = np.array(list(itertools.product(range(3), repeat=3)))
    masses = np.exp([model.score(each[:, None]) for each in everything])
    np.testing.assert_allclose(masses.sum(), 1.0, rtol=1e-10)
    bounds = np.exp([model.lower_bound(each[:, None]) for each in everything])
    assert bounds.sum() <= 1.0 + 1e-10 and (inference == "vb" or np.allclose(bounds, masses, rtol=1e-9))
    draws = np.array([model.sample(3, random_state=seed)[0][:, 0] for seed in range(3_000)])
    frequencies = np.bincount(draws @ [9, 3, 1], minlength=27) / 3_000
    assert np.all(np.abs(frequencies - masses) < SIGMAS * np.sqrt(masses * (1 - masses) / 3_000) + 1e-3)


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
@pytest.mark.parametrize("inference", ["vb", "em"])
def test_gaussian_predictions_are_normalised_and_drawn_from(covariance_type: str, inference: str) -> None:
    """By quadrature of one row; samples by its distribution function."""
    X = drawn(5, 60, 1)[0]
    model = BayesianHMM(n_components=2, covariance_type=covariance_type, inference=inference).fit(X)
    grid = np.linspace(-40.0, 45.0, 600)
    singles = np.exp([model.score([[x]]) for x in grid])
    np.testing.assert_allclose(np.trapezoid(singles, grid), 1.0, atol=1e-4)
    draws = np.array([model.sample(1, random_state=seed)[0][0, 0] for seed in range(1_500)])
    below = np.interp(
        draws, grid, np.concatenate([[0.0], np.cumsum(0.5 * (singles[1:] + singles[:-1]) * np.diff(grid))])
    )
    assert stats.kstest(below, "uniform").pvalue > 1e-6
    both, apart = model.score(X[:10], [4, 6]), model.score(X[:4]) + model.score(X[4:10])
    np.testing.assert_allclose(both, apart, rtol=1e-12)


def test_states_are_found_and_restarts_only_help() -> None:
    X, states = drawn(1)
    model = BayesianHMM(n_components=3).fit(X, [100, 200])
    order = [int(np.argmin(np.square(model.means_ - mean).sum(axis=1))) for mean in ([0, 0], [5, 1], [-1, 6])]
    assert sorted(order) == [0, 1, 2]
    assert np.mean(np.array(order)[states] == model.predict(X, [100, 200])) > 0.98
    assert model.converged_ and model.n_iter_ == len(model.lower_bounds_)
    assert model.covars_.shape == (3, 2, 2) and model.startprob_.shape == (3,)
    more = BayesianHMM(n_components=3, n_init=4).fit(X, [100, 200])
    assert more.lower_bound_ >= model.lower_bound_
    again = clone(model).fit(X, [100, 200])
    assert np.array_equal(again.means_, model.means_)
    bayes = [BayesianHMM(n_components=k, n_init=2).fit(X).lower_bound_ for k in (1, 2, 3, 4)]
    assert int(np.argmax(bayes)) == 2  # the bound tells how many there are


def test_far_data_get_an_answer() -> None:
    """Outliers a million standard deviations out, data far from zero, two points; and a left-right chain for EM."""
    X = drawn(4, 100)[0]
    X[50] = 1e6
    for options in ({}, {"covariance_type": "diag"}, {"inference": "em"}):
        model = BayesianHMM(n_components=3, **options).fit(X)
        assert np.isfinite(model.lower_bound_) and np.isfinite(model.score(X + 1e8))
        assert np.isfinite(model.predict_proba(X + 1e8)).all()
    near, far = (BayesianHMM(n_components=3).fit(drawn(4, 100)[0] + shift) for shift in (0.0, 1e7))
    np.testing.assert_allclose(far.lower_bound_, near.lower_bound_, rtol=1e-6)
    ramp = np.repeat([0.0, 50.0, 100.0], 40)[:, None] + 0.1 * np.random.default_rng(0).standard_normal((120, 1))
    stepped = BayesianHMM(n_components=3, inference="em").fit(ramp)
    assert np.all(np.diff(stepped.lower_bounds_) >= -1e-9 * abs(stepped.lower_bound_))
    assert (np.diff(stepped.predict(ramp)) != 0).sum() == 2
    assert np.all((stepped.transmat_ == 0.0).sum(axis=1) >= 1)  # never seen, and none expected


@pytest.mark.parametrize(
    ("X", "options", "match"),
    [
        ([[np.nan], [1.0]], {}, "NaN"),
        ([[np.inf], [1.0]], {}, "infinity"),
        ([1.0, 2.0], {}, "Expected 2D"),
        ([["a"], ["b"]], {}, "not a matrix of numbers"),
        (np.ones((5, 1)), {}, "constant"),
        (np.column_stack([np.arange(5.0), np.ones(5)]), {"covariance_type": "diag"}, "column .1. .* constant"),
        (np.column_stack([np.arange(5.0), 2 * np.arange(5.0)]), {}, "depend on each other"),
        ([[0.0], [1.0]], {"n_components": 3}, "n_samples=2"),
        ([[1e200], [-1e200]], {}, "too large"),
        ([[0.0], [1.0]], {"n_components": 0}, "1 or more"),
        ([[0.0], [1.0]], {"emissions": "poisson"}, "gaussian or categorical"),
        ([[0.0], [1.0]], {"covariance_type": "tied"}, "full or diag"),
        ([[0.0], [1.0]], {"inference": "map"}, "vb or em"),
        ([[0.0], [1.0]], {"transition_concentration_prior": 0.0}, "positive"),
        ([[0.0], [1.0]], {"transition_concentration_prior": 0.5, "inference": "em"}, "1 or more"),
        ([[0.0], [1.0]], {"degrees_of_freedom_prior": 1.0, "inference": "em"}, "above 1"),
        ([[0.0], [1.0]], {"degrees_of_freedom_prior": 0.0}, "above 0"),
        ([[0.0], [1.0]], {"mean_prior": [0.0, 0.0]}, "mean_prior"),
        ([[0.0], [1.0]], {"covariance_prior": [1.0]}, "covariance_prior"),
        ([[0.0], [1.0]], {"covariance_prior": [[-1.0]]}, "positive definite"),
        ([[0.0], [1.0]], {"max_iter": 0}, "max_iter"),
        ([[0.0], [1.0]], {"n_init": 0}, "n_init"),
        ([[0.0], [1.0]], {"tol": -1.0}, "tol"),
        ([[0.5], [1.0]], {"emissions": "categorical"}, "whole numbers"),
        ([[-1], [1]], {"emissions": "categorical"}, "whole numbers"),
        ([[0, 1], [1, 1]], {"emissions": "categorical"}, "one column"),
        ([], {"emissions": "categorical"}, "at least one"),
        ([[0], [np.nan]], {"emissions": "categorical"}, "NaN"),
        ([[0], [3]], {"emissions": "categorical", "n_symbols": 2}, "n_symbols=2"),
    ],
)
def test_bad_input_is_refused_in_one_line(X: object, options: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        BayesianHMM(**options).fit(X)
    assert "\n" not in str(caught.value)


def test_bad_lengths_and_strange_data_are_refused() -> None:
    X = np.arange(6.0)[:, None]
    for lengths in ([5], [3, 4], [6, 0], [2.5, 3.5], [[6]], []):
        with pytest.raises(ValueError, match="lengths"):
            BayesianHMM().fit(X, lengths)
    with pytest.raises(ValueError, match="not fitted yet"):
        BayesianHMM().predict(X)
    model = BayesianHMM().fit(X)
    with pytest.raises(ValueError, match="2 features"):
        model.score(np.ones((3, 2)))
    with pytest.raises(ValueError, match="n_samples=0"):
        model.sample(0)
    symbols = BayesianHMM(emissions="categorical", inference="em").fit([[0], [2], [0]])
    assert symbols.score([[1]]) == -np.inf and symbols.lower_bound([[1]]) == -np.inf  # never seen, and EM believes it
    with pytest.raises(ValueError, match="probability zero"):
        symbols.predict_proba([[1]])
    with pytest.raises(ValueError, match="up to 2"):
        symbols.score([[3]])
    constant = BayesianHMM(n_components=2, covariance_prior=[[1.0]]).fit(np.ones((8, 1)))
    np.testing.assert_allclose(constant.means_, 1.0, atol=1e-9)
    one = BayesianHMM(covariance_prior=[[1.0]]).fit([[3.0]])
    assert np.isfinite(one.lower_bound_)

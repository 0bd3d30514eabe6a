"""Bayesian Gaussian mixtures: laws first (evidence, monotony, sums), then scikit-learn's, then data of every kind."""

import functools
import itertools
import math
import pathlib
import tracemalloc
import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sklearn.mixture
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from scipy import stats
from scipy.special import digamma, logsumexp
from sklearn.utils.estimator_checks import check_estimator

from targets.conjugate.mixture import MixturePrior
from targets.conjugate.old_faithful import old_faithful
from targets.kernel import Matrix, Vector
from tests.ascents import QUARTERS, assert_caught, assert_rises, plant
from variational import BayesianGaussianMixture
from variational.conjugate.mixture_ascent import State
from variational.conjugate.mixture_bound import bound, divergence
from variational.conjugate.mixture_gaussians import Gaussians
from variational.conjugate.mixture_moments import Moments
from variational.conjugate.mixture_prior import TYPES
from variational.conjugate.mixture_sweep import Components, Pass

KINDS = ("full", "tied", "diag", "spherical")


def clusters(n: int, d: int, size: int, seed: int, apart: float = 5.0) -> Matrix:
    rng = np.random.default_rng(seed)
    centres = apart * rng.standard_normal((size, d))
    return centres[rng.integers(size, size=n)] + rng.standard_normal((n, d))


def student(x: Vector, freedom: float, mean: Vector, shape: Matrix) -> float:
    return float(stats.multivariate_t(mean, shape, df=freedom).logpdf(x))  # type: ignore[arg-type]


def predictive(kind: str, rows: Matrix, x: Vector, b0: float, m0: Vector, v0: float, s0: Any) -> float:
    """The log density of x after rows, in one component: the textbook's formulas, about raw sums of squares."""
    n, d = len(rows), len(x)
    b, v = b0 + n, v0 + n
    m = (b0 * m0 + rows.sum(0)) / b
    raw = rows.T @ rows + b0 * np.outer(m0, m0) - b * np.outer(m, m)
    if kind in ("full", "tied"):
        return student(x, v + 1 - d, m, (s0 + raw) * (b + 1) / (b * (v + 1 - d)))
    if kind == "diag":
        scale = (s0 + np.diag(raw)) * (b + 1) / (b * v)
        return float(stats.t.logpdf(x, v, m, np.sqrt(scale)).sum())
    return student(x, d * v, m, np.eye(d) * (s0 + np.trace(raw) / d) / v * (b + 1) / b)


def prior_of(kind: str, d: int) -> dict[str, Any]:
    matrix = np.eye(d) + 0.3
    scale = {"full": matrix, "tied": matrix, "diag": 0.5 + np.arange(d), "spherical": 1.7}[kind]
    return {
        "mean_precision_prior": 0.4,
        "mean_prior": np.arange(d) / 2,
        "degrees_of_freedom_prior": d + 1.5,
        "covariance_prior": scale,
    }


def chain(kind: str, rows: Matrix, prior: dict[str, Any]) -> float:
    """The log evidence of rows in one component: the product of predictive densities, one row after the other."""
    values = tuple(prior.values())
    return sum(predictive(kind, rows[:i], rows[i], *values) for i in range(len(rows)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 3])
def test_with_one_component_the_bound_is_the_evidence(kind: str, d: int) -> None:
    rows = clusters(40, d, 2, 1)
    prior = prior_of(kind, d)
    mixture = BayesianGaussianMixture(
        covariance_type=kind, weight_concentration_prior_type="dirichlet_distribution", **prior
    ).fit(rows[:-1])
    assert mixture.lower_bound_ == pytest.approx(chain(kind, rows[:-1], prior), rel=0, abs=1e-8)
    # and the predictive density is the ratio of two evidences
    gain = chain(kind, rows, prior) - chain(kind, rows[:-1], prior)
    assert mixture.score_samples(rows[-1:])[0] == pytest.approx(gain, rel=0, abs=1e-8)


def joint(kind: str, rows: Matrix, labels: Vector, size: int, concentration: float, prior: dict[str, Any]) -> float:
    """log p(rows, labels) of a mixture with Dirichlet weights, parameters integrated out; not for `tied`."""
    count = np.bincount(labels, minlength=size)
    weights = sum(math.lgamma(concentration + c) - math.lgamma(concentration) for c in count)
    weights += math.lgamma(size * concentration) - math.lgamma(size * concentration + len(rows))
    return weights + sum(chain(kind, rows[labels == k], prior) for k in range(size))


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_the_bound_against_the_evidence_by_enumeration(kind: str) -> None:
    d, size, concentration = 2, 2, 0.7
    prior = prior_of(kind, d)
    rows = np.concatenate([clusters(3, d, 1, 2, 0.0), clusters(4, d, 1, 3, 0.0) + 1000.0])
    every = [np.array(labels) for labels in itertools.product(range(size), repeat=len(rows))]
    evidence = logsumexp([joint(kind, rows, labels, size, concentration, prior) for labels in every])
    shares = np.eye(size)[[0, 0, 0, 1, 1, 1, 1]]
    mixture = BayesianGaussianMixture(
        n_components=size,
        covariance_type=kind,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=concentration,
        init_params=shares,
        **prior,
    ).fit(rows)
    # of certain shares the bound is the log joint, with every constant
    origin = Components(np.zeros(size), np.zeros((size, d)), np.zeros((size, d if kind == "full" else 1, d)))
    over = Pass(origin)
    over.add(rows, shares)
    q = mixture.prior_.updated(Moments.of(origin, over.sums))
    exact = joint(kind, rows, shares.argmax(1), size, concentration, prior)
    assert bound(mixture.prior_, q, len(rows), over.sums.entropy) == pytest.approx(exact, abs=1e-9)
    # the fit lies below the evidence by the two orders of the components, and little else where they are far apart
    assert mixture.lower_bound_ < evidence
    assert mixture.log_evidence_bound_ == mixture.lower_bound_ + math.log(2)
    assert 0.0 < evidence - mixture.log_evidence_bound_ < 0.2


@pytest.mark.parametrize("quarter", QUARTERS)
@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(8, 60),
    d=st.integers(1, 4),
    size=st.integers(1, 6),
    apart=st.sampled_from([0.0, 1.0, 10.0, 1e3]),
    kind=st.sampled_from(KINDS),
    weights=st.sampled_from(TYPES),
    init=st.sampled_from(["k-means++", "kmeans", "random", "random_from_data"]),
    concentration=st.sampled_from([None, 1e-3, 1.0, 50.0]),
    b=st.sampled_from([None, 1e-3, 10.0]),
    extra=st.sampled_from([None, 0.01, 30.0]),
)
def test_the_bound_never_falls(
    quarter: int, seed: int, n: int, d: int, size: int, apart: float, kind: str, weights: str, init: str,
    concentration: float | None, b: float | None, extra: float | None,
) -> None:  # fmt: skip
    seed += quarter << 32
    rows = (clusters(n, d, size, seed, apart) + 1e4) * np.exp(np.random.default_rng(seed).normal(0, 3))
    mixture = BayesianGaussianMixture(
        n_components=size, covariance_type=kind, weight_concentration_prior_type=weights, init_params=init,
        weight_concentration_prior=concentration, mean_precision_prior=b, max_iter=25, tol=0.0, random_state=seed,
        degrees_of_freedom_prior=None if extra is None else d - 1 + extra,
    ).fit(rows)  # fmt: skip
    assert_rises(mixture.lower_bounds_)


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_a_fault_in_an_update_lowers_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, Gaussians, "updated", "moments.scatter + pull", "moments.scatter + 3.0 * pull")
    case = {"quarter": 0, "n": 30, "d": 2, "size": 3, "apart": 1.0, "kind": kind, "weights": TYPES[0], "init": "random"}
    case |= {"concentration": 1.0, "b": 10.0, "extra": None}
    assert_caught(test_the_bound_never_falls, ({"seed": s, **case} for s in range(20)))


@pytest.mark.parametrize(
    ("n", "d", "size", "apart"), [(1, 1, 1, 1.0), (300, 9, 3, 1.0), (257, 6, 5, 30.0), (128, 2, 7, 3.0)]
)
@pytest.mark.parametrize("diagonal", [False, True])
def test_a_pass_makes_the_sums_of_its_definition(n: int, d: int, size: int, apart: float, diagonal: bool) -> None:
    rng = np.random.default_rng(n)
    rows = clusters(n, d, size, n, apart)
    factor = rng.standard_normal((size, 1, d)) if diagonal else np.tril(rng.standard_normal((size, d, d)))
    components = Components(rng.standard_normal(size), apart * rng.standard_normal((size, d)), factor)
    over = Pass(components)
    for part in np.array_split(rows, 3):
        over.add(np.ascontiguousarray(part))
    difference = rows[:, None, :] - components.mean
    image = difference * factor[:, 0] if diagonal else np.einsum("kij,nkj->nki", factor, difference)
    logs = components.constant - 0.5 * (image**2).sum(-1)
    norm = logsumexp(logs, axis=1)
    r = np.exp(logs - norm[:, None])
    sums = over.sums
    close: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-11 * apart**2}
    np.testing.assert_allclose(over.log_densities(rows), logs, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(sums.count, r.sum(0), **close)
    np.testing.assert_allclose(sums.first, np.einsum("nk,nki->ki", r, difference), **close)
    second = np.einsum("nk,nki,nkj->kij", r, difference, difference)
    if diagonal:
        np.testing.assert_allclose(sums.second[:, 0], np.diagonal(second, axis1=1, axis2=2), **close)
    else:
        np.testing.assert_allclose(sums.second, np.tril(second), **close)
    assert sums.log_evidence == pytest.approx(norm.sum(), rel=1e-12)
    entropy = -(r * np.where(r > 0, logs - norm[:, None], 0.0)).sum()
    assert sums.entropy == pytest.approx(entropy, rel=1e-11, abs=1e-11 * n)


def test_the_divergence_from_the_prior() -> None:
    rows = clusters(200, 3, 3, 5, 2.0)
    for kind, weights in itertools.product(KINDS, TYPES):
        options: dict[str, Any] = {"covariance_type": kind, "weight_concentration_prior_type": weights}
        mixture = BayesianGaussianMixture(n_components=3, tol=1e-13, random_state=1, **options).fit(rows)
        state = State(mixture.prior_, mixture._moments_)
        level = state.step([rows], 1.0, 1.0)  # log evidence of the shares less the divergence: the bound in other words
        assert level == pytest.approx(mixture.lower_bound_, rel=1e-9)
        assert divergence(state.prior, state.q, state.moments) > 0


class Corrected(sklearn.mixture.BayesianGaussianMixture):  # type: ignore[misc]
    """scikit-learn's with shares given, and of diagonals E log |precision| of Gamma factors, not of a Wishart's."""

    shares: Matrix
    exact: bool = True

    def _initialize_parameters(self, X: Matrix, random_state: Any, xp: Any = None) -> None:
        self._initialize(X, self.shares)

    def _estimate_log_prob(self, X: Matrix, xp: Any = None) -> Matrix:
        made = np.asarray(super()._estimate_log_prob(X, xp=xp))
        if self.covariance_type in ("full", "tied") or not self.exact:
            return made
        d, v = X.shape[1], self.degrees_of_freedom_
        theirs = d * np.log(2.0) + digamma(0.5 * (v - np.arange(d)[:, None])).sum(0)
        ours = d * (digamma(0.5 * v) + np.log(2.0))
        if self.covariance_type == "spherical":
            ours = d * (digamma(0.5 * d * v) - np.log(0.5 * d))
        return np.asarray(made + 0.5 * (ours - theirs))


@pytest.mark.parametrize(("d", "exact"), [(1, False), (3, True)])
@pytest.mark.parametrize("weights", TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_fits_are_those_of_scikit_learn(kind: str, weights: str, d: int, exact: bool) -> None:
    size, sweeps = 4, 25
    rows = clusters(300, d, size, 7, 3.0)
    shares = np.random.default_rng(7).dirichlet(np.ones(size), len(rows))
    prior = prior_of(kind, d)
    # scikit-learn adds a K-th of all rows to a tied covariance's prior: that of one for all, divided by K
    times = size if kind == "tied" else 1
    ours = prior | {
        "degrees_of_freedom_prior": times * prior["degrees_of_freedom_prior"],
        "covariance_prior": times * prior["covariance_prior"],
    }
    same: dict[str, Any] = {
        "n_components": size, "covariance_type": kind, "weight_concentration_prior_type": weights,
        "weight_concentration_prior": 0.6, "max_iter": sweeps,
    }  # fmt: skip
    mixture = BayesianGaussianMixture(tol=0.0, init_params=shares, **same, **ours).fit(rows)
    peer = Corrected(tol=0.0, reg_covar=0.0, **(same | {"max_iter": mixture.n_iter_}), **prior)
    peer.shares, peer.exact = shares, exact
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer.fit(rows)
    close: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-6}
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_", "mean_precision_"):
        np.testing.assert_allclose(getattr(mixture, name), getattr(peer, name), err_msg=name, **close)
    np.testing.assert_allclose(mixture.degrees_of_freedom_, times * peer.degrees_of_freedom_, **close)
    np.testing.assert_allclose(mixture.weight_concentration_, peer.weight_concentration_, **close)
    np.testing.assert_allclose(mixture.predict_proba(rows), peer.predict_proba(rows), **close)
    np.testing.assert_array_equal(mixture.predict(rows), peer.predict(rows))


def test_check_estimator() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(BayesianGaussianMixture(), on_fail=None)
    assert not [r for r in results if r["status"] == "failed"]
    assert {r["check_name"] for r in results if r["status"] == "skipped"} <= {"check_array_api_input"}
    assert len(results) > 30


def test_the_predictive_density_integrates_to_one_and_sample_draws_from_it() -> None:
    rows = clusters(30, 1, 3, 3, 4.0)
    for kind in KINDS:
        mixture = BayesianGaussianMixture(n_components=3, covariance_type=kind, random_state=3).fit(rows)
        grid = np.linspace(-2000.0, 2000.0, 400_001)
        density = np.exp(mixture.score_samples(grid[:, None]))
        cdf = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(grid))])
        assert cdf[-1] == pytest.approx(1.0, abs=1e-4)  # t densities of few degrees of freedom have long tails
        drawn, labels = mixture.sample(20_000, random_state=4)
        # false alarms: 1e-6 each; a shift of all draws by 0.03 of their sd would be seen
        assert stats.kstest(drawn[:, 0], functools.partial(np.interp, xp=grid, fp=cdf)).pvalue > 1e-6
        assert set(labels) <= set(range(3))


@pytest.mark.parametrize("kind", KINDS)
def test_draws_have_the_predictive_spread_in_more_dimensions(kind: str) -> None:
    rows = clusters(100, 3, 1, 8) @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, -0.7], [0.0, 0.0, 2.0]])
    mixture = BayesianGaussianMixture(covariance_type=kind).fit(rows)
    freedom, factor = mixture.posterior_.gaussians.student()
    drawn, _ = mixture.sample(40_000, random_state=5)
    precision = factor[0].T @ factor[0] if factor.shape[1] == 3 else np.diag(factor[0, 0] ** 2)
    wanted = np.linalg.inv(precision) * freedom[0] / (freedom[0] - 2)
    error = 5.0 * np.sqrt((wanted**2 + np.outer(np.diag(wanted), np.diag(wanted))) / len(drawn)) * 1.1
    assert (np.abs(np.cov(drawn.T) - wanted) < error).all()


def test_sources_of_rows_make_the_same_fit(tmp_path: pathlib.Path) -> None:
    rows = clusters(40_000, 3, 3, 9, 3.0).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    halves = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path, part in zip(halves, (rows[:15_000], rows[15_000:]), strict=True):
        parquet.write_table(pa.table({name: part[:, i] for i, name in enumerate("xyz")}), path, row_group_size=4_000)
    parquet.write_table(pa.table({name: rows[:, i] for i, name in enumerate("xyz")}), tmp_path / "all.parquet")
    sources = [
        rows,
        np.load(tmp_path / "rows.npy", mmap_mode="r"),
        tmp_path / "rows.npy",
        halves,
        tmp_path / "all.parquet",
    ]
    fits = [BayesianGaussianMixture(n_components=3, max_iter=20, random_state=2).fit(source) for source in sources]
    for fit, source in zip(fits, sources, strict=True):
        np.testing.assert_allclose(fit.lower_bounds_, fits[0].lower_bounds_, rtol=1e-9)
        np.testing.assert_array_equal(fit.predict(source), fits[0].predict(rows))
    steps = [
        BayesianGaussianMixture(n_components=3, max_iter=3, batch_size=500, random_state=2).fit(source)
        for source in (rows, halves)
    ]
    for fit in steps:
        assert fit.lower_bound_ == pytest.approx(fits[0].lower_bound_, rel=1e-4)
    assert steps[0].lower_bounds_[-2] == pytest.approx(steps[0].lower_bound_, rel=0.01)  # an estimate of a pass


def test_a_memory_map_is_not_copied(tmp_path: pathlib.Path) -> None:
    rows = clusters(150_000, 4, 3, 9).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    mixture = BayesianGaussianMixture(n_components=10, max_iter=2, random_state=0)
    mixture.fit(rows[:100])  # compiled
    tracemalloc.start()
    mixture.fit(tmp_path / "rows.npy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000  # as float64 the rows are 4.8 MB, and rows x components 12 MB
    bad = np.array(rows)
    bad[149_999, 3] = np.nan
    np.save(tmp_path / "bad.npy", bad)
    with pytest.raises(ValueError, match="contain NaN"):
        mixture.fit(tmp_path / "bad.npy")


def test_a_stream_finds_what_a_fit_finds() -> None:
    rows = clusters(6_000, 2, 3, 11, 6.0)
    whole = BayesianGaussianMixture(n_components=3, random_state=1).fit(rows)
    stream = BayesianGaussianMixture(n_components=3, random_state=1, total_samples=len(rows))
    for start in range(0, len(rows), 200):
        stream.partial_fit(rows[start : start + 200])
    order = [int(np.argmin(((stream.means_ - mean) ** 2).sum(1))) for mean in whole.means_]
    np.testing.assert_allclose(stream.means_[order], whole.means_, atol=0.15)
    np.testing.assert_allclose(stream.weights_[order], whole.weights_, atol=0.05)
    assert stream.mean_precision_.sum() == pytest.approx(len(rows) + 3)
    assert stream.score(rows) == pytest.approx(whole.score(rows), abs=0.01)
    with pytest.raises(ValueError, match="expecting 2 features"):
        stream.partial_fit(rows[:, :1])


def test_a_step_of_rate_one_over_all_rows_is_a_sweep() -> None:
    rows = clusters(500, 2, 3, 12, 2.0)
    mixture = BayesianGaussianMixture(n_components=3, max_iter=2, random_state=1).fit(rows)
    one, other = (State(mixture.prior_, mixture._moments_) for _ in range(2))
    one.step([rows], 1.0, 1.0)
    other.moments, _ = other._pass([rows])
    np.testing.assert_allclose(one.moments.scatter, other.moments.scatter, rtol=1e-12)
    np.testing.assert_allclose(one.moments.mean, other.moments.mean, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_component_survives(kind: str) -> None:
    # The chapter's listing divides by N_k = r.sum(0), and every mean becomes NaN a sweep later.
    rows = clusters(60, 2, 2, 4, 50.0)
    shares = np.zeros((60, 3))
    shares[np.arange(60), (rows[:, 0] > rows[:, 0].mean()).astype(int)] = 1.0
    with np.errstate(invalid="ignore"):
        assert np.isnan((shares.T @ rows) / shares.sum(0)[:, None]).any()
    mixture = BayesianGaussianMixture(
        n_components=3,
        covariance_type=kind,
        init_params=shares,
        weight_concentration_prior_type="dirichlet_distribution",
    ).fit(rows)
    assert np.isfinite(mixture.lower_bounds_).all()
    assert np.isfinite(mixture.means_).all()
    assert np.isfinite(mixture.covariances_).all()
    assert mixture.log_evidence_bound_ - mixture.lower_bound_ <= math.log(6) + 1e-12


def test_pruning_leaves_out_what_is_empty() -> None:
    rows = clusters(300, 2, 2, 6, 20.0)
    options: dict[str, Any] = {"n_components": 6, "random_state": 1, "weight_concentration_prior_type": TYPES[1]}
    kept = BayesianGaussianMixture(**options).fit(rows)
    pruned = BayesianGaussianMixture(prune=5.0, **options).fit(rows)
    assert (kept.n_components_, len(kept.weights_)) == (6, 6)
    assert pruned.n_components_ < 6
    assert pruned.lower_bound_ > kept.lower_bound_
    assert pruned.weight_concentration_.min() >= 5.0
    assert np.isfinite(pruned.set_params(warm_start=True).fit(rows).lower_bound_)


def test_restarts_keep_the_best_and_a_seed_says_all() -> None:
    rows = clusters(200, 2, 6, 14, 3.0)
    options: dict[str, Any] = {"n_components": 6, "init_params": "random_from_data"}
    many = BayesianGaussianMixture(n_init=8, random_state=1, **options).fit(rows)
    once = BayesianGaussianMixture(n_init=1, random_state=1, **options).fit(rows)
    assert many.lower_bound_ >= once.lower_bound_
    again = BayesianGaussianMixture(n_init=8, random_state=1, **options).fit(rows)
    np.testing.assert_array_equal(again.means_, many.means_)


def test_a_warm_start_goes_on() -> None:
    rows = clusters(200, 2, 4, 15, 2.0)
    whole = BayesianGaussianMixture(n_components=4, random_state=1, max_iter=20, tol=0.0).fit(rows)
    parts = BayesianGaussianMixture(n_components=4, random_state=1, max_iter=10, tol=0.0, warm_start=True).fit(rows)
    parts.fit(rows)
    np.testing.assert_allclose(parts.lower_bounds_, whole.lower_bounds_[10:], rtol=1e-12)


def test_the_geyser_has_two_clusters() -> None:
    rows = old_faithful()
    assert rows.shape == (272, 2)
    bounds = [
        BayesianGaussianMixture(
            n_components=k, n_init=5, random_state=1, weight_concentration_prior_type="dirichlet_distribution"
        ).fit(rows).log_evidence_bound_
        for k in range(1, 5)
    ]  # fmt: skip
    assert int(np.argmax(bounds)) == 1


def test_the_prior_of_the_gibbs_sampler() -> None:
    rows = clusters(50, 2, 2, 1)
    prior = MixturePrior(0.5, np.zeros(2), 0.1, 4.0, np.eye(2))
    mixture = BayesianGaussianMixture.of_prior(prior, n_components=2, random_state=1).fit(rows)
    assert (mixture.weight_concentration_prior_, mixture.mean_precision_prior_) == (0.5, 0.1)
    assert mixture.degrees_of_freedom_prior_ == 4.0
    np.testing.assert_array_equal(mixture.covariance_prior_, np.eye(2))


ROWS = clusters(20, 2, 2, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components=0"),
        ({"n_components": 2.5}, "n_components=2.5"),
        ({"n_components": 21}, "with 20 rows"),
        ({"covariance_type": "ful"}, "full, tied, diag, spherical"),
        ({"weight_concentration_prior_type": "dp"}, "dirichlet_process"),
        ({"weight_concentration_prior": -1.0}, "positive"),
        ({"mean_precision_prior": 0.0}, "positive"),
        ({"mean_prior": [1.0]}, "2 finite numbers"),
        ({"degrees_of_freedom_prior": 1.0}, "above 1"),
        ({"degrees_of_freedom_prior": 0.0, "covariance_type": "diag"}, "above 0"),
        ({"covariance_prior": np.ones((2, 2))}, "positive definite"),
        ({"covariance_prior": np.ones(3), "covariance_type": "diag"}, r"\(2,\)"),
        ({"covariance_prior": -1.0, "covariance_type": "spherical"}, "positive"),
        ({"init_params": "kmean"}, "k-means"),
        ({"init_params": np.ones((3, 1))}, r"\(20, 1\)"),
        ({"tol": -1.0}, "0 or more"),
        ({"kappa": 0.5}, "0.5"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"prune": -1.0}, "prune"),
    ],
)
def test_bad_parameters_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BayesianGaussianMixture(**options).fit(ROWS)


@pytest.mark.parametrize("kind", KINDS)
def test_odd_rows_have_an_error_or_an_answer(kind: str) -> None:
    def fit(rows: Any, **options: Any) -> BayesianGaussianMixture:
        return BayesianGaussianMixture(n_components=3, covariance_type=kind, random_state=0, **options).fit(rows)

    with pytest.raises(ValueError, match="NaN"):
        fit(np.where(ROWS[3, 1] == ROWS, np.nan, ROWS))
    with pytest.raises(ValueError, match="infinity"):
        fit(np.where(ROWS[3, 1] == ROWS, np.inf, ROWS))
    with pytest.raises(ValueError, match="with 2 rows"):
        fit(ROWS[:2])
    constant = np.column_stack([ROWS[:, 0], np.full(20, 0.1)])
    if kind == "spherical":
        assert np.isfinite(fit(constant).lower_bound_)
    else:
        with pytest.raises(ValueError, match="column 1 is constant"):
            fit(constant)
    if kind in ("full", "tied"):
        with pytest.raises(ValueError, match="determine each other"):
            fit(np.column_stack([ROWS[:, 0], 3.0 * ROWS[:, 0] + 1.0]))
    with pytest.raises(ValueError, match=r"constant|equal"):
        fit(np.ones((20, 2)))
    scale = {"full": np.eye(2), "tied": np.eye(2), "diag": np.ones(2), "spherical": 1.0}[kind]
    for rows in (np.ones((20, 2)), constant, ROWS * 1e-150, ROWS + 1e9):
        fitted = fit(rows, covariance_prior=scale)
        assert np.isfinite(fitted.lower_bounds_).all()
        assert np.isfinite(fitted.score_samples(rows)).all()
    with pytest.raises(ValueError, match="not fitted"):
        BayesianGaussianMixture().predict(ROWS)

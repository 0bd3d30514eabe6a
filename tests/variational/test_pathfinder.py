"""Pathfinder, single and multi: exact on Gaussians along what it remembers, and careful about its weights elsewhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import targets
from targets.kernel import kernel
from targets.protocols import Run, Status
from targets.target import Target
from variational import method
from variational.curvature_pairs import CurvaturePairs
from variational.gaussian import Gaussian
from variational.multi_pathfinder import threshold
from variational.resampled import ResampledDraws, resample
from variational.stretched import StretchedGaussian


def ended(run: Run) -> Run:
    while run.status is Status.RUNNING:
        run.advance(100_000)
    return run


def some(dim: int, rank: int, seed: int) -> StretchedGaussian:
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.standard_normal((dim, rank)))[0].T
    return StretchedGaussian(
        rng.standard_normal(dim), np.exp(rng.standard_normal(dim)), vectors, np.exp(rng.standard_normal(rank))
    )


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_a_stretched_gaussian_is_the_dense_one_with_its_covariance(dim: int, rank: int, seed: int) -> None:
    q = some(dim, min(rank, dim), seed)
    p = q.dense()
    points = p.sample(np.random.default_rng(seed), 5)
    np.testing.assert_allclose(q.log_density(points), p.log_density(points), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(q.variance, np.diagonal(p.covariance), rtol=1e-9)
    np.testing.assert_allclose(q.quantiles(np.array([0.1, 0.5])), p.quantiles(np.array([0.1, 0.5])), rtol=1e-7)
    np.testing.assert_allclose(q.times(points[0]), p.covariance @ points[0], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(q.colour(q.standardise(points)), points, rtol=1e-7, atol=1e-9)
    assert q.entropy == pytest.approx(p.entropy)


def test_its_draws_have_its_covariance() -> None:
    """All standardised second moments of 20,000 draws, six standard errors each."""
    q = some(5, 2, 3)
    z = q.sample(np.random.default_rng(4), 20_000) - q.mean
    z = np.linalg.solve(np.linalg.cholesky(q.covariance), z.T).T
    error = np.abs(z.T @ z / len(z) - np.eye(5)) * np.sqrt(len(z))
    assert np.all(error < 6 * np.sqrt(1 + np.eye(5)))


def pairs_of(precision: np.ndarray, count: int, history: int, block: bool, seed: int) -> CurvaturePairs:
    pairs = CurvaturePairs(history, block)
    rng = np.random.default_rng(seed)
    for _ in range(count):
        step = rng.standard_normal(len(precision))
        assert pairs.add(step, precision @ step)
    return pairs


def spd(dim: int, seed: int) -> np.ndarray:
    root = np.random.default_rng(seed).standard_normal((dim, dim))
    return np.asarray(root @ root.T + 0.1 * np.eye(dim))


@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_as_a_block_the_inverse_hessian_is_exact_along_all_pairs(dim: int, history: int, seed: int) -> None:
    precision = spd(dim, seed)
    pairs = pairs_of(precision, history, history, True, seed)
    q = pairs.gaussian(np.zeros(dim), np.zeros(dim))
    assert q is not None
    for step in pairs.steps:
        np.testing.assert_allclose(q.times(precision @ step), step, atol=1e-5 * np.linalg.norm(step))
    if history >= dim:
        np.testing.assert_allclose(q.covariance @ precision, np.eye(dim), atol=1e-4)


def test_bfgs_is_exact_along_the_last_pair_alone_and_is_what_its_recursion_says() -> None:
    precision = spd(6, 1)
    pairs = pairs_of(precision, 4, 4, False, 2)
    q = pairs.gaussian(np.zeros(6), np.zeros(6))
    assert q is not None and pairs.diagonal is not None
    expected = np.diag(pairs.diagonal)
    for s, y in zip(pairs.steps, pairs.changes, strict=True):
        left = np.eye(6) - np.outer(s, y) / (s @ y)
        expected = left @ expected @ left.T + np.outer(s, s) / (s @ y)
    np.testing.assert_allclose(q.covariance, expected, rtol=1e-8, atol=1e-10)
    off = [np.linalg.norm(q.times(y) - s) for s, y in zip(pairs.steps, pairs.changes, strict=True)]
    assert off[-1] < 1e-8 < off[0]


def test_a_pair_without_downward_curvature_is_left_out() -> None:
    pairs = CurvaturePairs(5)
    assert not pairs.add(np.ones(2), -np.ones(2))
    assert not pairs.add(np.ones(2), np.array([1.0, -1.0]))
    assert not pairs.add(np.zeros(2), np.zeros(2))
    assert pairs.gaussian(np.zeros(2), np.zeros(2)) is None


@pytest.mark.parametrize("seed", range(1, 5))
def test_with_a_history_that_spans_the_space_a_gaussian_is_found_exactly(seed: int) -> None:
    target = targets.load("correlated_gaussian", dim=6, rho=0.7, structure="rotated")
    assert target.truth is not None
    run = ended(method("pathfinder", history=20).start(target, seed))
    q = run.approximation()
    assert run.status is Status.CONVERGED and isinstance(q, Gaussian)
    # the best of noiseless bounds; what is left is how well differences of gradients resolve the flattest direction
    assert np.max(np.abs(0.5 * np.log(q.variance / target.truth.moments.variance))) < 1e-2
    assert run.diagnostics()["elbo"] == pytest.approx(target.truth.log_normaliser, abs=1e-2)


def test_block_updates_know_more_than_bfgs() -> None:
    """The bound on a Gaussian of twenty coordinates is the higher by more than a nat, on average over four seeds."""
    target = targets.load("correlated_gaussian", dim=20, rho=0.9)
    bounds = {
        update: np.mean(
            [ended(method("pathfinder", history=20, update=update).start(target, s)).elbo for s in range(4)]
        )  # type: ignore[attr-defined]
        for update in ("block", "bfgs")
    }
    assert bounds["block"] > bounds["bfgs"] + 0.3


def test_memory_is_that_of_a_few_directions() -> None:
    target = targets.load("correlated_gaussian", dim=400, rho=0.5)
    q = ended(method("pathfinder").start(target, 1)).approximation()
    assert isinstance(q, StretchedGaussian) and q.vectors.shape == (10, 400)


@kernel
def cliff(x, gradient, data):  # type: ignore[no-untyped-def]
    """A standard Gaussian that cannot be evaluated further than data[0, 0] from the origin."""
    total = 0.0
    for i in range(x.shape[0]):
        total -= 0.5 * x[i] * x[i]
        gradient[i] = -x[i]
    return total if total > -0.5 * data[0, 0] * data[0, 0] else np.nan


def test_draws_that_cannot_be_evaluated_are_a_named_failure() -> None:
    target = Target("cliff", 8, cliff, targets.data_matrix([[2.0]]), initial=lambda rng: 0.3 * rng.standard_normal(8))
    run = ended(method("pathfinder").start(target, 1))
    assert run.status is Status.FAILED and "whose draws all have a finite density" in run.reason


def test_the_mixture_of_paths_tells_how_much_mass_each_mode_has() -> None:
    """Weights by path count a mode as often as paths lead to it. With a Gaussian mode either way all else is exact."""
    target = targets.load("bimodal_mixture", dim=2, separation=10.0, weight=0.3)
    assert target.truth is not None and target.truth.modes is not None
    masses, split = {"mixture": [], "path": []}, 0  # type: ignore[var-annotated]
    for seed in range(6):
        runs = {w: ended(method("multi_pathfinder", weights=w).start(target, seed)) for w in masses}
        if any(len(set(target.truth.modes.assign(q.points))) < 2 for q in (r.pooled for r in runs.values())):  # type: ignore[attr-defined]
            continue
        split += 1
        for weights, run in runs.items():
            points = run.pooled.points  # type: ignore[attr-defined]
            found = np.bincount(target.truth.modes.assign(points), minlength=2) / len(points)
            masses[weights].append(float(np.abs(found - target.truth.modes.masses)[0]))
    assert split >= 1
    assert max(masses["mixture"]) < 0.03


def test_weights_that_are_no_guide_leave_distinct_draws() -> None:
    """The banana is far wider than any Gaussian on the path."""
    run = ended(method("multi_pathfinder", draws=200).start(targets.load("banana", dim=6), 1))
    said, q = run.diagnostics(), run.approximation()
    assert run.status is Status.CONVERGED and isinstance(q, ResampledDraws)
    assert said["distinct"] == q.distinct
    assert (said["fallback"] == 1) == (said["k_hat"] > threshold(800) or "worth" in run.reason)
    assert q.distinct >= 100
    assert len(np.unique(q.sample(np.random.default_rng(1), 4), axis=0)) == 4


def test_resampling_is_systematic() -> None:
    points, weights = np.arange(5.0)[:, None], np.array([0.1, 0.2, 0.4, 0.05, 0.25])
    copies = np.mean(
        [
            np.bincount(resample(points, weights, np.random.default_rng(s), 10).points[:, 0].astype(int), minlength=5)
            for s in range(2000)
        ],
        axis=0,
    )
    assert np.all(np.abs(copies - 10 * weights) < 6 * 0.5 / np.sqrt(2000))  # at most half a copy of deviation each
    assert threshold(1000) == pytest.approx(2 / 3) and threshold(10**6) == 0.7


@pytest.mark.parametrize("option", ["history=0", "elbo_draws=0", "update=newton", "weights=none", "paths=0", "draws=5"])
def test_bad_options_are_one_line(option: str) -> None:
    name, _, value = option.partition("=")
    with pytest.raises(targets.options.UsageError, match=f"multi_pathfinder: {option} is not accepted; it takes"):
        method("multi_pathfinder", **{name: int(value) if value.isdigit() else value})

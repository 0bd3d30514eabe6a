"""Updates in closed form: what defines them, that affine maps do not change them, and exactness on Gaussians."""

import numpy as np
import pytest

import targets
from targets.kernel import aligned, kernel
from targets.protocols import Status
from targets.target import Target
from variational import matching, method, patching
from variational.gaussian import Gaussian
from variational.score_matching import Batches, batch_for

RULES = {"bam": matching.BAM, "gsm": matching.GSM, "ngvi": matching.NATURAL}
UPDATES = (matching.batch_and_match, matching.gaussian_score_matching, matching.natural_gradient)
SHAPES = [(2, 6), (3, 6), (5, 3), (9, 6)]  # batch and dimension: fewer draws than dimensions, and more


def batch(count: int, dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draws, and scores of something that is not Gaussian."""
    rng = np.random.default_rng([seed, count, dim])
    e = rng.standard_normal((count, dim))
    bend = rng.standard_normal((dim, dim))
    return aligned(e), aligned(-1.5 * e + np.tanh(e @ bend) + 0.3)


def step(rule: int, e: np.ndarray, s: np.ndarray, gain: float) -> tuple[np.ndarray, np.ndarray]:
    """The covariance and the mean that N(0, I) moves to, by the rule itself rather than by the loop."""
    root, shift, smallest = UPDATES[rule].py_func(e, s, gain)
    assert smallest > 0
    return root @ root.T, shift


def moved(rule: int, q: Gaussian, count: int, slope: np.ndarray, seed: int, gain: float) -> Gaussian:
    """What one step of the loop makes of q where the log density is -x' slope x / 2 + a bend."""
    state = Batches.at(q, rule, count)
    target = Target("bent", q.dim, bent, targets.data_matrix(slope))
    assert state.advance(target, np.random.default_rng(seed), 1, gain, gain) == 1
    return state.current()


@kernel
def bent(x, gradient, data):  # type: ignore[no-untyped-def]
    """A sum over the rows of data of -y^2 / 2 - log cosh(y) with y = row . x: what is left of it under linear maps."""
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] = 0.0
    for k in range(data.shape[0]):
        y = 0.1
        for j in range(x.shape[0]):
            y += data[k, j] * x[j]
        slope = -y - np.tanh(y)
        total -= 0.5 * y * y + np.log(np.cosh(y))
        for j in range(x.shape[0]):
            gradient[j] += slope * data[k, j]
    return total


@pytest.mark.parametrize(("count", "dim"), SHAPES)
@pytest.mark.parametrize("weight", [0.1, 3.0, 100.0])
def test_bam_solves_its_equation(count: int, dim: int, weight: float) -> None:
    """A U A + A = V (Cai et al. 2024, equations 9 to 12), and the mean that goes with it."""
    e, s = batch(count, dim)
    covariance, mean = step(matching.BAM, e, s, weight / (1 + weight))
    e_mean, s_mean = e.mean(axis=0), s.mean(axis=0)
    u = weight * np.cov(s.T, bias=True) + weight / (1 + weight) * np.outer(s_mean, s_mean)
    v = np.eye(dim) + weight * np.cov(e.T, bias=True) + weight / (1 + weight) * np.outer(e_mean, e_mean)
    np.testing.assert_allclose(covariance @ u @ covariance + covariance, v, rtol=1e-9, atol=1e-9 * weight)
    np.testing.assert_allclose(mean, weight / (1 + weight) * (covariance @ s_mean + e_mean), atol=1e-10)


def test_gsm_matches_the_score_of_a_draw_and_is_the_nearest_that_does() -> None:
    """The next Gaussian has the target's score at the draw; all others that have it are further in KL(last || it)."""
    e, s = batch(1, 4)
    covariance, mean = step(matching.GSM, e, s, 1.0)
    np.testing.assert_allclose(-np.linalg.solve(covariance, e[0] - mean), s[0], rtol=1e-9)

    def divergence(covariance: np.ndarray, mean: np.ndarray) -> float:
        precision = np.linalg.inv(covariance)
        return float(np.trace(precision) + mean @ precision @ mean + np.linalg.slogdet(covariance)[1])

    rng = np.random.default_rng(1)
    for _ in range(50):  # a covariance nearby, with the mean that then matches
        noise = 0.05 * rng.standard_normal((4, 4))
        other = covariance @ (np.eye(4) + noise + noise.T + noise @ noise.T)
        other = 0.5 * (other + other.T)
        assert divergence(other, e[0] + other @ s[0]) > divergence(covariance, mean)


def test_the_natural_step_is_the_improved_rule() -> None:
    """S - r G + r^2 G S^-1 G / 2 of Lin, Schmidt and Khan 2020, in coordinates where S is the identity."""
    e, s = batch(6, 3)
    s = aligned(0.1 * s - 0.9 * e)  # small enough for no cap
    covariance, mean = step(matching.NATURAL, e, s, 0.4)
    hessian = (s + e).T @ e / 6
    g = 0.5 * (hessian + hessian.T)
    np.testing.assert_allclose(np.linalg.inv(covariance), np.eye(3) - 0.4 * g + 0.08 * g @ g, rtol=1e-9)
    np.testing.assert_allclose(mean, 0.4 * (e + s).mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("count", [2, 7])
def test_low_rank_and_full_updates_are_equal(name: str, count: int) -> None:
    """The loop works in the space that a batch spans, the rule here in all; 2 of 6 dimensions, and 6."""
    dim, rng = 6, np.random.default_rng(3)
    q = Gaussian.from_moments(rng.standard_normal(dim), np.cov(rng.standard_normal((dim, 20))))
    slope = rng.standard_normal((8, dim))
    found = moved(RULES[name], q, count, slope, 5, 0.7)
    e = np.random.default_rng(5).standard_normal((count, dim))
    target, gradient = targets.data_matrix(slope), np.empty(dim)
    scores = []
    for row in e:
        bent(aligned(q.mean + q.factor @ row), gradient, target)
        scores.append(q.factor.T @ gradient)
    covariance, shift = step(RULES[name], aligned(e), aligned(scores), 0.7)
    np.testing.assert_allclose(found.covariance, q.factor @ covariance @ q.factor.T, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.mean, q.mean + q.factor @ shift, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("count", [2, 7])
def test_updates_do_not_change_under_affine_maps(name: str, count: int) -> None:
    """The step in mapped coordinates, from the mapped start with the same draws, is the mapped step."""
    dim, rng = 6, np.random.default_rng(4)
    slope, scale = rng.standard_normal((8, dim)), np.exp(rng.uniform(-3, 3, dim))
    q = Gaussian.from_moments(rng.standard_normal(dim), np.cov(rng.standard_normal((dim, 20))))
    lower = np.tril(rng.standard_normal((dim, dim)), -1) + np.diag(scale)  # keeps factors triangular: the same draws
    mapped = Gaussian(lower @ q.mean, lower @ q.factor)
    plain = moved(RULES[name], q, count, slope, 6, 0.7)
    there = moved(RULES[name], mapped, count, slope @ np.linalg.inv(lower), 6, 0.7)
    back = np.linalg.solve(lower, there.factor)
    np.testing.assert_allclose(back @ back.T, plain.covariance, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(np.linalg.solve(lower, there.mean), plain.mean, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(("count", "dim"), SHAPES)
def test_updates_stay_positive_definite(name: str, count: int, dim: int) -> None:
    """Whatever the scores: of no size, of any size, of the wrong sign."""
    for seed in range(20):
        rng = np.random.default_rng([seed, 9])
        e = aligned(rng.standard_normal((count, dim)))
        s = aligned(rng.standard_normal((count, dim)) * np.exp(rng.uniform(-20, 20)) + seed % 3 * e)
        for gain in (0.01, 0.5, 0.999):
            root, shift, smallest = UPDATES[RULES[name]].py_func(e, s, gain)
            assert smallest > 0 and np.all(np.isfinite(shift))
            assert np.all(np.linalg.svd(root, compute_uv=False) > 0)


@kernel
def steep(x, gradient, data):  # type: ignore[no-untyped-def]
    """Finite, with gradients that are too large to work with."""
    for i in range(x.shape[0]):
        gradient[i] = data[0, 0]
    return 0.0


@pytest.mark.parametrize("count", [2, 7])
def test_what_cannot_be_worked_with_is_taken_back(count: int) -> None:
    q = Gaussian(np.zeros(6), np.eye(6))
    state = Batches.at(q, matching.BAM, count)
    target = Target("steep", 6, steep, targets.data_matrix([[1e150]]))
    assert state.advance(target, np.random.default_rng(1), 4, 0.9, 0.9) == 4
    assert state.counts() == {"skipped": 0.0, "reverted": 4.0}
    np.testing.assert_array_equal(state.current().mean, q.mean)
    np.testing.assert_array_equal(state.current().covariance, q.covariance)


@pytest.mark.parametrize(("name", "updates", "condition"), [("bam", 3, 1e4), ("gsm", 250, 10.0)])
def test_a_gaussian_target_is_met_exactly_within_few_updates(name: str, updates: int, condition: float) -> None:
    """BaM, with more draws than dimensions and a large lambda, in three; GSM in some for each dimension."""
    target = targets.load("correlated_gaussian", dim=10, structure="rotated", condition=condition, mean=1.0)
    assert target.truth is not None
    covariance = target.truth.moments.covariance
    for seed in range(3):
        count = batch_for(target.dim) if name == "bam" else 2
        state = Batches.at(Gaussian(np.zeros(10), np.eye(10)), RULES[name], count)
        gain = 1.0 if name == "gsm" else 1 - 1e-6
        state.advance(target, np.random.default_rng(seed), updates, gain, gain)
        found = state.current()
        np.testing.assert_allclose(np.linalg.solve(covariance, found.covariance), np.eye(10), atol=1e-4)
        assert np.max(np.abs(found.mean - 1.0) / target.truth.moments.sd) < 1e-4


@kernel
def heavy(x, gradient, data):  # type: ignore[no-untyped-def]
    """Independent Student t coordinates with data[0, 0] degrees of freedom."""
    df = data[0, 0]
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] = -(df + 1.0) * x[i] / (df + x[i] * x[i])
        total -= 0.5 * (df + 1.0) * np.log1p(x[i] * x[i] / df)
    return total


def test_bam_ends_where_its_equations_say() -> None:
    """With small gains the fixed point has E_q g = 0 and E_q g^2 = 1 / sd^2, here by quadrature: not the truth's sd."""
    df, dim = 5.0, 3
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    low, high = 0.1, 10.0
    for _ in range(60):
        sd = np.sqrt(low * high)
        x = sd * nodes
        squared = float(weights @ ((df + 1) * x / (df + x**2)) ** 2 / weights.sum()) * sd**2
        low, high = (sd, high) if squared < 1 else (low, sd)
    target = Target("heavy", dim, heavy, targets.data_matrix([[df]]))
    found = []
    for seed in range(4):
        run = method("bam").start(target, seed)
        while run.status is Status.RUNNING and run.work.total < 200_000:
            run.advance(10_000)
        q = run.approximation()
        assert run.status is Status.CONVERGED and q is not None
        found.append(np.sqrt(np.diagonal(q.covariance)))
    # each is within about 0.02 of it in log sd, the mean of twelve well within twice that
    assert abs(np.log(np.mean(found) / sd)) < 0.04


def dense(psi: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return np.asarray(np.diag(psi) + factor @ factor.T)


@pytest.mark.parametrize("count", [2, 9])
def test_the_update_before_the_patch_is_that_of_bam(count: int) -> None:
    dim, rng = 6, np.random.default_rng(2)
    psi, factor, mean = np.exp(rng.standard_normal(dim)), rng.standard_normal((dim, 2)), rng.standard_normal(dim)
    points = mean + rng.standard_normal((count, dim))
    slopes = aligned(np.tanh(points) - 2 * points)
    centre, spread, less = patching.widened.py_func(mean, psi, factor, points, slopes, 0.8)
    lower = np.linalg.cholesky(dense(psi, factor))
    e = np.linalg.solve(lower, (points - mean).T).T
    covariance, shift = step(matching.BAM, aligned(e), aligned(slopes @ lower), 0.8)
    before = np.diag(psi) + spread @ spread.T - less @ less.T
    np.testing.assert_allclose(before, lower @ covariance @ lower.T, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(centre, mean + lower @ shift, rtol=1e-8, atol=1e-10)


def test_the_patch_comes_nearer_and_keeps_what_the_family_holds() -> None:
    """KL(updated || patched) is below KL(updated || last); with a factor of full rank the update is kept."""
    dim, rng = 5, np.random.default_rng(7)
    psi, mean = np.exp(rng.standard_normal(dim)), np.zeros(dim)
    points = aligned(rng.standard_normal((8, dim)))
    slopes = aligned(-points @ np.diag(np.arange(1.0, 6.0)))

    def divergence(p: np.ndarray, q: np.ndarray) -> float:
        ratio = np.linalg.solve(q, p)
        return 0.5 * float(np.trace(ratio) - dim - np.linalg.slogdet(ratio)[1])

    for rank, left in ((1, None), (2, None), (5, 1e-3)):
        factor = aligned(0.5 * rng.standard_normal((dim, rank)))
        _, spread, less = patching.widened.py_func(mean, psi, factor, points, slopes, 0.7)
        diagonal, loading = patching.patch.py_func(psi, spread, less, psi, factor)
        before = np.diag(psi) + spread @ spread.T - less @ less.T
        after = divergence(before, dense(diagonal, loading))
        assert np.all(diagonal > 0)
        assert after < divergence(before, dense(psi, factor))
        assert left is None or after < left

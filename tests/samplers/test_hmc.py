"""What HMC learns in warm-up, and that its error falls as theory says."""

import numpy as np
import pytest

import samplers
import targets
from samplers.metric import largest_variance
from samplers.scale import dense_scale, diagonal_scale
from samplers.schedule import nutpie_windows, stan_windows, windows
from samplers.warmup import REMEMBERING, first_scale, memory
from targets.protocols import Phase


def warmed(target: targets.Target, seed: int, **options: object) -> samplers.chains.ChainsRun:
    run = samplers.method("hmc", **options).start(target, seed)
    while run.phase is Phase.WARMUP:
        run.advance(1_000_000)
    return run


@pytest.mark.parametrize("goal", [0.7, 0.8, 0.9])
@pytest.mark.parametrize("structure", ["ar1", "rotated"])
def test_the_step_size_accepts_what_is_asked_for(goal: float, structure: str) -> None:
    """Within 0.07, over six seeds, whose acceptance varies by 0.02. Averaging noisy steps leaves them a bit short."""
    target = targets.load("correlated_gaussian", dim=20, structure=structure)
    found = []
    for seed in range(6):
        run = warmed(target, seed, target_accept=goal)
        run.advance(20_000)
        found.append(run.diagnostics()["accept"])
    assert np.mean(found) == pytest.approx(goal, abs=0.07)


def test_scale_and_path_are_learned() -> None:
    """Independent coordinates of very different widths: the scale is their sd, and the path a quarter of a period."""
    sd = np.logspace(-3, 3, 7)
    target = targets.load("correlated_gaussian", dim=7, rho=0.0)
    assert target.truth is not None

    def stretched(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(-0.5 * np.sum((x / sd) ** 2)), -x / sd**2

    run = warmed(targets.plain.from_python(stretched, 7), 1)
    assert np.allclose(run.tuning.scale.diagonal, sd, rtol=0.2)  # over 600 draws: a relative standard error of 0.03
    assert run.tuning.path == pytest.approx(np.pi / 2, rel=0.15)


def test_the_first_scale_is_exact_on_independent_gaussians() -> None:
    sd = np.array([1e-4, 1.0, 1e3])
    points = np.random.default_rng(1).uniform(-2, 2, (4, 3))
    assert np.allclose(first_scale(points, -points / sd**2), sd)
    assert np.array_equal(first_scale(points[[0, 0]], points[[0, 0]]), np.ones(3))
    assert np.array_equal(first_scale(points, np.zeros((4, 3))), np.ones(3))


@pytest.mark.parametrize("dim", [10, 400])
def test_the_largest_variance_is_not_inflated_by_dimension(dim: int) -> None:
    """The largest eigenvalue of a sample covariance of 400 draws in 400 dimensions would be 4, not 1."""
    values = np.random.default_rng(2).standard_normal((4, 100, dim))
    assert largest_variance(values, diagonal_scale(np.ones(dim))) == pytest.approx(1.0, abs=0.3)
    values[..., 3] *= 5.0
    assert largest_variance(values, diagonal_scale(np.ones(dim))) == pytest.approx(25.0, rel=0.3)
    factor = np.diag([1.0] * 3 + [5.0] + [1.0] * (dim - 4))
    assert largest_variance(values, dense_scale(factor)) == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("length", [20, 33, 150, 400, 1000, 1234])
def test_warm_up_learns_from_draws_that_are_there_and_ends_with_the_step_size(length: int) -> None:
    for lessons in (windows(length, False), windows(length, True), stan_windows(length), nutpie_windows(length)):
        ends = [lesson.end for lesson in lessons]
        assert ends == sorted(set(ends))
        assert all(0 <= lesson.begin < lesson.end for lesson in lessons[:-1])
        assert lessons[-1].begin == lessons[-1].end == length
        assert all(lesson.fresh for lesson in lessons[-2:])


def test_stans_windows_are_those_of_its_manual() -> None:
    ends = [(lesson.begin, lesson.end) for lesson in stan_windows(1000)]
    assert ends == [(75, 100), (100, 150), (150, 250), (250, 450), (450, 950), (1000, 1000)]
    assert [(lesson.begin, lesson.end) for lesson in stan_windows(100)] == [(15, 90), (100, 100)]


@pytest.mark.parametrize(
    ("name", "options"),
    [("funnel", {"dim": 10}), ("correlated_gaussian", {"dim": 20, "structure": "rotated", "condition": 30.0})],
)
def test_the_error_falls_with_the_square_root_of_the_work(name: str, options: dict[str, object]) -> None:
    """Log-log slope of the RMS error over 24 seeds x coordinates, from 2000 to 100,000 gradients: -1/2 to 0.1.

    The slope's standard error over seeds is 0.02, so that a right sampler fails once in 1e6 runs. A bias of 0.03
    standard deviations would flatten it beyond the bound.
    """
    target = targets.load(name, **options)
    assert target.truth is not None
    moments = target.truth.moments
    goals = np.geomspace(2_000, 100_000, 8)
    errors = np.zeros((24, len(goals)))
    work = np.zeros_like(errors)
    for seed in range(24):
        run = warmed(target, seed)
        warm = run.work.total
        for k, goal in enumerate(goals):
            run.advance(int(goal) - (run.work.total - warm))
            draws = run.approximation()
            assert draws is not None
            errors[seed, k] = np.mean((draws.mean - moments.mean) ** 2 / moments.variance)
            work[seed, k] = run.work.total - warm
    slope = np.polyfit(np.log(work.mean(axis=0)), 0.5 * np.log(errors.mean(axis=0)), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.1)


def test_bad_options_are_refused() -> None:
    for bad in ({"target_accept": 1.0}, {"path": -1.0}, {"jitter": 2.0}, {"max_leapfrogs": 0}):
        with pytest.raises(targets.UsageError, match="not accepted"):
            samplers.method("hmc", **bad)
    with pytest.raises(targets.UsageError, match="not accepted"):
        samplers.method("random_walk", thin=0)
    with pytest.raises(targets.UsageError, match="did you mean hmc"):
        samplers.method("hcm")


def test_memory_is_the_largest_autocorrelation_within_chains() -> None:
    """Two coordinates of known autocorrelation, chains far apart. Standard error at 4 x 2000 draws: 0.01."""
    rng = np.random.default_rng(5)
    values = rng.standard_normal((4, 2000, 2))
    for n in range(1, 2000):
        values[:, n, 1] = 0.7 * values[:, n - 1, 1] + np.sqrt(1 - 0.49) * values[:, n, 1]
    values += 100.0 * np.arange(4)[:, None, None]
    assert memory(values) == pytest.approx(0.7, abs=0.05)
    assert memory(values[:, :, :1]) == pytest.approx(0.0, abs=0.05)
    assert np.isnan(memory(values[:, : REMEMBERING - 1]))
    assert memory(np.ones((2, 100, 1))) == 0.0


def test_the_path_is_stretched_where_draws_remember_and_nowhere_else() -> None:
    """A Gaussian forgets in a quarter of its widest period; a banana's second coordinate does not."""
    assert [warmed(targets.load("correlated_gaussian"), seed).tuning.stretch for seed in (1, 2, 3)] == [1.0] * 3
    assert all(warmed(targets.load("banana"), seed).tuning.stretch > 1.0 for seed in (1, 2, 3))

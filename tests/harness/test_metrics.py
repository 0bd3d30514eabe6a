"""Every metric on pairs whose answer is known in closed form."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr

import targets
from harness import metrics
from harness.metrics.laws import total_variation_mean
from reports.records import METRICS
from reports.records.metric import UNCONSTRAINED
from samplers.draws import Draws
from targets import Certificate, GaussianStructure, Modes, Moments, Named, Target, Truth
from targets.kernel import Matrix, Vector, data_matrix, kernel
from variational.gaussian import Gaussian


@kernel
def improper(x, gradient, data):  # type: ignore[no-untyped-def]
    """A standard Gaussian whose normaliser is exp(data[0, 0]) too large."""
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] = -x[i]
        total += x[i] * x[i]
    return data[0, 0] - 0.5 * total


def gaussian(dim: int = 10, **options: object) -> Target:
    return targets.load("correlated_gaussian", dim=dim, **options)


def judged(approximation: object, target: Target) -> dict[str, float]:
    return metrics.evaluate(approximation, target, metrics.Reference.of(target), seed=3)  # type: ignore[arg-type]


def of_values(values: Matrix) -> Draws:
    return Draws(values[None])


def two_points(mean: Vector, sd: Vector) -> Draws:
    """Draws whose mean and standard deviation are exactly these: half at mean - sd, half at mean + sd."""
    return of_values(np.vstack([mean - sd, mean + sd]))


def test_the_columns_are_those_of_the_records() -> None:
    assert len(metrics.COLUMNS) == 3 * len(METRICS)
    assert set(metrics.COLUMNS) >= set(METRICS)
    for metric in METRICS.values():
        assert metric.reference_floor in metrics.COLUMNS
        assert metric.sampling_floor in metrics.COLUMNS
    assert set(judged(Gaussian(np.zeros(10), np.ones(10)), gaussian())) == set(metrics.COLUMNS)


@pytest.mark.parametrize("dim", [1, 2, 10])
def test_the_truth_itself_is_perfect(dim: int) -> None:
    target = gaussian(dim, mean=3.0)
    assert target.truth is not None
    moments = target.truth.moments
    seen = judged(Gaussian.from_moments(moments.mean, moments.covariance), target)
    for name, metric in METRICS.items():
        if metric.perfect is None or metric.coordinates != UNCONSTRAINED or name == "mode_mass_error":
            continue
        assert seen[name] == pytest.approx(metric.perfect, abs=3 * seen[metric.sampling_floor] + 1e-9), name
    assert seen["elbo"] == pytest.approx(target.truth.log_normaliser, abs=1e-9)
    assert seen["eubo"] == pytest.approx(target.truth.log_normaliser, abs=1e-9)


def test_a_shifted_and_scaled_gaussian_has_the_errors_of_the_formulas() -> None:
    """Target N(m, s^2 I) with m = 2 and s = 1; q = N(m + shift, scale^2), different in each coordinate."""
    dim = 3
    target = gaussian(dim, rho=0.0, mean=2.0)
    shift, scale = np.array([0.5, -1.0, 0.0]), np.array([1.0, 2.0, 0.4])
    q = Gaussian(2.0 + shift, scale)
    seen = judged(q, target)
    assert seen["mean_error"] == pytest.approx(math.sqrt(1.25 / 3))
    assert seen["mean_error_worst"] == pytest.approx(1.0)
    square = (scale**2 + (2 + shift) ** 2 - 5.0) ** 2 / (2 + 4 * 4)  # Var x^2 = 2 s^4 + 4 m^2 s^2
    assert seen["second_moment_b2"] == pytest.approx(square.mean())
    assert seen["second_moment_b2_worst"] == pytest.approx(square.max())
    centred = (scale**2 + shift**2 - 1.0) ** 2 / 2
    assert seen["centred_b2"] == pytest.approx(centred.mean())
    assert seen["centred_b2_worst"] == pytest.approx(centred.max())
    assert seen["sd_ratio_worst"] == pytest.approx(0.4)  # |log 0.4| > log 2
    reverse = 0.5 * np.sum(scale**2 + shift**2 - 1 - 2 * np.log(scale))
    forward = 0.5 * np.sum((1 + shift**2) / scale**2 - 1 + 2 * np.log(scale))
    assert seen["covariance_error"] == pytest.approx(reverse)
    assert seen["kl_reverse"] == pytest.approx(reverse)
    assert seen["kl_forward"] == pytest.approx(forward)
    assert seen["elbo"] == pytest.approx(target.truth.log_normaliser - reverse)  # type: ignore[union-attr]
    assert seen["eubo"] == pytest.approx(target.truth.log_normaliser + forward)  # type: ignore[union-attr]
    z = 1.6448536269514722
    assert seen["coverage_90"] == pytest.approx(np.mean(ndtr(shift + z * scale) - ndtr(shift - z * scale)))


def test_every_unit_is_that_of_the_coordinate() -> None:
    """Coordinates of sd 0.5, 2 and 10 and different means; q is half an sd off, and 1.5 times as wide, in all of them.

    A sd of another coordinate, of q instead of p, or a variance in its place would each change every number.
    """
    mean, sd = np.array([1.0, -3.0, 20.0]), np.array([0.5, 2.0, 10.0])
    target = Target(
        name="units",
        dim=3,
        log_density_and_gradient=improper,
        data=data_matrix([[0.0]]),
        truth=Truth(
            Moments.gaussian(mean, np.diag(sd**2)),
            Certificate("closed form"),
            sample=lambda rng, n: mean + sd * rng.standard_normal((n, 3)),
        ),
        gaussian=GaussianStructure(mean, np.diag(sd**-2)),
    )
    seen = judged(Gaussian(mean + 0.5 * sd, 1.5 * sd), target)
    assert seen["mean_error"] == pytest.approx(0.5)
    assert seen["mean_error_worst"] == pytest.approx(0.5)
    assert seen["centred_b2"] == pytest.approx((1.5**2 + 0.25 - 1) ** 2 / 2)
    square = (1.25 * sd**2 + mean * sd + 0.25 * sd**2) ** 2 / (2 * sd**4 + 4 * mean**2 * sd**2)
    assert seen["second_moment_b2"] == pytest.approx(square.mean())
    assert seen["sd_ratio_worst"] == pytest.approx(1.5)
    assert seen["covariance_error"] == pytest.approx(1.5 * (2.25 + 0.25 - 1 - 2 * math.log(1.5)))
    z = 1.6448536269514722
    assert seen["coverage_90"] == pytest.approx(ndtr(0.5 + 1.5 * z) - ndtr(0.5 - 1.5 * z))


def test_draws_with_given_moments_have_the_same_errors_of_moments_as_the_density() -> None:
    """Moments divided by n: with n - 1, the two points of `two_points` would have twice the variance."""
    target = gaussian(4, rho=0.6, mean=-1.0)
    mean, sd = np.array([-1.0, 0.0, -3.0, -1.5]), np.array([1.0, 0.5, 1.5, 2.0])
    by_draws, by_density = judged(two_points(mean, sd), target), judged(Gaussian(mean, sd), target)
    for name in ("mean_error", "mean_error_worst", "second_moment_b2", "centred_b2", "centred_b2_worst"):
        assert by_draws[name] == pytest.approx(by_density[name]), name
    assert by_draws["sd_ratio_worst"] == pytest.approx(by_density["sd_ratio_worst"])


def test_the_field_s_equality_of_b2_and_independent_draws() -> None:
    """Expected b^2 of n independent draws is 1/n: 400 sets of 50, whose average is within 5 sd, 5 sqrt(2/400/10)."""
    target = gaussian(10, rho=0.0)
    rng = np.random.default_rng(11)
    reference = metrics.Reference.of(target)
    seen = [
        metrics.evaluate(of_values(rng.standard_normal((50, 10))), target, reference, 0, final=False)[
            "second_moment_b2"
        ]
        for _ in range(400)
    ]
    assert np.mean(seen) * 50 == pytest.approx(1.0, abs=0.12)


def test_covariance_error_is_infinite_until_there_are_more_draws_than_coordinates() -> None:
    target = gaussian(5)
    rng = np.random.default_rng(1)
    assert judged(of_values(rng.standard_normal((5, 5))), target)["covariance_error"] == math.inf
    assert judged(of_values(rng.standard_normal((6, 5))), target)["covariance_error"] < math.inf
    repeated = np.repeat(rng.standard_normal((3, 5)), 10, axis=0)  # many draws, three of them distinct
    assert judged(of_values(repeated), target)["covariance_error"] == math.inf


def test_one_draw_is_judged() -> None:
    seen = judged(of_values(np.ones((1, 10))), gaussian())
    assert seen["sd_ratio_worst"] == 0.0
    assert seen["mean_error"] == pytest.approx(1.0)
    assert seen["coverage_90"] == 0.0
    assert seen["covariance_error"] == math.inf


@pytest.mark.parametrize("shift", [0.3, -2.0])
def test_sliced_wasserstein_of_a_shift_is_the_shift(shift: float) -> None:
    """In one dimension W1 of a shift is its size, in posterior sd. Quantile-spaced points stand for draws."""
    target = targets.load("bimodal_mixture", separation=3.0)
    assert target.truth is not None
    truth = replace(target.truth, sample=None, reference_draws=target.truth.draws(10_000, 1))
    target = replace(target, truth=truth)
    reference = metrics.Reference.of(target)
    assert reference.draws is not None
    moved = of_values(reference.draws + shift * truth.moments.sd)
    assert metrics.evaluate(moved, target, reference, 0)["sliced_wasserstein"] == pytest.approx(abs(shift), rel=1e-9)


def test_sliced_wasserstein_of_a_scale_in_one_dimension() -> None:
    """W1 between N(0, 1) and N(0, s^2) is |s - 1| E|z|; 4,000 draws, 95 % quantile of the noise below 0.03."""
    target = gaussian(1)
    seen = judged(Gaussian(np.zeros(1), np.array([3.0])), target)["sliced_wasserstein"]
    assert seen == pytest.approx(2.0 * math.sqrt(2 / math.pi), rel=0.04)


def test_sliced_wasserstein_of_a_shift_in_many_dimensions() -> None:
    """The mean over directions of |u . shift|: E|u_1| = Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2)) in d dimensions.

    64 directions have a relative standard error below 0.1.
    """
    target = gaussian(5, rho=0.0)
    shift = np.array([4.0, 0.0, 0.0, 0.0, 0.0])
    seen = judged(Gaussian(shift, np.ones(5)), target)["sliced_wasserstein"]
    assert seen == pytest.approx(4.0 * math.gamma(2.5) / math.sqrt(math.pi) / math.gamma(3.0), rel=0.3)


def test_mode_mass_error_is_total_variation() -> None:
    target = targets.load("bimodal_mixture", dim=2, separation=12.0, weight=0.3)
    left = np.tile([-6.0, 0.0], (8, 1))
    right = np.tile([6.0, 0.0], (2, 1))
    assert judged(of_values(np.vstack([left, right])), target)["mode_mass_error"] == pytest.approx(0.5)
    assert judged(of_values(left), target)["mode_mass_error"] == pytest.approx(0.7)
    one = judged(Gaussian(np.array([6.0, 0.0]), np.ones(2)), target)
    assert one["mode_mass_error"] == pytest.approx(0.3)


def test_total_variation_of_two_modes() -> None:
    """|p^ - p| of a binomial share has mean sqrt(2 p (1-p) / (pi n))."""
    assert total_variation_mean(np.array([0.2, 0.8]), 100.0) == pytest.approx(math.sqrt(2 * 0.16 / math.pi / 100))


def test_named_quantities_are_judged_by_their_own_moments() -> None:
    """x standard normal, named exp(x): mean exp(1/2), variance (e - 1) e. q = N(1, 1) has mean exp(3/2)."""
    named = Moments.from_central(
        np.array([math.exp(0.5)]),
        np.array([[(math.e - 1) * math.e]]),
        np.zeros(1),
        np.array([math.exp(2) * (math.exp(6) - 4 * math.exp(3) + 6 * math.exp(1) - 3)]),
    )
    target = Target(
        name="exponential",
        dim=1,
        log_density_and_gradient=improper,
        data=data_matrix([[0.0]]),
        truth=Truth(
            Moments.gaussian(np.zeros(1), np.eye(1)),
            Certificate("closed form"),
            sample=lambda rng, n: rng.standard_normal((n, 1)),
            named=named,
        ),
        named=Named(("e",), np.exp),
    )
    values = np.array([[0.0], [1.0]])
    seen = judged(of_values(values), target)
    sd = math.sqrt((math.e - 1) * math.e)
    assert seen["named_mean_error"] == pytest.approx(abs((1 + math.e) / 2 - math.exp(0.5)) / sd)
    second = np.mean((np.exp(values) - math.exp(0.5)) ** 2)
    assert seen["named_centred_b2"] == pytest.approx((second - sd**2) ** 2 / named.variance_of_centred_square[0])
    said = metrics.summary(of_values(values), target, metrics.Reference.of(target))
    assert said["named"] == ["e"]
    assert said["named_mean_z"] == pytest.approx([((1 + math.e) / 2 - math.exp(0.5)) / sd])


def test_summary_by_coordinate() -> None:
    target = targets.load("bimodal_mixture", dim=2, separation=4.0, weight=0.25)
    assert target.truth is not None
    moments = target.truth.moments
    q = Gaussian(moments.mean + np.array([0.5, -0.25]) * moments.sd, moments.sd * np.array([0.5, 2.0]))
    said = metrics.summary(q, target, metrics.Reference.of(target))
    assert said["mean_z"] == pytest.approx([0.5, -0.25])
    assert said["sd_ratio"] == pytest.approx([0.5, 2.0])
    assert said["coordinates"] == ["x[0]", "x[1]"]
    assert sum(said["mode_masses"]) == pytest.approx(1.0)
    assert said["true_mode_masses"] == pytest.approx(target.truth.modes.masses.tolist())  # type: ignore[union-attr]
    assert metrics.summary(None, target, metrics.Reference.of(target)) == {}


@pytest.mark.parametrize(("df", "defined"), [(1.5, False), (3.0, False), (5.0, True)])
def test_moments_that_a_target_lacks_leave_metrics_undefined(df: float, defined: bool) -> None:
    target = targets.load("student_t", dim=3, df=df)
    seen = judged(Gaussian(np.zeros(3), np.ones(3)), target)
    assert math.isnan(seen["centred_b2"]) is not defined
    assert math.isnan(seen["centred_b2_sampling_floor"]) is not defined
    assert math.isnan(seen["second_moment_b2_worst"]) is not defined
    assert math.isnan(seen["mean_error"]) is (df < 2)
    assert math.isnan(seen["covariance_error"]) is (df < 2)
    assert not math.isnan(seen["coverage_90"])
    assert math.isnan(seen["mode_mass_error"])
    # kl_forward is infinite where the target has no variance that a Gaussian could have
    assert not math.isnan(seen["kl_reverse"])


def test_nothing_known_or_nothing_said_is_undefined() -> None:
    bare = Target("bare", 2, improper, data_matrix([[0.0]]))
    for seen in (judged(Gaussian(np.zeros(2), np.ones(2)), bare), judged(None, gaussian())):
        without_truth = {name for name in seen if name.startswith("stein")}
        assert all(math.isnan(value) for name, value in seen.items() if name not in without_truth)
    assert metrics.summary(Gaussian(np.zeros(2), np.ones(2)), bare, metrics.Reference.of(bare)) == {}


def test_draws_have_no_divergences() -> None:
    seen = judged(of_values(np.random.default_rng(0).standard_normal((100, 10))), gaussian())
    for name in ("elbo", "eubo", "kl_reverse", "kl_forward"):
        assert math.isnan(seen[name])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_answer_that_is_not_finite_is_infinitely_wrong(bad: float) -> None:
    values = np.zeros((20, 10))
    values[3, 2] = bad
    seen = judged(of_values(values), gaussian())
    assert seen["mean_error"] == seen["centred_b2"] == seen["sliced_wasserstein"] == math.inf
    assert math.isnan(seen["mode_mass_error"])


def test_same_seed_same_bits() -> None:
    target = targets.load("banana")
    q = Gaussian(np.zeros(2), np.array([5.0, 1.0]))
    assert repr(judged(q, target)) == repr(judged(q, target))


def test_modes_that_draws_never_visit_count() -> None:
    """Three modes, draws in two: half of |.6-.5| + |.4-.3| + |0-.2|."""
    truth = Truth(
        Moments.gaussian(np.zeros(1), np.eye(1)),
        Certificate("closed form"),
        modes=Modes(lambda x: x[:, 0].astype(np.intp), np.array([0.5, 0.3, 0.2])),
    )
    target = Target("three", 1, improper, data_matrix([[0.0]]), truth=truth)
    draws = of_values(np.array([[0.0]] * 6 + [[1.0]] * 4))
    assert judged(draws, target)["mode_mass_error"] == pytest.approx(0.2)

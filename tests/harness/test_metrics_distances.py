"""Whole-distribution metrics on pairs whose answer is known, near and far, in 1 to 100 dimensions.

Statistical comparisons average over 25 sets of draws, each against draws of p of its own, and hold within six standard
errors of that average (Student's t with 24 degrees of freedom: a false alarm in 300,000). Their power is asserted: a
standard error is below a tenth of the answer, or below a number that is small beside those of the far pairs.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln, hyp1f1, ndtr, ndtri

import targets
from harness import metrics
from harness.metrics.classifier import Classifier
from harness.metrics.marginals import PROBABILITIES
from harness.metrics.pairs import Pairs
from harness.metrics.standard import Standard
from harness.metrics.stein import Stein
from reports.records import METRICS
from samplers.draws import Draws
from targets import Named, Target
from targets.kernel import Matrix
from variational.gaussian import Gaussian

SETS = 25
DIMS = (1, 10, 100)
FAR = ((0.0, 1.0), (0.5, 1.0), (3.0, 1.0), (0.0, 2.0), (1.0, 0.5))  # shift of the first coordinate, scale of all


def unit(dim: int) -> Standard:
    return Standard(np.zeros(dim), np.ones(dim))


def shifted(rng: np.random.Generator, n: int, dim: int, shift: float, scale: float) -> Matrix:
    draws = scale * rng.standard_normal((n, dim))
    draws[:, 0] += shift
    return np.asarray(draws)


def judged(approximation: object, target: Target, known: metrics.Reference | None = None) -> dict[str, float]:
    return metrics.evaluate(approximation, target, known or metrics.Reference.of(target), seed=3)  # type: ignore[arg-type]


def agree(seen: list[float], known: list[float], least: float) -> None:
    """The mean of seen - known is zero within six standard errors, each below a tenth of the answer or `least`."""
    off = np.array(seen) - np.array(known)
    error = off.std(ddof=1) / math.sqrt(len(off))
    assert abs(off.mean()) < 6 * error + 1e-12
    assert error < max(0.1 * abs(np.mean(known)), least)


def mmd_squared(width: float, dim: int, shift: float, scale: float) -> float:
    """Between N(shift e_1, scale^2 I) and N(0, I) under exp(-|x - y|^2 / 2 width^2): Gaussian integrals."""

    def overlap(variance: float, distance: float) -> float:
        total = width**2 + variance
        return float((width**2 / total) ** (dim / 2) * math.exp(-(distance**2) / (2 * total)))

    return overlap(2 * scale**2, 0.0) + overlap(2.0, 0.0) - 2 * overlap(1 + scale**2, shift)


def energy_distance(dim: int, shift: float, scale: float) -> float:
    """Of the same pair: E |N(m, s^2 I)| = s sqrt(2) Gamma((d+1)/2) / Gamma(d/2) 1F1(-1/2; d/2; -|m|^2 / 2 s^2)."""

    def length(sd: float, distance: float) -> float:
        factor = math.exp(gammaln((dim + 1) / 2) - gammaln(dim / 2))
        return float(sd * math.sqrt(2) * factor * hyp1f1(-0.5, dim / 2, -(distance**2) / (2 * sd**2)))

    return 2 * length(math.hypot(1.0, scale), shift) - length(math.sqrt(2), 0.0) - length(math.sqrt(2) * scale, 0.0)


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize(("shift", "scale"), FAR)
def test_mmd_and_energy_distance_of_gaussians(dim: int, shift: float, scale: float) -> None:
    rng = np.random.default_rng([1, dim])
    seen, known = [], []
    for _ in range(SETS):
        pairs = Pairs.of(unit(dim), rng.standard_normal((500, dim)), math.inf)
        seen.append(pairs.compare(shifted(rng, 400, dim, shift, scale)))
        known.append((mmd_squared(pairs.width, dim, shift, scale), energy_distance(dim, shift, scale)))
    for k, least in enumerate((2e-3, 0.012)):
        agree([pair[k] for pair in seen], [pair[k] for pair in known], least)


def test_energy_distance_in_one_dimension_is_the_area_between_the_distribution_functions_squared() -> None:
    """2 E|x-y| - E|x-x'| - E|y-y'| = 2 times the integral of (F - G)^2 (Szekely 2003): the formula above agrees."""
    area, _ = quad(lambda x: (ndtr(x) - ndtr((x - 0.7) / 1.3)) ** 2, -12, 12)
    assert energy_distance(1, 0.7, 1.3) == pytest.approx(2 * area, rel=1e-7)


def test_pairs_are_counted_once_and_never_a_draw_with_itself() -> None:
    """By hand, on more points than fit a block; duplicates of other draws count."""
    rng = np.random.default_rng(5)
    p, q = rng.standard_normal((1203, 3)), np.repeat(rng.standard_normal((40, 3)), 2, axis=0)
    pairs = Pairs.of(unit(3), p, math.inf)

    def mean(f: Callable[[Matrix], Matrix], x: Matrix, y: Matrix, same: bool) -> float:
        values = f(np.linalg.norm(x[:, None] - y, axis=2))
        return float((values.sum() - np.trace(values)) / (len(x) * (len(x) - 1)) if same else values.mean())

    def both(f: Callable[[Matrix], Matrix]) -> float:
        return mean(f, q, q, True) + mean(f, p, p, True) - 2 * mean(f, q, p, False)

    gaussian, distance = pairs.compare(q)
    assert gaussian == pytest.approx(both(lambda d: np.exp(-0.5 * (d / pairs.width) ** 2)), abs=1e-9)
    assert distance == pytest.approx(both(lambda d: -d), abs=1e-6)
    few = p[np.linspace(0, 1202, 500).astype(int)]
    apart = np.linalg.norm(few[:, None] - few, axis=2)[np.triu_indices(500, 1)]
    assert pairs.width == pytest.approx(np.median(apart))


def stein_squared(dim: int, shift: float, scale: float) -> float:
    """E k_p(x, y) for p = N(0, I) and x, y from N(shift e_1, scale^2 I), an integral over |x - y|^2 = 2 scale^2 w.

    x - y and x + y are independent, so that E[x.y | w] = (scale^2 d + 2 shift^2 - scale^2 w) / 2; w is chi-square(d).
    """

    def integrand(w: float) -> float:
        square = 2 * scale**2 * w
        base = 1 + square
        log_density = (dim / 2 - 1) * math.log(w) - w / 2 - gammaln(dim / 2) - dim / 2 * math.log(2)
        product = 0.5 * (scale**2 * dim + 2 * shift**2 - scale**2 * w)
        kernel = product * base**-0.5 - square * base**-1.5 + dim * base**-1.5 - 3 * square * base**-2.5
        return math.exp(log_density) * kernel

    lower, upper = max(dim - 12 * math.sqrt(2 * dim), 0.0), dim + 12 * math.sqrt(2 * dim) + 40
    edges = np.linspace(math.sqrt(lower), math.sqrt(upper), 9)  # in the root of w, where chi-square(1) is smooth
    return float(sum(quad(lambda v: 2 * v * integrand(v * v), a, b)[0] for a, b in itertools.pairwise(edges)))


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize(("shift", "scale"), FAR)
def test_kernel_stein_discrepancy_of_gaussians(dim: int, shift: float, scale: float) -> None:
    """Zero for exact draws; of a shift it is |shift|^2 E (1 + |x - y|^2)^(-1/2)."""
    stein = Stein(targets.load("correlated_gaussian", dim=dim, rho=0.0), unit(dim), None)
    rng = np.random.default_rng([2, dim])
    seen = [stein.squared(shifted(rng, 400, dim, shift, scale)) for _ in range(SETS)]
    known = stein_squared(dim, shift, scale)
    if (shift, scale) == (0.0, 1.0):
        assert known == pytest.approx(0.0, abs=1e-7)
    agree(seen, [known] * SETS, 0.02)


def test_the_stein_kernel_is_what_differentiation_gives() -> None:
    """By finite differences of the base kernel, on a target whose gradient is not linear."""
    target = targets.load("banana")
    stein = Stein(target, Standard(np.array([0.5, -1.0]), np.array([2.0, 3.0])), None)
    points = np.array([[1.0, 2.0], [-3.0, 0.5]])
    score = target.evaluate(points)[1] * stein.standard.scale
    x, y = stein.standard(points)

    def base(a: Matrix, b: Matrix) -> float:
        return float((1 + np.sum((a - b) ** 2)) ** -0.5)

    h, e = 1e-4, np.eye(2)
    by_y = np.array([(base(x, y + h * d) - base(x, y - h * d)) / (2 * h) for d in e])
    by_x = np.array([(base(x + h * d, y) - base(x - h * d, y)) / (2 * h) for d in e])
    trace = sum(
        (
            base(x + h * d, y + h * d)
            - base(x + h * d, y - h * d)
            - base(x - h * d, y + h * d)
            + base(x - h * d, y - h * d)
        )
        / (4 * h * h)
        for d in e
    )
    known = score[0] @ score[1] * base(x, y) + score[0] @ by_y + score[1] @ by_x + trace
    kernel = stein.kernel(points)
    assert kernel[0, 1] == kernel[1, 0] == pytest.approx(known, rel=1e-5)
    assert kernel[0, 0] == pytest.approx(score[0] @ score[0] + 2)


def test_stein_needs_no_truth_and_knows_the_units() -> None:
    """Without a truth it is judged in the coordinates as they are, with one in posterior sd."""
    target = targets.load("correlated_gaussian", dim=5, rho=0.0)
    draws = shifted(np.random.default_rng(3), 500, 5, 2.0, 1.0)
    known = judged(Draws(draws[None]), target)
    bare = judged(Draws(draws[None]), replace(target, truth=None, gaussian=None))
    assert bare["stein_discrepancy_squared"] == pytest.approx(known["stein_discrepancy_squared"], rel=1e-9)
    assert math.isnan(bare["stein_discrepancy_squared_sampling_floor"])
    others = {name for name in METRICS if name != "stein_discrepancy_squared"}
    assert all(math.isnan(bare[name]) for name in others)


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0, 12.0])
def test_a_classifier_tells_shifted_gaussians_as_often_as_can_be(dim: int, shift: float) -> None:
    """At most Phi(shift / 2), the accuracy of Bayes' rule; what is learnt from 1,000 draws falls a bit short of it."""
    rng = np.random.default_rng([4, dim])
    p = rng.standard_normal((4000, dim))
    classifier = Classifier.of(unit(dim), p, math.sqrt(2 * dim), rng)
    seen = [classifier.accuracy(shifted(rng, 1000, dim, shift, 1.0), seed) for seed in range(SETS)]
    error = 0.5 / math.sqrt(1000 * SETS) + 0.25 / math.sqrt(2000)  # of the accuracies, and of the draws of p they share
    best = ndtr(shift / 2) - 0.5
    assert np.mean(seen) < best + 5 * error
    assert np.mean(seen) > best - 5 * error - (0.06 if dim == 100 else 0.02)


def test_a_classifier_sees_shape_where_moments_agree() -> None:
    """Two modes at +-0.95 against a normal with the same mean and variance: at best half the total variation."""
    spread = math.sqrt(1 - 0.95**2)

    def difference(x: float) -> float:
        modes = sum(math.exp(-0.5 * ((x - c) / spread) ** 2) for c in (-0.95, 0.95)) / (2 * spread)
        return abs(modes - math.exp(-0.5 * x * x)) / math.sqrt(2 * math.pi)

    variation = 0.5 * quad(difference, -8, 8, limit=200)[0]
    rng = np.random.default_rng(6)
    classifier = Classifier.of(unit(1), rng.standard_normal((4000, 1)), 1.0, rng)
    seen = []
    for seed in range(SETS):
        centre = rng.choice([-0.95, 0.95], size=(1000, 1))
        seen.append(classifier.accuracy(centre + spread * rng.standard_normal((1000, 1)), seed))
    assert variation / 2 - 0.04 < np.mean(seen) < variation / 2 + 0.025


@pytest.mark.parametrize("dim", DIMS)
def test_marginal_wasserstein_and_tails_of_shifts_and_scales(dim: int) -> None:
    """Quantiles stand for draws of N(shift_j, scale^2): W1 of one coordinate is E |shift + (scale - 1) z|."""
    target = targets.load("correlated_gaussian", dim=dim, rho=0.0)
    shift, points = np.linspace(0.5, 2.0, dim), ndtri((np.arange(1000) + 0.5) / 1000)
    reference = metrics.Reference.of(target)
    for scale, rel in ((1.0, 1e-9), (3.0, 0.005)):
        seen = judged(Draws((shift + scale * points[:, None])[None]), target, reference)
        spread = scale - 1
        if spread:
            folded = spread * math.sqrt(2 / math.pi) * np.exp(-(shift**2) / (2 * spread**2))
            folded += shift * (1 - 2 * ndtr(-shift / spread))
        else:
            folded = shift
        assert seen["marginal_wasserstein"] == pytest.approx(folded.mean(), rel=max(rel, 1e-2))
        density = judged(Gaussian(shift, np.full(dim, scale)), target, reference)
        z = ndtri(0.99)
        tails = 0.5 * (np.abs(shift + spread * z) + np.abs(shift - spread * z)).mean()
        assert density["tail_quantile_error"] == pytest.approx(tails, rel=1e-9)
        assert seen["tail_quantile_error"] == pytest.approx(tails, rel=0.03)
        for level in (0.5, 0.9, 0.99):
            half = ndtri((1 + level) / 2) * scale
            known = np.mean(ndtr(shift + half) - ndtr(shift - half))
            assert density[f"coverage_{100 * level:.0f}"] == pytest.approx(known, rel=1e-9)


def test_named_metrics_are_those_of_the_quantities() -> None:
    """Named 2 x + 1 of a Gaussian: each named metric is that of the coordinates, but for the draws behind its truth."""
    plain = targets.load("correlated_gaussian", dim=3, rho=0.4)
    assert plain.truth is not None
    moments = plain.truth.moments
    target = replace(
        plain,
        named=Named(("a", "b", "c"), lambda x: 2 * x + 1),
        truth=replace(plain.truth, named=targets.Moments.gaussian(2 * moments.mean + 1, 4 * moments.covariance)),
    )
    draws = shifted(np.random.default_rng(8), 2000, 3, 0.6, 1.4)
    seen = judged(Draws(draws[None]), target)
    for metric in METRICS.values():
        if metric.name.startswith("named_"):
            own = seen[metric.name.removeprefix("named_")]
            noise = 5 * seen[metric.reference_floor]
            assert seen[metric.name] == pytest.approx(own, rel=0.01, abs=noise), metric.name


def test_predictions_are_judged_in_their_posterior_sd() -> None:
    """Of linear predictions f = A x the error is |A shift| over sd f, root mean square; the reference adds its own."""
    weights = np.array([[1.0, 0.0], [1.0, 1.0], [3.0, -1.0]])
    plain = targets.load("correlated_gaussian", dim=2, rho=0.0)
    target = replace(plain, predictions=Named(("a", "b", "c"), lambda x: x @ weights.T))
    shift = np.array([0.5, -0.25])
    known = math.sqrt(np.mean((weights @ shift) ** 2 / np.sum(weights**2, axis=1)))
    q = Draws((shift + np.vstack([np.eye(2), -np.eye(2)]))[None])
    seen = judged(q, target)
    assert seen["predictive_error"] == pytest.approx(known, abs=5 * seen["predictive_error_reference_floor"])
    assert math.isnan(judged(q, plain)["predictive_error"])


@pytest.mark.parametrize("options", [{}, {"model": "full"}])
def test_labels_change_neither_invariants_nor_predictions(options: dict[str, str]) -> None:
    """A chain that keeps to one labelling has wrong moments and right invariants; any relabelling has the same ones."""
    target = targets.load("gmm_posterior", **options)
    assert target.truth is not None
    assert target.truth.modes is not None
    draws = target.truth.draws(1500, 21)
    assert draws is not None
    mode = target.truth.modes.assign(draws)
    swap = [1, 0] if target.dim == 2 else [*range(5, 10), *range(5)]
    one = np.where((mode == 0)[:, None], draws, draws[:, swap])
    reference = metrics.Reference.of(target)
    seen, same = judged(Draws(one[None]), target, reference), judged(Draws(one[None, :, swap]), target, reference)
    assert seen["mean_error"] > 0.5
    assert seen["mode_mass_error"] == pytest.approx(0.5)
    for name in ("invariant_mean_error", "predictive_error"):
        assert seen[name] < 2 * seen[f"{name}_sampling_floor"]
    for name in ("invariant_mean_error", "invariant_centred_b2", "invariant_sd_ratio_worst", "predictive_error"):
        assert same[name] == pytest.approx(seen[name], rel=1e-9)
    shrunk = judged(Draws((one.mean(axis=0) + 0.5 * (one - one.mean(axis=0)))[None]), target, reference)
    assert shrunk["invariant_sd_ratio_worst"] < 0.7, "what is wrong within a labelling is still seen"


def test_heavy_tails_keep_what_needs_no_moments() -> None:
    for df, with_mean in ((1.0, False), (1.5, True)):
        target = targets.load("student_t", dim=3, df=df)
        assert target.truth is not None
        draws = target.truth.draws(300, 9)
        assert draws is not None
        near, far = judged(Draws(draws[None]), target), judged(Draws(3 + draws[None]), target)
        for name in ("mmd_squared", "classifier_two_sample", "stein_discrepancy_squared"):
            assert near[name] < 2 * near[f"{name}_sampling_floor"] < far[name], name
        assert math.isnan(near["energy_distance"]) is not with_mean
        assert math.isnan(near["marginal_wasserstein"])
        assert math.isnan(near["tail_quantile_error"])


def test_only_the_last_checkpoint_gets_what_is_marked_final() -> None:
    target = targets.load("gmm_posterior")
    assert target.truth is not None
    reference, draws = metrics.Reference.of(target), target.truth.draws(200, 5)
    assert draws is not None
    whole = metrics.evaluate(Draws(draws[None]), target, reference, 0)
    usual = metrics.evaluate(Draws(draws[None]), target, reference, 0, final=False)
    for metric in METRICS.values():
        for column in (metric.name, metric.reference_floor, metric.sampling_floor):
            assert (
                math.isnan(usual[column])
                if metric.final
                else usual[column] == pytest.approx(whole[column], nan_ok=True)
            )


def test_few_draws_leave_pairs_and_classifiers_undefined() -> None:
    target = targets.load("correlated_gaussian", dim=2)
    one, three = (judged(Draws(np.ones((1, n, 2))), target) for n in (1, 3))
    assert math.isnan(one["mmd_squared"])
    assert math.isnan(one["stein_discrepancy_squared"])
    assert math.isnan(three["classifier_two_sample"])
    assert three["mmd_squared"] > 0
    assert three["tail_quantile_error"] > 0


def test_the_probabilities_hold_all_ends() -> None:
    for level in (0.5, 0.9, 0.99):
        for end in ((1 - level) / 2, (1 + level) / 2):
            assert np.min(np.abs(PROBABILITIES - end)) < 1e-12

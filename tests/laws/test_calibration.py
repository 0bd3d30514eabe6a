"""Every sampler that claims exactness is calibrated; unadjusted ones, and planted errors, are seen not to be.

A right sampler alarms with probability at most ALPHA. Posterior sds 20 % too small, or means off by a quarter of a sd,
are caught with probability above 0.99: `test_power_is_as_stated` counts. Unadjusted samplers are seen at a coarse step,
since their bias at the usual one is too small for this test.
"""

import math

import numpy as np
import pytest

import samplers
from targets.uniformity import Uniformity, band, below, ranks, ranks_of, stays
from tests.laws.calibration import Regression, Sampler, calibrate, prior_sd
from tests.tiers import seldom

ALPHA = 1e-4
REPLICATIONS = 500
DRAWS = 63  # that a prior draw is ranked among
SPACING = 8  # draws from one of these to the next: a random walk in three dimensions forgets half in as many
SHORT = {"num_chains": 1, "num_warmup": 500}
SHORT_OF = {"smc": {"num_chains": 1, "num_particles": DRAWS * SPACING}}
COARSE = {"sgld": {"step_size": 2.5}, "sghmc": {"step_size": 1.2}}  # variances more than twice too large

MODEL = Regression(np.random.default_rng(7).standard_normal((8, 3)), 2.0)


def sampled(name: str, **options: object) -> Sampler:
    """Draws by a registered sampler from one chain, or from the members of an ensemble, thinned."""

    def draw(model: Regression, y: np.ndarray, seed: int) -> np.ndarray:
        target = model.target(y)
        short = SHORT_OF.get(name, SHORT) | options
        values = samplers.sample(target, name, num_samples=DRAWS * SPACING, seed=seed, **short).values
        flat = values[:, SPACING - 1 :: SPACING].reshape(-1, model.dim)
        return flat[np.linspace(0, len(flat) - 1, DRAWS).astype(np.intp)]

    return draw


def exact(replications: int, seed: int, shrunk: float = 1.0, shifted: float = 0.0) -> np.ndarray:
    """As `calibrate` with draws from the posterior itself, their sds and means off by so much."""
    rng = np.random.default_rng(seed)
    covariance = MODEL.answer(np.zeros(len(MODEL.design)))[1]
    theta = rng.standard_normal((replications, MODEL.dim)) * prior_sd(MODEL.dim)
    y = theta @ MODEL.design.T + MODEL.noise * rng.standard_normal((replications, len(MODEL.design)))
    means = y @ (covariance @ MODEL.design.T / MODEL.noise**2).T + shifted * np.sqrt(np.diagonal(covariance))
    z = rng.standard_normal((replications, DRAWS, MODEL.dim))
    draws = means[:, None] + shrunk * z @ np.linalg.cholesky(covariance).T
    own, others = MODEL.quantities(theta, y)[:, None], MODEL.quantities(draws, y[:, None])
    return ranks_of((others < own).sum(axis=1), (others > own).sum(axis=1), DRAWS, rng)


def alarms(u: np.ndarray, alpha: float) -> list[tuple[str, int]]:
    return Uniformity.of(u, alpha).alarms


def unfit(name: str) -> str | None:
    return samplers.method(name).unfit(MODEL.target(np.zeros(len(MODEL.design))))


@pytest.mark.parametrize(
    "name",
    seldom(
        [name for name in samplers.names() if "unadjusted" not in samplers.method(name).tags],
        {"smc", "parallel_tempering", "random_walk"},
    ),
)
def test_prior_draws_rank_uniformly_among_posterior_draws(name: str) -> None:
    if reason := unfit(name):
        pytest.skip(f"{name} does not run here: {reason}")
    assert alarms(calibrate(MODEL, sampled(name), REPLICATIONS, 1), ALPHA) == []


@pytest.mark.parametrize("name", COARSE)
def test_the_bias_of_unadjusted_samplers_is_seen(name: str) -> None:
    assert "unadjusted" in samplers.method(name).tags
    found = alarms(calibrate(MODEL, sampled(name, **COARSE[name]), 200, 1), ALPHA)
    assert any(test == "spread" for test, _ in found)


def test_exact_draws_raise_no_alarm() -> None:
    """At level 0.05 about one in twenty of 200 runs may alarm: more than 22 with probability 1e-3."""
    u = exact(200 * 100, 2).reshape(200, 100, -1)
    assert sum(bool(alarms(each, 0.05)) for each in u) <= 22


@pytest.mark.parametrize("error", [{"shrunk": 0.8}, {"shifted": 0.25}, {"shifted": -0.25}, {"shrunk": 1.25}])
def test_power_is_as_stated(error: dict[str, float]) -> None:
    """Of 100 runs 97 or more are caught; with a power of 0.99 fewer are in one of 55, with 0.999 in one of 250,000."""
    u = exact(100 * REPLICATIONS, 3, **error).reshape(100, REPLICATIONS, -1)
    assert sum(bool(alarms(each, ALPHA)) for each in u) >= 97


def test_a_bimodal_distribution_of_ranks_leaves_the_band_alone() -> None:
    """Ranks whose normal scores have the right mean and variance, and the wrong shape."""
    rng = np.random.default_rng(4)
    scores = np.where(rng.random(4000) < 0.5, 0.8, -0.8) + 0.6 * rng.standard_normal(4000)
    u = np.array([0.5 * (1 + math.erf(s / math.sqrt(2))) for s in scores])
    assert alarms(u[:, None], ALPHA) == [("shape", 0)]


@pytest.mark.parametrize("level", [0.05, 1e-5])
def test_the_band_keeps_to_its_level(level: float) -> None:
    low, high = band(200, level)
    left = 1.0 - stays(200, low, high)
    assert 0.3 * level < left <= level
    if level == 0.05:
        u = np.random.default_rng(5).random((4000, 200))
        counts = below(u.T)
        outside = np.mean(np.any((counts < low) | (counts > high), axis=1))
        assert abs(outside - left) < 5 * math.sqrt(left / 4000)


def test_equal_values_and_those_that_cannot_be_compared_are_placed_at_random() -> None:
    """Ranks of numbers of three values among such, and of NaN, are as uniform as others: level 1e-6."""
    rng = np.random.default_rng(6)
    u = np.array([ranks(of[0], of[1:], rng) for of in rng.integers(3, size=(2000, 20, 1)).astype(float)])
    assert not alarms(u, 1e-6)
    nan = np.array([ranks(np.array([np.nan]), np.zeros((9, 1)), rng) for _ in range(2000)])
    assert not alarms(nan, 1e-6)
    strict = np.array([np.mean(of[1:] < of[0]) for of in rng.integers(3, size=(2000, 20, 1))])
    assert alarms(strict[:, None], 1e-6), "without the lot, ranks among equal values are not uniform"

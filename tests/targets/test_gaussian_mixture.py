"""Known answers for mixtures of many Gaussians."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

import targets
from targets.gaussian_mixture import _by_strata

CASES = [
    {},
    {"layout": "scattered", "uneven": 1.0, "seed": 3},
    {"dim": 3, "components": 8, "spacing": 3.0, "uneven": 0.5},
    {"dim": 1, "components": 5},
    {"dim": 20, "components": 30, "layout": "scattered"},
    {"dim": 4, "components": 1},
]


def parts(target: targets.Target) -> tuple[np.ndarray, np.ndarray]:
    """Weights and centres, read off the data."""
    centres = target.data[1:].T
    return np.exp(target.data[0] + 0.5 * (centres**2).sum(axis=1)), centres


@pytest.mark.parametrize("options", CASES, ids=str)
def test_the_density_is_the_mixture(options: dict[str, object]) -> None:
    target = targets.load("gaussian_mixture", **options)
    weights, centres = parts(target)
    assert weights.sum() == pytest.approx(1.0)
    x = 5.0 * np.random.default_rng(1).standard_normal((20, target.dim))
    each = [
        np.log(w) + stats.multivariate_normal.logpdf(x, c, np.eye(target.dim))
        for w, c in zip(weights, centres, strict=True)
    ]
    assert target.truth is not None
    expected = logsumexp(each, axis=0) + target.truth.log_normaliser
    np.testing.assert_allclose(target.log_densities(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("options", CASES, ids=str)
def test_each_centre_belongs_to_its_own_mode(options: dict[str, object]) -> None:
    target = targets.load("gaussian_mixture", **options)
    assert target.truth is not None
    assert target.truth.modes is not None
    np.testing.assert_array_equal(target.truth.modes.assign(parts(target)[1]), np.arange(target.data.shape[1]))


def test_closed_forms_agree_with_stratified_averages() -> None:
    """Of overlapping modes; |z| < 6 on the entropy and 27 masses of 100,000 draws."""
    target = targets.load("gaussian_mixture", dim=3, components=27, spacing=2.0)
    truth = target.truth
    assert truth is not None
    assert truth.modes is not None
    entropy, error, masses = _by_strata(*parts(target), truth.modes.assign)
    assert abs(entropy - truth.entropy) < 6 * error < 0.03
    np.testing.assert_allclose(masses, truth.modes.masses, atol=6 * np.sqrt(0.05 / 100_000))
    assert truth.modes.masses.min() < truth.modes.masses.max()


def test_far_apart_the_entropy_is_that_of_the_parts() -> None:
    truth = targets.load("gaussian_mixture", spacing=40.0).truth
    assert truth is not None
    assert truth.entropy == pytest.approx(np.log(100) + 1.0 + np.log(2 * np.pi), rel=1e-9)


def test_scattered_centres_keep_their_distance() -> None:
    centres = parts(targets.load("gaussian_mixture", layout="scattered", spacing=6.0))[1]
    apart = np.linalg.norm(centres[:, None] - centres, axis=2) + 10.0 * np.eye(len(centres))
    assert apart.min() >= 3.0


@pytest.mark.parametrize(
    "options",
    [{"components": 99}, {"components": 0}, {"layout": "ring"}, {"spacing": 0.0}, {"uneven": -1.0}, {"dim": 0}],
)
def test_bad_options_get_one_line(options: dict[str, object]) -> None:
    with pytest.raises(targets.UsageError, match="is not accepted"):
        targets.load("gaussian_mixture", **options)

"""Radon: the density home by home from scipy, and the evidence from a dense covariance of all homes."""

import pathlib

import numpy as np
import pytest
from scipy import stats

import targets
from targets import radon

BOTH = pytest.mark.parametrize("parameterisation", ["noncentred", "centred"])


@pytest.fixture(scope="module")
def homes() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each home: its county's number, the floor, log uranium and log radon, read apart from the target."""
    path = pathlib.Path(radon.__file__).parent / "data" / "radon.csv"
    rows = [line.split(",") for line in path.read_text(encoding="ascii").splitlines()[1:]]
    names = sorted({row[0] for row in rows})
    county = np.array([names.index(row[0]) for row in rows])
    floor, level, uranium = np.array([[float(value) for value in row[1:]] for row in rows]).T
    return county, floor, np.log(uranium), np.log(np.where(level == 0, 0.1, level))


def test_the_data_are_those_of_the_book(homes: tuple[np.ndarray, ...]) -> None:
    county, floor, _, y = homes
    assert (len(y), county.max() + 1, int(floor.sum())) == (919, 85, 153)
    assert y.mean() == pytest.approx(1.2246, abs=2e-3)


@BOTH
def test_the_density_home_by_home(parameterisation: str, homes: tuple[np.ndarray, ...]) -> None:
    target = targets.load("radon", parameterisation=parameterisation)
    county, floor, uranium, y = homes
    u = np.array([uranium[county == j][0] for j in range(85)])
    assert target.named is not None
    for x in np.random.default_rng(1).uniform(-1, 1, (5, target.dim)):
        named = target.named.values(x[None])[0]
        level = named[5:]
        np.testing.assert_allclose(named[:5], [*x[:3], *np.exp(x[3:5])])
        expected = stats.norm.logpdf(x[:3], 0, 2.5).sum() + stats.halfnorm.logpdf(named[3:5]).sum() + x[3:5].sum()
        expected += stats.norm.logpdf(y, level[county] + x[2] * floor, named[4]).sum()
        if parameterisation == "centred":
            expected += stats.norm.logpdf(level, x[0] + x[1] * u, named[3]).sum()
        else:
            np.testing.assert_allclose(level, x[0] + x[1] * u + named[3] * x[5:])
            expected += stats.norm.logpdf(x[5:]).sum()
        assert target.log_densities(x[None])[0] == pytest.approx(expected, rel=1e-11)


def test_the_evidence_and_the_coefficients_from_a_dense_covariance(homes: tuple[np.ndarray, ...]) -> None:
    county, floor, uranium, y = homes
    regressors = np.column_stack([np.ones_like(y), uranium, floor])
    same = county[:, None] == county
    for county_sd, home_sd in ((0.3, 0.7), (0.02, 0.9)):
        noise = home_sd**2 * np.eye(len(y)) + county_sd**2 * same
        covariance = noise + 2.5**2 * regressors @ regressors.T
        given = radon._Given.at(np.log([[county_sd, home_sd]]))
        solved = np.linalg.solve(covariance, np.column_stack([y, regressors]))
        expected = -0.5 * (np.linalg.slogdet(2 * np.pi * covariance)[1] + y @ solved[:, 0])
        assert given.log_evidence[0] == pytest.approx(expected, rel=1e-9)
        np.testing.assert_allclose(given.mean[0], 2.5**2 * regressors.T @ solved[:, 0], rtol=1e-7)
        gone = 2.5**2 * regressors.T @ solved[:, 1:]
        np.testing.assert_allclose(given.covariance[0], 2.5**2 * (np.eye(3) - gone), rtol=1e-5, atol=1e-9)


def test_both_parameterisations_share_the_named_truth() -> None:
    one, other = (targets.load("radon", parameterisation=p).truth for p in ("noncentred", "centred"))
    assert one is not None
    assert other is not None
    assert one.named is not None
    assert other.named is not None
    np.testing.assert_array_equal(one.named.covariance, other.named.covariance)
    np.testing.assert_allclose(other.moments.mean[5:], one.named.mean[5:], rtol=1e-12)


def test_the_coefficients_are_those_of_the_book() -> None:
    """Gelman and Hill, section 12.6: 1.47 (0.04), 0.72 (0.09), -0.67 (0.07), sd 0.16 and 0.76, by likelihood."""
    truth = targets.load("radon").truth
    assert truth is not None
    assert truth.named is not None
    np.testing.assert_allclose(truth.named.mean[:5], [1.47, 0.72, -0.67, 0.16, 0.76], atol=0.03)
    np.testing.assert_allclose(truth.named.sd[:3], [0.04, 0.09, 0.07], atol=0.01)

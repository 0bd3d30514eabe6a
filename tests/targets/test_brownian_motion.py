"""Brownian motion: the density from scipy, and the evidence from dense matrices."""

import numpy as np
import pytest
from scipy import stats

import targets

BOTH = pytest.mark.parametrize("parameterisation", ["centred", "noncentred"])


@BOTH
def test_the_density_is_the_model_s(parameterisation: str) -> None:
    target = targets.load("brownian_motion", parameterisation=parameterisation, steps=12, missing=5)
    y, seen = target.data[0], target.data[1] == 1.0
    assert seen.sum() == 7
    for x in np.random.default_rng(1).standard_normal((10, target.dim)):
        innovation, noise = np.exp(x[:2])
        assert target.named is not None
        path = target.named.values(x[None])[0, 2:]
        expected = stats.norm.logpdf(x[:2], 0, 2).sum() + stats.norm.logpdf(y[seen], path[seen], noise).sum()
        if parameterisation == "centred":
            expected += stats.norm.logpdf(path, np.append(0, path[:-1]), innovation).sum()
        else:
            np.testing.assert_allclose(path, innovation * np.cumsum(x[2:]))
            expected += stats.norm.logpdf(x[2:]).sum()
        assert target.log_densities(x[None])[0] == pytest.approx(expected, rel=1e-11)


def test_the_evidence_from_dense_matrices() -> None:
    """The same integral by plain sums of multivariate normal densities, on another grid."""
    target = targets.load("brownian_motion", steps=8, missing=2)
    truth = target.truth
    assert truth is not None
    at = np.flatnonzero(target.data[1])
    step = 0.25
    nodes = np.stack(np.meshgrid(*[np.arange(-13.0, 13.0, step)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    order = np.arange(1.0, 9.0)
    prior = np.minimum.outer(order, order)[np.ix_(at, at)]
    scales = np.exp(2 * nodes)[:, :, None, None]
    covariance = scales[:, 0] * prior + scales[:, 1] * np.eye(len(at))
    y = target.data[0, at]
    fit = np.linalg.slogdet(2 * np.pi * covariance)[1] + np.linalg.solve(covariance, y[:, None])[:, :, 0] @ y
    mass = step**2 * np.exp(stats.norm.logpdf(nodes, 0, 2).sum(axis=1) - 0.5 * fit)
    assert np.log(mass.sum()) == pytest.approx(truth.log_normaliser, abs=1e-6)
    np.testing.assert_allclose(mass @ nodes / mass.sum(), truth.moments.mean[:2], atol=1e-6)


def test_both_parameterisations_share_the_named_truth() -> None:
    one, other = (targets.load("brownian_motion", parameterisation=p).truth for p in ("centred", "noncentred"))
    assert one is not None
    assert other is not None
    assert one.named is not None
    assert other.named is not None
    assert one.log_normaliser == pytest.approx(other.log_normaliser, rel=1e-12)
    np.testing.assert_allclose(one.named.covariance, other.named.covariance, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(one.moments.mean[2:], other.named.mean[2:], rtol=1e-9)


def test_the_gap_is_less_certain_than_its_banks() -> None:
    truth = targets.load("brownian_motion").truth
    assert truth is not None
    sd = truth.moments.sd[2:]
    assert sd[14] > 1.3 * max(sd[9], sd[20])


@pytest.mark.parametrize("options", [{"parameterisation": "x"}, {"steps": 2}, {"missing": 29}, {"missing": -1}])
def test_bad_options_get_one_line(options: dict[str, object]) -> None:
    with pytest.raises(targets.UsageError, match="is not accepted"):
        targets.load("brownian_motion", **options)

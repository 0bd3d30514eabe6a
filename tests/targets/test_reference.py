"""Certificates: kept whole, about this density, and refused where the data are others."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

import targets
from targets import reference
from targets.certify import MAKERS, bridge, moments_with_errors, run
from targets.truth import Moments

KEYS = sorted(path.stem for path in reference.FOLDER.glob("*.json"))


def content(key):
    return json.loads((reference.FOLDER / f"{key}.json").read_text(encoding="utf-8"))


def test_every_certificate_has_its_maker():
    assert sorted(MAKERS) == KEYS


@pytest.mark.parametrize("key", KEYS)
def test_the_density_is_the_one_that_was_certified(key):
    # the data digest sees other data, this sees another prior or another formula
    kept = content(key)
    target = targets.load(kept["target"], **kept["options"])
    assert target.log_densities(np.array([kept["probe"]["at"]]))[0] == pytest.approx(
        kept["probe"]["log_density"], rel=1e-9
    )
    assert target.truth.certificate.method == "long run"


def test_a_certificate_about_other_data_is_refused():
    target = targets.load("logistic_regression")
    changed = target.data.copy()
    changed[3, 4] += 1e-5
    with pytest.raises(ValueError, match="about other data"):
        reference.attach(replace(target, data=targets.data_matrix(changed)), "logistic_regression")


def test_the_digest_ignores_the_last_bits_and_the_sign_of_zero():
    data = np.random.default_rng(0).standard_normal((5, 3))
    data[0, 0] = 0.0
    nudged = data * (1 + 1e-15)
    nudged[0, 0] = -0.0
    assert reference.digest(nudged) == reference.digest(data)
    assert reference.digest(data.reshape(3, 5)) != reference.digest(data)


def test_what_is_written_is_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    target = targets.load("correlated_gaussian", dim=3)
    moments = Moments.from_draws(np.random.default_rng(0).standard_normal((100, 3)))
    figure = {"value": 1.5, "standard_error": 0.1}
    kept = {"data_digest": reference.digest(target.data), "note": "n", "details": {"seed": 1}}
    kept |= {"log_normaliser": figure, "entropy": figure, "moments": reference.moments_as_lists(moments)}
    draws = np.random.default_rng(1).standard_normal((10, 3))
    reference.write("x", kept, draws)
    truth = reference.attach(target, "x").truth
    for field in fields(moments):
        np.testing.assert_allclose(getattr(truth.moments, field.name), getattr(moments, field.name), atol=1e-11)
    np.testing.assert_allclose(truth.reference_draws, draws, rtol=1e-6)
    assert (truth.log_normaliser, truth.entropy_error, truth.named) == (1.5, 0.1, None)


def test_the_certifying_run_is_right_on_a_gaussian():
    # whitened wrongly on purpose; |z| < 5 by the run's own standard errors, which must themselves be small
    target = targets.load("correlated_gaussian", dim=4, rho=0.5)
    covariance = np.asarray(target.truth.moments.covariance)
    rngs = [np.random.default_rng(child) for child in np.random.SeedSequence(7).spawn(4)]
    chains = run(target, 0.3 * np.ones(4), np.diag(np.diagonal(covariance)) * 0.5, 6000, rngs)
    identity = [np.arange(4)]
    moments, worst = moments_with_errors(chains.draws, identity)
    assert worst["ess_min"] > 3000
    assert worst["r_hat_max"] < 1.02
    assert np.abs((moments.mean - target.truth.moments.mean) / moments.mean_error).max() < 5
    assert np.abs((moments.variance - target.truth.moments.variance) / moments.variance_error).max() < 5
    np.testing.assert_allclose(chains.values[0, :50], target.log_densities(chains.draws[0, :50]), rtol=1e-9)
    estimates = [
        bridge(target.log_densities, chain[::3], np.zeros(4), covariance * 1.3, identity, rng)
        for chain, rng in zip(chains.draws, rngs, strict=True)
    ]
    error = np.std(estimates, ddof=1) / 2
    assert abs(np.mean(estimates) - target.truth.log_normaliser) < 8 * error < 0.1  # t with 3 degrees of freedom

"""Certificates: kept whole, about this density, good enough to certify, and refused where they are none."""

import json
import math
from dataclasses import fields, replace

import numpy as np
import pytest

import targets
from targets import reference
from targets.truth import Moments, Quantiles

STEMS = sorted(path.stem for path in reference.FOLDER.glob("*.json"))


def content(stem):
    return json.loads((reference.FOLDER / f"{stem}.json").read_text(encoding="utf-8"))


def of(stem):
    said = content(stem)
    return targets.load(said["target"], **said["options"])


@pytest.mark.parametrize("stem", STEMS)
def test_a_certificate_is_read_by_its_target(stem):
    # the data digest sees other data, this sees another prior or another formula
    target, said = of(stem), content(stem)
    assert target.truth.certificate.method == "long run"
    assert target.place.stem.name == stem
    probe = said["probe"]
    assert target.log_densities(np.array([probe["at"]]))[0] == pytest.approx(probe["log_density"], rel=1e-9)


@pytest.mark.parametrize("stem", STEMS)
def test_a_certificate_certifies(stem):
    details, truth = content(stem)["details"], of(stem).truth
    assert len({run["sampler"] for run in details["runs"]}) == 2
    for run in details["runs"]:
        assert run["r_hat_max"] < 1.005
        assert min(run["ess_min"], run["ess_square_min"]) >= 10_000
        assert run["divergences"] == 0
    assert details["agreement"]["sigmas"] <= details["agreement"]["limit"] < 5.5
    assert details["agreement"]["false_alarm"] < 0.1
    assert np.all(truth.moments.mean_error <= 0.01 * truth.moments.sd)
    assert np.all(np.isfinite(truth.moments.fourth_moment_error))
    assert np.all(np.diff(truth.quantiles.values, axis=0) > 0)
    assert np.all(truth.quantiles.errors > 0)
    size = sum((reference.FOLDER / f"{stem}{suffix}").stat().st_size for suffix in (".json", ".npz"))
    assert size < 2.5e6


def test_no_archive_is_left_without_its_readable_part():
    assert sorted(path.stem for path in reference.FOLDER.glob("*.npz")) == STEMS


def test_the_digest_ignores_the_last_bits_and_the_sign_of_zero():
    data = np.random.default_rng(0).standard_normal((5, 3))
    data[0, 0] = 0.0
    nudged = data * (1 + 1e-15)
    nudged[0, 0] = -0.0
    assert reference.digest(nudged) == reference.digest(data)
    assert reference.digest(data.reshape(3, 5)) != reference.digest(data)


@pytest.fixture
def written(tmp_path):
    """A target, with its certificate in a folder of its own."""
    target = reference.attach(replace(targets.load("correlated_gaussian", dim=3), truth=None), "x", folder=tmp_path)
    assert target.truth is None, "there is no certificate yet"
    moments = Moments.from_draws(np.random.default_rng(0).standard_normal((100, 3)))
    quantiles = Quantiles(np.array([0.1, 0.9]), np.arange(6.0).reshape(2, 3), np.ones((2, 3)))
    said = {"data_digest": reference.digest(target.data), "dim": 3, "note": "n", "details": {"seed": 1}}
    said |= {"log_normaliser": {"value": 1.5, "standard_error": 0.1}}
    said |= {"entropy": {"value": None, "standard_error": None}}
    draws = np.random.default_rng(1).standard_normal((10, 3))
    reference.write(target.place, said, draws, {"moments": (moments, quantiles)})
    return target, moments, quantiles, draws


def test_what_is_written_is_read_back(written, tmp_path):
    target, moments, quantiles, draws = written
    truth = reference.attach(target, "x", folder=tmp_path).truth
    for field in fields(moments):
        np.testing.assert_array_equal(getattr(truth.moments, field.name), getattr(moments, field.name))
    np.testing.assert_allclose(truth.reference_draws, draws, rtol=1e-6)
    np.testing.assert_array_equal(truth.quantiles.values, quantiles.values)
    assert (truth.log_normaliser, truth.log_normaliser_error, truth.named) == (1.5, 0.1, None)
    assert math.isnan(truth.entropy) and truth.entropy_error == 0.0


def test_where_certificates_are_ignored_there_is_no_truth(written, tmp_path):
    target = written[0]
    with reference.ignored():
        assert reference.attach(target, "x", folder=tmp_path).truth is None
    assert reference.attach(target, "x", folder=tmp_path).truth is not None


def test_other_data_have_other_certificates(written, tmp_path):
    target = written[0]
    changed = target.data.copy()
    changed[0, 0] += 1e-5
    other = replace(target, data=targets.data_matrix(changed))
    assert reference.attach(other, "x", folder=tmp_path).truth is None
    assert reference.attach(target, "y", folder=tmp_path).truth is None
    with pytest.raises(ValueError, match="about other data"):  # as after a file was renamed
        reference.read(replace(other, place=target.place))


@pytest.mark.parametrize("text", ["", "[]", '{"format": 1}', "no json"])
def test_what_is_no_certificate_is_refused(written, tmp_path, text):
    target = written[0]
    reference.file(target.place).write_text(text)
    with pytest.raises(ValueError, match="make it again"):
        reference.attach(target, "x", folder=tmp_path)


def test_fourth_moments():
    x = np.random.default_rng(3).exponential(size=(4000, 2))
    moments = Moments.from_draws(x)
    np.testing.assert_allclose(moments.fourth_moment, ((x - x.mean(axis=0)) ** 4).mean(axis=0))
    assert np.all(moments.fourth_moment_error > 0)
    exact = Moments.gaussian(np.zeros(2), 2 * np.eye(2))
    np.testing.assert_allclose(exact.fourth_moment, 12.0)
    np.testing.assert_array_equal(exact.fourth_moment_error, 0.0)

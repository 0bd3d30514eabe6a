"""The posteriors of posteriordb: densities, Jacobians and maps against independent ones; folders that are not whole."""

import json
import pathlib
import shutil
import zipfile

import numpy as np
import pytest

import targets
from targets.options import UnavailableError, UsageError
from targets.posteriordb import ENVIRONMENT, normalisers, posterior, read
from targets.posteriordb.folder import by_name, by_parameter
from targets.registry import TARGETS
from tests.loading import load
from tests.targets.posteriordb_models import DEPENDENT, MODELS

ALARM = 5.0  # standard errors: a false alarm in 2 million statistics


@pytest.fixture(scope="module", params=MODELS)
def target(request):
    return load(request.param)


@pytest.fixture
def blr():
    """The arguments with which `sblrc-blr` was made, for posteriors of one's own."""
    made = load("sblrc-blr")
    return {
        "kernel": made.log_density_and_gradient,
        "data": lambda given: made.data if "X" in given else given["X"],
        "coordinates": made.coordinates,
        "named": lambda x: {"beta": x[:, :-1], "sigma": np.exp(x[:, -1])},
        "unconstrain": lambda p: np.column_stack([p["beta"], np.log(p["sigma"])]),
    }


def test_the_twelve_are_registered():
    assert set(MODELS) == {name for name, entry in TARGETS.entries.items() if "posteriordb" in entry.tags}


def log_jacobian(target, x):
    """Of the map from coordinates to the parameters that do not depend on others, by differences."""
    free = [i for i, name in enumerate(target.named.names) if name not in DEPENDENT]
    steps = 1e-4 * np.eye(target.dim)

    def slope(h):
        return (target.named.values(x + h * steps) - target.named.values(x - h * steps))[:, free] / (2e-4 * h)

    return np.linalg.slogdet((4 * slope(1.0) - slope(2.0)) / 3)[1]


def test_the_density_is_the_model_s_times_the_jacobian(target):
    """At reference draws, and as far again from their mean; with every constant."""
    record = read(target.name)
    draws = target.truth.reference_draws[::1999]
    for x in [*draws, *(2 * draws - target.truth.moments.mean)]:
        named = {
            name: value[0] for name, value in by_parameter(record.parameters, target.named.values(x[None])).items()
        }
        expected = MODELS[target.name](record.data, named) + log_jacobian(target, x)
        assert target.log_densities(x[None])[0] == pytest.approx(expected, rel=1e-8, abs=1e-6)


def test_named_parameters_are_the_reference_s(target):
    record = read(target.name)
    flat = record.draws.reshape(-1, len(record.parameters))
    np.testing.assert_allclose(target.named.values(target.truth.reference_draws), flat, rtol=1e-9, atol=1e-9)
    assert target.named.names == record.parameters
    np.testing.assert_allclose(target.truth.named.mean, flat.mean(axis=0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(target.truth.named.sd, flat.std(axis=0), rtol=1e-6)
    assert target.truth.certificate.method == "long run"
    assert 4_000 < target.truth.certificate.details["ess_min"] < 11_000
    assert target.truth.certificate.details["r_hat_max"] < 1.01


def test_stein_identities_hold_on_all_reference_draws(target):
    """E grad log p = 0 and E x_i d_j log p = -[i = j], in errors of independent draws: 0.06 sd of bias is seen."""
    x = target.truth.reference_draws
    gradients = target.evaluate(x)[1]
    away = (x - x.mean(axis=0)) / x.std(axis=0)
    scaled = gradients * x.std(axis=0)
    products = away[:, :, None] * scaled[:, None, :] + np.eye(target.dim)
    for values in (scaled, products.reshape(len(x), -1)):
        errors = values.std(axis=0) / np.sqrt(0.8 * len(x))
        assert np.max(np.abs(values.mean(axis=0)) / errors) < ALARM


def test_scale_of_flat_regressions_is_known_in_closed_form():
    """Given y, sigma^2 is inverse gamma: ((n - k - 1) / 2, rss / 2)."""
    for name in ("earnings-logearn_interaction", "nes1992-nes"):
        target = load(name)
        k = target.dim - 1
        n, rss = target.data[k + 1, :2]
        variance = 1 / np.random.default_rng(0).gamma((n - k - 1) / 2, 2 / rss, 1_000_000)
        truth = target.truth.named
        assert abs(np.sqrt(variance).mean() - truth.mean[-1]) < ALARM * truth.mean_error[-1]
        assert abs(np.sqrt(variance).var() - truth.variance[-1]) < ALARM * truth.variance_error[-1]


def test_parameters_of_any_shape_are_taken_apart_and_put_together():
    names = ("tau", "L[1,1]", "L[2,1]", "L[1,2]", "L[2,2]", "L[1,3]", "L[2,3]", "theta[1]", "theta[2]")
    values = np.random.default_rng(1).standard_normal((5, len(names)))
    found = by_parameter(names, values)
    assert {name: array.shape for name, array in found.items()} == {"tau": (5,), "L": (5, 2, 3), "theta": (5, 2)}
    np.testing.assert_array_equal(found["L"][:, 1, 2], values[:, 6])
    np.testing.assert_array_equal(by_name(names, found, 5), values)
    with pytest.raises(ValueError, match="the parameter theta is missing; posteriordb has tau, L, theta"):
        by_name(names, {"tau": found["tau"], "L": found["L"]}, 5)


def test_anybody_s_posterior(blr):
    made, own = load("sblrc-blr"), posterior("sblrc-blr", **blr)
    points = made.truth.reference_draws[:5]
    np.testing.assert_array_equal(own.evaluate(points)[1], made.evaluate(points)[1])
    assert "posteriordb" in own.tags and own.truth.named is not None


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"unconstrain": lambda p: np.column_stack([p["beta"], p["sigma"]])}, "not inverse to each other in sigma"),
        ({"unconstrain": lambda p: p["beta"]}, r"unconstrain= gives the shape \(10000, 5\)"),
        ({"unconstrain": lambda p: np.column_stack([p["beta"], np.full(10000, np.nan)])}, "infinity or NaN"),
        ({"unconstrain": lambda p: p["gamma"]}, "unconstrain= does not fit .* KeyError: 'gamma'"),
        ({"named": lambda x: {"beta": x}}, "named= does not fit .* has the shape"),
        ({"data": lambda given: given["z"]}, "data= does not fit .* KeyError: 'z'"),
        ({"data": lambda given: given["y"]}, "data= does not fit .* one matrix"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_functions_that_do_not_fit_get_one_line(blr, changed, says):
    with pytest.raises(targets.UsageError, match=says) as caught:
        posterior("sblrc-blr", **{**blr, **changed})
    assert "\n" not in str(caught.value)


def test_without_a_folder_one_line_says_what_to_set(monkeypatch):
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    with pytest.raises(UnavailableError, match=rf"set {ENVIRONMENT}, or crossover --posteriordb DIR") as caught:
        targets.load("arK-arK")
    assert "\n" not in str(caught.value)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A small clone in the layout of posteriordb, with one posterior of two chains."""
    base = tmp_path / "clone" / "posterior_database"
    files = {
        "posteriors/line.json": {"name": "line", "data_name": "line", "reference_posterior_name": "line"},
        "posteriors/bare.json": {"name": "bare", "data_name": "line", "reference_posterior_name": None},
        "data/info/line.info.json": {"name": "line", "data_file": "data/data/line.json"},
        "data/data/line.json": {"n": 2, "y": [1.0, 2.0], "ragged": [[1], [2, 3]]},
        "reference_posteriors/draws/draws/line.json": [{"mu": [0.5, 1.0] * 10}, {"mu": [0.0, 2.0] * 10}],
    }
    for name, content in files.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.startswith(("data/data", "reference")):
            with zipfile.ZipFile(path.with_name(path.name + ".zip"), "w") as archive:
                archive.writestr(path.name, json.dumps(content))
        else:
            path.write_text(json.dumps(content))
    monkeypatch.setenv(ENVIRONMENT, str(base.parent))
    return base


def test_a_clone_is_read_by_its_folder_or_the_one_inside(clone, monkeypatch):
    for folder in (clone.parent, clone):
        monkeypatch.setenv(ENVIRONMENT, str(folder))
        record = read("line")
        assert record.draws.shape == (2, 20, 1) and record.parameters == ("mu",)
        np.testing.assert_array_equal(record.data["y"], [1.0, 2.0])
        assert record.data["n"] == 2 and record.data["ragged"] == [[1], [2, 3]]


DRAWS, DATA = "reference_posteriors/draws/draws/line.json", "data/data/line.json"


def _cut(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def _damaged(path: pathlib.Path, content: str) -> None:
    path.with_name(path.name.removesuffix(".zip")).write_text(content)
    path.unlink()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda base: shutil.rmtree(base / "posteriors"), "is no clone of posteriordb"),
        (lambda base: (base / "posteriors/line.json").unlink(), "has no posterior 'line'"),
        (lambda base: (base / "posteriors/line.json").write_text("{"), "line.json is damaged"),
        (lambda base: (base / "posteriors/line.json").write_text("[1]"), "should hold one JSON object"),
        (lambda base: (base / "data/info/line.info.json").unlink(), "line.info.json is not there"),
        (lambda base: (base / f"{DATA}.zip").unlink(), "line.json is not there"),
        (lambda base: _cut(base / f"{DATA}.zip"), "line.json.zip is damaged"),
        (lambda base: (base / f"{DRAWS}.zip").unlink(), "line.json is not there"),
        (lambda base: _cut(base / f"{DRAWS}.zip"), "line.json.zip is damaged"),
        (lambda base: (base / f"{DRAWS}.zip").write_bytes(b""), "line.json.zip is damaged"),
        (lambda base: _damaged(base / f"{DRAWS}.zip", "{}"), "should hold chains"),
        (lambda base: _damaged(base / f"{DRAWS}.zip", '[{"mu": [1, 2]}, {"mu": [1]}]'), "should hold chains"),
        (lambda base: _damaged(base / f"{DRAWS}.zip", '[{"mu": [1]}, {"nu": [1]}]'), "should hold chains"),
        (lambda base: _damaged(base / f"{DRAWS}.zip", '[{"mu": [1, NaN, 1, 1, 1, 1, 1, 1]}]'), "finite draws"),
        (lambda base: _damaged(base / f"{DRAWS}.zip", '[{"mu": [1, 2]}]'), "8 finite draws"),
    ],
)
def test_a_folder_that_is_not_whole_gets_one_line(clone, harm, says):
    harm(clone)
    with pytest.raises(UnavailableError, match=says) as caught:
        read("line")
    assert "\n" not in str(caught.value)


def test_a_posterior_without_reference_draws_is_refused(clone):
    with pytest.raises(UnavailableError, match="no reference draws of bare"):
        read("bare")


@pytest.mark.parametrize("name", ["eight_schools-eight_schools_centered", "eight_schools-eight_schools_noncentered"])
def test_log_normalisers_are_those_of_quadrature(name):
    """The table beside the posteriors, made by bridge sampling, against the same model integrated on a grid."""
    truth, exact = load(name).truth, targets.load("eight_schools").truth
    assert 0 < truth.log_normaliser_error < 0.05
    assert abs(truth.log_normaliser - exact.log_normaliser) < ALARM * truth.log_normaliser_error


def test_every_log_normaliser_is_known_and_goes_with_its_data(target):
    assert 0 < target.truth.log_normaliser_error < 0.05
    assert normalisers.known(target.name, target.data) == (
        target.truth.log_normaliser,
        target.truth.log_normaliser_error,
    )
    assert np.isnan(normalisers.known(target.name, target.data[:, ::-1])[0] if target.data.size > 1 else np.nan)
    assert np.isnan(normalisers.known("another", target.data)[0])


def test_a_log_normaliser_is_computed_again_to_within_its_error():
    made = load("kidiq-kidscore_interaction")
    bridged = normalisers.computed(made)
    assert abs(bridged.value - made.truth.log_normaliser) < ALARM * np.hypot(
        bridged.error, made.truth.log_normaliser_error
    )
    with pytest.raises(UsageError, match="no reference draws of posteriordb"):
        normalisers.computed(targets.load("banana"))

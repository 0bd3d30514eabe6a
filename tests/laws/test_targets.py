"""Laws of every registered target, and the proof that their checkers catch what they are there to catch.

The statistical laws take `check.DRAWS` seeded draws and alarm at six standard errors: a bias of 0.06 standard
deviations is found with probability 0.99, and a right target fails about once in 5e8 coordinates.
"""

import dataclasses
import math
import pickle

import numpy as np
import pytest

import targets
from targets.check import Finding, check_target
from targets.gradient_check import TOLERANCE, gradient_error
from targets.kernel import empty
from tests.loading import load
from tests.tiers import seldom

# Options beside the defaults under which every law is tried as well.
VARIANTS: dict[str, list[dict[str, object]]] = {
    "correlated_gaussian": [
        {"dim": 1},
        {"dim": 2, "rho": -0.5, "mean": 3.0},
        {"dim": 3, "structure": "equicorrelated", "rho": -0.49},
        {"dim": 17, "structure": "equicorrelated", "mean": -1.0},
        {"dim": 77, "structure": "equicorrelated", "rho": 0.5, "mean": 2.0},
        {"dim": 9, "rho": 0.999},
        {"dim": 2, "structure": "rotated"},
        {"dim": 23, "structure": "rotated", "condition": 1e4, "mean": 2.0, "seed": 3},
        {"dim": 67, "structure": "rotated"},
    ],
    "bimodal_mixture": [
        {"weight": 0.7, "separation": 4.0},
        {"dim": 2, "sd_ratio": 3.0, "weight": 0.3},
        {"dim": 20, "separation": 8.0, "sd_ratio": 0.5},
        {"separation": 0.5},
    ],
    "banana": [{"dim": 5, "scale": 2.0, "curvature": 0.5}, {"curvature": 0.0}],
    "funnel": [{"parameterisation": "centred"}, {"dim": 2, "scale": 1.0, "parameterisation": "centred"}, {"dim": 40}],
    "student_t": [{"dim": 1}, {"dim": 2, "rho": -0.7, "df": 3.5}, {"df": 1.5, "dim": 3}, {"df": 0.8, "rho": 0.5}],
    "eight_schools": [{"parameterisation": "centred"}],
    "rosenbrock": [
        {"variant": "even", "length": 2, "chains": 5},
        {"length": 2, "chains": 1, "a": 0.5, "b": 0.5},
        {"length": 4, "chains": 3, "mu": 0.0, "a": 1.0, "b": 20.0},
    ],
    "gaussian_mixture": [
        {"layout": "scattered", "uneven": 1.0, "spacing": 4.0},
        {"dim": 3, "components": 27, "spacing": 3.0},
        {"dim": 30, "components": 40, "layout": "scattered", "spacing": 4.0},
    ],
    "brownian_motion": [{"parameterisation": "noncentred"}, {"steps": 6, "missing": 0, "seed": 2}],
    "shifted_exponential": [{"groups": 1, "n": 1}, {"groups": 12, "n": 30}],
    "radon": [{"parameterisation": "centred"}],
    "gaussian_process_regression": [{"species": "lynx"}],
    "stochastic_volatility": [{"n": 2}, {"n": 400}],
    "item_response": [{"students": 3, "questions": 2}, {"students": 20, "questions": 9}],
    "horseshoe": [{"dataset": "synthetic", "n": 50, "dim": 3}],
    "lotka_volterra": [{"steps": 1}],
    "gmm_posterior": [
        {"separation": 1.0, "n": 30},
        {"n": 3},
        {"model": "full"},
        {"model": "full", "components": 3, "n": 300, "separation": 2.0},
    ],
    "conjugate_mixture": [
        {"data": "simulated", "components": 1, "n": 3},
        {"data": "simulated", "components": 3, "dim": 1, "n": 20},
        {"data": "simulated", "dim": 4, "n": 300},
    ],
    "probit_regression": [{"n": 100, "dim": 5, "seed": 1}, {"n": 1, "dim": 1}],
    "clutter": [{"dim": 2}, {"n": 1, "share": 0.9, "spread": 100.0}, {"n": 60, "share": 0.2, "seed": 2}],
    "linear_regression": [
        {"prior": "ratio"},
        {"prior": "ard", "dataset": "synthetic", "n": 20, "dim": 3},
        {"dataset": "synthetic", "n": 3, "dim": 9},
    ],
    "logistic_regression": [
        {"dataset": "synthetic"},
        {"dataset": "synthetic", "n": 50, "dim": 3, "seed": 1},
        {"dataset": "synthetic", "n": 40, "dim": 100},
    ],
}
CASES = [(name, options) for name in targets.names() for options in [{}, *VARIANTS.get(name, [])]]


def _case_name(case: tuple[str, dict[str, object]]) -> str:
    name, options = case
    return f"{name}[{','.join(f'{key}={value}' for key, value in options.items())}]"


COSTLY = [
    ("item_response", {}),
    ("gmm_posterior", {"model": "full", "components": 3, "n": 300, "separation": 2.0}),
    ("radon", {"parameterisation": "centred"}),
    ("gaussian_process_regression", {"species": "lynx"}),
    ("brownian_motion", {"parameterisation": "noncentred"}),
    ("logistic_regression", {"dataset": "synthetic", "n": 40, "dim": 100}),
    ("gaussian_mixture", {"dim": 3, "components": 27, "spacing": 3.0}),
    ("stochastic_volatility", {"n": 400}),
    ("correlated_gaussian", {"dim": 67, "structure": "rotated"}),
]


@pytest.fixture(params=seldom(CASES, COSTLY), ids=_case_name, scope="module")
def target(request: pytest.FixtureRequest) -> targets.Target:
    name, options = request.param
    return load(name, **options)


def _points(target: targets.Target, seed: int) -> np.ndarray:
    """Starting points, draws, and both far out."""
    rng = np.random.default_rng(seed)
    points = [target.start(rng) for _ in range(10)]
    draws = None if target.truth is None else target.truth.draws(10, seed)
    points.extend([] if draws is None else draws)
    near = np.array(points)
    return np.vstack([near, 5.0 * near, 100.0 * near])


def test_every_claim_of_the_target_holds(target: targets.Target) -> None:
    """Gradient, density, buffers, hostile positions, rows, moments, Stein identities, normaliser, modes."""
    wrong = [finding for finding in check_target(target, seed=2) if not finding.ok]
    assert not wrong, "\n".join(f"{finding.what}: {finding.detail}" for finding in wrong)


def test_gradient_near_and_far(target: targets.Target) -> None:
    assert gradient_error(target, _points(target, seed=5)) < TOLERANCE


def test_a_registered_target_says_what_it_knows(target: targets.Target) -> None:
    assert target.log_density is not None
    assert len(set(target.coordinates)) == target.dim
    if target.named is not None:
        values = target.named.values(_points(target, seed=1)[:7])
        assert values.shape == (7, len(target.named.names))
        assert len(set(target.named.names)) == len(target.named.names)
        assert target.truth is None or target.truth.named is not None


def test_truth_is_consistent(target: targets.Target) -> None:
    if target.truth is None:
        assert "no-truth" in target.tags or target.changed, "a target without truth is no default of the race"
        return
    moments = target.truth.moments
    assert moments.mean.shape == (target.dim,)
    assert moments.covariance.shape == (target.dim, target.dim)
    np.testing.assert_allclose(moments.covariance, moments.covariance.T, rtol=1e-12)
    if np.isfinite(moments.covariance).all():
        np.linalg.cholesky(moments.covariance)
    if target.truth.exact:
        assert not moments.mean_error.any()
        assert not moments.variance_error.any()


def test_log_normaliser_by_importance_sampling(target: targets.Target) -> None:
    """From a Student t with the moments of the truth, in few dimensions: a 10 % error of the normaliser is found."""
    truth = target.truth
    if truth is None or target.dim > 3 or math.isnan(truth.log_normaliser):
        return
    rng, n, dim, df = np.random.default_rng(11), 80000, target.dim, 3.0
    covariance = truth.moments.covariance
    scale = np.linalg.cholesky(covariance if np.isfinite(covariance).all() else 4.0 * np.eye(dim))
    centre = np.nan_to_num(truth.moments.mean)
    z = rng.standard_normal((n, dim)) / np.sqrt(rng.chisquare(df, n) / df)[:, None]
    constant = math.lgamma(0.5 * (df + dim)) - math.lgamma(0.5 * df) - 0.5 * dim * math.log(df * math.pi)
    proposal = constant - np.log(np.diagonal(scale)).sum() - 0.5 * (df + dim) * np.log1p((z**2).sum(axis=1) / df)
    values = target.log_densities(centre + z @ scale.T)
    values[np.isnan(values)] = -np.inf  # far out, where it cannot be evaluated
    weights = np.exp(values - proposal - truth.log_normaliser)
    error = float(weights.std() / math.sqrt(n))
    assert error < 0.016
    assert abs(weights.mean() - 1.0) < 5.0 * error


def test_gaussian_structure_agrees_with_the_moments(target: targets.Target) -> None:
    if target.gaussian is None or target.truth is None:
        return
    product = target.gaussian.precision @ target.truth.moments.covariance
    np.testing.assert_allclose(product, np.eye(target.dim), atol=1e-9)
    np.testing.assert_allclose(target.gaussian.mean, target.truth.moments.mean)


def test_pickling_makes_the_same_target(target: targets.Target) -> None:
    again = pickle.loads(pickle.dumps(target))
    assert again.label == target.label
    points = _points(target, seed=8)[:5]
    for one, other in zip(target.evaluate(points), again.evaluate(points), strict=True):
        np.testing.assert_array_equal(one, other)


def test_unknown_option_is_refused(target: targets.Target) -> None:
    with pytest.raises(targets.UsageError, match="accepted:"):
        targets.load(target.name, nonsense=1)


def test_label_names_what_differs() -> None:
    assert targets.load("banana").label == "banana"
    assert targets.load("banana", dim=2).label == "banana"
    assert targets.load("banana", dim=3, curvature=0.1).label == "banana[dim=3,curvature=0.1]"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("correlated_gaussian", {"dim": 0}),
        ("correlated_gaussian", {"structure": "toeplitz"}),
        ("correlated_gaussian", {"rho": 1.0}),
        ("correlated_gaussian", {"rho": -1.0}),
        ("correlated_gaussian", {"dim": 5, "structure": "equicorrelated", "rho": -0.25}),
        ("correlated_gaussian", {"structure": "rotated", "condition": 0.5}),
        ("correlated_gaussian", {"mean": math.inf}),
        ("bimodal_mixture", {"dim": 0}),
        ("bimodal_mixture", {"weight": 1.0}),
        ("bimodal_mixture", {"separation": 0.0}),
        ("bimodal_mixture", {"sd_ratio": -1.0}),
        ("banana", {"dim": 1}),
        ("banana", {"scale": 0.0}),
        ("banana", {"curvature": math.nan}),
        ("funnel", {"dim": 1}),
        ("funnel", {"parameterisation": "sideways"}),
        ("funnel", {"scale": 11.0}),
        ("student_t", {"df": 0.0}),
        ("student_t", {"rho": 1.0}),
        ("student_t", {"dim": 2.5}),
    ],
)
def test_bad_options_get_one_line(name: str, options: dict[str, object]) -> None:
    with pytest.raises(targets.UsageError, match=r"is not accepted") as caught:
        targets.load(name, **options)
    assert "\n" not in str(caught.value)


# What follows plants errors, to see that they are found.


@targets.kernel
def wrong_sign(x, gradient, data):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] = x[i]
        total -= 0.5 * x[i] * x[i]
    return total


@targets.kernel
def slightly_wrong(x, gradient, data):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] = -x[i] * (1.0 + 1e-5 * (i == 1))
        total -= 0.5 * x[i] * x[i]
    return total


@targets.kernel
def adding(x, gradient, data):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] -= x[i]
        total -= 0.5 * x[i] * x[i]
    return total


@targets.kernel
def meddling(x, gradient, data):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] = -x[i]
        total -= 0.5 * x[i] * x[i]
        x[i] += 1.0
    return total


@targets.kernel
def swallowing(x, gradient, data):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] = -x[i]
        if x[i] * x[i] > 0.0:
            total -= 0.5 * x[i] * x[i]
    return total


@targets.kernel
def uncompilable(x, gradient, data):  # type: ignore[no-untyped-def]
    return x.no_such_attribute


@targets.kernel
def nowhere(x, gradient, data):  # type: ignore[no-untyped-def]
    gradient[:] = 0.0
    return -np.inf


@targets.density
def shifted(x, data):  # type: ignore[no-untyped-def]
    total = 1e-3
    for i in range(x.shape[0]):
        total -= 0.5 * x[i] * x[i]
    return total


def bare(x: np.ndarray, gradient: np.ndarray, data: np.ndarray) -> float:
    gradient[:] = -x
    return float(-0.5 * x @ x)


def _normal(**changes: object) -> targets.Target:
    """A standard normal in three dimensions (the non-centred funnel, unregistered), with something changed."""
    plain = dataclasses.replace(targets.load("funnel", dim=3), registered=False, named=None)
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def _truth(**changes: object) -> targets.Target:
    truth = targets.load("funnel", dim=3).truth
    assert truth is not None
    return _normal(truth=dataclasses.replace(truth, **changes))  # type: ignore[arg-type]


def _moments(**changes: object) -> targets.Target:
    moments = targets.Moments.gaussian(np.zeros(3), np.eye(3))
    return _truth(moments=dataclasses.replace(moments, **changes))  # type: ignore[arg-type]


def _wrong(target: targets.Target) -> list[Finding]:
    return [finding for finding in check_target(target, seed=4) if not finding.ok]


def test_the_unplanted_normal_passes() -> None:
    assert not _wrong(_normal())


@pytest.mark.parametrize(
    ("planted", "what", "detail"),
    [
        (_normal(log_density_and_gradient=wrong_sign), "gradient", "its sign is wrong"),
        (_normal(log_density_and_gradient=slightly_wrong), "gradient", "finite differences say"),
        (_normal(log_density_and_gradient=adding), "writes the whole gradient", "do not add"),
        (_normal(log_density_and_gradient=meddling), "writes the whole gradient", "position was changed"),
        (_normal(log_density_and_gradient=swallowing), "hostile", "NaN has a finite density"),
        (_normal(log_density_and_gradient=uncompilable), "compiles", "no_such_attribute"),
        (_normal(log_density_and_gradient=nowhere), "finite at starting points", "0 of 8"),
        (_normal(log_density_and_gradient=bare), "raises nothing", "decorate it with @targets.kernel"),
        (_normal(log_density=shifted), "without gradient", "difference 1.0e-03"),
        (_normal(gaussian=targets.GaussianStructure(np.zeros(3), 1.1 * np.eye(3))), "Gaussian structure", "difference"),
        (_moments(mean=np.zeros(2)), "moments have the target's dimension", "mean (2,)"),
        (_moments(mean=np.array([0.0, 0.2, 0.0])), "moments: mean", "[1]"),
        (_moments(covariance=np.diag([1.0, 1.0, 1.3])), "moments: variance", "[2]"),
        (_truth(log_normaliser=2.0), "log normaliser", "standard errors apart"),
        (_truth(entropy=4.0), "log normaliser", "standard errors apart"),
        (_truth(sample=lambda rng, n: 1.2 * rng.standard_normal((n, 3))), "E x grad log p = -1", "claimed"),
        (_truth(sample=lambda rng, n: 0.2 + rng.standard_normal((n, 3))), "E grad log p = 0", "claimed"),
        (_truth(sample=lambda rng, n: rng.standard_normal((n, 2))), "the sampler gives", "(20000, 2)"),
        (
            _truth(modes=targets.Modes(lambda x: (x[:, 0] > 0.0).astype(int), np.array([0.6, 0.4]))),
            "mode masses",
            "claimed",
        ),
        (
            _truth(modes=targets.Modes(lambda x: (x[:, 0] > 0.0).astype(int), np.array([0.6, 0.5]))),
            "mode",
            "sum to 1.1",
        ),
        (
            _truth(modes=targets.Modes(lambda x: np.full(len(x), 2), np.array([0.5, 0.5]))),
            "mode masses",
            "from 0 to 1",
        ),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_planted_errors_are_named(planted: targets.Target, what: str, detail: str) -> None:
    wrong = _wrong(planted)
    assert any(what in finding.what and detail in finding.detail for finding in wrong), wrong
    assert all("\n" not in finding.detail for finding in wrong)


def test_an_exception_in_plain_python_is_a_finding() -> None:
    from targets.plain import from_python

    def density(x: np.ndarray) -> tuple[float, np.ndarray]:
        return -0.5 * math.exp(float(x[0]) ** 2), -x

    wrong = _wrong(from_python(density, 2))
    assert any("OverflowError" in finding.detail for finding in wrong)


def test_gradient_error_is_relative() -> None:
    points = np.random.default_rng(0).standard_normal((5, 3))
    assert gradient_error(_normal(log_density_and_gradient=wrong_sign), points) == pytest.approx(2.0, rel=1e-6)
    assert gradient_error(_normal(log_density_and_gradient=slightly_wrong), points) == pytest.approx(1e-5, rel=1e-2)


def test_bits_do_not_depend_on_where_arrays_lie(target: targets.Target) -> None:
    """A vectorised loop that tests how far apart its arrays are would add in another order when they are close."""
    dim = target.dim
    block = empty(2 * dim + 600)
    position = block[:dim]
    for point in _points(target, seed=3)[:10]:
        position[:] = point
        values, gradients = [], []
        for distance in (0, 1, 8, 17, 64, 600):
            gradient = block[dim + distance :][:dim]
            values.append(target.kernel(position, gradient, target.data))
            gradients.append(gradient.copy())
        np.testing.assert_array_equal(values, values[0])
        np.testing.assert_array_equal(gradients, np.broadcast_to(gradients[0], (6, dim)))

"""Estimators of the gradient through discrete latents, against the exact one; errors planted in them are caught.

Tests are Hotelling's, at a false-alarm rate of 1e-6. With 20,000 estimates a bias as long as the noisiest direction's
standard deviation times sqrt(noncentrality / 20,000) is found with a probability of 0.99: tests say how long that is.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, stats

from targets.discrete import DiscreteModel
from targets.kernel import data_matrix, density, kernel
from targets.registry import discrete
from variational.discrete import Estimator, Factorised, exact, replicates
from variational.discrete.estimator import GRADIENTS, TEMPERATURE, estimate, race, soften
from variational.discrete.surrogate import SCALE, differentiate, relaxed_signal, transpose
from variational.registry import ESTIMATORS, estimator

LEVEL, POWER, N = 1e-6, 0.99, 20_000
MODELS = {
    "net": discrete("sigmoid_belief_net", top=2, hidden=3, visible=4),
    "mixture": discrete("mixture_assignments", n=4),
}
UNBIASED = [name for name, entry in ESTIMATORS.entries.items() if "unbiased" in entry.tags]
BIASED = [name for name, entry in ESTIMATORS.entries.items() if "biased" in entry.tags]


@pytest.fixture(params=MODELS)
def model(request) -> DiscreteModel:  # type: ignore[no-untyped-def]
    made = MODELS[request.param]
    made.compile()
    return made


def place(model: DiscreteModel, seed: int = 1) -> Factorised:
    return Factorised(np.random.default_rng([seed, 5]).normal(size=(model.sites, model.categories)))


def judged(
    model: DiscreteModel, made: Estimator, n: int = N, seed: int = 2, factor: float = 1.0
) -> tuple[float, float, float]:
    """(p of no bias, the length of the bias that would be found, over that of the gradient; the variance)."""
    q = place(model)
    gradient = exact(model.enumeration, q).gradient[:, 1:].ravel()
    found = factor * replicates(model, made, q, n=n, seed=seed, learn=2_000).estimates[:, :, 1:].reshape(n, -1)
    spread, directions = np.linalg.eigh(np.cov(found.T))
    kept = spread > 1e-9 * spread[-1]
    away = directions.T @ (found.mean(axis=0) - gradient)
    rank = int(kept.sum())
    p = float(stats.chi2.sf(n * np.sum(away[kept] ** 2 / spread[kept]), rank))
    threshold = stats.chi2.isf(LEVEL, rank)
    shift = optimize.brentq(lambda s: stats.ncx2.sf(threshold, rank, s) - POWER, 1.0, 1e4)
    return p, float(np.sqrt(shift * spread[-1] / n) / np.linalg.norm(gradient)), float(spread.sum())


@pytest.mark.parametrize("name", UNBIASED)
def test_estimators_that_claim_no_bias_have_none(name: str, model: DiscreteModel) -> None:
    """A bias of half of the gradient's length would be found, of plain REINFORCE one of twice it."""
    p, seen, _ = judged(model, estimator(name))
    assert p > LEVEL
    assert seen < (2.0 if name == "reinforce" else 0.5)


@pytest.mark.parametrize("name", BIASED)
def test_the_others_have_a_bias(name: str, model: DiscreteModel) -> None:
    warm = {"temperature": 1.0} if "temperature" in estimator(name).options else {}
    assert judged(model, estimator(name, **warm))[0] < LEVEL


def shifted(constant: float) -> DiscreteModel:
    """The net with a constant added to its log joint: one more visible unit, which has no parents and is off."""
    model = MODELS["net"]
    row = np.zeros((1, model.data.shape[1]))
    row[0, 0] = np.log(np.expm1(-constant))
    return replace(model, data=data_matrix(np.vstack([model.data, row])))


@pytest.mark.parametrize("name", [name for name in ESTIMATORS.entries if name not in ("reinforce", "rebar", "relax")])
def test_a_constant_in_the_log_joint_changes_no_estimate(name: str) -> None:
    model, other, q = MODELS["net"], shifted(-20.0), place(MODELS["net"])
    assert other.enumeration.log_evidence - model.enumeration.log_evidence == pytest.approx(-20.0, abs=1e-6)
    one, two = (replicates(m, estimator(name), q, n=100, seed=5, learn=3_000).estimates for m in (model, other))
    assert np.allclose(one, two, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in UNBIASED if name != "reinforce"])
def test_control_variates_take_a_constant_away(name: str) -> None:
    """At equal numbers of draws, less than half of the variance of plain REINFORCE, nearly all of it the constant's."""
    model, q = shifted(-20.0), place(MODELS["net"])
    plain, better = (
        replicates(model, estimator(n, samples=2), q, n=3_000, seed=2, learn=3_000).estimates.var(axis=0).sum()
        for n in ("reinforce", name)
    )
    assert better < 0.5 * plain


def relaxed_elbo(model: DiscreteModel, made: Estimator, logits: np.ndarray, seed: int) -> tuple[float, np.ndarray]:
    """Value and gradient of one estimate; the same seed means the same exponentials."""
    q = Factorised(logits)
    gradient, spent = np.zeros(logits.shape), np.zeros(2, np.int64)
    rng, space = np.random.default_rng(seed), np.empty((6, model.dim))
    fixed = (model.kernel, model.density, model.data, rng, q.probabilities, q.log_probabilities)
    value = made.estimate(*fixed, made.tuning, np.zeros(1), space, 3, gradient, spent)
    return value, gradient


def differences(model: DiscreteModel, made: Estimator, logits: np.ndarray, seed: int) -> np.ndarray:
    found = np.empty(logits.shape)
    for place in np.ndindex(logits.shape):
        step = np.zeros(logits.shape)
        step[place] = 1e-6
        up, down = (relaxed_elbo(model, made, logits + sign * step, seed)[0] for sign in (1, -1))
        found[place] = (up - down) / 2e-6
    return found


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_gumbel_softmax_is_the_gradient_of_its_own_relaxation(temperature: float, model: DiscreteModel) -> None:
    """With the exponentials held, value and gradient of an estimate belong together: exactly, not on average."""
    logits, made = place(model).logits, estimator("gumbel_softmax", temperature=temperature)
    replicates(model, made, Factorised(logits), n=1, seed=1)
    gradient = relaxed_elbo(model, made, logits, 3)[1]
    assert np.allclose(gradient, differences(model, made, logits, 3), atol=1e-6)


@estimate
def without_temperature(kernel, density, data, rng, p, log_p, tuning, control, space, samples, gradient, spent):  # type: ignore[no-untyped-def]
    """Gumbel-softmax that forgets to divide by the temperature. Its value leaves the entropy out."""
    sites, categories = p.shape
    times, x, y, slope = space[0], space[1], space[2], space[3]
    total = 0.0
    for _ in range(samples):
        race(rng, p, log_p, times, x)
        soften(times, tuning[TEMPERATURE], sites, categories, y)
        total += kernel(y, slope, data) / samples
        spent[GRADIENTS] += 1
        for i in range(sites):
            mean = 0.0
            for k in range(categories):
                mean += y[i * categories + k] * slope[i * categories + k]
            for k in range(categories):
                j = i * categories + k
                gradient[i, k] += y[j] * (slope[j] - mean) / samples
    return total


def test_a_wrong_temperature_is_caught(model: DiscreteModel) -> None:
    logits, made = place(model).logits, Estimator(without_temperature, 3, 0.3)
    replicates(model, made, Factorised(logits), n=1, seed=1)
    gradient = relaxed_elbo(model, made, logits, 3)[1]
    expected = differences(model, made, logits, 3)
    assert not np.allclose(gradient, expected, atol=1e-2)
    assert np.allclose(gradient / 0.3, expected, atol=1e-6)


@kernel
def linear(x, gradient, data):  # type: ignore[no-untyped-def]
    """A log joint that is linear in the indicators."""
    value = 0.0
    for i in range(x.shape[0]):
        gradient[i] = data[0, i]
        value += data[0, i] * x[i]
    return value


@density
def linear_density(x, data):  # type: ignore[no-untyped-def]
    value = 0.0
    for i in range(x.shape[0]):
        value += data[0, i] * x[i]
    return value


def test_on_a_linear_log_joint_straight_through_is_exact_and_its_gumbel_form_the_relaxation() -> None:
    data = np.random.default_rng(6).normal(size=(1, 6))
    model = DiscreteModel(2, 3, linear, linear_density, data, ("a", "b"))
    q = place(model)
    found = {
        name: replicates(model, estimator(name), q, n=50, seed=1).estimates
        for name in ("straight_through", "straight_through_gumbel", "gumbel_softmax", "local_expectation")
    }
    gradient = exact(model.enumeration, q).gradient
    assert np.allclose(found["straight_through"], gradient, atol=1e-12)
    assert np.allclose(found["local_expectation"], gradient, atol=1e-12)
    assert np.allclose(found["straight_through_gumbel"], found["gumbel_softmax"], atol=1e-12)
    assert found["gumbel_softmax"].std() > 0.01


def test_a_cold_relaxation_is_less_biased_and_noisier(model: DiscreteModel) -> None:
    q = place(model)
    gradient = exact(model.enumeration, q).gradient
    away, noise = [], []
    for temperature in (0.3, 2.0):
        made = estimator("gumbel_softmax", temperature=temperature)
        estimates = replicates(model, made, q, n=N, seed=3).estimates
        away.append(np.linalg.norm(estimates.mean(axis=0) - gradient))
        noise.append(estimates.var(axis=0).sum())
    assert away[0] < 0.7 * away[1] and noise[0] > 2 * noise[1]


@estimate
def uncorrected(kernel, density, data, rng, p, log_p, tuning, control, space, samples, gradient, spent):  # type: ignore[no-untyped-def]
    """REBAR that subtracts its control variate and forgets to add its expectation."""
    sites, categories = p.shape
    times, x, y, slope = space[0], space[1], space[2], space[3]
    for _ in range(samples):
        log_q = race(rng, p, log_p, times, x)
        soften(times, tuning[TEMPERATURE], sites, categories, y)
        signal = density(x, data) - log_q - relaxed_signal(kernel, data, log_p, y, slope)
        for i in range(sites):
            for k in range(categories):
                gradient[i, k] += signal * (x[i * categories + k] - p[i, k]) / samples
    return 0.0


def test_planted_biases_are_caught(model: DiscreteModel) -> None:
    assert judged(model, Estimator(uncorrected, 2, 0.5))[0] < LEVEL


def test_a_baseline_of_all_draws_without_its_correction_is_caught(model: DiscreteModel) -> None:
    """A mean that holds the draw's own signal takes away 1 / samples of the gradient: half of it, of two draws."""
    assert judged(model, estimator("rloo"), factor=0.5)[0] < LEVEL


def test_a_wrong_sign_is_caught(model: DiscreteModel) -> None:
    """The mean of the estimates points along the gradient; turned, it would be off by twice the gradient's length."""
    q = place(model)
    gradient = exact(model.enumeration, q).gradient
    for name in ("rloo", "rebar", "local_expectation"):
        mean = replicates(model, estimator(name), q, n=N, seed=4).estimates.mean(axis=0)
        assert np.sum(mean * gradient) / np.sum(gradient**2) == pytest.approx(1.0, abs=0.5)


def test_the_network_of_relax_is_moved_by_the_transpose_of_what_it_enters_by() -> None:
    """<g, D s> = <T g, s>, with D what a slope s of the control variate adds to an estimate."""
    rng = np.random.default_rng(7)
    sites, categories, temperature = 3, 4, 0.7
    p = rng.dirichlet(np.ones(categories), sites)
    times = (rng.exponential(size=p.shape) / p).ravel()
    x = (times.reshape(p.shape) == times.reshape(p.shape).min(axis=1, keepdims=True)).astype(float).ravel()
    y = np.empty(p.size)
    soften(times, temperature, sites, categories, y)
    slope, g, h = rng.normal(size=p.size), rng.normal(size=p.size), np.empty(p.size)
    differentiate(p, x, y, times, 0.0, slope, temperature, h)
    turned = g.copy()
    transpose(p, y, times, temperature, turned)
    assert g @ h == pytest.approx(turned @ slope, rel=1e-10)
    assert abs(g @ h) > 1e-3


def test_what_rebar_and_relax_learn_lowers_their_variance() -> None:
    """The learned scale beats none and one; the network then has at most the variance of REBAR, up to noise."""
    model = discrete("sigmoid_belief_net", top=2, hidden=4, visible=6, weight_sd=3.0)
    q = place(model)
    variances = {}
    for name in ("reinforce", "rebar", "relax"):
        made = replicates(model, estimator(name, temperature=1.0) if name != "reinforce" else estimator(name), q,
                          n=10_000, seed=8, learn=10_000)  # fmt: skip
        variances[name] = made.estimates.var(axis=0).sum()
    raw = Estimator(estimator("rebar").estimate, 2, 1.0, control=lambda *_: np.array([1.0, 0.0, 0.0, -1e9]))
    fixed = replicates(model, raw, q, n=10_000, seed=8).estimates.var(axis=0).sum()
    assert SCALE == 0
    assert variances["rebar"] < 1.02 * min(variances["reinforce"], fixed)
    assert variances["relax"] < 1.1 * variances["rebar"]

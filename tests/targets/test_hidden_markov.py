"""The hidden Markov posteriors: densities against all paths, VB-EM's family against its draws, and the race's seam."""

import itertools
import pickle

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

import targets
from targets import hidden_markov_kernels as kernels
from targets.conjugate.hidden_markov_family import HiddenMarkovFamily
from targets.protocols import Status
from variational import method

SIGMAS = 6.0  # two-sided 2e-9
DRAWS = 20_000


@pytest.mark.parametrize(("emissions", "states"), [("gaussian", 2), ("gaussian", 3), ("categorical", 2)])
def test_the_density_is_the_sum_over_all_paths(emissions: str, states: int) -> None:
    """With scipy's densities and every constant: gammas of the coordinates' exponentials, with their Jacobians."""
    n = 4
    target = targets.load("hidden_markov", emissions=emissions, states=states, n=n)
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = target.start(rng)
        head = states * (1 + states)
        probabilities = target.named.values(x[None])[0]  # type: ignore[union-attr]
        start, transitions = probabilities[:states], probabilities[states:head].reshape(states, states)
        value = stats.loggamma(kernels.CONCENTRATION).logpdf(x[:head]).sum()
        if emissions == "gaussian":
            mu, sd = probabilities[head : head + states], probabilities[head + states :]
            logs = stats.norm(mu, sd).logpdf(target.data.T)
            value += stats.norm(kernels.MEAN, sd / np.sqrt(kernels.MEAN_PRECISION)).logpdf(mu).sum()
            gamma = stats.gamma(kernels.DEGREES / 2, scale=2 / kernels.SCALE)
            value += (gamma.logpdf(sd**-2.0) + np.log(2.0 * sd**-2.0)).sum()
        else:
            logs = np.log(probabilities[head:].reshape(states, 2))[:, target.data.argmax(axis=0)].T
            value += stats.loggamma(kernels.CONCENTRATION).logpdf(x[head:]).sum()
        paths = np.array(list(itertools.product(range(states), repeat=n)))
        weight = np.log(start)[paths[:, 0]] + logs[np.arange(n), paths].sum(axis=1)
        weight += np.log(transitions)[paths[:, :-1], paths[:, 1:]].sum(axis=1)
        np.testing.assert_allclose(target.log_densities(x[None])[0], value + logsumexp(weight), rtol=1e-12)


def test_far_out_the_gradient_is_that_of_the_density() -> None:
    """Transitions of 1e-300 and scales a thousandth of the data's: the recursions go on in logarithms."""
    target = targets.load("hidden_markov", n=30)
    x = np.array([0.0, -3.0, 1.0, -700.0, -650.0, 0.5, 50.0, 80.0, -3.0, -2.0])
    value, gradient = target.evaluate(x[None])
    assert np.isfinite(value).all()
    for i in range(target.dim):
        step = 1e-5 * np.eye(target.dim)[i]
        up, down = target.log_densities(np.stack([x + step, x - step]))
        np.testing.assert_allclose(gradient[0, i], (up - down) / 2e-5, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("emissions", ["gaussian", "categorical"])
def test_vbem_is_one_distribution_below_the_density(emissions: str) -> None:
    """Its moments, quantiles and density are those of its draws, and its bound lies below the one that is measured."""
    target = targets.load("hidden_markov", emissions=emissions)
    run = method("vbem").start(target, 1)
    run.advance(7)
    again = pickle.loads(pickle.dumps(run))
    for each in (run, again):
        each.advance(10_000)
        assert each.status is Status.CONVERGED
    q = run.approximation()
    assert isinstance(q, HiddenMarkovFamily) and np.array_equal(q.mean, again.approximation().mean)
    x = q.sample(np.random.default_rng(1), DRAWS)
    sd = np.sqrt(np.diagonal(q.covariance))
    scaled = (x - q.mean) / sd
    assert np.max(np.abs(scaled.mean(axis=0))) < SIGMAS / np.sqrt(DRAWS)
    products = scaled[:, :, None] * scaled[:, None, :]
    apart = np.abs(products.mean(axis=0) - q.covariance / np.outer(sd, sd))
    assert np.all(apart < SIGMAS * products.std(axis=0) / np.sqrt(DRAWS))
    for p in (0.05, 0.5, 0.9):
        below = (x <= q.quantiles(np.array([p]))[0]).mean(axis=0)
        assert np.max(np.abs(below - p)) < SIGMAS * np.sqrt(p * (1 - p) / DRAWS)
    log_q = q.log_density(x)
    wider = HiddenMarkovFamily(tuple(type(part)(*_widened(part)) for part in q.parts))
    ratio = np.exp(wider.log_density(x) - log_q)  # whose mean is one where both are normalised
    assert abs(ratio.mean() - 1.0) < SIGMAS * ratio.std() / np.sqrt(DRAWS) and ratio.std() < 20
    gain = target.log_densities(x[:2_000]) - log_q[:2_000]
    bound = run.diagnostics()["bound"]
    assert gain.mean() > bound - SIGMAS * gain.std() / np.sqrt(2_000)
    assert gain.mean() < bound + 5.0  # states apart from parameters cost little here


def _widened(part: object) -> tuple[object, ...]:
    values = [getattr(part, name) for name in part.__dataclass_fields__]  # type: ignore[attr-defined]
    if len(values) == 2:
        return values[0], values[1] + 0.2
    return values[0] + 0.1, values[1], values[2] + 0.5, values[3] * 1.05


def test_what_it_cannot_take_is_refused() -> None:
    for options in ({"states": 1}, {"states": 11}, {"emissions": "poisson"}, {"n": 0}, {"n": 300}):
        with pytest.raises(targets.UsageError, match="not accepted"):
            targets.load("hidden_markov", **options)


def test_the_data_are_those_of_the_geyser() -> None:
    """As published: 299 eruptions; of which no short one followed another (Azzalini and Bowman 1990)."""
    waiting = targets.load("hidden_markov").data[0]
    assert waiting.shape == (299,) and waiting.min() == 43 and waiting.max() == 108
    np.testing.assert_allclose(waiting.mean(), 72.3144, atol=1e-4)
    short, long = targets.load("hidden_markov", emissions="categorical").data
    assert short.sum() == 105 and long.sum() == 194 and not np.any(short[:-1] * short[1:])

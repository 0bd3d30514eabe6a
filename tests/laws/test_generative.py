"""Every target that can be simulated draws its prior and its data as its kernel says.

The law is a finding of `targets.check`, with a false alarm once in a million; `tests/laws/test_targets.py` asks it of
every registered target. Here it is asked where data say little, so that the prior shows, and shown to have power.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import targets
from targets.check import generative
from targets.registry import TARGETS
from targets.target import Generative
from tests.laws.calibration import Regression
from tests.loading import load

WEAK: list[tuple[str, dict[str, object]]] = [
    ("stochastic_volatility", {"n": 2}),
    ("item_response", {"students": 3, "questions": 2}),
    ("gmm_posterior", {"n": 1}),
    ("gmm_posterior", {"model": "full", "n": 2, "components": 3}),
    ("conjugate_mixture", {"data": "simulated", "n": 2, "components": 3}),
    ("horseshoe", {"dataset": "synthetic", "n": 3, "dim": 3}),
    ("shifted_exponential", {"groups": 2, "n": 1}),
]
MODEL = Regression(np.random.default_rng(7).standard_normal((30, 3)), 2.0)


def wrong(target: targets.Target, model: Generative | None, seed: int) -> list[str]:
    assert model is not None
    return [found.what for found in generative.findings(target, model, np.random.default_rng(seed)) if not found.ok]


@pytest.mark.parametrize("name", TARGETS.entries)
def test_the_tag_says_which_targets_can_be_simulated(name: str) -> None:
    target = load(name)
    assert ("generative" in TARGETS.entries[name].tags) == (target.generative is not None)


@pytest.mark.parametrize(("name", "options"), WEAK)
def test_priors_show_where_data_say_little(name: str, options: dict[str, object]) -> None:
    target = targets.load(name, **options)
    assert not wrong(target, target.generative, 1)


@pytest.mark.parametrize("name", [name for name, entry in TARGETS.entries.items() if "generative" in entry.tags])
def test_other_data_are_the_same_model(name: str) -> None:
    """The same shapes and streams, what is known of the old data left out, and starts where the density is not zero."""
    target = targets.load(name)
    model = target.generative
    assert model is not None
    x, again = (model.prior(np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(x, again)
    assert (x != model.prior(np.random.default_rng(4))).all()
    data, same = (model.simulate(np.random.default_rng(5), x) for _ in range(2))
    np.testing.assert_array_equal(data, same)
    assert (data != model.simulate(np.random.default_rng(6), x)).any()
    posterior = target.given(data)
    assert posterior.kernel is target.kernel and posterior.label == target.label
    assert posterior.truth is None and posterior.place is None and not posterior.registered
    starts = np.array([posterior.start(np.random.default_rng(seed)) for seed in range(20)])
    assert np.isfinite(posterior.log_densities(starts)).mean() > 0.5


def scaled(model: Generative, coordinate: int, factor: float) -> Generative:
    def prior(rng: np.random.Generator) -> np.ndarray:
        x = model.prior(rng).copy()
        x[coordinate] *= factor
        return x

    return replace(model, prior=prior)


def noisier(model: Generative) -> Generative:
    """Noise of the data half as large again: the response is in the last column, and covariates are in the others."""

    def simulate(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
        data = model.simulate(rng, x).copy()
        data[:, -1] += 0.5 * (data[:, -1] - data[:, :-1] @ x)
        return data

    return replace(model, simulate=simulate)


def stale(model: Generative) -> Generative:
    return replace(model, simulate=lambda rng, _: model.simulate(rng, model.prior(rng)))


PLANTED: dict[str, Callable[[Generative], Generative]] = {
    "prior too wide": lambda model: scaled(model, 0, 1.7),
    "prior too narrow": lambda model: scaled(model, 1, 0.5),
    "prior off": lambda model: replace(model, prior=lambda rng: model.prior(rng) + np.eye(3)[0]),
    "noise too large": noisier,
    "data of another draw": stale,
    "not finite": lambda model: replace(model, prior=lambda rng: model.prior(rng) * np.inf),
    "another shape": lambda model: replace(model, simulate=lambda rng, x: model.simulate(rng, x)[:-1]),
}


@pytest.mark.parametrize("error", PLANTED)
def test_planted_errors_are_found(error: str) -> None:
    """Each of three times: with a power of 0.9999 that fails once in three thousand."""
    target = MODEL.target(np.zeros(30))
    assert target.generative is not None
    assert not wrong(target, target.generative, 1)
    assert all(wrong(target, PLANTED[error](target.generative), seed) for seed in range(3))

"""The gradient study: variances that are known, and errors that it shows."""

import json

import numpy as np
import pytest

import targets
from harness import figures, gradients
from reports import figures as drawing

TARGET = targets.load("correlated_gaussian", dim=1)


def test_variances_on_a_gaussian_are_the_known_ones() -> None:
    """At the optimum: reparameterised -e and 1 - e^2, 1 + 2; the score's 0; six standard errors.

    Of draws of the log ratio c, its mean, the score function has c^2 (1 + 2); c is the log normaliser.
    """
    q, rng = gradients.optimum(TARGET, 1), np.random.default_rng(2)
    assert TARGET.truth is not None
    trace, error = gradients.sample(TARGET, q, "reparameterised", 1, 20_000, rng).trace
    assert abs(trace - 3) < 6 * error
    assert gradients.sample(TARGET, q, "sticking_the_landing", 1, 2000, rng).trace[0] < 1e-3
    score, error = gradients.sample(TARGET, q, "score", 1, 20_000, rng).trace
    assert abs(score - 3 * TARGET.truth.log_normaliser**2) < 6 * error


@pytest.fixture(scope="module")
def rows() -> list[dict[str, object]]:
    return gradients.measure(targets.load("banana"), 1, 4000)


def test_unbiased_estimators_agree_and_the_naive_one_does_not(rows: list[dict[str, object]]) -> None:
    """The largest of four t statistics: 6 is exceeded less than once in a million times."""
    for row in rows:
        if row["place"] == "displaced":
            assert (row["largest_t"] > 13) is (row["estimator"] == gradients.NAIVE)  # type: ignore[operator]
            assert row["estimator"] == gradients.NAIVE or row["largest_t"] < 6.5  # type: ignore[operator]


def test_planted_errors_are_seen() -> None:
    """A sign, and the factor sd of the reparameterised log sd left out."""
    target = targets.load("correlated_gaussian", dim=2, rho=0.5)
    q, rng = gradients.displaced(gradients.optimum(target, 1), "displaced"), np.random.default_rng(4)
    right = gradients.sample(target, q, "reparameterised", 2, 80_000, rng)
    truth = right.gradients.mean(axis=0)
    error = right.gradients.std(axis=0) / np.sqrt(80_000)
    other = gradients.sample(target, q, "sticking_the_landing", 2, 80_000, rng)
    assert np.abs(other.t_statistics(truth, error)).max() < 6.5
    for wrong in (-other.gradients, other.gradients * np.array([1, 1, *(1 / q.factor)])):
        assert np.abs(gradients.Sample(wrong, 2).t_statistics(truth, error)).max() > 13


def test_the_study_is_drawn(rows: list[dict[str, object]], tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(gradients, "TARGETS", (("banana", {}),))
    gaussian = [{**row, "family": "correlated_gaussian"} for row in rows]
    monkeypatch.setattr(gradients, "measure", lambda *_: rows + gaussian)
    numbers = figures.compute("gradients", 1)
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    names = [path.name for path in drawing.draw("gradients", numbers, tmp_path)]
    assert names == ["figure-gradients.svg", "figure-gradients.png", "figure-gradients.json"]

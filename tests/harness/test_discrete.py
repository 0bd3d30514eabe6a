"""The study of discrete latents: its verdict on bias has the power it states, and a small one from end to end."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness import discrete
from harness.discrete import bias, fits
from reports import discrete as tables
from targets.registry import discrete as model_of


def noisy(rng: np.random.Generator, n: int, shift: float) -> np.ndarray:
    """(n, 4) estimates with unlike variances, the last component the sum of the others, moved along the noisiest."""
    free = rng.normal(size=(n, 3)) * [1.0, 0.5, 0.1]
    estimates = np.column_stack([free, free.sum(axis=1)])
    direction = np.linalg.eigh(np.cov(estimates.T))[1][:, -1]
    return estimates + shift * direction


def test_a_bias_is_found_as_often_as_stated() -> None:
    """One that is detectable is missed once in 100: of 200 more than 12 times once in 1e6. No false alarm in 200."""
    rng = np.random.default_rng(1)
    detectable = bias.judge(noisy(rng, 500, 0.0), np.zeros(4)).detectable
    found = [bias.judge(noisy(rng, 500, detectable), np.zeros(4)) for _ in range(200)]
    none = [bias.judge(noisy(rng, 500, 0.0), np.zeros(4)) for _ in range(200)]
    assert sum(not b.significant for b in found) <= 12
    assert sum(b.significant for b in none) <= 1
    covered = np.mean([b.low <= detectable <= b.high for b in found])
    assert covered > 0.85
    assert np.median([b.bias for b in found]) == pytest.approx(detectable, rel=0.1)
    assert np.median([b.variance for b in found]) == pytest.approx(2 * (1 + 0.25 + 0.01), rel=0.1)


def test_a_bias_in_a_direction_without_noise_is_found() -> None:
    estimates = noisy(np.random.default_rng(2), 500, 0.0)
    null = np.array([1.0, 1.0, 1.0, -1.0]) / 2.0
    assert bias.judge(estimates + 1e-3 * null, np.zeros(4)).significant
    assert not bias.judge(estimates, np.zeros(4)).significant


def test_checkpoints_grow_to_the_budget() -> None:
    found = fits.checkpoints(10_000)
    assert found[0] == fits.FIRST and found[-1] == 10_000 and np.all(np.diff(found) > 0) and len(found) == 13
    assert fits.checkpoints(fits.FIRST) == [fits.FIRST]


def test_the_error_of_marginals_is_zero_for_the_exact_ones_and_one_for_opposite_ones() -> None:
    enumeration = model_of("sigmoid_belief_net", top=0, hidden=2, visible=2).enumeration
    assert fits.marginal_error(enumeration, enumeration.marginals) == 0.0
    sure = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert fits.marginal_error(enumeration, sure) == pytest.approx(enumeration.marginals[:, 1].mean())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    models = ("sigmoid_belief_net[top=0,hidden=3,visible=3]", "mixture_assignments[n=3]")
    monkeypatch.setattr(discrete, "MODELS", models)
    monkeypatch.setattr(discrete, "LOOKED_AT", models[1:])
    monkeypatch.setattr(discrete, "STARTS", 4)
    monkeypatch.setattr(bias, "REPLICATES", 400)
    monkeypatch.setattr(bias, "LEARN", 200)
    monkeypatch.setattr(bias, "FEWER", 100)
    monkeypatch.setattr(bias, "TEMPERATURES", (0.5, 2.0))


def test_the_study_from_end_to_end(small: None, crossover, tmp_path: Path) -> None:
    code, out, _ = crossover("study", "discrete", tmp_path / "d", "--seeds", "2", "--max-gradients", "1000")
    assert code == 0
    assert [Path(line).name for line in out.splitlines()] == [
        "discrete.md", "discrete.json", "discrete-gradients.svg", "discrete-fits.svg",
    ]  # fmt: skip
    numbers = json.loads((tmp_path / "d" / "discrete.json").read_text())
    assert [len(model["gradients"]) for model in numbers["models"]] == [0, 2 * len(bias.ESTIMATORS)]
    for model in numbers["models"]:
        assert [found["estimator"] for found in model["fits"]] == list(fits.ESTIMATORS)
        assert all(len(found["runs"]) == 2 for found in model["fits"])
        assert model["optima"][0]["elbo"] <= model["log_evidence"] + 1e-9
        bounds = [sweep["elbo"] for sweep in model["cavi"]]
        assert np.all(np.diff(bounds) > -1e-10)
        gaps = [run["gap"][-1] for found in model["fits"] for run in found["runs"]]
        assert min(gaps) > -1e-6
        for run in model["gibbs"]:
            assert run["cost"][-1] >= 1000 and run["marginal_error"][-1] < 0.2
    text = (tmp_path / "d" / "discrete.md").read_text()
    assert text.count("## Fits to") == 2 and text.count("## Gradients on") == 1
    assert "| Gibbs |" in text and "`rloo[samples=8]`" in text
    again = tables.page(numbers)
    assert (tmp_path / "d" / "discrete-fits.svg").read_bytes() == again.pictures["discrete-fits"]


@pytest.mark.parametrize("option", [("--jobs", "2"), ("--max-seconds", "3"), ("--dry-run",), ("--seeds", "0")])
def test_options_that_mean_nothing_to_it_are_refused(option: tuple[str, ...], crossover, tmp_path: Path) -> None:
    code, _, err = crossover("study", "discrete", tmp_path / "d", *option)
    assert code == 2 and "accepted" in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "d").exists()


def test_the_study_is_listed(crossover) -> None:
    code, out, _ = crossover("list", "studies")
    assert code == 0 and "discrete" in out

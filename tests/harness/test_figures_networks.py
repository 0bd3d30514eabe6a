"""The figures of networks, made small: their numbers are plain, say what they should, and are drawn."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness import amortisation, figures, figures_vae
from reports.figures import draw
from targets import UsageError


def test_the_autoencoder(tmp_path: Path) -> None:
    numbers = figures_vae.autoencoder(1, max_iter=8, held_out=60)
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    for fit in numbers["fits"]:
        assert fit["bound"] == sorted(fit["bound"])  # one draw, five, fifty
        assert fit["bound"][0] > numbers["independent"]
    assert np.shape(numbers["map"]["means"]) == (60, 2) and len(numbers["map"]["digits"]) == 60
    assert np.shape(numbers["images"]) == np.shape(numbers["reconstructions"])
    assert [path.suffix for path in draw("vae", numbers, tmp_path)] == [".svg", ".png", ".json"]


def test_what_amortisation_loses(tmp_path: Path) -> None:
    numbers = amortisation.gaps(1, budgets=(20, 200), held_out=6)
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    assert len(numbers["curves"]) == 4
    for curve in numbers["curves"]:
        assert curve["amortisation"][0] > curve["amortisation"][1] > 0
        assert curve["data_sets"] == [1280, 12800]
    lost = {(curve["model"], curve["covariance"]): curve["approximation"] for curve in numbers["curves"]}
    assert lost["linear regression", "full"] == pytest.approx(0, abs=1e-4)
    for model in ("linear regression", "logistic regression"):
        assert lost[model, "diagonal"] > lost[model, "full"]
    assert (tmp_path / "figure-amortisation.svg") in draw("amortisation", numbers, tmp_path)


def test_a_name_that_is_no_figure_is_refused() -> None:
    with pytest.raises(UsageError, match=r"figure faces is not accepted; there are 1, 2, .*vae"):
        figures.compute("faces", 1)

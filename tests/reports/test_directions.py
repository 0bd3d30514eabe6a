"""Fits of modes on runs made up by hand: who covered them, who missed one, and what Pareto k said."""

import math
from typing import Any

import numpy as np
import pytest

from reports import blind_spot, directions
from reports.figures import pictures
from reports.records import CURVES
from reports.runs import Entry, Results, Run
from reports.section import Section

TARGET = "two modes"
ERRORS = {"mean_error_worst": 0.0, "sd_ratio_worst": 1.0}


def fit(seed: int, mass: float, k_hat: float = 0.0, kind: str = "vi") -> Run:
    values = ERRORS | {"mode_mass_error": mass, "kl_reverse": 0.5, "kl_forward": 2.0}
    values |= {"gradient_evaluations": 900.0, "density_evaluations": 100.0}
    curves = {name: np.array([values.get(name, math.nan)]) for name in CURVES}
    cell = {
        "cell_id": f"{seed}",
        "method_tags": kind,
        "status": "converged",
        "seed": seed,
        "k_hat": k_hat,
        "reason": "",
    }
    return Run(cell, curves, np.ones(1, dtype=bool))


def results(**methods: list[Run]) -> Results:
    tags = {"mixture": frozenset({"vi", "mixture"}), "reverse": frozenset({"vi"}), "nuts": frozenset({"mcmc"})}
    entries = {name: Entry(TARGET, name, tags[name], {run.seed: run for run in runs}) for name, runs in methods.items()}
    return Results({TARGET: entries}, [])


RACE = results(
    mixture=[fit(1, 0.01, 0.1), fit(2, 0.04, 0.9)],
    reverse=[fit(1, 0.7, 0.0), fit(2, 0.7, 0.8), fit(3, 0.3, 0.2)],
    nuts=[fit(1, 0.5, kind="mcmc")],
)


def test_who_covers_both_modes() -> None:
    section = directions.section(RACE)
    assert section is not None
    rows = {row[1].text: [cell.text for cell in row] for row in section.rows}
    assert set(rows) == {"mixture", "reverse"}
    assert rows["mixture"][2:4] == ["0.025 (0.040)", "2 of 2"]
    assert rows["reverse"][2:] == ["0.700 (0.700)", "0 of 3", "0.50", "2.0", "0.20", "1,000", "3 of 3"]
    assert section.numbers[0]["covered"] == 2 and section.numbers[1]["mass_error"] == [0.7, 0.7, 0.3]
    assert directions.section(results(nuts=[fit(1, 0.5, kind="mcmc")])) is None


def test_the_blind_spot_is_counted() -> None:
    section = blind_spot.section(RACE)
    assert section is not None
    ((target, method, *counts),) = [[cell.text for cell in row] for row in section.rows]
    assert (target, method, counts) == (TARGET, "reverse", ["3", "3", "2", "0.20", "0.70"])
    assert section.sentences == [
        "Of 5 fits of targets with several modes 3 missed one. Pareto k found nothing wrong with 2 of these; it "
        "rang for 1 of the 2 others."
    ]
    nothing = results(mixture=[fit(1, math.nan)])
    assert blind_spot.section(nothing) is None


@pytest.fixture
def measured() -> Section:
    path = [
        {
            "alpha": a,
            "best": b,
            "mean": a,
            "sd": 1.0,
            "mass": 0.3,
            "divergence": 1.0,
            "kl_reverse": 1 + a,
            "kl_forward": 2.0,
        }
        for a in (0.0, 1.0)
        for b in (True, False)
    ]
    grid = [-1.0, 0.0, 1.0]
    densities: list[dict[str, Any]] = [{"alpha": a, "grid": grid, "density": [0.1, 0.3, 0.1]} for a in (0.0, 1.0, None)]
    return Section("measured", (), [], numbers=[*path, *densities])


def test_the_figure_is_the_same_bytes_again_and_shows_who_raced(measured: Section) -> None:
    first, again = (pictures(lambda f: directions.draw(f, RACE, measured), directions.SIZE) for _ in range(2))
    assert first == again and set(first) == {"svg", "png"}
    fewer = pictures(lambda f: directions.draw(f, results(mixture=[fit(1, 0.01)]), measured), directions.SIZE)
    assert fewer["svg"] != first["svg"]

"""The chapter's figures: all seven drawn, the same bytes each time, and the numbers beside them."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.figures import NUMBERS, draw
from reports.records import RecordsError

GRID = np.linspace(-6, 6, 121)


def bell(mean: float, variance: float) -> list[float]:
    density: list[float] = (np.exp(-0.5 * (GRID - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)).tolist()
    return density


def optimum(separation: float, mean: float, kl: float) -> dict[str, float]:
    return {"separation": separation, "mean": mean, "variance": 1.0, "kl": kl}


MADE: dict[int, dict[str, Any]] = {
    1: {
        "log_evidence": -3.0,
        "sweeps": [0, 1, 2],
        "elbo": [-6.0, -3.5, -3.2],
        "kl": [3.0, 0.5, 0.2],
        "note": "A note.",
    },
    2: {
        "correlation": 0.9,
        "mean": [0.0, 0.0],
        "covariance": [[1.0, 0.9], [0.9, 1.0]],
        "forward_variance": [1.0, 1.0],
        "reverse_variance": [0.19, 0.19],
    },
    3: {
        "grid": GRID,
        "target": bell(-2, 1),
        "reverse": {"mean": -2.0, "variance": 1.0, "density": bell(-2, 1)},
        "forward": {"mean": 0.0, "variance": 5.0, "density": bell(0, 5)},
        "mixture": {"mean": 0.0, "variance": np.float64(5.0)},
    },
    4: {
        "target": "banana",
        "curves": {
            "advi": {"seconds": [0.1, 0.2], "error": [1.0, 0.3], "low": [0.9, 0.2], "high": [1.1, 0.4]},
            "hmc": {
                "seconds": [0.1, 1, 9],
                "error": [None, 0.5, 0.1],
                "low": [None, 0.4, 0.1],
                "high": [None, 0.6, 0.2],
            },
        },
        "floors": {"advi": 0.3},
        "slope": {"value": -0.5, "low": -0.6, "high": -0.4},
        "crossover": {"seconds": 3.0, "low": 2.0, "high": None},
    },
    5: {
        "covariance": [[1.0, 0.8], [0.8, 1.0]],
        "precision": [[2.8, -2.2], [-2.2, 2.8]],
        "sweeps": [{"mean": [2.0 / k, 1.0 / k], "variance": [0.4, 0.4], "elbo": -1.0 / k} for k in range(1, 9)],
    },
    6: {
        "separations": [1.0, 6.0],
        "reverse": [
            {"separation": 1.0, "optima": [optimum(1, 0, 0.1)]},
            {"separation": 6.0, "optima": [optimum(6, -3, 0.7), optimum(6, 0, 0.9), optimum(6, 3, 0.7)]},
        ],
        "forward": [optimum(1, 0, 0.1), optimum(6, 0, 0.5)],
        "examples": [
            {
                "separation": s,
                "grid": GRID,
                "target": bell(0, 4),
                "reverse": [bell(-s, 1), bell(s, 1)],
                "forward": bell(0, 5),
            }
            for s in (1.0, 6.0)
        ],
    },
    7: {
        "topics": [
            {"name": name, "words": ["matrix", "plot"], "probabilities": [0.2, 0.1]} for name in ("a", "b", "c", "d")
        ],
        "documents": [{"title": f"numpy.linalg.f{d}", "proportions": [0.1, 0.2, 0.3, 0.4]} for d in range(8)],
    },
}


@pytest.mark.parametrize("number", NUMBERS)
def test_every_figure_is_drawn_with_its_numbers_and_the_same_bytes(number: int, tmp_path: Path) -> None:
    first, second = (draw(number, MADE[number], tmp_path / name) for name in ("one", "two"))
    assert [path.name for path in first] == [f"figure-{number}.{suffix}" for suffix in ("svg", "png", "json")]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
    svg, png, numbers = (path.read_bytes() for path in first)
    assert ET.fromstring(svg).tag.endswith("svg") and b"<dc:date>" not in svg  # noqa: S314  # our own file
    assert png.startswith(b"\x89PNG")
    assert json.loads(numbers) == json.loads(json.dumps(MADE[number], default=lambda value: value.tolist()))


def test_no_crossover_and_no_slope_are_said(tmp_path: Path) -> None:
    without = MADE[4] | {"crossover": None, "slope": None}
    assert draw(4, without, tmp_path)[0].read_bytes() != draw(4, MADE[4], tmp_path / "with")[0].read_bytes()


def test_bad_numbers_get_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match="no figure 9; accepted: 1, 2, 3, 4, 5, 6, 7"):
        draw(9, {}, tmp_path)
    with pytest.raises(RecordsError, match="figure 2 lack 'mean'"):
        draw(2, {"correlation": 0.9}, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordsError, match="cannot be written"):
        draw(2, MADE[2], tmp_path / "file")

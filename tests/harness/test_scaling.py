"""The study of cost: slopes whose answer is known, what is measured, and its page."""

import importlib
import math

import numpy as np
import pytest

from harness import scaling
from harness.scaling import measured
from harness.scaling.series import SERIES
from reports import scaling as page
from targets.options import UsageError


def test_the_slope_is_that_of_a_power() -> None:
    sizes = [10, 100, 1000, 10_000]
    found = scaling.slope(sizes, [0.002 * size**1.3 for size in sizes])
    assert found["slope"] == pytest.approx(1.3) and found["slope_error"] == pytest.approx(0.0, abs=1e-6)


def test_what_is_too_short_to_tell_is_left_out() -> None:
    found = scaling.slope([10, 100, 1000, 10_000], [9e-4, 9e-4, 0.01, 0.1])
    assert found == {"slope": pytest.approx(1.0), "slope_error": None}
    assert scaling.slope([10, 100], [1e-6, 1.0]) == {"slope": None, "slope_error": None}


def test_an_error_of_a_slope_covers_it() -> None:
    """Noise of 10 % in six sizes: by Student's t of 4 degrees, one in 60 lies beyond four standard errors."""
    rng = np.random.default_rng(1)
    sizes = [2**k for k in range(6)]
    misses = 0
    for _ in range(200):
        found = scaling.slope(sizes, [size * math.exp(0.1 * rng.standard_normal()) for size in sizes])
        assert found["slope"] is not None and found["slope_error"] is not None
        misses += abs(found["slope"] - 1.0) > 4 * found["slope_error"]
    assert 0 <= misses <= 14  # of 200; more than 14 have probability 1e-5


def test_every_series_names_a_function() -> None:
    for series in SERIES:
        module, function = series.where.split(":")
        assert callable(getattr(importlib.import_module(module), function))
        assert list(series.sizes) == sorted(set(series.sizes))


def test_memory_that_is_taken_is_seen() -> None:
    def prepare(megabytes: int):
        return lambda: np.ones((megabytes, 2**17)).sum()

    found = measured.measured(prepare, 300, 1, 1)
    assert 280 * 2**20 < found["peak_bytes"] < 400 * 2**20 and found["seconds"] > 0


def test_a_small_study_becomes_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "SERIES", [each for each in SERIES if each.name == "regression"])
    numbers = scaling.compute(1, 1000)
    assert [[row["size"] for row in each["rows"]] for each in numbers["series"]] == [[1000], [1000]]
    made = page.page(numbers)
    assert [section.title for section in made.sections] == [
        "Regression: gradient by rows",
        "Regression: gradient of 256 rows by rows",
    ]
    assert made.pictures["scaling"].startswith(b"<?xml")
    with pytest.raises(UsageError, match="1000 rows or more"):
        scaling.compute(1, 10)

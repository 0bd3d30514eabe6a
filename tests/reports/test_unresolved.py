"""A reference that is too coarse for the error it is to resolve is said to be so, and only then."""

from dataclasses import replace

import pytest

from reports import analysis, rows
from reports.analysis import Answer
from reports.records import METRICS
from reports.statistics import Interval


@pytest.mark.parametrize(
    ("metric", "error", "noise", "resolved"),
    [
        ("mean_error", 0.002, 0.0, True),  # an exact reference
        ("mean_error", 0.002, 0.0099, True),  # 0.01 posterior sd are always fine enough
        ("mean_error", 0.002, 0.0101, False),
        ("mean_error", 0.5, 0.049, True),  # a tenth of the error
        ("mean_error", 0.5, 0.051, False),
        ("mean_error", float("inf"), 0.5, True),
        ("sd_ratio_worst", 0.09, 0.02, False),
        ("centred_b2", 0.3, 0.0029, True),  # squares: a tenth of the root
        ("centred_b2", 0.3, 0.0031, False),
        ("centred_b2", 1e-6, 0.9e-4, True),
        ("centred_b2", 1e-6, 1.1e-4, False),
    ],
)
def test_the_rule(metric: str, error: float, noise: float, resolved: bool) -> None:
    assert analysis.resolved(METRICS[metric], error, noise) is resolved


def answer(error: float, noise: float) -> Answer:
    unknown, at = Interval(float("nan"), float("nan"), float("nan")), Interval(error, error, error)
    second = Interval(1.0, 1.0, 1.0)
    return Answer("t", "means", METRICS["mean_error"], "laplace", at, noise, second, None, None, unknown)


def test_the_report_says_it_in_the_table_and_in_the_sentence() -> None:
    coarse = answer(0.03, 0.02)
    for text in (rows.row(coarse)["floor"], rows._sentence(coarse)):
        assert "0.030 (unresolved: the reference is known to 0.020)" in text
    lost = rows.row(answer(0.001, 0.02))["floor"]
    assert lost == "below 0.020 (unresolved: the reference is known to 0.020)"
    for fine in (answer(0.03, 0.004), answer(0.3, 0.02), replace(coarse, noise=0.0)):
        assert "unresolved" not in rows.row(fine)["floor"] + rows._sentence(fine)

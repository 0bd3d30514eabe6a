"""What a covariance costs, and whether richer families are nearer, on runs whose answer is known."""

from typing import Any

import numpy as np
import pytest

from reports import tables_of_fits
from reports.records import CELLS, METRICS
from reports.runs import Entry, Results, Run

COSTS = np.array([100.0, 200.0, 400.0, 800.0])


def run(covariance: list[float], kl: float = 1.0, noise: float = 0.1, status: str = "converged") -> Run:
    """Evaluations 100, 200, 400, 800; the divergence is known at the end."""
    n = len(covariance)
    columns = [m.name for m in METRICS.values()] + ["kl_reverse_sampling_floor", "kl_reverse_reference_floor"]
    curves = {name: np.full(n, np.nan) for name in columns} | {
        "seconds": 1e-3 * COSTS[:n],
        "gradient_evaluations": COSTS[:n] * 7 / 8,
        "density_evaluations": COSTS[:n] / 8,
        "covariance_error": np.array(covariance),
        "kl_reverse": np.full(n, kl),
        "kl_reverse_sampling_floor": np.full(n, noise),
        "kl_reverse_reference_floor": np.full(n, 0.02),
    }
    said = {"seed": 0, "status": status, "reason": status, "method_tags": "vi"}
    return Run(dict.fromkeys(CELLS) | said, curves, np.full(n, True))


def results(**methods: tuple[str, list[Run]]) -> Results:
    """One target; methods by name, with their tags and runs."""
    entries = {
        name: Entry("t", name, frozenset(tags.split()), dict(enumerate(of))) for name, (tags, of) in methods.items()
    }
    return Results({"t": entries}, [])


def falling(at: int) -> list[float]:
    """Below the level from that checkpoint on."""
    return [1.0 if k < at else 1e-3 for k in range(4)]


def numbers(section: Any) -> dict[str, dict[str, Any]]:
    return {row["method"]: row for row in section.numbers}


def test_costs_are_those_from_which_the_error_stays_small() -> None:
    section = tables_of_fits.covariance(
        results(
            bam=("vi fullrank", [run(falling(1))] * 3),
            slow=("vi fullrank", [run([1e-3, 1.0, 1.0, 1e-3])] * 3),
            never=("vi fullrank", [run(falling(9))] * 3),
            failed=("vi fullrank", [run(falling(0), status="failed")] * 3),
            nuts=("mcmc", [run(falling(0))] * 3),
            oracle=("vi oracle", [run(falling(0))] * 3),
        )
    )
    assert section is not None
    costs = {name: row["cost"]["value"] for name, row in numbers(section).items()}
    assert costs == {"bam": 200.0, "slow": 800.0, "never": "inf", "failed": "inf"}
    assert "bam needs 200 evaluations on t, 0.25 times those of slow." in section.sentences
    assert "bam needs 200 evaluations on t; never does not get there." in section.sentences


def test_of_a_grid_of_steps_the_best_is_named() -> None:
    methods = {
        f"bbvi[family=fullrank,{estimator}step={step}]": ("vi", [run(falling(at))] * 3)
        for estimator, base in (("", 1), ("estimator=score,", 3))
        for step, at in ((0.1, base), (0.025, min(base + 1, 3)))
    }
    section = tables_of_fits.covariance(results(bam=("vi", [run(falling(0))] * 3), **methods))
    assert section is not None and len(section.rows) == 5
    assert section.sentences == [
        "bam needs 100 evaluations on t, 0.50 times those of bbvi[family=fullrank,step=0.1].",
        "bam needs 100 evaluations on t, 0.12 times those of bbvi[family=fullrank,estimator=score,step=0.1].",
    ]


@pytest.mark.parametrize(("richer", "verdict"), [(0.5, "not more"), (1.1, "not more"), (1.3, "MORE")])
def test_a_richer_family_that_is_further_away_is_called_out(richer: float, verdict: str) -> None:
    """Noise of 0.1 each makes 0.14 of a difference."""
    found = tables_of_fits.families(
        results(
            mean=("vi meanfield reverse-kl", [run([1.0] * 4, kl=1.0)] * 4),
            full=("vi fullrank reverse-kl", [run([1.0] * 4, kl=0.2)] * 4),
            tree=("vi structured reverse-kl", [run([1.0] * 4, kl=richer)] * 4),
            bam=("vi fullrank score-matching", [run([1.0] * 4, kl=9.0)] * 4),
        )
    )
    assert found is not None
    assert len(found.rows) == 4
    assert numbers(found)["tree"]["kl_reverse"] == {"value": richer, "low": richer, "high": richer}
    assert len(found.sentences) == 2
    said = next(line for line in found.sentences if "mean to tree" in line)
    assert said.endswith(f"{verdict}.") and "noise 0.14" in said


def test_without_fits_there_are_no_tables() -> None:
    bare = results(nuts=("mcmc", [run([1.0] * 4)]))
    assert tables_of_fits.covariance(bare) is None and tables_of_fits.families(bare) is None

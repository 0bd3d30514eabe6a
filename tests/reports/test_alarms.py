"""Alarms on runs made up by hand: each rings where it must and only there, and none of them decides what is wrong."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import reports
from harness.cell import DIAGNOSTICS
from reports import alarms, analysis, rows, runs, study, tables_of_alarms, verdicts
from reports.alarms import ALARMS, INFORMATIONAL, TOLERANCES
from reports.records import CELLS, CURVES, METRICS, Folder
from reports.runs import Ledger, Results, Run
from reports.verdicts import Finding, Verdict

SAMPLER: dict[str, Any] = {
    "cell_id": "a",
    "method_tags": "mcmc",
    "status": "budget spent",
    "reason": "",
    "seed": 1,
    "draws": 4000,
    "divergences": 0,
    "r_hat": 1.004,
    "ess_min": 900.0,
    "ess_square_min": 800.0,
    "ess_tail_min": 700.0,
    "e_bfmi": 0.9,
    "round_trips": 60.0,
    "log_normaliser_error": 0.1,
    "warmup_evaluations": 9000,
    "run_evaluations": 30_000,
}
UNDRAWN: dict[str, Any] = {
    name: value
    for name, value in SAMPLER.items()
    if name not in {"draws", "divergences", "r_hat", "ess_min", "ess_square_min", "ess_tail_min", "e_bfmi"}
}
FIT: dict[str, Any] = {
    "cell_id": "b",
    "method_tags": "vi",
    "status": "converged",
    "reason": "",
    "seed": 1,
    "k_hat": 0.3,
    "elbo": -3.0,
}
RIGHT = {"mean_error_worst": 0.05, "sd_ratio_worst": 1.02, "mode_mass_error": 0.01}
STEIN = ("stein_discrepancy_squared", "stein_discrepancy_squared_sampling_floor")


def run(cell: dict[str, Any], floors: float = 0.0, reference: float = 0.0, **errors: float) -> Run:
    """A run of two checkpoints that ends in these errors, the others right; the first is hopeless."""
    curves = {}
    for name in (*CURVES, *STEIN):
        if name.endswith("_sampling_floor"):
            value = floors
        elif name.endswith("_reference_floor"):
            value = reference
        else:
            value = ({**RIGHT, STEIN[0]: math.nan} | errors).get(name, math.nan)
        curves[name] = np.array([9.0, errors.get(name, value)])
    return Run(cell, curves, np.ones(2, dtype=bool))


def rings(cell: dict[str, Any], **errors: float) -> set[str]:
    return {alarm.name for alarm in Verdict("t", "m", run(cell, **errors)).ringing}


def test_every_diagnostic_has_an_alarm_or_is_declared_informational() -> None:
    names = {alarm.name for alarm in ALARMS}
    assert set(DIAGNOSTICS) <= names | INFORMATIONAL.keys(), "decide what a new diagnostic rings at, in reports.alarms"
    assert not names & INFORMATIONAL.keys()
    assert set(DIAGNOSTICS) <= CELLS.keys() and INFORMATIONAL.keys() <= CELLS.keys()
    assert all(INFORMATIONAL.values()) and all(alarm.source and alarm.meaning for alarm in ALARMS)
    assert {tolerance.metric for tolerance in TOLERANCES} <= METRICS.keys()


def test_a_good_run_is_quiet() -> None:
    assert rings(SAMPLER) == set() == rings(FIT)
    assert not run(SAMPLER).barred and not run(FIT).barred


@pytest.mark.parametrize(
    ("cell", "change", "alarm", "bars"),
    [
        (SAMPLER, {"r_hat": 1.011}, "r_hat", ""),
        (SAMPLER, {"r_hat": 1.11}, "r_hat", "R-hat above 1.1"),
        (SAMPLER, {"r_hat": math.inf}, "r_hat", "R-hat above 1.1"),
        (SAMPLER, {"ess_min": 399.0}, "ess_min", ""),
        (SAMPLER, {"ess_min": 49.0}, "ess_min", "fewer than 50 effective draws"),
        (SAMPLER, {"ess_square_min": 399.0}, "ess_square_min", ""),
        (SAMPLER, {"ess_tail_min": 399.0}, "ess_tail_min", ""),
        (SAMPLER, {"divergences": 1}, "divergences", ""),
        (SAMPLER, {"divergences": 200}, "divergences", ""),
        (SAMPLER, {"divergences": 201}, "divergences", "more than 5 % of the draws diverged"),
        (SAMPLER, {"divergences": 201, "draws": None}, "divergences", ""),
        (SAMPLER, {"e_bfmi": 0.29}, "e_bfmi", ""),
        (SAMPLER, {"round_trips": 9.0}, "round_trips", ""),
        (SAMPLER, {"log_normaliser_error": 1.1}, "log_normaliser_error", ""),
        (UNDRAWN, {"run_evaluations": 0}, "warming_up", "its budget ended before its warm-up did"),
        (FIT, {"k_hat": 0.71}, "k_hat", "Pareto k above 0.7"),
        (FIT, {"k_hat": math.inf}, "k_hat", "Pareto k above 0.7"),
        (FIT, {"status": "budget spent"}, "not_converged", "its budget ended before it converged"),
        (FIT, {"status": "time cap"}, "not_converged", "its budget ended before it converged"),
    ],
)
def test_each_alarm_rings_alone(cell: dict[str, Any], change: dict[str, Any], alarm: str, bars: str) -> None:
    assert rings(cell | change) == {alarm}
    assert run(cell | change).barred == bars


@pytest.mark.parametrize("alarm", [alarm for alarm in ALARMS if alarm.name in CELLS], ids=lambda alarm: alarm.name)
def test_an_alarm_is_silent_at_its_limit_and_where_nothing_is_known(alarm: alarms.Alarm) -> None:
    cell = FIT if alarm.name == "k_hat" else SAMPLER
    for value in (alarm.warns, None, math.nan):
        assert rings(cell | {alarm.name: value}) == set()
    without = {name: value for name, value in cell.items() if name != alarm.name}
    assert rings(without) == set(), "records of an older format lack it"


def test_a_sampler_is_not_blamed_for_the_fit_that_it_started_from() -> None:
    assert rings(SAMPLER | {"k_hat": 5.0}) == set()
    assert rings(SAMPLER | {"status": "converged"}) == set()


def test_a_stein_discrepancy_rings_beyond_the_draws_that_are_claimed() -> None:
    """Its floor is that of 500 independent draws; 400 effective ones have a quarter more, and 1000 no less."""
    floor = {STEIN[1]: 0.1}
    assert rings(SAMPLER | {"ess_min": 400.0}, **floor, **{STEIN[0]: 0.124}) == set()
    assert rings(SAMPLER | {"ess_min": 400.0}, **floor, **{STEIN[0]: 0.126}) == {STEIN[0]}
    assert rings(SAMPLER | {"ess_min": 1000.0}, **floor, **{STEIN[0]: 0.099}) == set()
    assert rings(SAMPLER | {"ess_min": 1000.0}, **floor, **{STEIN[0]: 0.101}) == {STEIN[0]}
    assert rings(FIT, **floor, **{STEIN[0]: 0.09}) == set()
    assert rings(FIT, **floor, **{STEIN[0]: 0.11}) == {STEIN[0]}
    bare = run(FIT)
    for name in STEIN:
        del bare.curves[name]
    assert Verdict("t", "m", bare).ringing == [], "records need not have it"


@pytest.mark.parametrize(
    ("errors", "wrong"),
    [
        ({}, False),
        ({"mean_error_worst": 0.19}, False),
        ({"mean_error_worst": 0.21}, True),
        ({"mean_error_worst": math.inf}, True),
        ({"sd_ratio_worst": 0.81}, False),
        ({"sd_ratio_worst": 0.79}, True),
        ({"sd_ratio_worst": 1.24}, False),
        ({"sd_ratio_worst": 1.26}, True),
        ({"sd_ratio_worst": 0.0}, True),
        ({"mode_mass_error": 0.11}, True),
        ({"mode_mass_error": math.nan}, False),
    ],
)
def test_what_is_wrong(errors: dict[str, float], wrong: bool) -> None:
    for cell in (SAMPLER, FIT):
        judged = Verdict("t", "m", run(cell, **errors))
        assert judged.wrong is wrong
        assert judged.finding is (Finding.SILENT if wrong else Finding.QUIET)


def test_noise_that_was_announced_is_not_wrong() -> None:
    """The floor of 4000 draws is 0.1, so that of 1000 effective ones is 0.2, and 1.5 times that is tolerated."""
    claims = SAMPLER | {"ess_min": 1000.0, "ess_square_min": 1000.0}
    assert not Verdict("t", "m", run(claims, floors=0.1, mean_error_worst=0.29)).wrong
    assert Verdict("t", "m", run(claims, floors=0.1, mean_error_worst=0.31)).wrong
    assert Verdict("t", "m", run(SAMPLER | {"ess_min": 4000.0}, floors=0.1, mean_error_worst=0.29)).wrong
    assert not Verdict("t", "m", run(SAMPLER, reference=0.2, mean_error_worst=0.29)).wrong


def test_few_effective_draws_are_no_excuse() -> None:
    """Four hundred are what an alarm asks for: with the floor of 4000 at 0.05, 0.05 sqrt(10) 1.5 = 0.237."""
    few = SAMPLER | {"ess_min": 10.0}
    assert not Verdict("t", "m", run(few, floors=0.05, mean_error_worst=0.23)).wrong
    assert Verdict("t", "m", run(few, floors=0.05, mean_error_worst=0.24)).finding is Finding.HIT


def test_findings_of_every_kind() -> None:
    alarmed = SAMPLER | {"r_hat": 1.05}
    assert Verdict("t", "m", run(alarmed)).finding is Finding.FALSE
    assert Verdict("t", "m", run(alarmed, mean_error_worst=1.0)).finding is Finding.HIT
    assert Verdict("t", "m", run(SAMPLER | {"status": "failed"}, mean_error_worst=1.0)).finding is Finding.FAILED
    unknown = dict.fromkeys(RIGHT, math.nan)
    assert Verdict("t", "m", run(alarmed, **unknown)).finding is Finding.UNKNOWN
    empty = dataclasses.replace(run(SAMPLER), running=np.empty(0, dtype=bool))
    assert Verdict("t", "m", empty).finding is Finding.FAILED, "it ended before it had an answer"


def test_each_alarm_is_counted_over_the_runs_that_have_its_diagnostic() -> None:
    made = [
        Verdict("t", "m", run(cell, mean_error_worst=error))
        for cell in (SAMPLER, SAMPLER | {"r_hat": 1.05}, FIT, FIT | {"k_hat": 0.9})
        for error in (0.01, 0.9)
    ]
    counts = {alarm.name: found for alarm, found in verdicts.by_alarm(made)}
    each = {Finding.HIT: 1, Finding.SILENT: 1, Finding.FALSE: 1, Finding.QUIET: 1}
    assert counts["r_hat"] == each == counts["k_hat"]
    assert counts["e_bfmi"] == {Finding.SILENT: 2, Finding.QUIET: 2}
    assert sum(counts[STEIN[0]].values()) == 0


# From here on with whole folders, as tests/reports/conftest.py makes them.


def read(folder: Folder) -> Results:
    return runs.read(folder.cells(), folder.curves(), folder.quantities())


def test_a_barred_fit_cannot_win_and_is_still_to_be_beaten(empty: Folder, filled: Callable[..., Folder]) -> None:
    """HMC never comes down to laplace's floor of 1e-4; the fit's own k-hat decides whether that is a win."""
    target = "correlated_gaussian[dim=10]"
    for k_hat, verdict in ((0.2, "vi"), (1.5, "none")):
        filled(empty, [target], ["hmc"], seeds=3)
        filled(empty, [target], ["laplace"], seeds=3, k_hat=k_hat)
        results = read(empty)
        entry = results.entries[target]["laplace"]
        for made in entry.runs.values():
            made.curves["mean_error"][:] = 1e-4
        metric = METRICS["mean_error"]
        of = analysis.matches(results.entries[target], metric, "seconds", Ledger())
        answer = analysis.answer(target, "means", metric, results.entries[target], of)
        shown = rows.row(answer)
        assert shown["vi"] == "laplace" and shown["verdict"] == verdict and shown["floor"] == "0.00010"
        assert shown["cross"].startswith("not within") and ("barred: Pareto k above 0.7" in shown["cross"]) == (
            verdict == "none"
        )
        assert bool(entry.barred) == (verdict == "none") and not next(iter(entry.runs.values())).failure


def test_a_fit_that_is_not_barred_is_named_before_one_that_is(empty: Folder, filled: Callable[..., Folder]) -> None:
    target = "correlated_gaussian[dim=10]"
    filled(empty, [target], ["advi_meanfield", "laplace", "hmc"], seeds=3, k_hat=0.2)
    filled(empty, [target], ["advi_fullrank"], seeds=3, k_hat=0.9)
    metric, methods = METRICS["mean_error"], read(empty).entries[target]
    answer = analysis.answer(target, "means", metric, methods, analysis.matches(methods, metric, "seconds", Ledger()))
    assert answer.vi == "advi_meanfield" and not answer.barred, "full rank has the lower error, and its k-hat is 0.9"


def test_a_sampler_whose_draws_diverged_overtakes_nothing(empty: Folder, filled: Callable[..., Folder]) -> None:
    target = "correlated_gaussian[dim=10]"
    for divergences, beaten in ((10, True), (300, False)):
        filled(empty, [target], ["laplace"], seeds=3, k_hat=0.2)
        filled(empty, [target], ["hmc"], seeds=3, draws=4000, divergences=divergences)
        methods = read(empty).entries[target]
        (match,) = analysis.matches(methods, METRICS["mean_error"], "seconds", Ledger())
        assert math.isfinite(match.found.cost.value) is beaten
        assert bool(methods["hmc"].complaints) is not beaten


def test_who_lied_silently_is_named_in_the_report(empty: Folder, filled: Callable[..., Folder], tmp_path: Any) -> None:
    """On the made-up mixture every fit has its sds at exp(-floor): advi's 0.12 is right, laplace's 0.2 is not."""
    target = "correlated_gaussian[dim=10]"
    filled(empty, [target], ["hmc"], seeds=2)
    filled(empty, [target], ["advi_meanfield", "laplace"], seeds=2, k_hat=0.2)
    results = read(empty)
    for made in results.entries[target]["laplace"].runs.values():
        made.curves["sd_ratio_worst"][-1] = 0.5
    section = tables_of_alarms.silent(results)
    assert section is not None and section.numbers == [
        {"target": target, "method": "laplace", "seeds": [0, 1], "worst": "sd 0.50 times the true one"}
    ]
    page = reports.write(empty, tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Alarms against the truth" in page and 'id="alarms-by-method"' in page


def test_a_new_method_appears_in_the_tables_by_itself(empty: Folder, filled: Callable[..., Folder]) -> None:
    filled(empty, ["banana"], ["hmc"], seeds=2)
    filled(empty, ["banana"], ["laplace"], seeds=2, method="invented[rank=3]", method_name="invented")
    found = {table: study.TABLES[table](read(empty)) for table in ("alarms", "alarms-by-method", "alarms-by-pair")}
    assert all(section is not None for section in found.values())
    by_method = {row["method"]: row for row in found["alarms-by-method"].numbers}  # type: ignore[union-attr]
    assert set(by_method) == {"hmc", "invented[rank=3]"}
    for row in by_method.values():
        assert row["hit"] + row["silent"] + row["false"] + row["quiet"] + row["failed"] == 2
    (total,) = [row for row in found["alarms"].numbers if row["alarm"] == "any"]  # type: ignore[union-attr]
    for kind in ("hit", "silent", "false", "quiet"):
        assert total[kind] == sum(row[kind] for row in by_method.values())


def test_without_a_truth_there_is_nothing_to_tabulate(empty: Folder) -> None:
    empty.write(SAMPLER | {"target": "t", "method": "m", "tags": ""}, {"seconds": [0.1]})
    results = read(empty)
    assert all(study.TABLES[name](results) is None for name in study.TABLES if name.startswith(("alarms", "silent")))

"""The tables and sentences of the page, as text ready to be shown."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from reports import analysis, efficiency
from reports.analysis import Alarm, Answer
from reports.records import METRICS
from reports.runs import (
    E_BFMI_ALARM,
    ESS_ALARM,
    ESS_LIMIT,
    K_HAT_ALARM,
    R_HAT_ALARM,
    R_HAT_LIMIT,
    Entry,
    Ledger,
    Results,
    median,
    number,
    text,
)
from reports.statistics import Interval, Outcome
from reports.wording import bracket, count, duration, ranges, sentence, significant, sortable

ROUNDING = 1e-9

_VERDICTS = {
    Outcome.CROSSES: "mcmc",
    Outcome.FIRST: "mcmc",
    Outcome.VI_FAILED: "mcmc",
    Outcome.CENSORED: "vi",
    Outcome.MCMC_FAILED: "vi",
}


def page(results: Results) -> dict[str, Any]:
    """What the template shows beside the curves."""
    answers = {name: _answers(name, methods) for name, methods in results.entries.items()}
    targets = [_target(name, methods, answers[name]) for name, methods in results.entries.items()]
    metrics = results.metrics
    costs = {name: efficiency.costs(methods) for name, methods in results.entries.items()}
    for target, methods in zip(targets, results.entries.values(), strict=True):
        target["efficiency"] = efficiency.sampling(methods)
        target["accuracy"] = efficiency.accuracy(methods, costs[target["name"]])
    status = [text(cell["status"]) for cell in results.cells]
    return {
        "totals": {
            "targets": len(results.entries),
            "methods": len({method for methods in results.entries.values() for method in methods}),
            "seeds": len({cell["seed"] for cell in results.cells}),
            "cells": len(status),
            "failed": status.count("failed"),
            "skipped": status.count("skipped"),
            "jobs": int(max(number(cell["jobs"], 1.0) for cell in results.cells)),
        },
        "tally": _tally([row for rows in answers.values() for row in rows]),
        "targets": targets,
        "accuracy": efficiency.overall(results, costs),
        "figures": efficiency.GROUPS,
        "failures": [
            {"target": target["name"], "anchor": target["anchor"], **failure}
            for target in targets
            for failure in target["failures"]
        ],
        "metrics": metrics,
        "default_metric": next((metric.name for metric in metrics), ""),
        "questions": {question: METRICS[names[0]].label for question, names in analysis.QUESTIONS},
        "limits": {"r_hat": R_HAT_LIMIT, "ess": f"{ESS_LIMIT:.0f}"},
        "provenance": _provenance(results.cells),
    }


def _answers(name: str, methods: Mapping[str, Entry]) -> list[Answer]:
    asked = {metric for _, metrics in analysis.QUESTIONS for metric in metrics}
    of = {metric: analysis.matches(methods, METRICS[metric], "seconds", Ledger()) for metric in asked}
    return analysis.answers(name, methods, of)


def _target(name: str, methods: Mapping[str, Entry], answers: list[Answer]) -> dict[str, Any]:
    cells = [run.cell for entry in methods.values() for run in entry.runs.values()]
    return {
        "name": name,
        "anchor": "t-" + re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-"),
        "dim": next((int(cell["dim"]) for cell in cells if cell["dim"] is not None), None),
        "tags": sorted({word for cell in cells for word in text(cell["tags"]).split()}),
        "answers": [_row(answer) for answer in answers],
        "sentences": [_sentence(answer) for answer in answers],
        "chips": _chips(analysis.alarms(methods)),
        "ledger": [_ledger(entry) for entry in methods.values() if entry.runs],
        "failures": [{"method": entry.method, "text": line} for entry in methods.values() for line in entry.complaints],
    }


def _row(answer: Answer) -> dict[str, Any]:
    found = None if answer.match is None else answer.match.found
    outcome = Outcome.UNDEFINED if found is None else found.outcome
    at = math.inf if found is None else found.cost.value
    shown = {
        Outcome.CENSORED: f"not within {duration(found.budget)}" if found else "",
        Outcome.FIRST: f"from the start, {duration(at)}",
        Outcome.MCMC_FAILED: "no sampler counts",
    }
    if answer.vi is None:
        outcome, text_ = Outcome.UNDEFINED, "no VI to overtake" if answer.sampler else "nothing counts"
    else:
        text_ = shown.get(outcome, duration(at) if math.isfinite(at) else "no sampler raced")
    return {
        "question": answer.question,
        "label": answer.metric.label,
        "formula": answer.metric.formula,
        "vi": answer.vi,
        "floor": _value(answer.floor, answer),
        "floor_sort": sortable(answer.floor.value),
        "settled": duration(answer.settled.value) if answer.vi else "",
        "settled_sort": sortable(answer.settled.value),
        "verdict": _VERDICTS.get(outcome, "none"),
        "cross": text_,
        "cross_by": answer.match.mcmc if answer.match and math.isfinite(at) else "",
        "cross_interval": bracket(answer.match.found.cost, "seconds") if answer.match and math.isfinite(at) else "",
        "cross_sort": sortable(at),
        "sampler": answer.sampler,
        "end": _value(answer.sampler_error, answer),
        "end_sort": sortable(answer.sampler_error.value),
    }


def _sentence(answer: Answer) -> str:
    opening = f"{answer.question.capitalize()} ({answer.metric.label}): "
    if answer.vi is None:
        return opening + "no VI method gave an answer that counts."
    settled = f"{answer.vi} settles at {_value(answer.floor, answer)} after {duration(answer.settled.value)}. "
    if answer.match is None:
        return opening + settled + "No sampler raced it."
    if answer.match.found.outcome is Outcome.CENSORED:
        closest = (
            f" {answer.sampler} comes closest, with {_value(answer.sampler_error, answer)} at the end."
            if answer.sampler
            else ""
        )
        budget = duration(answer.match.found.budget)
        return opening + settled + f"No sampler overtakes it within the budget of {budget}." + closest
    return opening + settled + sentence(answer.match.found, answer.vi, answer.match.mcmc, "seconds")


def _tally(answers: Iterable[Answer]) -> list[str]:
    """One line a question: on how many targets sampling overtakes the best VI method."""
    lines = []
    for question, _ in analysis.QUESTIONS:
        found = [a.match.found.outcome for a in answers if a.question == question and a.match is not None]
        if found:
            overtaken = sum(_VERDICTS.get(outcome) == "mcmc" for outcome in found)
            of = f"{overtaken} of {len(found)} target{'' if len(found) == 1 else 's'}"
            lines.append(f"{question.capitalize()}: sampling overtakes the best VI on {of} within the budget")
    return lines


def _chips(alarms: list[Alarm]) -> list[dict[str, str]]:
    """One chip a diagnostic; its title names the methods and values."""
    limits = {
        "k_hat": ("Pareto k", f"above {K_HAT_ALARM}: importance weights of q are unreliable"),
        "r_hat": ("R-hat", f"above {R_HAT_ALARM}: chains disagree"),
        "ess_min": ("ESS", f"below {ESS_ALARM:.0f}: too few effective draws"),
        "e_bfmi": ("E-BFMI", f"below {E_BFMI_ALARM}: momenta are resampled too little for the tails"),
        "divergences": ("divergences", "after warm-up: the sampler left out a region"),
        "failed": ("failed", "runs, shown below with the reason"),
    }
    chips = []
    for diagnostic, (name, meaning) in limits.items():
        fired = [alarm for alarm in alarms if alarm.diagnostic == diagnostic]
        if fired:
            named = ", ".join(f"{alarm.method} {alarm.text}" for alarm in fired)
            chips.append({"name": f"{name} ({len(fired)})", "title": f"{name} {meaning}: {named}"})
    return chips


def _ledger(entry: Entry) -> dict[str, Any]:
    cells = [run.cell for run in entry.runs.values()]
    counting = sum(not run.failure for run in entry.runs.values())

    def of(name: str) -> float:
        return median([number(cell[name]) for cell in cells])

    def cell(value: float, shown: str, alarm: bool = False) -> dict[str, Any]:
        return {"text": "" if math.isnan(value) else shown, "sort": sortable(value), "alarm": alarm}

    seconds = [of(f"{phase}_seconds") for phase in ("compile", "setup", "warmup", "run")]
    evaluations = [of(f"{phase}_evaluations") for phase in ("warmup", "run")]
    r_hat, ess, divergences, k_hat = (of(name) for name in ("r_hat", "ess_min", "divergences", "k_hat"))
    return {
        "method": entry.method,
        "runs": f"{counting} of {len(cells)} count",
        "cells": [
            *(cell(value, duration(value)) for value in seconds),
            *(cell(value, count(value)) for value in evaluations),
            cell(r_hat, f"{r_hat:.3f}", r_hat > R_HAT_ALARM),
            cell(ess, count(ess), ess < ESS_ALARM),
            cell(divergences, f"{divergences:g}", divergences > 0),
            cell(k_hat, f"{k_hat:.2f}", k_hat > K_HAT_ALARM),
        ],
    }


def _provenance(cells: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    def distinct(name: str) -> list[str]:
        return sorted({str(cell[name]) for cell in cells if cell[name] is not None})

    versions = [
        ", ".join(f"{package} {version}" for package, version in sorted(json.loads(known).items()))
        for known in distinct("versions")
    ]
    commits = sorted({f"{text(c['commit'])}{' with uncommitted changes' if c['dirty'] else ''}" for c in cells} - {""})
    started = distinct("started_at")
    jobs = distinct("jobs")
    marked = " (seconds of cells that share the machine are longer and noisier)" if set(jobs) - {"1"} else ""
    shown = [
        ("Machine", distinct("machine")),
        ("Host", distinct("host")),
        ("Versions", versions),
        ("Threads a cell", [", ".join(distinct("threads"))]),
        ("Jobs at once", [", ".join(jobs) + marked]),
        ("Commit", commits),
        ("Seeds", [ranges(sorted({int(cell["seed"]) for cell in cells}))]),
        ("Started", [f"{started[0]} to {started[-1]}"] if started else []),
    ]
    return [(name, values) for name, values in shown if values and values != [""]]


def _value(interval: Interval, answer: Answer) -> str:
    """An error; what is smaller than the reference's own error, or than rounding, is not told apart.

    Where the reference is too coarse for the error, it says so with what the reference itself is known to.
    """
    if math.isnan(interval.value):
        return ""
    smallest = max(answer.noise, ROUNDING)
    shown = f"below {significant(smallest)}" if interval.value < smallest else significant(interval.value)
    if analysis.resolved(answer.metric, interval.value, answer.noise):
        return shown
    return f"{shown} (unresolved: the reference is known to {significant(answer.noise)})"

"""The blind spot of Pareto k: fits of one mode, whose draws never see the others."""

import math
from typing import Any

from reports.alarms import K_HAT_ALARM
from reports.modes import mass_error
from reports.runs import Results, median
from reports.section import Cell, Section, plain
from reports.verdicts import Verdict, verdicts

METRIC = "mode_mass_error"
NOTE = (
    "Fits with a density on targets whose modes are known. Mode missed: more than a tenth of the mass in the wrong "
    "mode, beyond noise, as in the other tables. Pareto k looks at draws of q alone: where q gives a mode no mass, no "
    f"draw shows its weight, and k̂ is that of a perfect fit. It rings above {K_HAT_ALARM:g}. Numbers are "
    "medians over seeds."
)


def section(results: Results) -> Section | None:
    """A row for each fit that missed a mode; None where none of the fits could have."""
    judged: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts(results):
        if not math.isnan(verdict.values["k_hat"]) and METRIC in verdict.errors:
            judged.setdefault((verdict.target, verdict.method), []).append(verdict)
    if not judged:
        return None
    rows, numbers = [], []
    for (target, method), of in judged.items():
        missed = [verdict for verdict in of if verdict.errors[METRIC] > 1.0]
        quiet = [verdict for verdict in missed if verdict.values["k_hat"] <= K_HAT_ALARM]
        if missed:
            rows.append(_row(target, method, of, missed, quiet))
            numbers.append(_numbers(target, method, of, missed, quiet))
    every = [verdict for of in judged.values() for verdict in of]
    lost = [verdict for verdict in every if verdict.errors[METRIC] > 1.0]
    silent = sum(verdict.values["k_hat"] <= K_HAT_ALARM for verdict in lost)
    rung = sum(verdict.values["k_hat"] > K_HAT_ALARM for verdict in every) - (len(lost) - silent)
    sentences = [
        f"Of {len(every)} fits of targets with several modes {len(lost)} missed one. Pareto k found nothing wrong with "
        f"{silent} of these; it rang for {rung} of the {len(every) - len(lost)} others."
    ]
    head = ("target", "method", "fits", "mode missed", "of these k̂ silent", "k̂", "mass in the wrong mode")
    return Section("The blind spot of Pareto k", head, rows, sentences, NOTE, numbers)


def _row(target: str, method: str, of: list[Verdict], missed: list[Verdict], quiet: list[Verdict]) -> list[Cell]:
    k_hat, mass = _k_hat(missed), median(mass_error(verdict.run) for verdict in missed)
    counts = (len(of), len(missed), len(quiet))
    return [
        Cell(target),
        Cell(method),
        *(Cell(str(count), str(count)) for count in counts),
        Cell.of(k_hat, f"{k_hat:.2f}"),
        Cell.of(mass, f"{mass:.2f}"),
    ]


def _k_hat(of: list[Verdict]) -> float:
    return median(verdict.values["k_hat"] for verdict in of)


def _numbers(
    target: str, method: str, of: list[Verdict], missed: list[Verdict], quiet: list[Verdict]
) -> dict[str, Any]:
    return {
        "target": target,
        "method": method,
        "fits": len(of),
        "missed": len(missed),
        "silent": len(quiet),
        "k_hat": plain(_k_hat(missed)),
    }

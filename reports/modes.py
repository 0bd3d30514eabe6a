"""What samplers make of several modes, and what their own diagnostics say of it."""

import math
from collections.abc import Iterable
from typing import Any

from reports.alarms import R_HAT_ALARM
from reports.records import METRICS
from reports.runs import Entry, Results, Run, median, number
from reports.section import Cell, Section, plain
from reports.wording import count, significant

METRIC = METRICS["mode_mass_error"]
WRONG = 0.1  # of a mode's mass: an answer that is off by more is of no use

NOTE = (
    "Medians over seeds, with the worst seed in brackets. The mass error is the total variation between the masses of "
    f"the modes and the true ones at the end of the run. Misled: runs whose R-hat is below {R_HAT_ALARM:g} although "
    f"their mass error is above {WRONG:g}; warned: those above both. Starts in known basins use the answer, and show "
    "what R-hat sees."
)


def mass_error(run: Run) -> float:
    """At the end of the run; NaN where there are no draws."""
    error = run.error(METRIC)
    return float(error[-1]) if len(error) else math.nan


def normaliser_error(run: Run) -> float:
    """|estimated - true| log normaliser in nats; NaN where there is none."""
    return abs(number(run.cell["log_normaliser"]) - number(run.cell["true_log_normaliser"]))


def section(results: Results) -> Section | None:
    """A row for each sampler on each target with modes; None without any."""
    entries = [
        entry
        for methods in results.entries.values()
        for entry in methods.values()
        if "mcmc" in entry.tags and any(math.isfinite(mass_error(run)) for run in entry.runs.values())
    ]
    if not entries:
        return None
    head = ("target", "sampler", "mass error", "R-hat", "ESS", "misled", "warned", "log normaliser off by")
    numbers = [_numbers(entry) for entry in entries]
    rows = [_row(entry) for entry in entries]
    return Section("Several modes", head, rows, [_sentence(entry) for entry in entries], NOTE, numbers)


def _row(entry: Entry) -> list[Cell]:
    runs = list(entry.runs.values())
    return [
        Cell(entry.target, entry.target),
        Cell(entry.method, entry.method),
        _spread(map(mass_error, runs)),
        _spread((number(run.cell["r_hat"]) for run in runs), digits=3),
        _spread((number(run.cell["ess_min"]) for run in runs), least=True),
        Cell(f"{misled(runs)} of {len(runs)}", str(misled(runs))),
        Cell(f"{warned(runs)} of {len(runs)}", str(warned(runs))),
        _spread(map(normaliser_error, runs)),
    ]


def _spread(values: Iterable[float], digits: int = 2, least: bool = False) -> Cell:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return Cell("")
    show = count if least else lambda value: significant(value, digits)
    worst = min(known) if least else max(known)
    return Cell.of(median(known), f"{show(median(known))} ({show(worst)})")


def misled(runs: Iterable[Run]) -> int:
    """How many are wrong while R-hat finds nothing."""
    return sum(mass_error(run) > WRONG and number(run.cell["r_hat"]) < R_HAT_ALARM for run in runs)


def warned(runs: Iterable[Run]) -> int:
    """How many are wrong and say so."""
    return sum(mass_error(run) > WRONG and not number(run.cell["r_hat"]) < R_HAT_ALARM for run in runs)


def _numbers(entry: Entry) -> dict[str, Any]:
    runs = list(entry.runs.values())
    columns = {
        "mass_error": [mass_error(run) for run in runs],
        "r_hat": [number(run.cell["r_hat"]) for run in runs],
        "ess_min": [number(run.cell["ess_min"]) for run in runs],
        "log_normaliser_error": [normaliser_error(run) for run in runs],
    }
    said = {
        name: {"median": plain(median(values)), "seeds": list(map(plain, values))} for name, values in columns.items()
    }
    return {"target": entry.target, "sampler": entry.method, **said, "misled": misled(runs), "warned": warned(runs)}


def _sentence(entry: Entry) -> str:
    runs = list(entry.runs.values())
    right = sum(mass_error(run) <= WRONG for run in runs)
    said = f"{entry.method} on {entry.target}: masses right on {right} of {len(runs)} seeds"
    if misled(runs):
        said += f", R-hat misled on {misled(runs)}"
    return said + (f", warned on {warned(runs)}." if warned(runs) else ".")

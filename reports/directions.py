"""What fits make of modes: how much of each they take, and what that costs in either divergence."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from reports import charts
from reports.alarms import K_HAT_ALARM
from reports.modes import mass_error
from reports.records import METRICS
from reports.runs import Entry, Results, Run, median, number
from reports.section import Cell, Section, plain
from reports.wording import significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (10.4, 7.2)
RIGHT = 0.05  # of the mass: modes are covered where no more is in the wrong one
ALPHA = r"$\alpha$"
LEAST = 1e-4  # that the figure shows
SMALL_KL = 1e-4  # nats
GROUPS = (  # of methods in the figure, by tag: the first that fits
    ("mixture", "mixtures", charts.VI[1], "s"),
    ("flow", "flows", charts.VI[2], "D"),
    ("particles", "particles", charts.MCMC[1], "v"),
    ("alpha", "alpha-divergences", charts.VI[0], "^"),
    ("forward-kl", "Gaussians, forward KL", charts.FORWARD, "o"),
    ("", "Gaussians, reverse KL", charts.REVERSE, "o"),
)
NOTE = (
    "At the end of each run. The mass error is the total variation between the masses of the modes under q and under "
    f"the target: median over seeds, with the worst in brackets. Both are covered where it is below {RIGHT:g}. "
    "Divergences in nats are medians; those of particles do not exist. k̂ is the median Pareto k, which rings above "
    f"{K_HAT_ALARM:g}."
)


def section(results: Results) -> Section | None:
    """A row for each fit on each target with modes; None without any."""
    entries = [entry for methods in results.entries.values() for entry in methods.values() if _counts(entry)]
    if not entries:
        return None
    head = ("target", "method", "mass error", "both covered", "KL(q ‖ p)", "KL(p ‖ q)", "k̂", "evaluations", "converged")
    return Section(
        "What fits make of the modes", head, list(map(_row, entries)), [], NOTE, list(map(_numbers, entries))
    )


def _counts(entry: Entry) -> bool:
    return "vi" in entry.tags and any(math.isfinite(mass_error(run)) for run in entry.runs.values())


def _row(entry: Entry) -> list[Cell]:
    runs = list(entry.runs.values())
    masses = [mass_error(run) for run in runs]
    worst = max((mass for mass in masses if not math.isnan(mass)), default=math.nan)
    covered = sum(mass < RIGHT for mass in masses)
    shown = [median(_last(runs, name)) for name in ("kl_reverse", "kl_forward")]
    k_hat = median(number(run.cell["k_hat"]) for run in runs)
    spent = median(_evaluations(run) for run in runs)
    done = sum(run.cell["status"] == "converged" for run in runs)
    return [
        Cell(entry.target),
        Cell(entry.method),
        Cell.of(median(masses), f"{median(masses):.3f} ({worst:.3f})"),
        Cell(f"{covered} of {len(runs)}", str(covered)),
        *(Cell.of(value, significant(value) if value >= SMALL_KL else f"< {SMALL_KL:g}") for value in shown),
        Cell.of(k_hat, f"{k_hat:.2f}"),
        Cell.of(spent, f"{spent:,.0f}"),
        Cell(f"{done} of {len(runs)}", str(done)),
    ]


def _last(runs: Iterable[Run], name: str) -> list[float]:
    return [run.last.get(METRICS[name].name, math.nan) for run in runs]


def _evaluations(run: Run) -> float:
    return sum(run.last.get(name, math.nan) for name in ("gradient_evaluations", "density_evaluations"))


def _numbers(entry: Entry) -> dict[str, Any]:
    runs = list(entry.runs.values())
    return {
        "target": entry.target,
        "method": entry.method,
        "mass_error": [plain(mass_error(run)) for run in runs],
        "covered": sum(mass_error(run) < RIGHT for run in runs),
        "runs": len(runs),
        "kl_reverse": [plain(value) for value in _last(runs, "kl_reverse")],
        "kl_forward": [plain(value) for value in _last(runs, "kl_forward")],
        "k_hat": [plain(number(run.cell["k_hat"])) for run in runs],
    }


def draw(figure: "Figure", results: Results, measured: Section) -> None:
    """Densities and path of the exact optimum above; below, every run in the plane of both divergences and its masses.

    `measured` is what `harness.directions` makes, whose numbers are optima and then densities.
    """
    optima = [row for row in measured.numbers if "mass" in row]
    densities = [row for row in measured.numbers if "density" in row]
    (left, right), (plane, masses) = figure.subplots(2, 2)
    _densities(left, densities)
    _path(right, optima)
    entries = [entry for methods in results.entries.values() for entry in methods.values() if _counts(entry)]
    _plane(plane, optima, entries)
    _masses(masses, entries)


def _densities(axes: "Axes", densities: list[dict[str, Any]]) -> None:
    target = next(row for row in densities if row["alpha"] is None)
    axes.fill_between(target["grid"], target["density"], color=charts.FAINT, label="target")
    shown = [row for row in densities if row["alpha"] is not None]
    for row, (colour, dash) in zip(
        shown,
        ((charts.REVERSE, "-"), (charts.VI[0], "--"), (charts.VI[1], "-."), (charts.FORWARD, "-")),
        strict=False,
    ):
        axes.plot(row["grid"], row["density"], dash, color=colour, label=f"{ALPHA} = {row['alpha']:g}")
    axes.set(title=f"The best Gaussian, {ALPHA} from 0 (reverse) to 1 (forward)", yticks=[], xlabel="along the modes")
    axes.set_ylim(0, 1.25 * max(*target["density"], 0.4))
    axes.legend(loc="upper left")


def _path(axes: "Axes", optima: list[dict[str, Any]]) -> None:
    for best, face, label in ((True, charts.INK, "best"), (False, "white", "other local minima")):
        chosen = [row for row in optima if row["best"] is best]
        at, mean, sd = (np.array([row[key] for row in chosen]) for key in ("alpha", "mean", "sd"))
        axes.errorbar(
            at, mean, yerr=sd, fmt="o", color=charts.INK, markerfacecolor=face, elinewidth=0.8, capsize=2, label=label
        )
    axes.set(title="Every optimum: mean ± sd", xlabel=ALPHA, ylabel="along the modes")
    axes.legend(loc="lower left", bbox_to_anchor=(0.02, 0.24))


def _plane(axes: "Axes", optima: list[dict[str, Any]], entries: list[Entry]) -> None:
    for best, style, label in ((True, "o-", f"the best Gaussian, {ALPHA} from 0 to 1"), (False, "o", "local minima")):
        chosen = [row for row in optima if row["best"] is best]
        x, y = ([max(row[key], SMALL_KL) for row in chosen] for key in ("kl_reverse", "kl_forward"))
        face = charts.QUIET if best else "white"
        axes.plot(x, y, style, color=charts.QUIET, markerfacecolor=face, markersize=3.5, linewidth=1, label=label)
    for name, colour, mark, members in _grouped(entries):
        runs = [run for entry in members for run in entry.runs.values()]
        reverse, forward = ([_shown(v, SMALL_KL) for v in _last(runs, key)] for key in ("kl_reverse", "kl_forward"))
        if np.isfinite(np.add(reverse, forward)).any():
            axes.plot(reverse, forward, mark, color=colour, alpha=0.6, markersize=6, markeredgewidth=0, label=name)
    axes.set(xscale="log", yscale="log", xlabel="KL(q ‖ p), nats", ylabel="KL(p ‖ q), nats", title="Both divergences")
    axes.legend(loc="best", fontsize=8)


def _masses(axes: "Axes", entries: list[Entry]) -> None:
    ordered = [(entry, colour, mark) for _, colour, mark, members in _grouped(entries) for entry in members]
    for row, (entry, colour, mark) in enumerate(reversed(ordered)):
        values = np.array([_shown(mass_error(run), LEAST) for run in entry.runs.values()])
        heights = row + np.linspace(-0.25, 0.25, len(values))
        axes.plot(values, heights, mark, color=colour, alpha=0.7, markersize=4, markeredgewidth=0)
    axes.axvline(RIGHT, color=charts.INK, linewidth=1.0, linestyle="--")
    axes.set(xscale="log", xlabel="mass in the wrong mode, a point a seed", title="Modes covered, left of the line")
    axes.set_yticks(range(len(ordered)), [entry.method for entry, *_ in reversed(ordered)], fontsize=7)


def _shown(value: float, least: float) -> float:
    return max(value, least) if math.isfinite(value) else math.nan


def _grouped(entries: list[Entry]) -> list[tuple[str, str, str, list[Entry]]]:
    """Name, colour, mark and methods of each group that there are any of."""
    groups: Mapping[str, list[Entry]] = {tag: [] for tag, *_ in GROUPS}
    for entry in entries:
        groups[next(tag for tag, *_ in GROUPS if not tag or tag in entry.tags)].append(entry)
    return [(name, colour, mark, groups[tag]) for tag, name, colour, mark in GROUPS if groups[tag]]

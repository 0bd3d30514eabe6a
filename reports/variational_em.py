"""The study of EM, variational EM and VB-EM: the table of what each takes for a point, its bound, and what it loses."""

from collections.abc import Mapping
from typing import Any

from reports.section import Cell, Page, Section
from reports.wording import count, significant

Numbers = Mapping[str, Any]

ROUNDING = 1e-9  # of a bound: what a sweep may lose and still be said to let it rise
NOTE = (
    "All begin from the same rule, and a sweep passes over all rows once. The gap is what the bound lies below the "
    "exact value; the log evidence, by bridge sampling, is that of all orders of components and all rotations of "
    "factors, of which q sees one. Costs are those of a sweep in units of EM's, timed in turn in one process. Means "
    "off: root mean square distance of points, or of means of q, from posterior means, in posterior standard "
    "deviations. The ratio of standard deviations is the median over quantities of q's over the posterior's. Coverage "
    "is that of 90 % intervals of parameters that data were drawn with, over {repetitions} repetitions and all "
    "quantities; points have none."
)


def page(numbers: Numbers) -> Page:
    """The tables of what `harness.variational_em` computed, one a model."""
    models = dict.fromkeys(row["model"] for row in numbers["rows"])
    return Page([_section(model, numbers) for model in models], {})


def _section(model: str, numbers: Numbers) -> Section:
    rows = [row for row in numbers["rows"] if row["model"] == model]
    head = (
        "algorithm", "taken for points", "q(z)", "bound below", "rises", "gap, nats", "sweeps", "cost of a sweep",
        "means off, sd", "sd ratio", "coverage at 90 %",
    )  # fmt: skip
    falls = [row["algorithm"] for row in rows if row["least_gain"] is not None and row["least_gain"] < -ROUNDING]
    told = f"Bounds that fell in a sweep: {', '.join(falls)}." if falls else "No bound fell in any sweep."
    return Section(
        f"EM and its kin: {model}", head, [_row(row) for row in rows], [told], NOTE.format(**numbers), rows, 4
    )


def _row(row: Numbers) -> list[Cell]:
    gap = row["gap"]
    error = f" ± {significant(row['gap_error'])}" if row["gap_error"] else ""
    return [
        Cell(row["algorithm"]),
        Cell(row["points"]),
        Cell(row["latent"]),
        Cell(row["below"]),
        Cell("" if row["least_gain"] is None else "yes" if row["least_gain"] >= -ROUNDING else "no"),
        Cell("" if gap is None else ("0" if abs(gap) < ROUNDING * abs(row["bound"]) else significant(gap, 3)) + error),
        Cell("" if row["sweeps"] is None else count(row["sweeps"])),
        Cell.of(row["cost"], significant(row["cost"])),
        Cell.of(row["off"], significant(row["off"])),
        Cell.of(row["sd_ratio"], significant(row["sd_ratio"])),
        Cell("none" if row["sd_ratio"] == 0 else f"{row['coverage']:.0%}"),
    ]

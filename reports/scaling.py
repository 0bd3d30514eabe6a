"""The study of cost: a table of each series with its slope, and a picture of them all."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reports.charts import FAINT, INK, MCMC, QUIET, VI
from reports.figures import picture
from reports.section import Cell, Page, Section
from reports.wording import significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = Mapping[str, Any]

NOTE = (
    "Medians of {repeats} timings, one size a process, compiled before. The peak is what the process held at "
    "most beyond what it held before the data were made; pages of memory maps count until they are let go. "
    "The slope is that of log seconds over log size, with its standard error, over sizes that take a millisecond."
)
COLOURS = (*VI, *MCMC, INK, QUIET)


def page(numbers: Numbers) -> Page:
    """Tables and the picture of what `harness.scaling` computed."""
    sections = [_section(series, numbers["repeats"]) for series in numbers["series"] if series["rows"]]
    return Page(sections, {"scaling": picture(lambda figure: draw(figure, numbers["series"]), (11.0, 6.4))})


def _section(series: Numbers, repeats: int) -> Section:
    variable = series["variable"]
    rows = [
        [
            Cell.of(row["size"], f"{row['size']:,}"),
            Cell.of(row["seconds"], significant(1000 * row["seconds"], 3)),
            Cell.of(row["peak_bytes"], f"{row['peak_bytes'] / 2**20:,.0f}"),
        ]
        for row in series["rows"]
    ]
    sentences = [f"{size} {variable} were not measured: {why}." for size, why in series["failures"].items()]
    if series["slope"] is not None:
        error = "" if series["slope_error"] is None else f" ± {series['slope_error']:.2f}"
        sentences.insert(0, f"The cost grows with slope {series['slope']:.2f}{error} in {variable}.")
    return Section(
        f"{series['name'].capitalize()}: {series['unit']} by {variable}",
        (variable, f"ms of a {series['unit']}", "peak MiB"),
        rows,
        sentences,
        NOTE.format(repeats=repeats),
        [dict(row) for row in series["rows"]],
        labels=0,
    )


def draw(figure: "Figure", series: list[Numbers]) -> None:
    """Seconds over data on the left, over what else grows on the right."""
    data = [each for each in series if each["variable"] in ("rows", "documents")]
    others = [each for each in series if each["variable"] not in ("rows", "documents")]
    panels = [(data, "rows or documents"), (others, "features, components or topics")]
    shown = [panel for panel in panels if panel[0]]
    for axes, panel in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        _panel(axes, *panel)


def _panel(axes: "Axes", series: list[Numbers], label: str) -> None:
    for colour, each in zip(COLOURS, series, strict=False):
        slope = "" if each["slope"] is None else f" (slope {each['slope']:.2f})"
        name = f"{each['name']}: {each['unit']} by {each['variable']}{slope}"
        sizes, seconds = ([row[key] for row in each["rows"]] for key in ("size", "seconds"))
        axes.plot(sizes, seconds, "o-", color=colour, markersize=4, linewidth=1.4, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(label)
    axes.set_ylabel("seconds")
    axes.grid(color=FAINT, linewidth=0.6)
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)

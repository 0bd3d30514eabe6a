"""The verdict of a check: one HTML file that works offline, with a reason for each finding and pictures."""

import base64
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from reports import charts
from reports.figures import picture
from reports.page import TEMPLATES
from reports.records import RecordsError, write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (6.4, 3.6)


class Line(TypedDict):
    """A finding: whether it holds, what it is, one line of reasons, and the numbers of its picture, which may be none.

    `drawn` has a `kind`. 'gradient': `scales` and `errors`, as many, and the `tolerance`. 'quantiles': those of the
    truth (`exact`) and of a method (`found`, the median over `runs`, between `low` and `high`). 'samplers': those of
    the truth, and `lines`, the same by the name of each sampler.
    """

    ok: bool
    what: str
    detail: str
    drawn: Mapping[str, Any]


def write(subjects: Mapping[str, Sequence[Line]], path: str | os.PathLike[str], command: str = "") -> Path:
    """Write the page on what was checked, by name, to `path`, whole or not at all.

    Raises:
        RecordsError: the file cannot be written.
    """
    import jinja2

    out = Path(path)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("verdict.html.j2").render(
        css=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
        command=command,
        right=all(line["ok"] for lines in subjects.values() for line in lines),
        subjects=[
            {
                "name": name,
                "wrong": sum(not line["ok"] for line in lines),
                "lines": sorted(lines, key=lambda line: line["ok"]),
                "pictures": [_picture(line) for line in lines if line["drawn"]],
            }
            for name, lines in subjects.items()
        ],
    )
    try:
        write_atomically(out, page.encode())
    except OSError as error:
        raise RecordsError(f"{out} cannot be written: {error.strerror or error}") from error
    return out


def _picture(line: Line) -> dict[str, str]:
    svg = picture(lambda figure: _DRAW[line["drawn"]["kind"]](figure, line["drawn"]), SIZE)
    return {"title": line["what"], "source": "data:image/svg+xml;base64," + base64.b64encode(svg).decode()}


def _gradient(figure: "Figure", drawn: Mapping[str, Any]) -> None:
    axes: Axes = figure.subplots()
    shown = [max(error, 1e-17) for error in drawn["errors"]]
    axes.loglog(drawn["scales"], shown, marker="o", color=charts.VI[0], label="largest relative error")
    axes.axhline(drawn["tolerance"], color=charts.INK, linestyle="--", linewidth=1.2, label="allowed")
    axes.set(
        xlabel="distance from the middle of the density, relative to draws or starting points",
        ylabel="relative error",
        title="The gradient against finite differences",
    )
    axes.legend(loc="best")


def _quantiles(figure: "Figure", drawn: Mapping[str, Any]) -> None:
    axes: Axes = figure.subplots()
    _diagonal(axes, drawn["exact"])
    axes.fill_between(drawn["exact"], drawn["low"], drawn["high"], color=charts.FORWARD, alpha=0.25, linewidth=0)
    axes.plot(drawn["exact"], drawn["found"], color=charts.FORWARD, label=f"median and range of {drawn['runs']} runs")
    axes.set(xlabel="quantile of the truth", ylabel="quantile found", title="The first coordinate")
    axes.legend(loc="best")


def _samplers(figure: "Figure", drawn: Mapping[str, Any]) -> None:
    axes: Axes = figure.subplots()
    _diagonal(axes, drawn["exact"])
    for number, (name, line) in enumerate(drawn["lines"].items()):
        axes.plot(drawn["exact"], line, color=charts.MCMC[number], linestyle=("-", ":")[number % 2], label=name)
    axes.set(xlabel="quantile of the truth", ylabel="quantile found", title="The coordinate that differs most")
    axes.legend(loc="best")


def _diagonal(axes: "Axes", exact: Sequence[float]) -> None:
    axes.plot(exact, exact, color=charts.INK, linestyle="--", linewidth=1.2, label="the truth")


_DRAW = {"gradient": _gradient, "quantiles": _quantiles, "samplers": _samplers}

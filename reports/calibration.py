"""The page on simulation-based calibration: verdicts, and how the ranks of each quantity are distributed.

Of a right method the ranks are uniform: the differences between their distribution and the uniform one stay within the
band, everywhere at once, but for the level (Saeilynoja, Buerkner and Vehtari 2022). A mound of ranks in the middle
means an answer that is too wide, a trough one that is too narrow, a slope one that is off.
"""

import base64
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reports import charts
from reports.figures import picture
from reports.page import TEMPLATES
from reports.records import RecordsError, calibrations, write_atomically
from reports.section import Cell, Section
from reports.wording import count, significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Verdict = Mapping[str, Any]

SHOWN = 12  # quantities that are drawn, the furthest from uniform first
COLUMNS = 4
PANEL = (2.4, 1.9)  # inches
HEAD = ("quantity", "verdict", "mean", "spread", "shape", "score mean", "score sd")
NOTE = (
    "Mean and spread: p values of the normal scores of the ranks, exact. Shape: whether their distribution leaves a "
    "band that it stays within but for the level. Score mean and sd: 0 and 1 for a right answer; if answer and truth "
    "are Gaussian, they say by how many of the answer's own sds it is too low, and how many times too narrow it is."
)


def lines(verdicts: Sequence[Verdict]) -> list[str]:
    """What the terminal is told: a line a method, with reasons."""
    return [line for verdict in verdicts for line in _lines(verdict)]


def write(folder: str | os.PathLike[str]) -> list[Path]:
    """Write `calibration.html` and `calibration.md` about all that was calibrated in a folder.

    Raises:
        RecordsError: nothing was, or a file cannot be written.
    """
    where = Path(folder)
    verdicts = calibrations.read(where)
    if not verdicts:
        raise RecordsError(f"nothing is calibrated in {where}: `crossover calibrate TARGET -o {where}` does it")
    sections = [_section(verdict) for verdict in verdicts]
    text = "\n".join(["# Simulation-based calibration", "", *(section.markdown() for section in sections)])
    written = {where / "calibration.html": _page(verdicts, sections), where / "calibration.md": text}
    for path, content in written.items():
        try:
            write_atomically(path, content.encode())
        except OSError as error:
            raise RecordsError(f"{path} cannot be written: {error.strerror or error}") from error
    return list(written)


def differences(verdict: Verdict) -> bytes:
    """SVG: how many more ranks than expected lie below each point, as a share of all, for the worst quantities."""
    return _panels(verdict, _difference)


def histograms(verdict: Verdict) -> bytes:
    """SVG: histograms of the ranks of the worst quantities."""
    return _panels(verdict, _histogram)


def _lines(verdict: Verdict) -> list[str]:
    said = f"{verdict['method']} on {verdict['target']}: {_word(verdict)} ({', '.join(_facts(verdict))})"
    return [said, *(f"  {reason}" for reason in verdict["reasons"])]


def _word(verdict: Verdict) -> str:
    return "calibrated" if verdict["calibrated"] else "NOT CALIBRATED"


def _facts(verdict: Verdict) -> list[str]:
    """What the verdict rests on."""
    facts = [f"{verdict['repetitions']} repetitions", f"{verdict['failed']} failed"]
    facts += [f"{verdict['capped']} capped by time"] if verdict["capped"] else []
    facts += [f"{verdict['few_effective']} with fewer than 100 effective draws"] if verdict["few_effective"] else []
    return [*facts, f"{count(verdict['evaluations'])} evaluations each"]


def _section(verdict: Verdict) -> Section:
    sentences = [
        f"{_word(verdict)[0].upper()}{_word(verdict)[1:].lower()}: {', '.join(_facts(verdict))}; "
        f"a right method is called wrong with probability {verdict['level']:g} at most.",
        *(f"{each['count']} failed: {each['reason']}" for each in verdict["failures"]),
        *verdict["reasons"],
    ]
    rows = [
        [
            Cell(each["name"]),
            Cell("NOT UNIFORM" if _rejected(each) else "ok"),
            *(Cell.of(each[f"{test}_p"], significant(each[f"{test}_p"])) for test in ("mean", "spread")),
            Cell("leaves its band" if each["shape"] else "within"),
            *(Cell.of(each[f"score_{of}"], f"{each[f'score_{of}']:.2f}") for of in ("mean", "sd")),
        ]
        for each in _worst_first(verdict)
    ]
    return Section(f"{verdict['method']} on {verdict['target']}", HEAD, rows, sentences, NOTE, labels=2)


def _rejected(quantity: Verdict) -> bool:
    return bool(quantity["mean"] or quantity["spread"] or quantity["shape"])


def _worst_first(verdict: Verdict) -> list[Verdict]:
    return sorted(verdict["quantities"], key=lambda each: (not _rejected(each), min(each["mean_p"], each["spread_p"])))


def _page(verdicts: Sequence[Verdict], sections: Sequence[Section]) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("calibration.html.j2").render(
        css=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
        wrong=sum(not verdict["calibrated"] for verdict in verdicts),
        parts=[
            {"verdict": verdict, "section": section, "pictures": _pictures(verdict)}
            for verdict, section in zip(verdicts, sections, strict=True)
        ],
    )


def _pictures(verdict: Verdict) -> list[dict[str, str]]:
    if not verdict["quantities"]:
        return []
    drawn = {
        "Ranks below each point, less what is expected, with the band": differences(verdict),
        "Histograms of the ranks; the line is what is expected": histograms(verdict),
    }
    return [
        {"title": title, "source": "data:image/svg+xml;base64," + base64.b64encode(svg).decode()}
        for title, svg in drawn.items()
    ]


def _panels(verdict: Verdict, draw: Any) -> bytes:
    shown = _worst_first(verdict)[:SHOWN]
    rows = -(-len(shown) // COLUMNS)

    def figure(figure: "Figure") -> None:
        panels = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, quantity in zip(panels, shown, strict=False):
            draw(axes, quantity, verdict, charts.MCMC[0] if _rejected(quantity) else charts.VI[0])
            axes.set_title(quantity["name"], color=charts.MCMC[0] if _rejected(quantity) else charts.INK)
            axes.set(xlim=(0, 1), xticks=(0, 0.5, 1))
        for axes in panels[len(shown) :]:
            axes.set_axis_off()

    return picture(figure, (PANEL[0] * COLUMNS, PANEL[1] * rows))


def _difference(axes: "Axes", quantity: Verdict, verdict: Verdict, colour: str) -> None:
    n, below = sum(quantity["histogram"]), np.asarray(quantity["below"])
    at = np.arange(len(below) + 2) / (len(below) + 1)
    low, high = (_closed(np.asarray(bound) / n) - at for bound in verdict["band"])
    axes.fill_between(at, low, high, color=charts.FAINT, linewidth=0)
    axes.axhline(0.0, color=charts.QUIET, linewidth=0.8)
    axes.plot(at, _closed(below / n) - at, color=colour, linewidth=1.6)


def _closed(shares: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """With the ends, where every distribution is 0 and 1."""
    return np.concatenate([[0.0], shares, [1.0]])


def _histogram(axes: "Axes", quantity: Verdict, verdict: Verdict, colour: str) -> None:  # noqa: ARG001  (as `_difference`)
    counts = np.asarray(quantity["histogram"])
    axes.bar((np.arange(len(counts)) + 0.5) / len(counts), counts, 0.9 / len(counts), color=colour)
    axes.axhline(counts.sum() / len(counts), color=charts.INK, linewidth=1.0, linestyle="--")

"""The page of the chapter's claims, each with its number and its verdict: HTML that works offline, Markdown, JSON."""

import base64
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from reports import charts
from reports.figures import picture
from reports.page import TEMPLATES
from reports.records import RecordsError, write_atomically
from reports.section import Cell, Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (6.4, 3.2)
COLOURS = (charts.VI[0], charts.FORWARD, charts.MCMC[0], charts.INK)
FAR = 1e3  # ratio of the ends of an axis from which it is logarithmic
ALARMS = ("does not hold", "holds only if")
CONDITION = "holds only if"


class Line(TypedDict):
    """A claim and what it came to; `lines` are curves over `at`, which may be none."""

    name: str
    place: str
    says: str
    verdict: str
    number: str
    detail: str
    numbers: Mapping[str, Any]
    lines: Mapping[str, Sequence[float]]
    at: Sequence[float]
    along: str
    up: str


def write(claims: Sequence[Line], folder: str | os.PathLike[str], command: str = "") -> list[Path]:
    """Write claims.html, claims.md and claims.json below `folder`, which is made where it is missing.

    Raises:
        RecordsError: the disk refuses.
    """
    out = Path(folder)
    kept = [
        {key: value for key, value in claim.items() if key not in ("lines", "at", "along", "up")} for claim in claims
    ]
    content = {
        "claims.html": page(claims, command),
        "claims.md": f"# The chapter's claims\n\n{summary(claims)}\n\n{section(claims).markdown()}",
        "claims.json": json.dumps(kept, indent=1, ensure_ascii=False) + "\n",
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in content.items():
            write_atomically(out / name, text.encode())
    except OSError as error:
        raise RecordsError(f"{out} cannot be written: {error.strerror or error}") from error
    return [out / name for name in content]


def summary(claims: Sequence[Line]) -> str:
    """How many came to which verdict."""
    counts = Counter(claim["verdict"] for claim in claims)
    words = {"holds": "hold", CONDITION: "hold under a condition", "does not hold": "do not hold", "not run": "not run"}
    told = (f"{counts[verdict]} {many}" for verdict, many in words.items() if counts[verdict])
    return f"{len(claims)} claims: {', '.join(told)}."


def section(claims: Sequence[Line]) -> Section:
    """The table: where, what, verdict, number."""
    rows = [[Cell(claim["place"]), Cell(claim["says"]), Cell(said(claim)), Cell(claim["number"])] for claim in claims]
    return Section("Claim by claim", ("place", "claim", "verdict", "measured"), rows)


def said(claim: Line) -> str:
    """The verdict, with the condition where it has one: the first sentence of the detail."""
    if claim["verdict"] != CONDITION:
        return claim["verdict"]
    return f"{CONDITION} {claim['detail'].split('. ')[0].rstrip('.')}"


def page(claims: Sequence[Line], command: str) -> str:
    """The whole page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("claims.html.j2").render(
        css=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
        command=command,
        summary=summary(claims),
        claims=[
            {**claim, "alarm": claim["verdict"] in ALARMS, "picture": _picture(claim) if claim["lines"] else ""}
            for claim in claims
        ],
    )


def _picture(claim: Line) -> str:
    svg = picture(lambda figure: _curves(figure, claim), SIZE)
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def _curves(figure: "Figure", claim: Line) -> None:
    axes = figure.subplots()
    for number, (name, values) in enumerate(claim["lines"].items()):
        dashes = ("-", "--", ":", "-.")[number % 4]
        axes.plot(claim["at"], values, color=COLOURS[number % len(COLOURS)], linestyle=dashes, label=name)
    values = [value for line in claim["lines"].values() for value in line]
    if min(values) > 0 and max(values) > FAR * min(values):
        axes.set_yscale("log")
    if min(claim["at"]) > 0 and max(claim["at"]) >= 0.1 * FAR * min(claim["at"]):
        axes.set_xscale("log")
    axes.set(xlabel=claim["along"], ylabel=claim["up"])
    axes.legend(loc="best")

"""The report: one HTML file that works offline, from a folder of results or from a race in memory."""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from reports.records import Folder, Metric, RecordsError, calibrations, open_folder, write_atomically
from reports.section import KEPT, Section, kept

if TYPE_CHECKING:
    import jinja2
    import pandas as pd

    from reports.runs import Results

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
SECTIONS = (
    *("silent", "alarms", "alarms-by-method", "alarms-by-target"),
    *("divergences", "quantities", "quantity-crossovers", "paired"),
)
DIGEST_WITHIN = 400  # characters from the start of a report


class Race(Protocol):
    """A race in memory: the tables of the records. One without `quantities` has none."""

    @property
    def cells(self) -> "pd.DataFrame": ...

    @property
    def curves(self) -> "pd.DataFrame": ...


def write(source: "str | os.PathLike[str] | Folder | Race", path: str | os.PathLike[str]) -> Path:
    """Write the report on `source` to `path`, whole or not at all; a report that is up to date is left as it is.

    Raises:
        RecordsError: there are no results, or the file cannot be written.
    """
    out = Path(path)
    folder = open_folder(source) if isinstance(source, str | os.PathLike) else source
    if isinstance(folder, Folder):
        digest = _digest(folder)
        if _is_current(out, digest):
            return out
        cells, curves, problems = folder.cells(), folder.curves(), folder.damaged
        measured, calibrated = kept(folder.path), calibrations.calibrated(folder.path)
    else:
        cells, curves, problems, digest, measured, calibrated = folder.cells, folder.curves, [], "", {}, {}
    quantities = folder.quantities() if isinstance(folder, Folder) else getattr(folder, "quantities", None)
    if len(cells) > 0:
        page = render(cells, curves, quantities, problems, digest, measured, calibrated)
    elif measured:
        page = without_race(measured, problems, digest)
    else:
        raise RecordsError("there are no finished cells to report on")
    try:
        write_atomically(out, page.encode())
    except OSError as error:
        raise RecordsError(f"{out} cannot be written: {error.strerror or error}") from error
    return out


def render(
    cells: "pd.DataFrame",
    curves: "pd.DataFrame",
    quantities: "pd.DataFrame | None",
    problems: list[str],
    digest: str = "",
    measured: Mapping[str, Section] | None = None,
    calibrated: Mapping[tuple[str, str], bool] | None = None,
) -> str:
    """The page, from the tables; `problems` are lines shown at its top, `measured` sections made elsewhere.

    `calibrated`: see `reports.runs.read`.
    """
    from plotly.offline import get_plotlyjs

    from reports import drawn, efficiency, rows, runs
    from reports.study import TABLES

    results = runs.read(cells, curves, quantities, calibrated)
    looks = _looks(results)
    metrics = results.curves
    numbers = {
        "methods": looks,
        "metrics": {metric.name: _metric(metric) for metric in metrics},
        "targets": [drawn.target_numbers(name, methods, metrics) for name, methods in results.entries.items()],
    }
    return _template("report.html.j2").render(
        rows.page(results),
        digest=digest,
        problems=problems,
        sections=[(name, section) for name in SECTIONS if (section := TABLES[name](results)) is not None],
        measured=measured or {},
        level=efficiency.LEVEL,
        unadjusted={name for name, look in looks.items() if "unadjusted" in look},
        colour={
            name: f"{look['kind']}-{look['index']}{' warm' if look['warm'] else ''}" for name, look in looks.items()
        },
        css=(TEMPLATES / "report.css").read_text(encoding="utf-8") + _swatches(looks),
        js=(TEMPLATES / "report.js").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
        data=_for_script(numbers),
    )


def without_race(measured: Mapping[str, Section], problems: list[str], digest: str = "") -> str:
    """The page of a folder that studies alone were run into."""
    css = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    return _template("measured.html.j2").render(measured=measured, problems=problems, digest=digest, css=css)


def _template(name: str) -> "jinja2.Template":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(name)


def _looks(results: "Results") -> dict[str, dict[str, Any]]:
    """Kind and number of each method: the same colour and symbol all over the report."""
    seen: Counter[str] = Counter()
    looks: dict[str, dict[str, Any]] = {}
    entries = {name: entry for methods in results.entries.values() for name, entry in methods.items()}
    for name, entry in sorted(entries.items()):
        looks[name] = {"kind": entry.kind, "index": seen[entry.kind], "warm": entry.warm_start}
        looks[name] |= {"unadjusted": True} if entry.unadjusted else {}
        seen[entry.kind] += 1
    return looks


def _swatches(looks: dict[str, dict[str, Any]]) -> str:
    shades = {"vi": 8, "mcmc": 8, "oracle": 4, "other": 4}
    rules = ""
    for look in looks.values():
        kind, index = look["kind"], look["index"]
        rules += f".swatch.{kind}-{index}{{--colour:var(--{kind}-{index % shades[kind]})}}"
    return rules


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.name,
        "label": metric.label,
        "perfect": metric.perfect,
        "log": metric.log,
        "ranks": metric.ranks,
    }


def _for_script(numbers: dict[str, Any]) -> str:
    """JSON that cannot end the script element that it stands in."""
    text = json.dumps(numbers, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(folder: Folder) -> str:
    """Changes with the results, and with the code and templates that draw them."""
    state = hashlib.sha256(folder.digest().encode())
    for path in sorted(
        [
            *HERE.rglob("*.py"),
            *TEMPLATES.iterdir(),
            *(folder.path / KEPT).glob("*.json"),
            folder.path / calibrations.FILE,
        ]
    ):
        state.update(path.read_bytes() if path.is_file() else b"")
    return state.hexdigest()


def _is_current(out: Path, digest: str) -> bool:
    if not out.is_file():
        return False
    with out.open(encoding="utf-8", errors="replace") as file:
        said = re.search(r'name="crossover-digest" content="([0-9a-f]+)"', file.read(DIGEST_WITHIN))
    return said is not None and said[1] == digest

"""The pages that a study ends in: tables in Markdown, ready for docs, and their numbers in JSON."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports import (
    blind_spot,
    coverage,
    directions,
    discrete,
    figures,
    modes,
    paired,
    runs,
    scaling,
    tables_of_alarms,
    tables_of_data,
    tables_of_dimension,
    tables_of_divergences,
    tables_of_efficiency,
    tables_of_fits,
    tables_of_quantities,
    topics,
    variational_em,
)
from reports.records import RecordsError, open_folder, write_atomically
from reports.records.calibrations import calibrated
from reports.section import Page, Section, keep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLES: dict[str, Callable[[runs.Results], Section | None]] = {
    "paired": paired.section,
    "modes": modes.section,
    "sampling": tables_of_efficiency.sampling,
    "accuracy": tables_of_efficiency.accuracy,
    "covariance": tables_of_fits.covariance,
    "families": tables_of_fits.families,
    "quantities": tables_of_quantities.errors,
    "quantity-crossovers": tables_of_quantities.crossovers,
    "divergences": tables_of_divergences.section,
    "alarms": tables_of_alarms.alarms,
    "alarms-by-method": tables_of_alarms.methods,
    "alarms-by-target": tables_of_alarms.targets,
    "alarms-by-pair": tables_of_alarms.pairs,
    "silent": tables_of_alarms.silent,
    "directions": directions.section,
    "blind-spot": blind_spot.section,
    "mass-covering": tables_of_dimension.section,
    "data-size": tables_of_data.section,
}

# Figures by name: their size in inches, and what draws them from the results and from what was measured apart.
PICTURES: dict[str, tuple[tuple[float, float], Callable[["Figure", runs.Results, Section], None]]] = {
    "directions": (directions.SIZE, directions.draw),
}

PAGES: dict[str, Callable[[Mapping[str, Any]], Page]] = {  # of studies that are no race
    "discrete": discrete.page,
    "scaling": scaling.page,
    "coverage": coverage.page,
    "variational-em": variational_em.page,
    "topics": topics.page,
}


def inquiry(folder: str | os.PathLike[str], name: str, summary: str, numbers: Mapping[str, Any]) -> list[Path]:
    """Write NAME.md, NAME.json and the pictures of a study that is no race, and keep what a report shows of it.

    Raises:
        RecordsError: it is somebody else's folder, or a file cannot be written.
    """
    where, page = Path(folder), PAGES[name](numbers)
    text = "\n".join(
        [f"# {name}", "", f"{summary[0].upper()}{summary[1:]}.", "", *(s.markdown() for s in page.sections)]
    )
    contents = {
        where / f"{name}.md": text.encode(),
        where / f"{name}.json": (json.dumps({"study": name, "summary": summary, **numbers}) + "\n").encode(),
        **{where / f"{picture}.svg": content for picture, content in page.pictures.items()},
    }
    try:
        open_folder(where, create=True)
        for path, content in contents.items():
            write_atomically(path, content)
        if page.reported is not None:
            keep(where, name, page.reported)
    except OSError as error:
        raise RecordsError(f"{where} cannot be written: {error.strerror or error}") from error
    return list(contents)


def write(
    folder: str | os.PathLike[str],
    name: str,
    summary: str,
    tables: Sequence[str],
    measured: Section | None = None,
    picture: str = "",
) -> list[Path]:
    """Write NAME.md and NAME.json about the records in `folder`, with those of `TABLES` that there is something for.

    The picture of that name in `PICTURES` is written as NAME.svg and NAME.png, and needs something measured. What was
    `measured` apart from the race comes first, and is kept in the folder for its report.

    Raises:
        RecordsError: there are no results, or a file cannot be written.
    """
    where, records = Path(folder), open_folder(folder)
    cells = records.cells()
    if len(cells) == 0:
        raise RecordsError("there are no finished cells to report on")
    results = runs.read(cells, records.curves(), records.quantities(), calibrated(where))
    made = {table: TABLES[table](results) for table in tables}
    if measured is not None:
        made = {"measured": measured, **made}
        keep(where, name, measured)
    found = {table: section for table, section in made.items() if section is not None}
    seeds = len({cell["seed"] for cell in results.cells})
    lines = [f"# {name}", "", f"{summary[0].upper()}{summary[1:]}. {len(results.cells)} cells, {seeds} seeds.", ""]
    if not found:
        lines += ["The tables are in `report.html`.", ""]
    text = "\n".join([*lines, *(section.markdown() for section in found.values())])
    numbers = {
        "study": name,
        "summary": summary,
        "seeds": seeds,
        "tables": {table: {"rows": s.numbers, "sentences": s.sentences} for table, s in found.items()},
    }
    written = {
        where / f"{name}.md": text,
        where / f"{name}.json": json.dumps(numbers, indent=1, allow_nan=False) + "\n",
    }
    drawn = {} if measured is None or not picture else _drawn(picture, results, measured)
    shown = {path: content.encode() for path, content in written.items()}
    shown |= {where / f"{name}.{suffix}": content for suffix, content in drawn.items()}
    for path, content in shown.items():
        write_atomically(path, content)
    return list(shown)


def _drawn(picture: str, results: runs.Results, measured: Section) -> dict[str, bytes]:
    size, draw = PICTURES[picture]
    return figures.pictures(lambda figure: draw(figure, results, measured), size)

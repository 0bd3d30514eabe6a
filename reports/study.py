"""The pages that a study ends in: tables in Markdown, ready for docs, and their numbers in JSON."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from reports import modes, paired, runs, tables_of_alarms, tables_of_efficiency, tables_of_quantities
from reports.records import RecordsError, open_folder, write_atomically
from reports.records.calibrations import calibrated
from reports.section import Section, keep

TABLES: dict[str, Callable[[runs.Results], Section | None]] = {
    "paired": paired.section,
    "modes": modes.section,
    "sampling": tables_of_efficiency.sampling,
    "accuracy": tables_of_efficiency.accuracy,
    "quantities": tables_of_quantities.errors,
    "quantity-crossovers": tables_of_quantities.crossovers,
    "alarms": tables_of_alarms.alarms,
    "alarms-by-method": tables_of_alarms.methods,
    "alarms-by-target": tables_of_alarms.targets,
    "alarms-by-pair": tables_of_alarms.pairs,
    "silent": tables_of_alarms.silent,
}


def write(
    folder: str | os.PathLike[str], name: str, summary: str, tables: Sequence[str], measured: Section | None = None
) -> list[Path]:
    """Write NAME.md and NAME.json about the records in `folder`, with those of `TABLES` that there is something for.

    A table that was `measured` apart from the race comes first, and is kept in the folder for its report.

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
    for path, content in written.items():
        write_atomically(path, content.encode())
    return list(written)

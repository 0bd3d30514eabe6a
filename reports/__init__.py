"""The record format, tables, figures and the report: files in, pictures out."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.page import Race
    from reports.records import Folder

__all__ = ["write"]


def write(source: "str | os.PathLike[str] | Folder | Race", path: str | os.PathLike[str]) -> Path:
    """Write one self-contained HTML report on a folder of results, or on a race in memory; see `reports.page.write`."""
    from reports import page

    return page.write(source, path)

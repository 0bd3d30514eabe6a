"""The record format: columns, metrics, and the folder that results live in. Imports the standard library alone."""

from reports.records.columns import CELLS, CURVES, QUANTITIES, SCHEMA_VERSION, Column
from reports.records.contents import encoded
from reports.records.folder import MARKER, Folder, open_folder, write_atomically
from reports.records.metrics import METRICS, Metric
from reports.records.values import RecordsError

__all__ = [
    "CELLS",
    "CURVES",
    "MARKER",
    "METRICS",
    "QUANTITIES",
    "SCHEMA_VERSION",
    "Column",
    "Folder",
    "Metric",
    "RecordsError",
    "encoded",
    "open_folder",
    "write_atomically",
]

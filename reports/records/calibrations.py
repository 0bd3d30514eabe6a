"""The verdicts of simulation-based calibration in a folder: `calibration.json`, the seam to pages and alarms."""

import json
from pathlib import Path
from typing import Any

from reports.records.folder import write_atomically
from reports.records.values import RecordsError

FILE = "calibration.json"
_NEEDED = ("target", "method", "max_gradients", "calibrated", "quantities", "reasons")

Row = dict[str, Any]


def write(folder: Path, verdicts: list[Row]) -> None:
    """Write all verdicts of a folder.

    Raises:
        RecordsError: the disk refuses.
    """
    path = folder / FILE
    try:
        write_atomically(path, (json.dumps(verdicts, indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise RecordsError(f"{path} cannot be written: {error.strerror or error}") from error


def read(folder: Path) -> list[Row]:
    """The verdicts of a folder, none where nothing was calibrated.

    Raises:
        RecordsError: the file is damaged.
    """
    path = folder / FILE
    try:
        verdicts = json.loads(path.read_bytes())
        if any(name not in verdict for verdict in verdicts for name in _NEEDED):
            raise KeyError
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError) as error:
        raise RecordsError(f"{path} is damaged; run `crossover calibrate` again") from error
    return list(verdicts)


def calibrated(folder: Path) -> dict[tuple[str, str], bool]:
    """Whether each method is calibrated on each target, by their SPECs: of several budgets, with the largest."""
    return {
        (verdict["target"], verdict["method"]): bool(verdict["calibrated"])
        for verdict in sorted(read(folder), key=lambda verdict: verdict["max_gradients"])
    }

"""Log normalisers of posteriordb's posteriors, which its reference draws leave open: bridge sampling from these draws.

They cost seconds, and so are kept in a table beside this file, each with a digest of the data that it is about.
`crossover reference --log-normaliser TARGET` computes them.
"""

import functools
import json
import math
import pathlib
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from targets.bridge import Bridged, bridge
from targets.kernel import Matrix
from targets.options import require
from targets.reference import digest
from targets.target import Target

TABLE = pathlib.Path(__file__).with_name("log_normalisers.json")
UNKNOWN = (math.nan, 0.0)


def known(name: str, data: Matrix) -> tuple[float, float]:
    """The log normaliser and its standard error, where the table has one for these data; else NaN and zero."""
    entry = _table().get(name)
    if entry is None or entry["data_digest"] != digest(data):
        return UNKNOWN
    return float(entry["value"]), float(entry["standard_error"])


@functools.cache
def _table() -> dict[str, Any]:
    return dict(json.loads(TABLE.read_text(encoding="utf-8"))) if TABLE.is_file() else {}


def computed(target: Target) -> Bridged:
    """The log normaliser from the reference draws of a target that `posterior` made.

    Raises:
        UsageError: the target is no posterior of posteriordb.
    """
    truth = target.truth
    require(
        "posteriordb" in target.tags and truth is not None and truth.reference_draws is not None,
        f"{target.label} has no reference draws of posteriordb to compute its log normaliser from",
    )
    assert truth is not None and truth.reference_draws is not None  # noqa: S101
    chains = truth.certificate.details["chains"]
    assert isinstance(chains, int)  # noqa: S101
    draws = truth.reference_draws.reshape(chains, -1, target.dim)
    return bridge(target.log_densities, draws, (), np.random.default_rng(zlib.crc32(target.name.encode())))


def write(found: Iterable[tuple[Target, Bridged]]) -> None:
    """Put what was computed into the table."""
    table = dict(_table())
    for target, bridged in found:
        table[target.name] = {
            "value": round(bridged.value, 6),
            "standard_error": round(bridged.error, 6),
            "data_digest": digest(target.data),
        }
    TABLE.write_text(json.dumps(dict(sorted(table.items())), indent=1) + "\n", encoding="utf-8")
    _table.cache_clear()

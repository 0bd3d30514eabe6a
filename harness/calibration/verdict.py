"""What the ranks of all repetitions say of a method on a model: verdicts, and the numbers that a page draws."""

import math
from collections import Counter
from typing import Any

import numpy as np
from scipy import stats

from reports.records import Folder, calibrations, repetitions
from targets.kernel import Matrix
from targets.options import require
from targets.uniformity import Uniformity, band, below

LEVEL = 0.01  # at which a right method is called wrong, all its quantities together
FAILED_SHARE = 0.05  # of the repetitions: beyond it those that ended say too little of the method
FEWEST = 20  # repetitions with ranks
BINS = 20  # of the histograms
ESS_WARNED = 100.0  # effective draws, below which chains are told of

Row = dict[str, Any]


def require_level(level: float) -> None:
    """Raise UsageError unless it can be one."""
    require(0.0 < level < 1.0, f"level={level:g} is not accepted; it lies between 0 and 1")


def judge(rows: list[Row], quantities: list[str], u: list[list[float] | None], level: float = LEVEL) -> Row:
    """The verdict on one target and method with one budget, from the columns of its repetitions and their ranks."""
    known = np.array([each for each in u if each is not None]).reshape(-1, len(quantities))
    reasons = Counter(row["reason"] for row, each in zip(rows, u, strict=True) if each is None)
    failed, enough = sum(reasons.values()), len(known) >= FEWEST
    uniform = Uniformity.of(known, level) if enough else None
    alarms = [] if uniform is None else uniform.alarms
    ess = [row["ess"] for row in rows if row["ess"] is not None]
    names = ("target", "method", "seed", "max_gradients", "max_seconds")
    return {
        **{name: rows[0][name] for name in names},
        "calibrated": enough and not alarms and failed <= FAILED_SHARE * len(rows),
        "repetitions": len(rows),
        "failed": failed,
        "failures": [{"reason": reason, "count": count} for reason, count in reasons.most_common()],
        "capped": sum(row["status"] == "time cap" for row in rows),
        "few_effective": sum(each < ESS_WARNED for each in ess),
        "least_draws": min((row["draws"] for row in rows if row["draws"]), default=0),
        "evaluations": float(np.median([row["evaluations"] for row in rows])),
        "level": level,
        "reasons": _reasons(len(known), enough, failed, len(rows), quantities, alarms),
        "quantities": [] if uniform is None else _quantities(quantities, known, uniform),
        "band": None if uniform is None else [bound.tolist() for bound in band(len(known), uniform.level)],
    }


def consolidate(folder: Folder, level: float = LEVEL) -> list[Row]:
    """Judge all that the folder holds and write it: `ranks.parquet` and `calibration.json`; returns the verdicts."""
    groups: dict[tuple[Any, ...], list[tuple[Row, list[str], list[float] | None]]] = {}
    for row, quantities, u in repetitions.read_all(folder.path):
        key = tuple(row[name] for name in ("target", "method", "max_gradients", "max_seconds", "seed"))
        groups.setdefault(key, []).append((row, quantities, u))
    repetitions.consolidate(folder)
    verdicts = [
        judge([row for row, *_ in found], found[0][1], [u for *_, u in found], level) for found in groups.values()
    ]
    calibrations.write(folder.path, verdicts)
    return verdicts


def _reasons(
    known: int, enough: bool, failed: int, total: int, quantities: list[str], alarms: list[tuple[str, int]]
) -> list[str]:
    """Why it is not calibrated, in words."""
    found = [] if enough else [f"{known} repetitions have ranks; {FEWEST} are needed"]
    if failed > FAILED_SHARE * total:
        found.append(f"{failed} of {total} fits failed, more than {100 * FAILED_SHARE:g} %")
    by: dict[str, list[str]] = {}
    for test, column in alarms:
        by.setdefault(quantities[column], []).append(test)
    return found + [f"{quantity}: {' and '.join(tests)}" for quantity, tests in by.items()]


def _quantities(names: list[str], u: Matrix, uniform: Uniformity) -> list[Row]:
    """Of each: its tests, how far the answer is off if it is Gaussian, and what is drawn of it."""
    counts = below(u)
    rejected = uniform.rejected
    return [
        {
            "name": name,
            "mean_p": float(uniform.mean[i]),
            "spread_p": float(uniform.spread[i]),
            **{test: bool(rejected[test][i]) for test in rejected},
            **_bias(u[:, i]),
            "below": counts[i].tolist(),
            "histogram": np.histogram(u[:, i], BINS, (0.0, 1.0))[0].tolist(),
        }
        for i, name in enumerate(names)
    ]


def _bias(u: np.ndarray) -> Row:
    """Mean and sd of the normal scores: 0 and 1 for a right answer, more for one that is too low and too narrow."""
    scores = stats.norm.ppf(np.clip(u, 1e-15, 1 - 1e-15))
    return {"score_mean": float(scores.mean()), "score_sd": math.sqrt(float((scores**2).mean()))}

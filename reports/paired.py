"""Warm starts held against the cold start of the same sampler, seed by seed."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports.efficiency import AFTER, ALL, LEVEL
from reports.records import METRICS
from reports.runs import Axis, Entry, Results, Run, median, number
from reports.section import Cell, Section, plain
from reports.statistics import Interval, median_interval, time_to_error
from reports.wording import count, duration, significant

OPTIONS = ("warm_start", "take", "keep", "strength", "rank", "psis", "fit_budget")  # of a warm start, in a SPEC
METRIC = METRICS["second_moment_b2"]
EFFECTIVE = 400.0  # draws, what Vehtari et al. 2021 ask for
FEWEST = 5  # pairs for a verdict: all of them on one side have a chance of 1 in 16
TAKES = ("mean", "draws")
METRICS_TAKEN = ("", "diagonal", "low_rank", "dense", "metric")

NOTE = (
    f"Cold rows: medians over seeds of the evaluations until b² of the second moments is below {LEVEL:g} for good; of "
    f"the evaluations and the seconds to {EFFECTIVE:.0f} effective draws of the worst coordinate, warm-up included, "
    "taking effective draws to grow in proportion to cost; and of effective draws for each thousand evaluations after "
    "warm-up. Warm rows: medians over seeds of the ratio warm over cold of the same seed, with 95 % bootstrap "
    "intervals over the pairs, and on how many seeds the warm start was better and worse (9:1). All costs count the VI "
    "fit, whose own stands apart. A run that failed, or whose R-hat or effective draws say so, never gets there: 0 is "
    "where only the warm start does, ∞ where only the cold one does, and a pair in which neither does is left out. "
    f"Ratios are told apart from one by their interval, from {FEWEST} pairs on."
)


@dataclass(frozen=True)
class Measure:
    """What a run is judged by; `more` where more is better."""

    name: str
    label: str
    of: Callable[[Run], float]
    shown: Callable[[float], str]
    more: bool = False


@dataclass(frozen=True)
class Ratio:
    """Warm over cold, paired by seed.

    Attributes:
        ratio: median with its interval.
        pairs: how many it is of.
        better, worse: on how many seeds the warm start was; equal ones are neither.
        neither: pairs of which neither run got there, or where nothing is known: left out.
    """

    ratio: Interval
    pairs: int
    better: int
    worse: int
    neither: int

    @property
    def verdict(self) -> int:
        """Of a cost: 1 where its interval lies below one, -1 where above, 0 where it holds one or pairs are few."""
        if self.pairs < FEWEST:
            return 0
        return int(self.ratio.high < 1.0) - int(self.ratio.low > 1.0)


@dataclass(frozen=True)
class Pairing:
    """One warm start on one target: `way` says what is taken from which fit."""

    target: str
    sampler: str
    way: str
    fit_evaluations: float
    fit_seconds: float
    ratios: dict[str, Ratio]


def reached(run: Run) -> float:
    """Evaluations from which on b² stays below `LEVEL`; infinite where it never does, NaN where it is undefined."""
    error = run.error(METRIC)
    if not run.failure and len(error) and bool(np.isnan(error).all()):
        return math.nan
    return float(time_to_error([run.trace(METRIC, "evaluations", ALL)], LEVEL)[0])


def effective(run: Run, axis: Axis) -> float:
    """Cost of `EFFECTIVE` effective draws of the worst coordinate, what comes before the draws included."""
    draws = 0.0 if run.failure else number(run.cell["ess_min"], 0.0)
    after = run.total(axis, AFTER)
    return run.total(axis, ALL) - after + EFFECTIVE * after / draws if draws > 0.0 else math.inf


def efficiency(run: Run) -> float:
    """Effective draws of the worst coordinate for each thousand evaluations after warm-up; 0 for a run that failed."""
    spent = run.total("evaluations", AFTER)
    return 1e3 * number(run.cell["ess_min"], 0.0) / spent if spent > 0.0 and not run.failure else 0.0


MEASURES = (
    Measure("evaluations_to_b2", f"evaluations to b² < {LEVEL:g}", reached, count),
    Measure("evaluations_to_ess", f"evaluations to {EFFECTIVE:.0f} ESS", lambda r: effective(r, "evaluations"), count),
    Measure("seconds_to_ess", f"seconds to {EFFECTIVE:.0f} ESS", lambda r: effective(r, "seconds"), duration),
    Measure("efficiency", "ESS per 1000 evaluations", efficiency, significant, more=True),
)


def compare(warm: Mapping[int, float], cold: Mapping[int, float], more: bool = False) -> Ratio:
    """The ratio warm over cold of values by seed, on the seeds that both have.

    An infinite cost is one beyond the budget: a pair with one of them has the ratio 0 or infinity, and one with two has
    none. With `more`, more is better, and zero is what infinity is to costs.
    """
    lost = 0.0 if more else math.inf
    known = [(warm[seed], cold[seed]) for seed in sorted(set(warm) & set(cold))]
    pairs = [(w, c) for w, c in known if not (math.isnan(w) or math.isnan(c) or w == c == lost)]
    ratios = np.array([_over(w, c) for w, c in pairs])
    below, above = int((ratios < 1.0).sum()), int((ratios > 1.0).sum())
    better, worse = (above, below) if more else (below, above)
    return Ratio(median_interval(ratios), len(pairs), better, worse, len(known) - len(pairs))


def _over(warm: float, cold: float) -> float:
    if math.isinf(cold):
        return 0.0
    return math.inf if cold == 0.0 else warm / cold


def pairings(results: Results) -> list[Pairing]:
    """Every warm start whose cold one is on the same target: by target, sampler, and what is taken."""
    found = []
    for target, methods in results.entries.items():
        for name, entry in methods.items():
            cold, way = split(name)
            if way and entry.runs and cold in methods and methods[cold].runs:
                found.append(_pairing(target, cold, way, entry, methods[cold]))
    targets = list(results.entries)
    return sorted(found, key=lambda p: (targets.index(p.target), p.sampler, _order(p.way), p.way))


def _order(way: str) -> tuple[int, int]:
    """Where a way stands in the table: from little to all that is taken."""
    positions, _, metric = way.split(" of ", maxsplit=1)[0].partition("+")
    known = positions in TAKES and metric in METRICS_TAKEN
    return (METRICS_TAKEN.index(metric), TAKES.index(positions)) if known else (len(METRICS_TAKEN), 0)


def _pairing(target: str, sampler: str, way: str, warm: Entry, cold: Entry) -> Pairing:
    cells = [run.cell for run in warm.runs.values()]
    ratios = {m.name: compare(_values(warm, m), _values(cold, m), m.more) for m in MEASURES}
    evaluations, seconds = (
        median([number(cell[f"fit_{axis}"]) for cell in cells]) for axis in ("evaluations", "seconds")
    )
    return Pairing(target, sampler, way, evaluations, seconds, ratios)


def _values(entry: Entry, measure: Measure) -> dict[int, float]:
    return {seed: measure.of(run) for seed, run in entry.runs.items()}


def split(method: str) -> tuple[str, str]:
    """The cold sampler's SPEC of a warm-started one's, and in words what is taken of which fit; '' for a cold one."""
    name, _, inner = method.removesuffix("]").partition("[")
    options = dict(part.split("=", 1) for part in _parts(inner) if "=" in part)
    if "warm_start" not in options:
        return method, ""
    own = ",".join(f"{key}={value}" for key, value in options.items() if key not in OPTIONS)
    more = "".join(f", {key}={options[key]}" for key in OPTIONS[2:] if key in options)
    return f"{name}[{own}]" if own else name, f"{options.get('take', 'mean')} of {options['warm_start']}{more}"


def _parts(inner: str) -> list[str]:
    """What the commas separate that no bracket encloses."""
    parts, depth = [""], 0
    for character in inner:
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def section(results: Results) -> Section | None:
    """The table of all pairings, with a cold row before those of each sampler on each target; None without any."""
    found = pairings(results)
    if not found:
        return None
    rows, numbers, last = [], [], ("", "")
    for pairing in found:
        if (pairing.target, pairing.sampler) != last:
            last = pairing.target, pairing.sampler
            cold = results.entries[pairing.target][pairing.sampler]
            rows.append(_cold_row(cold))
            numbers.append(_cold_numbers(cold))
        rows.append(_row(pairing))
        numbers.append(_numbers(pairing))
    head = ("target", "start", "the fit alone", *(measure.label for measure in MEASURES))
    return Section("Warm starts, paired", head, rows, sentences(found), NOTE, numbers)


def _cold_row(cold: Entry) -> list[Cell]:
    middles = [(m, median(_values(cold, m).values())) for m in MEASURES]
    cells = [Cell.of(value, measure.shown(value)) for measure, value in middles]
    return [Cell(cold.target, cold.target), Cell(f"{cold.method}, cold"), Cell(""), *cells]


def _cold_numbers(cold: Entry) -> dict[str, Any]:
    values = {m.name: plain(median(_values(cold, m).values())) for m in MEASURES}
    return {"target": cold.target, "sampler": cold.method, "start": "cold", "seeds": len(cold.runs), **values}


def _row(pairing: Pairing) -> list[Cell]:
    fit = f"{count(pairing.fit_evaluations)}, {duration(pairing.fit_seconds)}"
    cells = [_ratio(pairing.ratios[measure.name]) for measure in MEASURES]
    start = f"{pairing.sampler}, {pairing.way}"
    return [Cell(pairing.target, pairing.target), Cell(start), Cell.of(pairing.fit_evaluations, fit), *cells]


def _ratio(found: Ratio) -> Cell:
    value, low, high = (significant(v) for v in (found.ratio.value, found.ratio.low, found.ratio.high))
    return Cell.of(found.ratio.value, f"{value} [{low}, {high}] {found.better}:{found.worse}")


def _numbers(pairing: Pairing) -> dict[str, Any]:
    ratios = {
        name: {
            "ratio": plain(found.ratio.value),
            "low": plain(found.ratio.low),
            "high": plain(found.ratio.high),
            "pairs": found.pairs,
            "better": found.better,
            "worse": found.worse,
            "neither": found.neither,
        }
        for name, found in pairing.ratios.items()
    }
    fit = {"fit_evaluations": plain(pairing.fit_evaluations), "fit_seconds": plain(pairing.fit_seconds)}
    return {"target": pairing.target, "sampler": pairing.sampler, "start": pairing.way, **fit, **ratios}


def sentences(found: list[Pairing]) -> list[str]:
    """For each sampler and way, on which targets it saves, costs, or makes no difference that these seeds show."""
    lines = []
    for sampler, way in dict.fromkeys((pairing.sampler, pairing.way) for pairing in found):
        mine = [pairing for pairing in found if (pairing.sampler, pairing.way) == (sampler, way)]
        said = (f"{measure.label} {_verdict(mine, measure.name)}" for measure in MEASURES[:2])
        lines.append(f"{sampler}, {way}: {'; '.join(said)}.")
    return lines


def _verdict(mine: list[Pairing], name: str) -> str:
    known = [p for p in mine if not math.isnan(p.ratios[name].ratio.value)]
    if not known:
        return "cannot be compared"
    of = {v: [p for p in known if p.ratios[name].verdict == v] for v in (1, -1, 0)}
    parts = [f"fewer on {len(of[1])} of {len(known)} targets{_named(of[1], name)}"]
    parts += [f"more on {len(of[-1])}{_named(of[-1], name)}"] if of[-1] else []
    parts += [f"not told apart from a cold start's on {len(of[0])}{_named(of[0], name)}"] if of[0] else []
    return ", ".join(parts)


def _named(mine: list[Pairing], name: str) -> str:
    listed = ", ".join(f"{p.target} {significant(p.ratios[name].ratio.value)}" for p in mine)
    return f" ({listed})" if listed else ""

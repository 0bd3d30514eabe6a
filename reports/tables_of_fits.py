"""The tables of fits: what full-rank methods pay for a covariance, and what richer families gain."""

import math
import re
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from reports.efficiency import shown
from reports.records import METRICS
from reports.runs import Entry, Ledger, Results, Run
from reports.section import Cell, Section, plain
from reports.statistics import Crossover, Interval, final_error, median_interval, reaches
from reports.wording import count, significant

LEVEL = 0.01  # nats of `covariance_error`
COVARIANCE = "covariance_error"
GRID = re.compile(r"step=[^,\]]+,?")  # the option of a grid of step sizes, of which the best counts
AGAINST = "bam"  # what the others are held against
NESTS = (  # by tags: the second family holds the first
    ("meanfield", "lowrank"),
    ("meanfield", "structured"),
    ("lowrank", "fullrank"),
    ("structured", "fullrank"),
    ("fullrank", "flow"),
)
ALL = Ledger()
COLUMNS = {
    "kl_reverse": "KL(q‖p)",
    "mean_error_worst": "error of the mean, worst (sd)",
    "centred_b2_worst": "centred b², worst",
    "sd_ratio_worst": "ratio of sds, worst",
}

COVARIANCE_NOTE = (
    "Evaluations of gradients and densities from which on the seed-median covariance error, the divergence of the "
    f"Gaussian with q's moments from the one with p's, stays below {LEVEL:g} nats; searches for a mode are included. "
    "Checkpoints are a factor apart, and costs rounded up to the next. Brackets are 95 % bootstrap intervals over "
    "seeds. Of methods that differ in their step size alone, sentences name the best."
)
FAMILIES_NOTE = (
    "At the end of the run: medians over seeds, with 95 % bootstrap intervals. KL(q‖p) is the log normaliser less the "
    "bound. Its noise is the 95 % half-width of one estimate; the standard error of the log normaliser, which follows "
    "it, is the same for all methods. The ratio of sds, q's over p's, is that furthest from one. The order that nested "
    "families should have is that of KL(q‖p); none is expected of the errors of moments."
)


def covariance(results: Results) -> Section | None:
    """A row for each VI method with a dense covariance; None where no covariance error is known."""
    rows, numbers, sentences = [], [], []
    for target, methods in results.entries.items():
        found = {name: _cost(entry) for name, entry in methods.items() if _has(entry, COVARIANCE)}
        for name, cost in found.items():
            last = final_error(list(methods[name].traces(METRICS[COVARIANCE], "evaluations", ALL).values()))
            rows.append([Cell(target), Cell(name), _shown(cost), _ended(methods[name]), _interval(last)])
            numbers.append({"target": target, "method": name, "cost": _plain(cost.cost), "last": _plain(last)})
        sentences += _against(target, {name: cost.cost for name, cost in _best_of_grid(found).items()})
    if not rows:
        return None
    head = ("target", "method", f"evaluations to {LEVEL:g} nats", "ended", "covariance error at the end")
    return Section("What a covariance costs", head, rows, sentences, COVARIANCE_NOTE, numbers)


def _has(entry: Entry, metric: str) -> bool:
    """Whether it is a fit that may be timed, with that metric known somewhere."""
    fit = "vi" in entry.tags and not entry.oracle
    return fit and any(len(each) and not all(map(math.isnan, each)) for each in _curves(entry, metric))


def _curves(entry: Entry, metric: str) -> list[Any]:
    return [run.curves[metric] for run in entry.runs.values()]


def _cost(entry: Entry) -> Crossover:
    return reaches(entry.traces(METRICS[COVARIANCE], "evaluations", ALL), LEVEL)


def _best_of_grid(found: Mapping[str, Crossover]) -> dict[str, Crossover]:
    """The costs by method, with the least where methods differ in their step alone."""
    best: dict[str, tuple[str, Crossover]] = {}
    for name, cost in found.items():
        key = GRID.sub("", name).replace(",]", "]").replace("[]", "")
        if key not in best or cost.cost.value < best[key][1].cost.value:
            best[key] = (name, cost)
    return dict(best.values())


def _against(target: str, costs: Mapping[str, Interval]) -> list[str]:
    """What `AGAINST` needs, as a share of what the others need."""
    if AGAINST not in costs or not math.isfinite(costs[AGAINST].value):
        return []
    own = costs[AGAINST].value
    said = []
    begun = f"{AGAINST} needs {count(own)} evaluations on {target}"
    for name, cost in costs.items():
        if name != AGAINST and math.isfinite(cost.value):
            said.append(f"{begun}, {significant(own / cost.value)} times those of {name}.")
        elif name != AGAINST:
            said.append(f"{begun}; {name} does not get there.")
    return said


def families(results: Results) -> Section | None:
    """A row for each fit with a divergence; None without any. Sentences say whether richer families are nearer."""
    rows, numbers, sentences = [], [], []
    for target, methods in results.entries.items():
        fits = {name: entry for name, entry in methods.items() if _has(entry, "kl_reverse")}
        for name, entry in fits.items():
            found = {metric: _last(entry, metric) for metric in COLUMNS}
            noise = _largest(run.last.get("kl_reverse_sampling_floor", math.nan) for run in entry.runs.values())
            known = _largest(run.last.get("kl_reverse_reference_floor", math.nan) for run in entry.runs.values())
            shown_noise = f"{significant(noise)}, {significant(known)}"
            cells = [_interval(found[metric]) for metric in COLUMNS]
            rows.append([Cell(target), Cell(name), cells[0], Cell.of(noise, shown_noise), *cells[1:], _ended(entry)])
            numbers.append(
                {"target": target, "method": name, "noise": plain(noise), "log_normaliser_error": plain(known)}
                | {metric: _plain(each) for metric, each in found.items()}
            )
        sentences += [_nested(target, *pair) for pair in _pairs(fits)]
    if not rows:
        return None
    divergence, *others = COLUMNS.values()
    head = ("target", "method", divergence, "noise, of log Z", *others, "ended")
    return Section("What richer families gain", head, rows, sentences, FAMILIES_NOTE, numbers)


def _last(entry: Entry, metric: str) -> Interval:
    return median_interval([run.last.get(metric, math.nan) for run in entry.runs.values() if not run.failure])


def _pairs(fits: Mapping[str, Entry]) -> list[tuple[Entry, Entry]]:
    """Fits under the reverse KL whose families are nested, the poorer one first."""
    direct = [entry for entry in fits.values() if "reverse-kl" in entry.tags]
    return [(a, b) for a, b in product(direct, direct) if any(p in a.tags and r in b.tags for p, r in NESTS)]


def _nested(target: str, poorer: Entry, richer: Entry) -> str:
    """Whether the divergence is no larger in the richer family, seed by seed, beyond the noise of two estimates."""
    seeds = sorted(set(poorer.runs) & set(richer.runs))
    pairs = [(poorer.runs[seed], richer.runs[seed]) for seed in seeds]
    change = median_interval([_divergence(b) - _divergence(a) for a, b in pairs])
    noise = _largest(math.hypot(_noise(a), _noise(b)) for a, b in pairs)
    verdict = "not more" if change.value <= noise else "MORE"
    if math.isnan(change.value):
        verdict = "unknown"
    return (
        f"{target}: from {poorer.method} to {richer.method} KL(q‖p) changes by {significant(change.value)} "
        f"[{significant(change.low)}, {significant(change.high)}] nats, noise {significant(noise)}: {verdict}."
    )


def _divergence(run: Run) -> float:
    return run.last.get("kl_reverse", math.nan)


def _noise(run: Run) -> float:
    return run.last.get("kl_reverse_sampling_floor", math.nan)


def _largest(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return max(known, default=math.nan)


def _ended(entry: Entry) -> Cell:
    """How many runs ended in each way."""
    said = [str(run.cell["status"]) for run in entry.runs.values()]
    return Cell(", ".join(f"{said.count(each)} {each}" for each in sorted(set(said))))


def _shown(cost: Crossover) -> Cell:
    said = shown(cost)
    return Cell(f"{said['text']} {said['interval']}".strip(), said["sort"])


def _interval(found: Interval) -> Cell:
    return Cell.of(found.value, f"{significant(found.value)} [{significant(found.low)}, {significant(found.high)}]")


def _plain(found: Interval) -> dict[str, Any]:
    return {"value": plain(found.value), "low": plain(found.low), "high": plain(found.high)}

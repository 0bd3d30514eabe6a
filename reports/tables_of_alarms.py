"""Alarms against the truth, as tables: when a method says that it fails, and when it silently lies."""

from collections import Counter
from collections.abc import Callable, Mapping

from reports.alarms import ESS_ALARM, FLOORS, TOLERANCES
from reports.runs import Results
from reports.section import Cell, Section
from reports.verdicts import Finding, Key, Verdict, by_alarm, tally, verdicts
from reports.wording import ranges, significant

COUNTS = (Finding.HIT, Finding.SILENT, Finding.FALSE, Finding.QUIET)
HEAD = ("cells", *COUNTS, "wrong and heard", "right and quiet")
REST = (Finding.FAILED, Finding.UNKNOWN)
NOTE = (
    f"A cell is wrong where, at its end, the mean of some coordinate is off by more than {TOLERANCES[0].limit:g} sd, "
    f"an sd is not within a factor of 1.25 of the true one, or more than {TOLERANCES[2].limit:g} of the mass is in the "
    f"wrong mode, and where that error is also beyond {FLOORS:g} times what the reference's error and the noise of "
    f"the effective draws claimed (of at least {ESS_ALARM:.0f}) make of a right answer. A failed run gave no answer, "
    "and said so."
)
SILENT_NOTE = "Wrong at the end, and no alarm rang: by the largest error over what is tolerated."


def alarms(results: Results) -> Section | None:
    """Each alarm by itself: a row for each that any cell has the diagnostic of; None without a cell to judge."""
    of = verdicts(results)
    rows, numbers = [], []
    for alarm, counts in by_alarm(of):
        if sum(counts[finding] for finding in COUNTS):
            rows.append([Cell(alarm.label), Cell(alarm.meaning), *_cells(counts)])
            numbers.append({"alarm": alarm.name, **_numbers(counts)})
    total = Counter(verdict.finding for verdict in of)
    if not sum(total[finding] for finding in COUNTS):
        return None
    rows.append([Cell("any of them"), Cell(""), *_cells(total)])
    numbers.append({"alarm": "any", **_numbers(total)})
    wrong, right = total[Finding.HIT] + total[Finding.SILENT], total[Finding.FALSE] + total[Finding.QUIET]
    sentences = [
        f"{wrong} of {wrong + right} answers are wrong. Of these {total[Finding.HIT]} said so, "
        f"and {total[Finding.SILENT]} lied silently.",
        f"Of the {right} right answers {total[Finding.FALSE]} rang an alarm.",
        f"{total[Finding.FAILED]} more runs failed and gave no answer; of {total[Finding.UNKNOWN]} no truth is known.",
    ]
    return Section("Alarms against the truth", ("alarm", "limit", *HEAD), rows, sentences, NOTE, numbers)


def methods(results: Results) -> Section | None:
    """All alarms together, a row a method."""
    return _by(results, "Alarms by method", lambda verdict: (verdict.method,), ("method",))


def targets(results: Results) -> Section | None:
    """All alarms together, a row a target."""
    return _by(results, "Alarms by target", lambda verdict: (verdict.target,), ("target",))


def pairs(results: Results) -> Section | None:
    """All alarms together, a row a target and method."""
    return _by(results, "Alarms by target and method", lambda v: (v.target, v.method), ("target", "method"))


def silent(results: Results) -> Section | None:
    """The runs that lied: target, method, seeds, and how wrong; None where there are none."""
    found: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts(results):
        if verdict.finding is Finding.SILENT:
            found.setdefault((verdict.target, verdict.method), []).append(verdict)
    if not found:
        return None
    rows, numbers = [], []
    for (target, method), of in found.items():
        worst = max(of, key=lambda verdict: max(verdict.errors.values()))
        seeds, size = sorted(verdict.run.seed for verdict in of), max(worst.errors.values())
        rows.append(
            [
                Cell(target),
                Cell(method),
                Cell(ranges(seeds)),
                Cell(worst.worst, f"{size:.6g}" if size < float("inf") else "1e999"),
                Cell.of(size, f"{significant(size)} times"),
            ]
        )
        numbers.append({"target": target, "method": method, "seeds": seeds, "worst": worst.worst})
    head = ("target", "method", "seeds", "worst error", "over what is tolerated")
    return Section("Silently wrong", head, rows, [], SILENT_NOTE, numbers, labels=4)


def _by(results: Results, title: str, key: Callable[[Verdict], Key], names: Key) -> Section | None:
    of = verdicts(results)
    if not any(verdict.errors for verdict in of):
        return None
    counts = tally(of, key)
    rows = [
        [*map(Cell, parts), *_cells(found), *(_count(found, rest) for rest in REST)] for parts, found in counts.items()
    ]
    numbers = [
        {**dict(zip(names, parts, strict=True)), **_numbers(found), **{rest.name.lower(): found[rest] for rest in REST}}
        for parts, found in counts.items()
    ]
    return Section(title, (*names, *HEAD, *REST), rows, [], NOTE, numbers, labels=len(names))


def _cells(counts: Mapping[Finding, int]) -> list[Cell]:
    cells = sum(counts[finding] for finding in COUNTS)
    heard = _share(counts[Finding.HIT], counts[Finding.SILENT])
    quiet = _share(counts[Finding.QUIET], counts[Finding.FALSE])
    return [Cell(str(cells), str(cells)), *(_count(counts, finding) for finding in COUNTS), heard, quiet]


def _count(counts: Mapping[Finding, int], finding: Finding) -> Cell:
    return Cell(str(counts[finding]), str(counts[finding]))


def _share(of: int, rest: int) -> Cell:
    share = of / (of + rest) if of + rest else float("nan")
    return Cell.of(share, f"{100 * share:.0f} %")


def _numbers(counts: Mapping[Finding, int]) -> dict[str, int]:
    return {finding.name.lower(): counts[finding] for finding in COUNTS}

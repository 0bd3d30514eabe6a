"""The study of coverage: a table for each model, of the intervals of fits and of chains."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from reports.section import Cell, Page, Section
from reports.wording import significant, sortable

Numbers = Mapping[str, Any]

NORMAL = 1.959964  # the 97.5 % quantile of the normal distribution
NOTE = (
    "Of {repetitions} repetitions with parameters drawn from the prior, the share whose central interval held the true "
    "value, with its 95 % binomial interval (Wilson). VB-EM is the best of {starts} starts by its bound; Gibbs makes "
    "{sweeps:,} sweeps. The ratio of standard deviations is the median over repetitions."
)


def page(numbers: Numbers) -> Page:
    """The tables of what `harness.coverage` computed."""
    summary = _summary(numbers)
    return Page([summary, *(_case(case, numbers) for case in numbers["cases"])], {}, reported=summary)


def wilson(held: int, of: int) -> tuple[float, float]:
    """95 % interval of a probability (Wilson 1927)."""
    share, square = held / of, NORMAL**2 / of
    half = NORMAL * math.sqrt(share * (1 - share) / of + square / (4 * of))
    return (share + 0.5 * square - half) / (1 + square), (share + 0.5 * square + half) / (1 + square)


def _summary(numbers: Numbers) -> Section:
    rows = []
    for case in numbers["cases"]:
        ratios = [quantity["sd_ratio"] for quantity in case["quantities"]]
        rows.append(
            [
                Cell(case["name"]),
                Cell("yes" if case["exact"] else "no"),
                *(_extremes(case, numbers, method, level) for level in range(2) for method in ("fit", "chains")),
                Cell(f"{min(ratios):.2f} to {max(ratios):.2f}", sortable(min(ratios))),
            ]
        )
    head = ("model", "VB-EM is exact", "VB-EM at 50 %", "Gibbs at 50 %", "VB-EM at 90 %", "Gibbs at 90 %", "sd ratio")
    note = f"The least and the largest of a model's quantities. {NOTE.format(**numbers)}"
    title = "Coverage of intervals of VB-EM and of Gibbs"
    return Section(title, head, rows, _sentences(numbers), note, [dict(case) for case in numbers["cases"]])


def _sentences(numbers: Numbers) -> list[str]:
    """Of all models: how many intervals hold the truth too rarely, and where VB-EM is furthest off."""
    exact, others = ([case for case in numbers["cases"] if case["exact"] is whether] for whether in (True, False))
    told = [
        f"{name}: the interval of the coverage at 90 % leaves out 90 % for {_off(cases, method, numbers)}."
        for name, cases, method in (
            ("VB-EM where it is not exact", others, "fit"),
            ("VB-EM where it is exact", exact, "fit"),
            ("Gibbs", numbers["cases"], "chains"),
        )
        if cases
    ]
    worst = min(
        ((quantity["fit"][1], case, quantity) for case in others for quantity in case["quantities"]),
        key=lambda each: each[0],
        default=None,
    )
    if worst is not None:
        held, case, quantity = worst
        told.append(
            f"90 % intervals of VB-EM are furthest off for {quantity['name']} of {case['name']}: they hold the truth "
            f"in {_share(held, numbers).text}, and its sd is {significant(quantity['sd_ratio'])} of that of Gibbs."
        )
    return told


def _off(cases: Sequence[Numbers], method: str, numbers: Numbers) -> str:
    off = [_misses(quantity[method][1], numbers) for case in cases for quantity in case["quantities"]]
    return f"{sum(off)} of {len(off)} quantities"


def _extremes(case: Numbers, numbers: Numbers, method: str, level: int) -> Cell:
    shares = [quantity[method][level] / numbers["repetitions"] for quantity in case["quantities"]]
    return Cell(f"{min(shares):.0%} to {max(shares):.0%}", sortable(min(shares)))


def _case(case: Numbers, numbers: Numbers) -> Section:
    rows = [
        [
            Cell(quantity["name"]),
            *(_share(quantity[method][level], numbers) for level in range(2) for method in ("fit", "chains")),
            Cell.of(quantity["sd_ratio"], significant(quantity["sd_ratio"], 3)),
        ]
        for quantity in case["quantities"]
    ]
    head = ("quantity", "VB-EM at 50 %", "Gibbs at 50 %", "VB-EM at 90 %", "Gibbs at 90 %", "sd, VB-EM to Gibbs")
    fit, chains = (_off([case], method, numbers) for method in ("fit", "chains"))
    sentences = [
        f"The interval of the coverage at 90 % leaves out 90 % for {fit} of VB-EM, and for {chains} of Gibbs; about "
        "one in twenty is expected of exact ones."
    ]
    return Section(
        f"Coverage of {case['name']}", head, rows, sentences, NOTE.format(**numbers), list(case["quantities"]), 1
    )


def _share(held: int, numbers: Numbers) -> Cell:
    low, high = wilson(held, numbers["repetitions"])
    share = held / numbers["repetitions"]
    return Cell(f"{share:.0%} [{low:.0%}, {high:.0%}]", sortable(share))


def _misses(held: int, numbers: Numbers) -> bool:
    low, high = wilson(held, numbers["repetitions"])
    return not low <= numbers["levels"][1] <= high

"""Numbers and findings in plain words."""

import math

from reports.statistics import Crossover, Interval, Outcome

BEYOND = "beyond the budget"


def duration(seconds: float) -> str:
    """A time with a fitting unit: '12 ms', '0.80 s', '3.4 min', '2.1 h'."""
    if math.isnan(seconds):
        return "unknown"
    if math.isinf(seconds):
        return BEYOND
    if seconds == 0:
        return "0"
    for limit, scale, unit in ((0.001, 1e6, "µs"), (0.1, 1e3, "ms"), (120.0, 1.0, "s"), (7200.0, 1 / 60, "min")):
        if seconds < limit:
            return f"{significant(seconds * scale)} {unit}"
    return f"{significant(seconds / 3600)} h"


def count(number: float) -> str:
    """A number of evaluations: '850', '12.4k', '3.1M'."""
    if math.isnan(number):
        return "unknown"
    if math.isinf(number):
        return BEYOND
    for scale, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= scale:
            return f"{significant(number / scale, 3)}{unit}"
    return f"{number:.0f}"


def significant(value: float, digits: int = 2) -> str:
    """`value` with so many significant digits, without an exponent where that reads well."""
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "-∞"}.get(value, "undefined")
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if not -4 <= magnitude < 6:
        return f"{value:.{digits - 1}e}"
    rounded = round(value, digits - 1 - magnitude)
    return f"{rounded:.{max(digits - 1 - math.floor(math.log10(abs(rounded))), 0)}f}"


def ranges(seeds: list[int]) -> str:
    """Sorted seeds, few of them one by one."""
    return ", ".join(map(str, seeds)) if len(seeds) < 6 else f"{seeds[0]} to {seeds[-1]}, {len(seeds)} of them"


def sortable(value: float) -> str:
    """What a column sorts by: unknown and infinite values come last."""
    return f"{value:.6g}" if math.isfinite(value) else "1e999"


def cost(value: float, axis: str) -> str:
    """A cost on either axis."""
    if axis == "seconds" or not math.isfinite(value):
        return duration(value)
    return f"{count(value)} evaluations"


def bracket(interval: Interval, axis: str) -> str:
    """The interval of a cost, in brackets: '[0.60 s, 1.1 s]'."""
    shown = duration if axis == "seconds" else count
    return f"[{shown(interval.low)}, {shown(interval.high)}]"


def sentence(found: Crossover, vi: str, mcmc: str, axis: str) -> str:
    """What a crossover says about two methods."""
    at = cost(found.cost.value, axis)
    match found.outcome:
        case Outcome.CROSSES:
            return f"{mcmc} overtakes {vi} after {at} {bracket(found.cost, axis)}."
        case Outcome.FIRST:
            return f"{mcmc} is ahead of {vi} from its first answer, after {at} {bracket(found.cost, axis)}."
        case Outcome.CENSORED:
            return f"{mcmc} does not overtake {vi} within the budget of {cost(found.budget, axis)}."
        case Outcome.VI_FAILED if math.isfinite(found.cost.value):
            return f"{vi} gave no answer that counts; {mcmc} has one after {at} {bracket(found.cost, axis)}."
        case Outcome.VI_FAILED:
            return f"Neither {vi} nor {mcmc} gave an answer that counts."
        case Outcome.MCMC_FAILED:
            return f"{mcmc} cannot win: its runs failed or their diagnostics say so."
        case Outcome.NOT_COMPARABLE:
            return f"{mcmc} and {vi} do not share a unit of work: compare their seconds."
        case _:
            return "This error is not defined here."

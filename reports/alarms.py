"""Alarms: what a run says against itself, and what counts as a wrong answer. All thresholds and sources stand here.

An alarm reads a run's diagnostics alone, never the truth. It *rings* beyond `warns`. Beyond `bars` the run cannot be
called the winner: a sampler so barred overtakes nothing, and of a VI method so barred in most of its runs the error
still has to be beaten, but where nothing beats it no winner is named.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

R_HAT_LIMIT = 1.1  # what chains were held to before ranks were normalised (Gelman and Rubin 1992; BDA3, section 11.4)
R_HAT_ALARM = 1.01
STEIN, STEIN_DRAWS = "stein_discrepancy_squared", 500  # the metric, and draws that it looks at
ESS_LIMIT = 50.0  # a standard error of a seventh of a posterior sd
ESS_ALARM = 400.0
K_HAT_ALARM = 0.7
E_BFMI_ALARM = 0.3
DIVERGENT_SHARE = 0.05  # of the draws: docs/alarms.md has what smaller shares would bar
ROUND_TRIPS = 10.0  # fewer independent visits from the reference do not tell how much mass a mode has
LOG_NORMALISER_SPREAD = 1.0  # near the 0.92 that Pitt, Silva, Giordani and Kohn (2012) find best for an estimated log

VEHTARI = "Vehtari et al. 2021"
OURS = "this project's choice"


@dataclass(frozen=True)
class Alarm:
    """One diagnostic with its limits.

    Attributes:
        name: the column of the cells that it reads, or what it is called where it needs more than one.
        label: in tables.
        meaning: what follows "label" in a sentence, such as "above 1.01: chains disagree".
        source: of the limits.
        warns: rings beyond it.
        above: whether beyond is above, rather than below.
        bars: beyond it the run cannot win; None where it only warns.
        digits: of a value as text.
        counted: whether runs are counted, rather than the worst value shown.
    """

    name: str
    label: str
    meaning: str
    source: str
    warns: float
    above: bool = True
    bars: float | None = None
    digits: int = 2
    counted: bool = False

    def value(self, cell: Mapping[str, Any], last: Mapping[str, float]) -> float:
        """What the diagnostic says of a cell with this row, whose curves end in `last`; NaN where it says nothing."""
        derived = _DERIVED.get(self.name)
        return _number(cell.get(self.name)) if derived is None else derived(cell, last)

    def rings(self, value: float) -> bool:
        """Whether the value is beyond what it warns of."""
        return value > self.warns if self.above else value < self.warns

    def barred(self, cell: Mapping[str, Any], last: Mapping[str, float]) -> str:
        """Why the run cannot win, or ''."""
        value = self.value(cell, last)
        if self.bars is None or not (value > self.bars if self.above else value < self.bars):
            return ""
        if self.name == "divergences" and not value > DIVERGENT_SHARE * _number(cell.get("draws")):
            return ""
        return self.reason

    @property
    def reason(self) -> str:
        """What bars a run, in words."""
        return _REASONS.get(self.name, f"{self.label} {'above' if self.above else 'below'} {self.bars:g}")

    def shown(self, value: float) -> str:
        """A value as text."""
        return f"{value:.{self.digits}f}"


ALARMS = (
    Alarm("r_hat", "R-hat", "above 1.01: chains disagree", VEHTARI, R_HAT_ALARM, bars=R_HAT_LIMIT),
    Alarm("ess_min", "ESS", "below 400: too few effective draws", VEHTARI, ESS_ALARM, False, ESS_LIMIT, 0),
    Alarm("ess_square_min", "ESS of x²", "below 400: variances are not known", VEHTARI, ESS_ALARM, False, digits=0),
    Alarm("ess_tail_min", "tail ESS", "below 400: quantiles are not known", VEHTARI, ESS_ALARM, False, digits=0),
    Alarm(
        "divergences",
        "divergences",
        "after warm-up: the sampler left out a region",
        f"Betancourt 2017; barred beyond {100 * DIVERGENT_SHARE:g} % of the draws, {OURS}",
        0.0,
        bars=0.0,
        digits=0,
    ),
    Alarm(
        "e_bfmi",
        "E-BFMI",
        "below 0.3: momenta are resampled too little for the tails",
        "Betancourt 2016",
        E_BFMI_ALARM,
        False,
    ),
    Alarm(
        "k_hat",
        "Pareto k",
        "above 0.7: importance weights of q are unreliable",
        "Vehtari et al. 2024; Yao et al. 2018",
        K_HAT_ALARM,
        bars=K_HAT_ALARM,
    ),
    Alarm(
        "not_converged",
        "not converged",
        "a VI fit whose budget ended first",
        "its own stopping rule",
        0.5,
        bars=0.5,
        digits=0,
        counted=True,
    ),
    Alarm(
        "warming_up",
        "warm-up unfinished",
        "a sampler whose budget ended before it",
        OURS,
        0.5,
        bars=0.5,
        digits=0,
        counted=True,
    ),
    Alarm(
        "log_normaliser_error",
        "spread of log Z",
        "standard error above 1 nat: populations or systems disagree",
        "Pitt et al. 2012",
        LOG_NORMALISER_SPREAD,
    ),
    Alarm("round_trips", "round trips", "below 10 on the ladder of temperatures", OURS, ROUND_TRIPS, False, digits=0),
    Alarm(
        STEIN,
        "KSD",
        "above the 95 % quantile of as many effective draws",
        "Gorham and Mackey 2017",
        1.0,
    ),
    Alarm(
        "sbc",
        "SBC",
        "not calibrated: over simulated data the ranks of prior draws are not uniform",
        "Talts et al. 2018",
        0.5,
        digits=0,
        counted=True,
    ),
)

# Diagnostics with a column of their own that ring no alarm, and why.
INFORMATIONAL = {
    "draws": "a count",
    "tree_depth": "what a transition costs",
    "elbo": "without the log normaliser its value says nothing",
    "log_normaliser": "an estimate: its spread is the alarm",
}


def _not_converged(cell: Mapping[str, Any], _: Mapping[str, float]) -> float:
    """1 for a VI fit that its budget or its cap ended, 0 for one that converged."""
    kinds = (cell.get("method_tags") or "").split()
    if "vi" not in kinds or cell.get("status") == "failed":
        return math.nan
    return float(cell.get("status") != "converged")


def _warming_up(cell: Mapping[str, Any], _: Mapping[str, float]) -> float:
    """1 for a sampler that ended in its warm-up, whose answer is what that had come to; 0 for one that went on."""
    before, after = _number(cell.get("warmup_evaluations")), _number(cell.get("run_evaluations"))
    if "mcmc" not in (cell.get("method_tags") or "").split() or cell.get("status") == "failed" or not before > 0:
        return math.nan
    return math.nan if math.isnan(after) else float(after == 0)


def _stein(cell: Mapping[str, Any], last: Mapping[str, float]) -> float:
    """The squared discrepancy over its sampling floor, that of as many draws as a chain's sample is worth.

    It looks at `STEIN_DRAWS` draws at most, evenly spaced: as good as independent ones where the run is worth more.
    """
    floor = last.get(f"{STEIN}_sampling_floor", math.nan)
    used = min(_number(cell.get("draws")), STEIN_DRAWS)
    effective = min(_number(cell.get("ess_min")), used)
    if used > 0 and effective > 0:
        floor *= used / effective
    return last.get(STEIN, math.nan) / floor if floor > 0 else math.nan


def _k_hat(cell: Mapping[str, Any], _: Mapping[str, float]) -> float:
    """Of a sampler it tells of the fit that it started from, and not of its draws."""
    return math.nan if "mcmc" in (cell.get("method_tags") or "").split() else _number(cell.get("k_hat"))


_DERIVED = {"not_converged": _not_converged, "warming_up": _warming_up, STEIN: _stein, "k_hat": _k_hat}
_REASONS = {
    "ess_min": f"fewer than {ESS_LIMIT:.0f} effective draws",
    "divergences": f"more than {100 * DIVERGENT_SHARE:g} % of the draws diverged",
    "not_converged": "its budget ended before it converged",
    "warming_up": "its budget ended before its warm-up did",
}


def claimed(cell: Mapping[str, Any], column: str, least: float) -> float:
    """What the error of as many independent draws is multiplied by for as many as the run claims: its effective ones.

    Fewer than `least` effective draws are held to `least`; one where there are no draws, or nothing is said of them.
    """
    draws, effective = _number(cell.get("draws")), max(_number(cell.get(column)), least)
    return math.sqrt(draws / effective) if draws > 0 and effective > 0 else 1.0


@dataclass(frozen=True)
class Tolerance:
    """An error of the final answer beyond which it is wrong, if it is beyond the floors too.

    Attributes:
        metric: in the curves; of a ratio the size of the logarithm counts.
        limit: how large an error a user would not mind.
        effective: the column with the effective draws that it is known by.
        label: in lists of errors.
    """

    metric: str
    limit: float
    effective: str
    label: str


FLOORS = 1.5  # times the 95 % quantile of a right answer's error: noise goes beyond about once in a thousand
TOLERANCES = (
    Tolerance("mean_error_worst", 0.2, "ess_min", "mean off by {} sd"),
    Tolerance("sd_ratio_worst", math.log(1.25), "ess_square_min", "sd {} times the true one"),
    Tolerance("mode_mass_error", 0.1, "ess_min", "mass {} in the wrong mode"),
)


def _number(value: Any) -> float:
    return math.nan if value is None or value != value else float(value)  # NaN

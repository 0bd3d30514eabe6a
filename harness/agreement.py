"""Whether a sampler agrees with certified references: means and sd of every named quantity, in standard errors."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness import registry
from harness.spec import Spec
from reports.alarms import E_BFMI_ALARM, ESS_ALARM, R_HAT_ALARM
from reports.section import Cell, Section
from samplers import sample
from samplers.draws import Draws
from targets.kernel import Vector
from targets.long_run import NONE, estimates
from targets.options import UsageError
from targets.target import Target
from targets.truth import Moments

MOST = 4.0  # combined standard errors: two right answers differ by more once in 16,000 comparisons
CHAINS, WARMUP, SAMPLES = 4, 1000, 2500

NOTE = (
    f"NUTS with {CHAINS} chains, {WARMUP:,} draws of warm-up and {SAMPLES:,} more each. Distances of means and sd are "
    "the largest over the named quantities, in combined standard errors: the Monte Carlo errors of both sides, squared "
    f"and added. They agree up to {MOST:g}. Alarms: R-hat above {R_HAT_ALARM:g}, bulk ESS below {ESS_ALARM:g}, any "
    f"divergence, E-BFMI below {E_BFMI_ALARM:g}."
)


@dataclass(frozen=True)
class Agreement:
    """Draws against a reference.

    Attributes:
        target: its label.
        names: of the quantities, those that the target names, or its coordinates.
        means, sds: distances (k,) from the reference's, in combined standard errors.
        diagnostics: of the draws: r_hat, ess_min, divergences, e_bfmi.
    """

    target: str
    names: tuple[str, ...]
    means: Vector
    sds: Vector
    diagnostics: dict[str, float]

    @property
    def agrees(self) -> bool:
        """Whether every mean and every sd does; what is not a number does not."""
        return bool((self.means <= MOST).all() and (self.sds <= MOST).all())

    @property
    def alarms(self) -> list[str]:
        """The diagnostics that warn."""
        said = self.diagnostics
        warns = {
            "R-hat": not said["r_hat"] <= R_HAT_ALARM,
            "ESS": not said["ess_min"] >= ESS_ALARM,
            "divergences": said.get("divergences", 0.0) > 0.0,
            "E-BFMI": said.get("e_bfmi", 1.0) < E_BFMI_ALARM,
        }
        return [name for name, rings in warns.items() if rings]

    @property
    def verdict(self) -> str:
        """In a few words."""
        if self.agrees:
            return "agrees"
        return "disagrees, and an alarm says so" if self.alarms else "disagrees, and no alarm says so"


def compare(target: Target, draws: Draws) -> Agreement:
    """Draws of a sampler against the target's truth.

    Raises:
        UsageError: nothing is known of the target.
    """
    if target.truth is None:
        raise UsageError(f"nothing is known of {target.label}, so nothing can agree with it")
    reference: Moments = target.truth.moments if target.truth.named is None else target.truth.named
    names = target.coordinates if target.named is None else target.named.names
    seen = estimates(draws.named_values, probabilities=NONE).moments
    return Agreement(
        target.label,
        names,
        np.abs(seen.mean - reference.mean) / np.hypot(seen.mean_error, reference.mean_error),
        np.abs(seen.sd - reference.sd) / np.hypot(_sd_error(seen), _sd_error(reference)),
        draws.diagnostics(),
    )


def _sd_error(moments: Moments) -> Vector:
    return moments.variance_error / (2.0 * moments.sd)


def references(targets: Iterable[Spec], seed: int = 1) -> Section:
    """NUTS on each of the targets against what is known of it, as a table."""
    found = []
    for spec in targets:
        target = registry.target(spec)
        draws = sample(
            target, "nuts", num_chains=CHAINS, num_warmup=WARMUP, num_samples=SAMPLES, seed=seed, num_threads=1
        )
        found.append(compare(target, draws))
    return section(found)


def section(found: list[Agreement]) -> Section:
    """A row for each comparison."""
    agree = sum(each.agrees for each in found)
    quantities = sum(len(each.names) for each in found)
    sentences = [
        f"NUTS agrees with the reference on {agree} of {len(found)} posteriors ({quantities} quantities), on every "
        f"mean and every sd within {MOST:g} combined standard errors.",
        *(f"On {each.target} it {each.verdict}." for each in found if not each.agrees),
    ]
    head = ("Posterior", "Verdict", "Quantities", "Means", "at", "Sd", "at", "R-hat", "ESS", "Divergences", "Alarms")
    return Section(
        "NUTS against the references", head, [_row(each) for each in found], sentences, NOTE, _numbers(found)
    )


def _row(each: Agreement) -> list[Cell]:
    said = each.diagnostics
    cells = [Cell(each.target), Cell(each.verdict), Cell.of(len(each.names), str(len(each.names)))]
    for distances in (each.means, each.sds):
        worst = int(np.argmax(np.nan_to_num(distances, nan=np.inf)))
        cells += [Cell.of(float(distances[worst]), f"{distances[worst]:.1f}"), Cell(each.names[worst])]
    divergences = said.get("divergences", 0.0)
    return [
        *cells,
        Cell.of(said["r_hat"], f"{said['r_hat']:.4f}"),
        Cell.of(said["ess_min"], f"{said['ess_min']:,.0f}"),
        Cell.of(divergences, f"{divergences:.0f}"),
        Cell(", ".join(each.alarms) or "none"),
    ]


def _numbers(found: list[Agreement]) -> list[dict[str, Any]]:
    return [
        {
            "target": each.target,
            "verdict": each.verdict,
            "alarms": each.alarms,
            "names": list(each.names),
            "means": _plain(each.means),
            "sds": _plain(each.sds),
            **{name: value if np.isfinite(value) else None for name, value in each.diagnostics.items()},
        }
        for each in found
    ]


def _plain(values: Vector) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]

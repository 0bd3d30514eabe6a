"""The study of discrete latents: tables of estimators and of fits, and their pictures."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from reports import discrete_drawn
from reports.figures import picture
from reports.section import Cell, Page, Section
from reports.statistics import Crossover, Interval, Outcome, Trace, Traces, crossover, median_interval, time_to_error
from reports.wording import BEYOND, count, significant

Numbers = Mapping[str, Any]

NEAR = 0.01  # nats from the optimum

GRADIENTS = (
    "Bias is the length of the difference between the mean of {n:,} estimates and the gradient by enumeration, less "
    "what noise adds to it, with its 95 % interval, and as a share of the gradient's length. The test is Hotelling's "
    "at a level of {level:g}; where it finds none, a bias in any direction as long as said would have been found with "
    "a probability of {power:.0%}. Variance is summed over components, and for an estimate; times its evaluations it "
    "is comparable."
)
FITS = (
    "Medians over {seeds} seeds with 95 % bootstrap intervals. The gap is that of the averaged iterate to the best "
    "ELBO, both exact. The error of marginals is the total variation, averaged over sites. Each estimator has the "
    "rate, of those of the study, that left the smallest median gap on three other seeds. Gibbs starts at random and "
    "throws nothing away. Overtaken: from how many evaluations on the median error of Gibbs stays at or below that of "
    "the fit."
)


def page(numbers: Numbers) -> Page:
    """Tables and pictures of what `harness.discrete` computed."""
    looked_at = [model for model in numbers["models"] if model["gradients"]]
    return Page(
        [*(_gradients(model, numbers) for model in looked_at), *(_fits(model, numbers) for model in numbers["models"])],
        {
            "discrete-gradients": picture(lambda figure: discrete_drawn.gradients(figure, looked_at), (10.4, 8.0)),
            "discrete-fits": picture(lambda figure: discrete_drawn.fits(figure, numbers["models"]), (13.0, 6.4)),
        },
    )


def _gradients(model: Numbers, numbers: Numbers) -> Section:
    rows, unbiased = model["gradients"], [row for row in model["gradients"] if row["claim"] == "unbiased"]
    biased = [row for row in rows if row["claim"] == "biased"]
    wrong = [row for row in unbiased if row["significant"]]
    found = sum(row["significant"] for row in biased)
    sentences = [
        f"{len(unbiased) - len(wrong)} of {len(unbiased)} tests of estimators that claim no bias find none.",
        f"{found} of {len(biased)} tests of the others find one.",
    ]
    head = ("q", "estimator", "evaluations", "bias", "of the gradient", "test", "variance", "variance by evaluations")
    note = GRADIENTS.format(n=numbers["replicates"], level=numbers["level"], power=numbers["power"])
    return Section(f"Gradients on {model['name']}", head, [_estimator(row) for row in rows], sentences, note)


def _estimator(row: Numbers) -> list[Cell]:
    bias = f"{significant(row['bias'])} [{significant(row['low'])}, {significant(row['high'])}]"
    test = "biased" if row["significant"] else f"none found; of {significant(row['detectable'])} it would be"
    return [
        Cell(row["at"]),
        Cell(f"`{row['estimator']}`"),
        Cell.of(row["evaluations"], f"{row['evaluations']:g}"),
        Cell.of(row["bias"], bias),
        Cell.of(row["bias"], f"{row['bias'] / row['gradient']:.0%}"),
        Cell(test),
        Cell.of(row["variance"], significant(row["variance"], 3)),
        Cell.of(row["work_normalised"], significant(row["work_normalised"], 3)),
    ]


def traces(runs: list[Numbers], error: str) -> Traces:
    """One run a seed; of a failed one what came before."""
    return {run["seed"]: Trace(np.array(run["cost"], float), np.array(run[error], float)) for run in runs}


def _last(runs: Traces) -> Interval:
    return median_interval([run.error[-1] if len(run.error) else math.inf for run in runs.values()])


def _fits(model: Numbers, numbers: Numbers) -> Section:
    gibbs = traces(model["gibbs"], "marginal_error")
    best, at_first = model["optima"][0], model["gibbs"][0]["cost"][0]
    exact = [
        [
            Cell("CAVI, by enumeration"),
            Cell(""),
            Cell("0"),
            Cell(count(model["states"])),
            Cell(significant(best["marginal_error"])),
            Cell(_overtaken(crossover({s: _constant(best["marginal_error"], at_first) for s in gibbs}, gibbs))),
        ]
    ]
    rows = [_fit(fit, gibbs) for fit in model["fits"]]
    sampled = [Cell("Gibbs"), Cell(""), Cell(""), Cell(""), Cell(_interval(_last(gibbs))), Cell("")]
    head = (
        "fit",
        "rate",
        "gap in nats",
        f"evaluations to {NEAR:g} nats",
        "error of marginals",
        "overtaken by Gibbs after",
    )
    return Section(
        f"Fits to {model['name']}", head, [*exact, *rows, sampled], _about(model), FITS.format(seeds=numbers["seeds"])
    )


def _constant(error: float, cost: float) -> Trace:
    return Trace(np.array([cost], dtype=np.float64), np.array([error]))


def _about(model: Numbers) -> list[str]:
    best, others = model["optima"][0], len(model["optima"]) - 1
    away = model["log_evidence"] - best["elbo"]
    lines = [
        f"{model['sites']} sites of {model['categories']} values, {model['states']:,} states; the posterior is "
        f"{significant(model['total_correlation'], 3)} nats away from independent sites.",
        f"The best factorised q has an ELBO of {best['elbo']:.3f}, {significant(away, 3)} nats below the log evidence.",
    ]
    share = f"{best['starts']} of {sum(o['starts'] for o in model['optima'])}"
    if others:
        lines.append(f"CAVI from random starts finds {others} other local optima; {share} starts led to the best.")
    return lines


def _fit(fit: Numbers, gibbs: Traces) -> list[Cell]:
    gaps, errors = traces(fit["runs"], "gap"), traces(fit["runs"], "marginal_error")
    near = median_interval(time_to_error(list(gaps.values()), NEAR))
    return [
        Cell(f"`{fit['estimator']}`"),
        Cell.of(fit["rate"], f"{fit['rate']:g}"),
        Cell(_interval(_last(gaps))),
        Cell(BEYOND if math.isinf(near.value) else f"{count(near.value)} [{count(near.low)}, {count(near.high)}]"),
        Cell(_interval(_last(errors))),
        Cell(_overtaken(crossover(errors, gibbs))),
    ]


def _interval(found: Interval) -> str:
    return f"{significant(found.value)} [{significant(found.low)}, {significant(found.high)}]"


def _overtaken(found: Crossover) -> str:
    if found.outcome is Outcome.FIRST:
        return f"at once, {count(found.cost.value)}"
    if math.isinf(found.cost.value):
        return "not within the budget"
    return f"{count(found.cost.value)} [{count(found.cost.low)}, {count(found.cost.high)}]"

"""The columns of the records: the one place where they are named."""

from dataclasses import dataclass
from typing import Literal

from reports.records.metrics import METRICS

SCHEMA_VERSION = 3  # columns that an older cell lacks are read as nulls

Kind = Literal["int", "float", "bool", "text", "words", "json"]


@dataclass(frozen=True)
class Column:
    """One column. `kind` says what it holds.

    'text' is a string; 'words' a set of words, kept as text, sorted, with blanks between; 'json' any value that JSON
    knows, kept as text in the tables, where NaN and infinities become null.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str


def _table(*columns: Column) -> dict[str, Column]:
    return {column.name: column for column in columns}


CELLS: dict[str, Column] = _table(
    Column("schema_version", "int", "", "version of this format"),
    Column("cell_id", "text", "", "name of the cell: also the name of its file"),
    Column("target", "text", "", "the target with its options, as a SPEC"),
    Column("method", "text", "", "the method with its options, as a SPEC"),
    Column("target_name", "text", "", "name of the target in the registry"),
    Column("method_name", "text", "", "name of the method in the registry"),
    Column("options", "json", "", "all options: {'target': {...}, 'method': {...}}"),
    Column("seed", "int", "", "seed; the same seed pairs methods on a target"),
    Column("max_gradients", "int", "evaluations", "budget: gradients + densities + sweeps"),
    Column("max_seconds", "float", "s", "cap on the clock, as a guard"),
    Column("status", "text", "", "converged, budget spent, time cap, failed or skipped"),
    Column("reason", "text", "", "why it failed or was skipped, or what made it converge"),
    Column("oracle", "bool", "", "whether the method uses the answer: never ranked or timed against others"),
    Column("tags", "words", "", "tags of the target"),
    Column("method_tags", "words", "", "tags of the method: 'vi' or 'mcmc', and others"),
    Column("dim", "int", "", "number of unconstrained coordinates"),
    Column("compile_seconds", "float", "s", "loading or compiling code, before the clock started"),
    Column("setup_seconds", "float", "s", "starting the run"),
    Column("fit_seconds", "float", "s", "the VI fit of a warm start"),
    Column("warmup_seconds", "float", "s", "adaptation, and the VI fit of a warm start"),
    Column("run_seconds", "float", "s", "after warm-up"),
    Column("fit_evaluations", "int", "evaluations", "gradients + densities + sweeps of the VI fit of a warm start"),
    Column("warmup_evaluations", "int", "evaluations", "gradients + densities + sweeps of set-up and warm-up"),
    Column("warmup_gradient_evaluations", "int", "gradients", "gradients of set-up and warm-up"),
    Column("warmup_density_evaluations", "int", "densities", "densities of set-up and warm-up"),
    Column("run_evaluations", "int", "evaluations", "gradients + densities + sweeps after warm-up"),
    Column("gradient_evaluations", "int", "gradients", "gradient evaluations, all phases"),
    Column("density_evaluations", "int", "densities", "density evaluations without gradient, all phases"),
    Column("row_evaluations", "int", "rows", "rows of data touched by likelihoods taken in part"),
    Column("sweeps", "int", "sweeps", "sweeps of coordinate updates"),
    Column("divergences", "int", "", "divergent transitions after warm-up"),
    Column("r_hat", "float", "", "largest rank-normalised split R-hat over coordinates"),
    Column("ess_min", "float", "draws", "smallest bulk effective sample size of x over coordinates"),
    Column("ess_square_min", "float", "draws", "smallest bulk effective sample size of x² over coordinates"),
    Column("ess_tail_min", "float", "draws", "smallest tail effective sample size over coordinates"),
    Column("draws", "int", "draws", "how many draws the last answer holds, over all chains"),
    Column("e_bfmi", "float", "", "smallest E-BFMI of a chain: below 0.3 momenta are resampled too little"),
    Column("tree_depth", "float", "", "mean depth of the trees of NUTS after warm-up"),
    Column("round_trips", "float", "", "round trips between the ends of a tempering ladder"),
    Column(
        "k_hat", "float", "", "Pareto k of the importance ratios p/q: the method's own, or of the last answer's draws"
    ),
    Column("elbo", "float", "nats", "evidence lower bound that the method reports"),
    Column("log_normaliser", "float", "nats", "log normaliser that the method estimates"),
    Column("log_normaliser_error", "float", "nats", "its standard error, by the method"),
    Column("diagnostics", "json", "", "all numbers that the run says of itself, by name"),
    Column("true_log_normaliser", "float", "nats", "log normaliser of the target's truth"),
    Column(
        "summary",
        "json",
        "",
        "the final answer by coordinate: coordinates [names], mean_z [(mean_q - mean_p)/sd_p], sd_ratio [sd_q/sd_p], "
        "mode_masses, true_mode_masses, named [names], named_mean_z, named_sd_ratio",
    ),
    Column("host", "text", "", "name of the machine"),
    Column("machine", "text", "", "processor, cores, memory, operating system"),
    Column("threads", "int", "", "threads that the cell might use"),
    Column("jobs", "int", "", "cells that ran at once: seconds taken with more than one are marked"),
    Column("versions", "json", "", "versions of Python and of packages, by name"),
    Column("commit", "text", "", "commit of the project"),
    Column("dirty", "bool", "", "whether the project had uncommitted changes"),
    Column("started_at", "text", "", "ISO 8601, UTC"),
)

IDENTITY = ("cell_id", "target", "method", "target_name", "method_name", "seed")

CURVES: dict[str, Column] = _table(
    *(CELLS[name] for name in IDENTITY),
    Column("checkpoint", "int", "", "0, 1, ... within the cell"),
    Column("phase", "text", "", "warmup or run"),
    Column("seconds", "float", "s", "clock since the run was started: set-up, warm-up and run; never compilation"),
    Column("gradient_evaluations", "int", "gradients", "so far"),
    Column("density_evaluations", "int", "densities", "so far"),
    Column("row_evaluations", "int", "rows", "so far"),
    Column("sweeps", "int", "sweeps", "so far"),
    Column("work", "int", "evaluations", "gradients + densities + sweeps so far"),
    *(
        column
        for metric in METRICS.values()
        for column in (
            Column(metric.name, "float", "", f"{metric.label}: {metric.formula}"),
            Column(metric.reference_floor, "float", "", f"{metric.label}: what the reference's own error implies"),
            Column(
                metric.sampling_floor,
                "float",
                "",
                f"{metric.label}: its 95 % quantile between the truth and as many independent draws",
            ),
        )
    ),
)

QUANTITIES: dict[str, Column] = _table(
    *(CELLS[name] for name in IDENTITY),
    CURVES["checkpoint"],
    Column("quantity", "text", "", "name of a quantity that the target declares"),
    Column("meaning", "text", "", "what it is, in a line; at the last checkpoint alone"),
    Column("estimate", "float", "", "what the method says, in the quantity's units"),
    Column("mcse", "float", "", "Monte Carlo standard error of the estimate; at the last checkpoint alone"),
    Column("truth", "float", "", "the true answer"),
    Column("truth_error", "float", "", "its standard error, zero where it is exact"),
    Column("scale", "float", "", "n independent draws err by scale / sqrt(n): of an expectation, the posterior sd"),
    Column("error", "float", "", "|estimate - truth| / scale"),
    Column("reference_floor", "float", "", "truth_error / scale"),
    Column("sampling_floor", "float", "", "the 95 % quantile of the error of as many independent draws"),
    Column("low", "float", "", "the 5 % quantile of the functional, where intervals of it are of interest"),
    Column("high", "float", "", "its 95 % quantile"),
    Column("interval_mass", "float", "", "true mass of the functional between low and high: 0.9 for a perfect answer"),
    Column("covered", "bool", "", "whether the truth lies within 1.96 standard errors (mcse and truth_error)"),
)

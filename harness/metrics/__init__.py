"""Metrics of error, each with what the reference and the number of draws imply for it.

`Reference.of(target)` gathers what is needed once; `evaluate(approximation, target, reference, seed)` gives all
columns. The formulas stand in `reports.records.METRICS`. Every floor is a distance from the perfect answer: of a metric
that is zero for one, a value of the metric; of a coverage, of |coverage - level|; of `sd_ratio_worst`, of |log ratio|.
"""

from harness.metrics import quantities
from harness.metrics.evaluate import COLUMNS, evaluate
from harness.metrics.pairs import add_pairs
from harness.metrics.pareto import k_hat
from harness.metrics.reference import Reference
from harness.metrics.summary import summary
from targets.target import Target
from variational.evaluation import compile_log_densities, with_gradients

__all__ = ["COLUMNS", "Reference", "compile_for", "evaluate", "k_hat", "quantities", "summary"]


def compile_for(target: Target) -> None:
    """Load or compile what `evaluate` will call, so that no two processes compile it at once."""
    compile_log_densities(target)
    _ = add_pairs.compiled
    if target.differentiable:
        _ = target.kernel, with_gradients.compiled

"""How wrong methods are after a fixed number of gradients: the numbers are the same on every run of the same code."""

from typing import Any

import harness

SEEDS = 3
GRADIENTS = 20_000
TARGETS = ("correlated_gaussian", "banana", "funnel", "eight_schools")
METHODS = ("random_walk", "slice", "hmc", "nuts", "mams", "mclmc", "advi_meanfield", "advi_fullrank", "laplace")

Errors = dict[Any, dict[Any, float]]  # by target and method, then by metric


class AfterGradients:
    """Root mean square over seeds of each metric at the last checkpoint; zero is perfect."""

    params = (TARGETS, METHODS)
    param_names = ("target", "method")

    def setup_cache(self) -> Errors:
        raced = harness.race(TARGETS, METHODS, seeds=SEEDS, max_gradients=GRADIENTS, max_seconds=60.0)
        last = raced.curves.sort_values("checkpoint").groupby(["target", "method", "seed"]).last()
        squares = (last[["mean_error", "centred_b2"]] ** 2).groupby(["target", "method"]).mean()
        return dict((squares**0.5).to_dict("index"))

    setup_cache.timeout = 600  # type: ignore[attr-defined]

    def track_mean_error(self, errors: Errors, target: str, method: str) -> float:
        return errors[target, method]["mean_error"]

    def track_centred_b2(self, errors: Errors, target: str, method: str) -> float:
        return errors[target, method]["centred_b2"]

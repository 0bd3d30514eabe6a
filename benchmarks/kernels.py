"""What one evaluation of a density with its gradient costs, called from compiled code as samplers call it."""

import numpy as np
from numba import float64, int64

import targets
from harness import registry
from harness.spec import parse
from targets.kernel import DATA, KERNEL, VECTOR, aligned, empty, loop

COORDINATES = 1_000_000  # evaluations times dimension of one measurement


@loop(float64(KERNEL, VECTOR, VECTOR, DATA, int64))
def evaluate(kernel, x, gradient, data, n):  # type: ignore[no-untyped-def]
    """The sum of n evaluations at one point."""
    total = 0.0
    for _ in range(n):
        total += kernel(x, gradient, data)
    return total


class Gaussian:
    params = (("ar1", "equicorrelated", "rotated"), (2, 10, 100, 1000))
    param_names = ("structure", "dim")

    def setup(self, structure: str, dim: int) -> None:
        self.target = registry.target(f"correlated_gaussian[structure={structure},dim={dim}]")
        self.x, self.gradient = aligned(np.linspace(-1.0, 1.0, dim)), empty(dim)
        self.time_evaluations(structure, dim)

    def time_evaluations(self, structure: str, dim: int) -> None:
        evaluate(self.target.kernel, self.x, self.gradient, self.target.data, COORDINATES // self.target.dim)


class Other:
    params = (
        (
            "banana",
            "funnel",
            "student_t",
            "bimodal_mixture",
            "eight_schools",
            "gmm_posterior",
            "gmm_posterior[model=full]",
            "logistic_regression",
            "rosenbrock",
            "gaussian_mixture",
            "brownian_motion",
            "shifted_exponential",
            "radon",
            "gaussian_process_regression",
            "gaussian_process_classification",
            "stochastic_volatility",
            "item_response",
            "horseshoe",
            "lotka_volterra",
        ),
    )
    param_names = ("target",)

    def setup(self, target: str) -> None:
        if parse(target).name not in targets.names():
            raise NotImplementedError  # asv's word for: not in this version
        self.target = registry.target(target)
        self.x, self.gradient = aligned(np.linspace(-1.0, 1.0, self.target.dim)), empty(self.target.dim)
        self.time_evaluations(target)

    def time_evaluations(self, target: str) -> None:
        evaluate(self.target.kernel, self.x, self.gradient, self.target.data, COORDINATES // self.target.dim)

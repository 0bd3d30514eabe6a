"""Peak memory of whole runs, the interpreter and the libraries included."""

from benchmarks.steps import spend
from harness import registry

GRADIENTS = 50_000


class Peak:
    params = (
        ("hmc", "random_walk", "advi_meanfield", "advi_fullrank"),
        ("correlated_gaussian[dim=10]", "correlated_gaussian[dim=200]"),
    )
    param_names = ("method", "target")
    timeout = 300

    def setup(self, method: str, target: str) -> None:
        self.target, self.method = registry.target(target), registry.method(method)
        self.method.compile(self.target)

    def peakmem_run(self, method: str, target: str) -> None:
        run = self.method.start(self.target, seed=1)
        spend(run, GRADIENTS)
        run.approximation()

"""One call for a modeller: fit, and say how good the fit is."""

from dataclasses import dataclass

import numpy as np

from targets import registry as target_registry
from targets.options import require
from targets.protocols import Status, Work
from targets.target import Target
from variational import registry
from variational.gaussian import Gaussian
from variational.objectives import Estimate, elbo
from variational.psis import k_hat

SLICE = 20_000  # evaluations between looks at the budget
SHOWN = 10  # coordinates that the text of a fit lists


@dataclass(frozen=True)
class Fit:
    """What `fit` found.

    Attributes:
        approximation: the Gaussian, or None where the method failed before it had one.
        elbo: lower bound on the log normaliser, with its standard error.
        k_hat: tail shape of p / q over draws of q; above 0.7 q is too far from p for importance sampling to mend.
        status, reason: how the run ended.
        work: evaluations spent on the fit; those of `elbo` and `k_hat` come on top.
        method, target: their labels.
        coordinates: names of the coordinates.
    """

    approximation: Gaussian | None
    elbo: Estimate
    k_hat: float
    status: Status
    reason: str
    work: Work
    method: str
    target: str
    coordinates: tuple[str, ...]

    def __repr__(self) -> str:
        ended = f"{self.status}: {self.reason}" if self.reason else f"{self.status}"
        lines = [
            f"{self.method} on {self.target}, {ended}",
            f"  elbo {self.elbo.value:.3f} +- {self.elbo.error:.3f}, k-hat {self.k_hat:.2f}, "
            f"{self.work.gradient_evaluations} gradients, {self.work.density_evaluations} densities, "
            f"{self.work.sweeps} sweeps",
        ]
        if self.approximation is not None:
            q = self.approximation
            width = max(len(name) for name in self.coordinates[:SHOWN])
            rows = zip(self.coordinates[:SHOWN], q.mean, q.sd, strict=False)
            lines += [f"  {name:<{width}}  mean {mean: .4g}  sd {sd:.4g}" for name, mean, sd in rows]
            if q.dim > SHOWN:
                lines.append(f"  and {q.dim - SHOWN} more")
        return "\n".join(lines)


def fit(
    target: Target | str,
    name: str = "advi_meanfield",
    *,
    seed: int,
    max_gradients: int = 1_000_000,
    draws: int = 4000,
    **options: object,
) -> Fit:
    """Fit the VI method `name` to a target, or to a registered target's name, until it ends or the budget is spent.

    `max_gradients` limits all evaluations; `draws` are those that the bound and k-hat are estimated with.

    Raises:
        UsageError: a name or an option is not accepted, or the method does not fit the target.
    """
    loaded = target_registry.load(target) if isinstance(target, str) else target
    method = registry.method(name, **options)
    refused = method.unfit(loaded)
    require(refused is None, f"{name} cannot run on {loaded.label}: {refused}")
    require(max_gradients > 0, f"fit: max_gradients={max_gradients} is not accepted; it takes 1 or more")
    method.compile(loaded)
    run = method.start(loaded, seed)
    while run.status is Status.RUNNING and run.work.total < max_gradients:
        run.advance(min(SLICE, max_gradients - run.work.total))
    q = run.approximation()
    status = Status.SPENT if run.status is Status.RUNNING else run.status
    bound, tail = Estimate(np.nan, np.nan), np.nan
    if isinstance(q, Gaussian):
        rng = np.random.default_rng([seed, 1])
        bound, tail = elbo(q, loaded, rng, draws), k_hat(q, loaded, rng, draws)
    found = q if isinstance(q, Gaussian) else None
    return Fit(found, bound, tail, status, run.reason, run.work, method.label, loaded.label, loaded.coordinates)

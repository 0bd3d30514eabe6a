"""One call for a modeller: fit, and say how good the fit is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from targets import registry as target_registry
from targets.bring import from_function
from targets.kernel import Vector
from targets.options import require
from targets.protocols import Approximation, Status, Work
from targets.target import Target
from variational import registry
from variational.objectives import UNKNOWN, Estimate, elbo, eubo
from variational.psis import k_hat
from variational.trust import Evidence, Verdict, judge

SLICE = 20_000  # evaluations between looks at the budget
SHOWN = 10  # coordinates that the text of a fit lists


@dataclass(frozen=True)
class Fit:
    """What `fit` found.

    Attributes:
        approximation: what the method believes, or None where it failed before it believed anything.
        elbo: lower bound on the log normaliser, with its standard error; NaN where the approximation has no density.
        eubo: upper bound on it, where exact draws or moments of the target are known; else NaN.
        k_hat: tail shape of p / q over draws of q; above 0.7 q is too far from p for importance sampling to mend.
        verdict: whether the fit has converged and can be trusted, and why; see `variational.trust`.
        status, reason: how the run ended.
        diagnostics: what the method says of itself, by name.
        work: evaluations spent on the fit; those of `elbo`, `eubo` and `k_hat` come on top.
        method, target: their labels.
        coordinates: names of the coordinates.
    """

    approximation: Approximation | None
    elbo: Estimate
    eubo: Estimate
    k_hat: float
    verdict: Verdict
    status: Status
    reason: str
    diagnostics: dict[str, float]
    work: Work
    method: str
    target: str
    coordinates: tuple[str, ...]

    def __repr__(self) -> str:
        ended = f"{self.status}: {self.reason}" if self.reason else f"{self.status}"
        bounds = f"elbo {self.elbo.value:.3f} +- {self.elbo.error:.3f}"
        if not np.isnan(self.eubo.value):
            bounds += f", eubo {self.eubo.value:.3f} +- {self.eubo.error:.3f}"
        lines = [
            f"{self.method} on {self.target}, {ended}",
            f"  {bounds}, k-hat {self.k_hat:.2f}, {self.work.gradient_evaluations} gradients, "
            f"{self.work.density_evaluations} densities, {self.work.sweeps} sweeps",
            f"  {self.verdict}",
            *(f"    {reason}" for reason in self.verdict.reasons),
        ]
        if self.approximation is not None:
            lines += _rows(self.coordinates, self.approximation)
        return "\n".join(lines)


def _rows(names: tuple[str, ...], q: Approximation) -> list[str]:
    mean = q.mean
    width = max(len(name) for name in names[:SHOWN])
    rows = zip(names[:SHOWN], mean, _sd(q), strict=False)
    lines = [f"  {name:<{width}}  mean {centre: .4g}  sd {sd:.4g}" for name, centre, sd in rows]
    return [*lines, f"  and {len(mean) - SHOWN} more"] if len(mean) > SHOWN else lines


def _sd(q: Approximation) -> Vector:
    """(dim,) without a dense covariance where the approximation knows its sds."""
    known = getattr(q, "sd", None)
    return np.sqrt(np.diagonal(q.covariance)) if known is None else np.asarray(known)


def fit(
    target: Target | str | Callable[..., Any],
    name: str = "advi_meanfield",
    *,
    seed: int,
    max_gradients: int = 1_000_000,
    draws: int = 4000,
    dim: int | None = None,
    start: npt.ArrayLike | None = None,
    data: npt.ArrayLike | None = None,
    gradient: Callable[..., Any] | str | None = None,
    **options: object,
) -> Fit:
    """Fit the VI method `name` to a target until it ends or the budget is spent, and judge the fit.

    Args:
        target: a name that `targets.load` knows, a target, or a log density of one's own, compiled by numba or plain
            Python; see `targets.from_function` for what it may take and return.
        name: a method that `variational.names` lists.
        seed: 0 or more; it decides everything.
        max_gradients: limits all evaluations.
        draws: those that bounds and k-hat are estimated with.
        dim: of a function of one's own, how many coordinates it has; not needed with `start`.
        start: of a function of one's own, a point (dim,) that fits start around.
        data: of a function of one's own that takes them, a matrix.
        gradient: of a function of one's own that does not say it, a function, or "differences" to estimate it.
        options: those of the method.

    Raises:
        UsageError: an argument is not accepted, or the method does not fit the target; the message is one line.
    """
    loaded = _target(target, dim=dim, start=start, data=data, gradient=gradient)
    method = registry.method(name, **options)
    refused = method.unfit(loaded)
    if refused is not None and not loaded.differentiable:
        refused += ", and it has none; give gradient=, or gradient='differences' to estimate it"
    require(refused is None, f"{name} cannot run on {loaded.label}: {refused}")
    require(max_gradients > 0, f"fit: max_gradients={max_gradients} is not accepted; it takes 1 or more")
    require(draws >= 100, f"fit: draws={draws} is not accepted; it takes 100 or more")
    method.compile(loaded)
    run = method.start(loaded, seed)
    while run.status is Status.RUNNING and run.work.total < max_gradients:
        run.advance(min(SLICE, max_gradients - run.work.total))
    q, said = run.approximation(), run.diagnostics()
    status = Status.SPENT if run.status is Status.RUNNING else run.status
    lower, upper, tail = UNKNOWN, UNKNOWN, float("nan")
    if q is not None:
        rng = np.random.default_rng([seed, 1])
        lower, tail = elbo(q, loaded, rng, draws), k_hat(q, loaded, rng, draws)
        upper = UNKNOWN if loaded.truth is None else eubo(q, loaded.truth, draws)
    error = said.get("monte_carlo_error", float("nan"))
    verdict = judge(Evidence(status, run.reason, lower, upper, tail, draws, error))
    return Fit(
        approximation=q,
        elbo=lower,
        eubo=upper,
        k_hat=tail,
        verdict=verdict,
        status=status,
        reason=run.reason,
        diagnostics=said,
        work=run.work,
        method=method.label,
        target=loaded.label,
        coordinates=loaded.coordinates,
    )


def _target(target: Any, **given: Any) -> Target:
    if not isinstance(target, (str, Target)):
        require(
            callable(target),
            f"a target of type {type(target).__name__} is not accepted; a name, a target or a function is",
        )
        return from_function(target, given.pop("dim"), **given)
    for key, value in given.items():
        require(value is None, f"{key}= goes with a function of one's own; a registered target has it already")
    return target_registry.load(target) if isinstance(target, str) else target

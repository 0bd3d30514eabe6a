"""Sampling in one call, for people."""

from typing import Any

from samplers.draws import Draws
from samplers.initial import Initial
from samplers.registry import method
from targets.options import require
from targets.protocols import Phase, Status
from targets.registry import load
from targets.target import Target

SLICE = 1  # evaluation between two looks at the number of draws; chains advance by whole rounds all the same


class SamplingError(RuntimeError):
    """The chains could not go on; the message says why."""


def sample(
    target: Target | str,
    name: str = "hmc",
    *,
    num_samples: int = 1000,
    seed: int = 0,
    initial: Initial | None = None,
    **options: Any,
) -> Draws:
    """At least `num_samples` draws a chain, of which the first `num_samples` are returned: (chains, num_samples, dim).

    `target` may be a name that `targets.load` knows; `options` are those of the sampler, `num_warmup` and `num_chains`
    among them.

    Raises:
        UsageError: a name or an option is not accepted.
        SamplingError: no starting point was found, or adaptation failed.
    """
    require(num_samples >= 1, f"num_samples={num_samples} is not accepted; it takes 1 or more")
    found = load(target) if isinstance(target, str) else target
    run = method(name, **options).start(found, seed, initial)
    while run.status is Status.RUNNING and (run.phase is Phase.WARMUP or run.done < num_samples):
        run.advance(SLICE)
    draws = run.approximation()
    if run.status is Status.FAILED or draws is None:
        raise SamplingError(f"{name} on {found.name}: {run.reason}")
    stats = {name: values[:, :num_samples] for name, values in draws.stats.items()}
    return Draws(draws.values[:, :num_samples], draws.coordinates, stats, run.warmup())

"""Sampling in one call, for people."""

import contextlib
import datetime
import difflib
import math
import operator
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from samplers.draws import Draws
from samplers.initial import Initial
from samplers.method import SamplerRun
from samplers.registry import METHODS, method
from targets.bring import from_function, near
from targets.options import UsageError, defaults, require
from targets.protocols import Phase, Status
from targets.registry import load
from targets.target import Target

# PyMC's names.
ALIASES = {
    "draws": "num_samples",
    "tune": "num_warmup",
    "chains": "num_chains",
    "random_seed": "seed",
    "cores": "num_threads",
    "threads": "num_threads",
    "max_treedepth": "max_tree_depth",
    "progressbar": "progress",
}

POINTS = "it takes a point (dim,), or one for each chain (chains, dim)"

P = ParamSpec("P")
R = TypeVar("R")


class SamplingError(RuntimeError):
    """The chains could not go on; the message says why."""


def with_aliases(function: Callable[P, R]) -> Callable[P, R]:
    """Let keyword arguments be given under the names of `ALIASES` too.

    Raises:
        UsageError: one argument is given under two names.
    """

    @wraps(function)
    def renamed(*args: P.args, **given: P.kwargs) -> R:
        meant: dict[str, str] = {}
        for key in given:
            other = meant.setdefault(ALIASES.get(key, key), key)
            require(other == key, f"{other} and {key} are two names of one option; one of them is accepted")
        options: Any = {name: given[key] for name, key in meant.items()}
        return function(*args, **options)

    return renamed


@with_aliases
def sample(
    target: Target | str | Callable[..., Any],
    name: str = "nuts",
    *,
    num_samples: int = 1000,
    seed: int = 0,
    initial: Initial | npt.ArrayLike | None = None,
    num_threads: int | None = None,
    progress: bool = False,
    dim: int | None = None,
    data: npt.ArrayLike | None = None,
    gradient: Callable[..., Any] | str | None = None,
    **options: Any,
) -> Draws:
    """Draws of several chains after warm-up: `Draws` with values (chains, num_samples, dim).

    Args:
        target: a name that `targets.load` knows, a target, or a log density of one's own, compiled by numba or plain
            Python; see `targets.from_function` for what it may take and return.
        name: a sampler that `samplers.names` lists.
        num_samples: draws a chain.
        seed: 0 or more. Equal seeds give equal draws, bit for bit, with any number of threads.
        initial: where chains start. A point (dim,): all start around it, within 1 in each coordinate. One point for
            each (chains, dim): they start there. An `Initial`: that, and a metric. By default targets say where.
        num_threads: how many chains advance at once; by default as many as there are cores, and chains. Plain Python
            densities hold the interpreter's lock, so that threads bring them nothing.
        progress: whether to show a bar on the error stream.
        dim: of a function of one's own, how many coordinates it has; not needed with `initial`.
        data: of a function of one's own that takes them, a matrix.
        gradient: of a function of one's own that does not say it, a function, or "differences" to estimate it.
        options: those of the sampler, `num_warmup` and `num_chains` among them.

    PyMC's names are accepted: draws, tune, chains, random_seed, cores, max_treedepth, progressbar.

    Raises:
        UsageError: an argument is not accepted; the message is one line.
        SamplingError: no starting point was found, or adaptation failed.
        KeyboardInterrupt: on an interrupt, once the chains have ended their round, of about 0.1 s.
    """
    require(
        _whole(num_samples) and num_samples >= 1, f"num_samples={num_samples!r} is not accepted; it takes 1 or more"
    )
    require(_whole(seed) and seed >= 0, f"seed={seed!r} is not accepted; it takes a whole number, 0 or more")
    require(isinstance(name, str), f"a sampler of type {type(name).__name__} is not accepted; a name is")
    _check_options(name, options)
    sampler = method(name, **options)
    start, initial = _start(initial)
    found = _target(target, start if start is not None else _positions(initial), dim, data, gradient)
    if start is not None:
        require(
            start.shape == (found.dim,), f"initial of shape {start.shape} is not accepted; {found.dim} coordinates are"
        )
        found = replace(found, initial=partial(near, start), registered=False)
    unfit = sampler.unfit(found)
    if unfit is not None:
        raise UsageError(_why(unfit, found))
    threads = min(_threads(num_threads), sampler.num_chains)
    sampler.compile(found)
    begun = time.perf_counter()
    run = sampler.start(found, int(seed), initial, threads=threads)
    _pace(run, time.perf_counter() - begun, run.work.total)
    with _shown(progress, run, num_samples) as show:
        while run.status is Status.RUNNING and (run.phase is Phase.WARMUP or run.done < num_samples):
            before, at = run.work.total, time.perf_counter()
            run.advance(1)
            _pace(run, (time.perf_counter() - at) * threads, run.work.total - before)
            show()
    draws = run.approximation()
    if run.status is Status.FAILED or draws is None:
        raise SamplingError(f"{name} on {found.name}: {run.reason}")
    seconds = time.perf_counter() - begun
    warmup = run.warmup()
    about = {
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(),
        "sampler": sampler.label,
        "target": found.label,
        "seed": int(seed),
        "tuning_steps": 0 if warmup is None else warmup.values.shape[1],
        "sampling_time": seconds,
    }
    return replace(
        draws,
        values=draws.values[:, :num_samples],
        stats={key: values[:, :num_samples] for key, values in draws.stats.items()},
        warmup=None if warmup is None else replace(warmup, named=found.named, about=about),
        named=found.named,
        about=about,
    )


def _pace(run: SamplerRun, seconds: float, evaluations: int) -> None:
    """Tell a run what an evaluation takes, so that an interrupt does not wait long; if unknown, a call makes one."""
    run.pace = 1e9 * seconds / evaluations if evaluations else math.inf


def _whole(value: object) -> bool:
    """Whether it is an integer of any kind, and not a truth value."""
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _check_options(name: str, options: Mapping[str, object]) -> None:
    """Name what an unknown option may have meant, among those of the sampler and of `sample`."""
    accepted = defaults(METHODS.factory(name))
    for key in options:
        if key not in accepted:
            known = [*accepted, *defaults(sample), *ALIASES]
            hint = [ALIASES.get(word, word) for word in difflib.get_close_matches(key, known, n=1)]
            meant = f"did you mean {hint[0]}?" if hint else f"accepted: {', '.join(accepted)}"
            raise UsageError(f"{name} has no option {key!r}; {meant}")


def _start(initial: Initial | npt.ArrayLike | None) -> tuple[Any, Initial | None]:
    """A point that chains start around, or what they start from."""
    if initial is None or isinstance(initial, Initial):
        return None, initial
    try:
        positions = np.asarray(initial, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"initial of type {type(initial).__name__} is not accepted; {POINTS}") from error
    require(positions.ndim in (1, 2), f"initial of shape {positions.shape} is not accepted; {POINTS}")
    return (positions, None) if positions.ndim == 1 else (None, Initial(positions))


def _positions(initial: Initial | None) -> Any:
    """One of the given starting points, which tells the dimension; None without."""
    if initial is None or initial.positions is None or len(initial.positions) == 0:
        return None
    return np.asarray(initial.positions)[0]


def _target(target: Any, point: Any, dim: int | None, data: Any, gradient: Any) -> Target:
    if not isinstance(target, (str, Target)):
        kind = type(target).__name__
        require(callable(target), f"a target of type {kind} is not accepted; a name, a target or a function is")
        return from_function(target, dim, gradient=gradient, data=data, start=point)
    for given, value in (("dim", dim), ("data", data), ("gradient", gradient)):
        require(value is None, f"{given}= goes with a function of one's own; a registered target has it already")
    return load(target) if isinstance(target, str) else target


def _why(unfit: str, target: Target) -> str:
    if target.differentiable:
        return f"{target.name} is not accepted: {unfit}"
    free = [key for key, entry in METHODS.entries.items() if "gradient-free" in entry.tags]
    return (
        f"{unfit}, and {target.name} has none; give gradient=, or gradient='differences' to estimate it, or use a "
        f"sampler that needs none: {', '.join(free)}"
    )


def _threads(asked: int | None) -> int:
    if asked is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    require(_whole(asked) and asked >= 1, f"num_threads={asked!r} is not accepted; it takes 1 or more")
    return operator.index(asked)


@contextlib.contextmanager
def _shown(progress: bool, run: SamplerRun, num_samples: int) -> Iterator[Callable[[], None]]:
    """What is to be called after each round."""
    if not progress:
        yield lambda: None
        return
    from samplers.progress import bar

    with bar(run, num_samples) as show:
        yield show

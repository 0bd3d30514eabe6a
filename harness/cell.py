"""One cell of the race: one method on one target with one seed, timed, then judged."""

import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from harness import metrics, plugins, provenance, registry
from harness.budget import Budget
from harness.clock import Clock, one_thread
from reports.records import SCHEMA_VERSION
from targets.protocols import Approximation, Method, Phase, Run, Status, Work
from targets.target import Target

SLICE_SECONDS = 0.1  # about how long one call of `advance` may take, so that caps and interrupts are noticed
FIRST_CHECKPOINT = 64  # evaluations
CHECKPOINT_RATIO = math.sqrt(2.0)
IDLE_CALLS = 100  # calls of `advance` without any evaluation after which a run is taken for stuck
DIAGNOSTICS = (  # those with a column of their own
    "divergences",
    "r_hat",
    "ess_min",
    "ess_square_min",
    "ess_tail_min",
    "draws",
    "e_bfmi",
    "tree_depth",
    "round_trips",
    "k_hat",
    "elbo",
    "log_normaliser",
    "log_normaliser_error",
)
WHOLE = ("divergences", "draws")  # those that are counted

Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Cell:
    """What to compute: SPECs of a target and a method, a seed and a budget.

    `target_made` and `method_made` carry objects that no SPEC names; such a cell runs in the process that made it.
    """

    target: str
    method: str
    seed: int
    budget: Budget
    target_made: Target | None = field(default=None, compare=False)
    method_made: Method | None = field(default=None, compare=False)

    @property
    def cell_id(self) -> str:
        """Sixteen hexadecimal digits of everything that the result depends on, our own sources apart."""
        what = [
            SCHEMA_VERSION,
            self.target,
            self.method,
            self.seed,
            self.budget.max_gradients,
            self.budget.max_seconds,
            [plugins.digest(spec) for spec in (self.target, self.method)],
        ]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]

    def make(self) -> tuple[Target, Method]:
        """The target and the method themselves."""
        return self.target_made or registry.target(self.target), self.method_made or registry.method(self.method)


@dataclass(frozen=True)
class Checkpoint:
    """What was kept of a run at one moment; its errors are computed after the race."""

    phase: Phase
    seconds: float
    work: Work
    approximation: Approximation | None


@dataclass
class Ledger:
    """Where the seconds and the evaluations of a cell went."""

    compile_seconds: float = 0.0
    setup_seconds: float = 0.0
    seconds: dict[Phase, float] = field(default_factory=lambda: dict.fromkeys(Phase, 0.0))
    evaluations: dict[Phase, Work] = field(default_factory=lambda: {phase: Work() for phase in Phase})

    @property
    def total_seconds(self) -> float:
        """What the user of a warm installation waits for: everything but compilation."""
        return self.setup_seconds + sum(self.seconds.values())


@dataclass
class Outcome:
    """How a run ended, with what was kept of it."""

    status: Status
    reason: str
    ledger: Ledger
    checkpoints: list[Checkpoint] = field(default_factory=list)
    work: Work = field(default_factory=Work)
    diagnostics: dict[str, float] = field(default_factory=dict)


def stream(target: str, seed: int) -> int:
    """The seed that methods get for one of the user's seeds on a target, given by its SPEC.

    It is the same for all methods, which pairs them, and independent from target to target: otherwise the luck of one
    seed would repeat itself on all of them.
    """
    words = np.random.SeedSequence([seed, *target.encode()]).generate_state(2, np.uint32)
    return int(words[0]) << 31 | int(words[1]) >> 1


def goals() -> Iterator[int]:
    """Evaluations since the beginning of a phase at which a checkpoint is due."""
    goal = float(FIRST_CHECKPOINT)
    while True:
        yield round(goal)
        goal *= CHECKPOINT_RATIO


def race(target: Target, method: Method, seed: int, budget: Budget) -> Outcome:
    """Run a method against the clock. Whatever it raises ends the run as failed, with what it had kept."""
    ledger = Ledger()
    unfit = method.unfit(target)
    if unfit is not None:
        return Outcome(Status.SKIPPED, unfit, ledger)
    clock = Clock()
    outcome = Outcome(Status.RUNNING, "", ledger)
    run: Run | None = None
    try:
        with clock.running():
            method.compile(target)
        ledger.compile_seconds = clock.seconds
        clock = Clock()
        with clock.running():
            run = method.start(target, seed)
        ledger.setup_seconds = clock.seconds
        ledger.evaluations[run.phase] += run.work
        _spend(run, budget, outcome)
    except Exception as error:  # the boundary of a cell: a failure is a row in the records, not a crash
        outcome.status = Status.FAILED
        outcome.reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
    if run is not None:
        outcome.work = Work() + run.work
    return outcome


def _spend(run: Run, budget: Budget, outcome: Outcome) -> None:
    """Advance the run from checkpoint to checkpoint until it ends, or its budget does."""
    ledger, pace, idle = outcome.ledger, 1000.0, 0  # pace: evaluations in a slice, adjusted to the speed seen
    phase, base, due = run.phase, run.work.total, goals()
    goal = base + next(due)
    ended = Status.SPENT
    while run.status is Status.RUNNING and run.work.total < budget.max_gradients:
        if ledger.total_seconds > budget.max_seconds:
            ended = Status.CAPPED
            break
        before, clock = Work() + run.work, Clock()
        with clock.running():
            run.advance(max(1, min(goal, budget.max_gradients, before.total + int(pace)) - before.total))
        done = run.work.total - before.total
        ledger.seconds[phase] += clock.seconds
        ledger.evaluations[phase] += run.work - before
        if done > 0:
            pace = max(1.0, SLICE_SECONDS * done / max(clock.seconds, 1e-9))
        changed = run.phase is not phase or run.status is not Status.RUNNING
        idle = 0 if done > 0 or changed else idle + 1
        if idle >= IDLE_CALLS:
            raise RuntimeError(f"{idle} calls of advance in a row evaluated nothing")
        if changed or run.work.total >= min(goal, budget.max_gradients):
            outcome.checkpoints.append(Checkpoint(phase, ledger.total_seconds, Work() + run.work, run.approximation()))
        if run.phase is not phase:
            phase, base, due = run.phase, run.work.total, goals()
            goal = base + next(due)
        while run.work.total >= goal:
            goal = base + next(due)
    outcome.status = ended if run.status is Status.RUNNING else run.status
    outcome.reason = run.reason or ("no reason given" if outcome.status is Status.FAILED else "")
    outcome.diagnostics = run.diagnostics()


def compute(cell: Cell, jobs: int) -> tuple[dict[str, Any], Columns, Columns]:
    """Race one cell and judge what was kept: its row of `cells`, and its columns of `curves` and of `quantities`."""
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    target, method = cell.make()
    with one_thread():
        outcome = race(target, method, stream(target.label, cell.seed), cell.budget)
        columns, summary = judge(target, outcome, cell.seed)
        answers = ask(target, outcome, cell.seed)
        k_hat = _k_hat(target, outcome, cell.seed)
    row = {
        "cell_id": cell.cell_id,
        "target": target.label,
        "method": registry.label(method),
        "target_name": target.name,
        "method_name": method.name,
        "options": {"target": dict(target.options), "method": dict(getattr(method, "options", {}))},
        "seed": cell.seed,
        "max_gradients": cell.budget.max_gradients,
        "max_seconds": cell.budget.max_seconds,
        "oracle": "oracle" in method.tags,
        "tags": sorted(target.tags),
        "method_tags": sorted(method.tags),
        "dim": target.dim,
        "true_log_normaliser": target.truth.log_normaliser if target.truth else None,
        "jobs": jobs,
        "started_at": started,
        "summary": summary,
        **_costs(outcome),
        **_diagnostics(outcome, columns, k_hat),
        **provenance.columns(),
    }
    return row, columns, answers


def failure(cell: Cell, reason: str, jobs: int) -> dict[str, Any]:
    """The row of a cell whose process gave no result."""
    return {
        "cell_id": cell.cell_id,
        "target": cell.target,
        "method": cell.method,
        "target_name": cell.target.partition("[")[0],
        "method_name": cell.method.partition("[")[0],
        "seed": cell.seed,
        "max_gradients": cell.budget.max_gradients,
        "max_seconds": cell.budget.max_seconds,
        "status": str(Status.FAILED),
        "reason": reason,
        "jobs": jobs,
        **provenance.columns(),
    }


def judge(target: Target, outcome: Outcome, seed: int) -> tuple[Columns, dict[str, Any]]:
    """The curves of a run, and a summary of its last approximation against the truth."""
    said = _said(outcome)
    columns: Columns = {
        "checkpoint": list(range(len(said))),
        "phase": [str(point.phase) for point, _ in said],
        "seconds": [point.seconds for point, _ in said],
        "work": [point.work.total for point, _ in said],
        **{name: [getattr(point.work, name) for point, _ in said] for name in asdict(outcome.work)},
        **{name: [] for name in metrics.COLUMNS},
    }
    if not said:
        return columns, {}
    reference = metrics.Reference.of(target)
    for k, (_, approximation) in enumerate(said):
        errors = metrics.evaluate(approximation, target, reference, seed, final=k == len(said) - 1)
        for name in metrics.COLUMNS:
            columns[name].append(errors[name])
    return columns, metrics.summary(said[-1][1], target, reference)


def ask(target: Target, outcome: Outcome, seed: int) -> Columns:
    """What a run says of the target's quantities, at every checkpoint."""
    said, of = _said(outcome), metrics.quantities.asked(target)
    columns: Columns = {name: [] for name in ("checkpoint", "quantity", *metrics.quantities.NAMES)}
    for number, (_, approximation) in enumerate(said):
        last = number == len(said) - 1
        for row in metrics.quantities.evaluate(approximation, target, of, seed, last):
            for name, value in {"checkpoint": number, **row}.items():
                columns[name].append(value)
    return columns


def _said(outcome: Outcome) -> list[tuple[Checkpoint, Approximation]]:
    """The checkpoints at which there was an answer."""
    return [(point, point.approximation) for point in outcome.checkpoints if point.approximation is not None]


def _k_hat(target: Target, outcome: Outcome, seed: int) -> float:
    """That of the last approximation, NaN for draws: what a user would look at, whether or not the method does."""
    said = _said(outcome)
    return metrics.k_hat(said[-1][1], target, seed) if said else math.nan


def _costs(outcome: Outcome) -> dict[str, Any]:
    ledger, work = outcome.ledger, outcome.work
    fit = ledger.evaluations[Phase.FIT]
    before = fit + ledger.evaluations[Phase.WARMUP]
    return {
        "status": str(outcome.status),
        "reason": outcome.reason,
        "compile_seconds": ledger.compile_seconds,
        "setup_seconds": ledger.setup_seconds,
        "fit_seconds": ledger.seconds[Phase.FIT],
        "warmup_seconds": ledger.seconds[Phase.FIT] + ledger.seconds[Phase.WARMUP],
        "run_seconds": ledger.seconds[Phase.RUN],
        "fit_evaluations": fit.total,
        "warmup_evaluations": before.total,
        "warmup_gradient_evaluations": before.gradient_evaluations,
        "warmup_density_evaluations": before.density_evaluations,
        "run_evaluations": ledger.evaluations[Phase.RUN].total,
        **asdict(work),
    }


def _diagnostics(outcome: Outcome, columns: Columns, k_hat: float) -> dict[str, Any]:
    """What the run says of itself, whole and by column; what it does not report of its last answer is found here."""
    said: dict[str, Any] = {name: value for name, value in outcome.diagnostics.items() if name in DIAGNOSTICS}
    said["diagnostics"] = dict(outcome.diagnostics)
    for name in WHOLE:
        if name in said:
            said[name] = int(said[name])
    if "elbo" not in said and columns["elbo"]:
        said["elbo"] = columns["elbo"][-1]
    if "k_hat" not in said and not math.isnan(k_hat):
        said["k_hat"] = k_hat
    return said

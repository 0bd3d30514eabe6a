"""Gibbs sampling of discrete sites: each in turn from its conditional given the others (Geman and Geman 1984)."""

import math
from dataclasses import dataclass, field

import numpy as np
from numba import int64, void

from samplers.chain import RNG
from samplers.draws import Draws
from targets.discrete import DiscreteModel, States
from targets.kernel import DATA, DENSITY, MATRIX, VECTOR, Matrix, Vector, compiled, helper, loop
from targets.options import require
from targets.protocols import Phase, Status, Work

STATES = int64[:, ::1]
COUNTS = int64[::1]


@helper
def weight(height, top):  # type: ignore[no-untyped-def]
    """exp(height - top), and nothing where that is not finite; `top` is the largest finite height."""
    if not abs(height) < np.inf:
        return 0.0
    return math.exp(height - top)


@loop(void(DENSITY, DATA, RNG, VECTOR, VECTOR, MATRIX, STATES, COUNTS))
def scan(density, data, rng, x, height, conditionals, states, spent):  # type: ignore[no-untyped-def]
    """Sweep over all sites for every row of `states` (n, sites), and write there what each sweep ends in.

    `x` (sites * categories,) holds the indicators of the present state, and `height` (1,) its log joint. The
    probabilities that sites are drawn from are added to `conditionals` (sites, categories): their mean estimates the
    marginals with less noise than the states' own frequencies (Rao-Blackwell; Gelfand and Smith 1990). A value whose
    density is not finite is never drawn. `spent` (1,) counts densities: one for each value of a site but the present.
    """
    sites, categories = conditionals.shape
    heights = np.empty(categories)
    here = height[0]
    for row in range(states.shape[0]):
        for i in range(sites):
            present = 0
            for k in range(categories):
                if x[i * categories + k] == 1.0:
                    present = k
            x[i * categories + present] = 0.0
            top = -np.inf
            for k in range(categories):
                heights[k] = here
                if k != present:
                    x[i * categories + k] = 1.0
                    heights[k] = density(x, data)
                    spent[0] += 1
                    x[i * categories + k] = 0.0
                if heights[k] > top and heights[k] < np.inf:
                    top = heights[k]
            total = 0.0
            for k in range(categories):
                total += weight(heights[k], top)
            left, drawn = rng.random() * total, present
            for k in range(categories):
                share = weight(heights[k], top)
                if total > 0.0:
                    conditionals[i, k] += share / total
                elif k == present:
                    conditionals[i, k] += 1.0
                if share > 0.0 and left >= 0.0:
                    drawn = k
                left -= share
            here = heights[drawn]
            x[i * categories + drawn] = 1.0
            states[row, i] = drawn
    height[0] = here


@dataclass
class Gibbs:
    """One chain, from a state drawn uniformly. `advance(work)` makes as many sweeps as begin within that much work."""

    model: DiscreteModel
    seed: "int | np.random.SeedSequence"
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def __post_init__(self) -> None:
        self.model.compile()
        self.rng = np.random.default_rng(self.seed)
        start = self.rng.integers(self.model.categories, size=(1, self.model.sites))
        self.x: Vector = self.model.encode(start)[0]
        self.height = self.model.log_joint(start)
        self.work.density_evaluations = 1
        self.owed = -1  # work asked for and not yet done; below zero where more was done
        self.kept: list[States] = []
        self.forget()
        if not math.isfinite(self.height[0]):
            self.status, self.reason = Status.FAILED, "the log joint at the start is not finite"

    @property
    def cost(self) -> int:
        """Densities a sweep."""
        return self.model.sites * (self.model.categories - 1)

    def advance(self, work: int) -> None:
        """Go on by about so much work; whole sweeps are made, and the difference is made up for in the next call."""
        if self.status is not Status.RUNNING:
            return
        self.owed += work
        self.sweep(max(0, -(-self.owed // self.cost)))

    def sweep(self, sweeps: int) -> States:
        """Make so many sweeps; the states (sweeps, sites) that they end in."""
        states, spent = np.empty((sweeps, self.model.sites), np.int64), np.zeros(1, np.int64)
        density = compiled(self.model.density)
        scan(density, self.model.data, self.rng, self.x, self.height, self.conditionals, states, spent)
        self.work.density_evaluations += int(spent[0])
        self.work.sweeps += sweeps
        self.owed -= int(spent[0])
        self.sweeps += sweeps
        self.kept.append(states)
        return states

    def forget(self) -> None:
        """Drop what was sampled so far, such as a warm-up, but not the state."""
        self.kept.clear()
        self.conditionals: Matrix = np.zeros((self.model.sites, self.model.categories))
        self.sweeps = 0

    @property
    def states(self) -> States:
        """(sweeps, sites)."""
        return np.concatenate([*self.kept, np.empty((0, self.model.sites), np.int64)])

    @property
    def marginals(self) -> Matrix:
        """(sites, categories) means of the conditional probabilities, NaN before the first sweep."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.conditionals / self.sweeps if self.sweeps else self.conditionals * np.nan)


def gibbs(
    model: DiscreteModel, *, seed: int, num_samples: int = 1000, num_warmup: int = 100, num_chains: int = 4
) -> Draws:
    """Draws (chains, samples, sites) of the values of all sites, one a sweep, from chains that start at random.

    Raises:
        UsageError: a number is not accepted, or the model has no density at a start.
    """
    for name, number, least in (
        ("num_samples", num_samples, 1),
        ("num_warmup", num_warmup, 0),
        ("num_chains", num_chains, 1),
    ):
        require(number >= least, f"gibbs: {name}={number} is not accepted; it takes {least} or more")
    values = np.empty((num_chains, num_samples, model.sites))
    for chain, stream in enumerate(np.random.SeedSequence(seed).spawn(num_chains)):
        run = Gibbs(model, stream)
        require(run.status is Status.RUNNING, f"gibbs: {run.reason}")
        run.sweep(num_warmup)
        values[chain] = run.sweep(num_samples)
    return Draws(values, model.coordinates)

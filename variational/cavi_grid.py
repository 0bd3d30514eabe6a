"""Free-form mean field by coordinate ascent on a grid: log q_j = E_{q_-j}[log p] + const, with no family assumed.

The update (Bishop 2006, equation 10.9) is made as it stands: the log density is tabulated once, and expectations are
sums over the other axes. With sums for integrals the bound is that of a discrete problem, which every update maximises
over one factor, so that it never falls; for smooth densities such sums are exact to rounding (`variational.grid`).

A coarse grid can hold a factor fast that is narrower than its steps, away from the optimum. So the part of the
density's box that the factors fill is looked for anew on each grid, and grows again where a factor leans against its
edge.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.special import xlogy

from targets.kernel import Vector
from targets.options import require
from targets.protocols import Phase, Status, Work
from targets.target import Target
from variational.evaluation import compile_log_densities, log_densities
from variational.grid import FIRST, LIMIT, log_table, support
from variational.method import Recipe
from variational.mode import TRIES, compile_search, find_mode, starting_point
from variational.product import Marginal, Product

ROUGH, ROUGH_LIMIT = 1e-2, 500  # of the search for a mode: nats left to gain, and gradients at most
IMPOSSIBLE = 1e3  # nats below all others that a point counts which has no finite log density
TAIL = 1e-9  # mass of a factor beyond either end of its axis
MARGIN = 0.1  # of what a factor fills, on either side of it
NARROWER = 0.7  # of its length, where an axis is cut to what the factor fills of it
FINER_GRID = {1: 2.0, 2: 2.0, 3: 1.5}  # times as many nodes an axis, where two grids are compared
MOVES = 8  # of the box between refinements: a coarse grid can send it to and fro
FINER = 8  # nodes of a factor's density for one of its grid: its logarithm is smoother than what is linear in between
UNSEEN, OVERSHOT = -30.0, 0.5  # nats below a factor's peak that do not matter, and by which a spline must not be off
STEEP = 40.0  # nats that a factor is taken to fall off over the length of its axis, beyond it
SHARE = 0.1  # of the tolerance that sweeps may leave
SWEEPS = 10_000  # on one grid


@dataclass
class Table:
    """Log densities on a grid, with a mass for every node of every axis.

    Attributes:
        axes: nodes of each coordinate, evenly spaced.
        heights: log densities, of as many axes.
        masses: of each factor, summing to one.
        logs: of each factor's mass, up to a constant, since masses may be too small for a number.
    """

    axes: tuple[Vector, ...]
    heights: np.ndarray
    masses: list[Vector]
    logs: list[Vector]

    @classmethod
    def of(cls, axes: tuple[Vector, ...], heights: np.ndarray, logs: list[Vector]) -> "Table":
        """With factors of these log masses."""
        return cls(axes, heights, [_normalised(log) for log in logs], list(logs))

    @property
    def product(self) -> Product:
        """The factors as densities."""
        made = []
        for axis, log in zip(self.axes, self.logs, strict=True):
            nodes = np.linspace(axis[0], axis[-1], FINER * (len(axis) - 1) + 1)
            smooth = _interpolated(axis, log, nodes)
            made.append(Marginal(nodes, np.exp(smooth - smooth.max())))
        return Product(tuple(made))

    def sweep(self) -> tuple[float, float]:
        """Update each factor in turn. Returns the bound, and the largest change of a factor in total variation."""
        change, expected = 0.0, np.zeros(0)
        for j, old in enumerate(self.masses):
            expected = field_of(self.heights, self.masses, j)
            self.masses[j], self.logs[j] = _normalised(expected), expected
            change = max(change, 0.5 * float(np.abs(self.masses[j] - old).sum()))
        return float(self.masses[-1] @ expected) + self.entropy, change

    @property
    def entropy(self) -> float:
        """Differential entropy of the product, in nats."""
        total = 0.0
        for axis, mass in zip(self.axes, self.masses, strict=True):
            total += float(np.log(axis[1] - axis[0]) - xlogy(mass, mass).sum())
        return total


def _normalised(logs: Vector) -> Vector:
    mass = np.exp(logs - logs.max())
    return np.asarray(mass / mass.sum())


def _interpolated(axis: Vector, logs: Vector, nodes: Vector) -> Vector:
    """Logs of a factor between the nodes of its axis: by a spline; where that overshoots, by cubics that do not."""
    careful, smooth = PchipInterpolator(axis, logs)(nodes), CubicSpline(axis, logs)(nodes)
    seen = careful > logs.max() + UNSEEN
    return np.asarray(smooth if np.abs(smooth - careful)[seen].max() < OVERSHOT else careful)


def field_of(heights: np.ndarray, masses: list[Vector], j: int) -> Vector:
    """E_{q_-j}[log p] at the nodes of axis j."""
    for axis in range(len(masses) - 1, -1, -1):
        if axis != j:
            heights = np.tensordot(heights, masses[axis], axes=(axis, 0))
    return heights


@dataclass
class CaviGridRun:
    """One fit: a box, then sweeps on finer and finer grids, until two of them agree."""

    target: Target
    rng: np.random.Generator
    tolerance: float
    table: Table | None = None
    whole: tuple[Vector, Vector] | None = None
    box: tuple[Vector, Vector] | None = None
    nodes: int = 0
    moves: int = 0
    sweeps: int = 0
    change: float = np.inf
    elbo: float = float("nan")
    coarse: Product | None = None
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def advance(self, work: int) -> None:
        until = self.work.total + work
        while self.status is Status.RUNNING and self.work.total < until:
            if self.table is None:
                self._begin()
            else:
                self._sweep(self.table)

    def _begin(self) -> None:
        start = self._start()
        if start is None:
            self._fail("no starting point has a finite density and gradient")
            return
        x, centre, scale = start
        self.whole = self.box = support(self.target, centre, scale, self.work)
        if self.box is None:
            self._fail("no box holds the density: it does not fall off")
            return
        self.nodes = FIRST[self.target.dim]
        # from the starting point, so that the seed says which optimum is found where there are several
        axes = _axes(self.box, self.nodes)
        self._tabulate([-32 * ((axis - at) / (axis[-1] - axis[0])) ** 2 for axis, at in zip(axes, x, strict=True)])
        if self.table is not None:
            self._sweep(self.table)

    def _start(self) -> tuple[Vector, Vector, Vector] | None:
        """A starting point, and the centre and the scale of what lies uphill of it."""
        if self.target.differentiable:
            start = starting_point(self.target, self.rng, self.work)
            if start is None:
                return None
            mode = find_mode(self.target, *start, ROUGH, ROUGH_LIMIT, self.work)
            return start[0], mode.x, mode.scale
        for _ in range(TRIES):
            x = self.target.start(self.rng)
            if np.isfinite(log_densities(self.target, x[None, :], self.work)[0]):
                return x, x, np.ones(self.target.dim)
        return None

    def _tabulate(self, logs: list[Vector]) -> None:
        """Go on from factors of these log masses, on a grid of the box as it is."""
        assert self.box is not None  # noqa: S101
        axes, _, values = log_table(self.target, *self.box, self.nodes, self.work)
        finite = np.isfinite(values)
        if not finite.any():
            self._fail("no node of the grid has a finite density")
            return
        values = np.where(finite, values, values[finite].min() - IMPOSSIBLE)
        self.table = Table.of(axes, values.reshape((self.nodes,) * len(axes)), logs)
        self.sweeps, self.change = 0, np.inf

    def _sweep(self, table: Table) -> None:
        previous = self.change
        self.elbo, self.change = table.sweep()
        self.sweeps += 1
        self.work.sweeps += 1
        # sweeps contract linearly, so that what is left to go is change r / (1 - r), with r the ratio of changes
        ratio = self.change / previous if previous > 0 else 0.0
        left = self.change * ratio / (1 - ratio) if ratio < 1 else np.inf
        if self.change == 0 or (self.sweeps > 1 and left <= SHARE * self.tolerance):
            self._settled(table)
        elif self.sweeps >= SWEEPS:
            self._fail(f"{SWEEPS} sweeps on a grid do not settle")

    def _settled(self, table: Table) -> None:
        """Move the box to what the factors fill, or refine the grid, or stop."""
        q = table.product
        if self.moves < MOVES and self._moved(q):
            self.moves, self.coarse = self.moves + 1, None
            self._go_on(table)
        elif self._agrees(q):
            self.status = Status.CONVERGED
            self.reason = f"{self.nodes} nodes an axis agree with a coarser grid to {self.tolerance:g} sd"
        elif self._finer() > LIMIT[self.target.dim]:
            self._fail(f"{self.nodes} nodes an axis are too few: moments have not settled to {self.tolerance:g} sd")
        else:
            self.nodes, self.coarse, self.moves = self._finer(), q, 0
            self._go_on(table)

    def _finer(self) -> int:
        return int(FINER_GRID[self.target.dim] * (self.nodes - 1)) + 1

    def _moved(self, q: Product) -> bool:
        """Whether the box had to be moved, to hold no more and no less than the factors."""
        assert self.box is not None and self.whole is not None  # noqa: S101
        (low, high), (lowest, highest) = self.box, self.whole
        ends = np.array([m.quantile(np.array([TAIL, 1 - TAIL])) for m in q.marginals]).T
        width, near = high - low, 2 * (high - low) / (self.nodes - 1)
        open_low, open_high = (ends[0] - low < near) & (low > lowest), (high - ends[1] < near) & (high < highest)
        margin = MARGIN * (ends[1] - ends[0])
        new_low = np.maximum(lowest, np.where(open_low, low - 0.5 * width, ends[0] - margin))
        new_high = np.minimum(highest, np.where(open_high, high + 0.5 * width, ends[1] + margin))
        if not (np.any(open_low | open_high) or np.any(new_high - new_low < NARROWER * width)):
            return False
        self.box = new_low, new_high
        return True

    def _agrees(self, q: Product) -> bool:
        """Whether moments are those of the coarser grid before."""
        if self.coarse is None:
            return False
        shift = float(np.max(np.abs(q.mean - self.coarse.mean) / q.sd))
        return max(shift, float(np.max(np.abs(np.log(q.sd / self.coarse.sd))))) <= self.tolerance

    def _go_on(self, table: Table) -> None:
        """On new axes, from the factors as they are; beyond the old ones they fall off as they do at the ends."""
        assert self.box is not None  # noqa: S101
        logs = []
        for axis, old, log in zip(_axes(self.box, self.nodes), table.axes, table.logs, strict=True):
            inside = _interpolated(old, log, np.clip(axis, old[0], old[-1]))
            outside = np.abs(axis - np.clip(axis, old[0], old[-1])) / (old[-1] - old[0])
            logs.append(inside - STEEP * outside)
        self._tabulate(logs)

    def _fail(self, reason: str) -> None:
        self.status, self.reason = Status.FAILED, reason

    def approximation(self) -> Product | None:
        """The factors as they are; None before the first sweep."""
        if self.table is None or np.isnan(self.elbo):
            return None
        return self.table.product

    def diagnostics(self) -> dict[str, float]:
        return {} if np.isnan(self.elbo) else {"elbo": self.elbo, "nodes": float(self.nodes)}


def cavi_grid(*, tolerance: float = 1e-3) -> Recipe:
    """Free-form mean field, from a starting point of the target.

    `tolerance` is the change of means and log sds, in sd, at which a finer grid is said to agree.
    """
    require(tolerance > 0, f"cavi_grid: tolerance={tolerance:g} is not accepted; it takes a positive number")

    def refuse(target: Target) -> str | None:
        most = max(FIRST)
        return None if target.dim <= most else f"a grid takes at most {most} dimensions"

    def begin(target: Target, seed: int) -> CaviGridRun:
        refused = refuse(target)
        require(refused is None, f"cavi_grid: {target.name} is not accepted; {refused}")
        return CaviGridRun(target, np.random.default_rng(seed), tolerance)

    def prepare(target: Target) -> None:
        if target.differentiable:
            compile_search(target)
        compile_log_densities(target)

    return Recipe(begin, prepare, refuse)


def _axes(box: tuple[Vector, Vector], nodes: int) -> tuple[Vector, ...]:
    return tuple(np.linspace(low, high, nodes) for low, high in zip(*box, strict=True))

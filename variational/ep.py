"""Expectation propagation (Minka 2001): each site is replaced by a Gaussian that matches moments in its context.

q is the target's Gaussian prior times one Gaussian factor for each site. A site's factor is chosen so that q has the
moments of cavity x site, the cavity being q without that factor. Each step minimises KL(cavity x site || q), a local
stand-in for KL(p || q): on its fixed point the moments are those of p only where p is Gaussian.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import cho_solve

from targets.kernel import Matrix, Vector, compiled
from targets.options import require
from targets.protocols import Phase, Status, Work
from targets.sites import probit
from targets.target import Sites, Target
from variational.ep_sweep import CHANGE, ENERGY, SKIPPED, visit
from variational.gaussian import Gaussian
from variational.method import Recipe

PIECE = 2e7  # multiplications in one compiled call, so that it lasts some hundredths of a second
GENTLE = 0.5  # damping of parallel sweeps
LEAST = 1 / 64  # of the damping, which halves where sweeps move apart or q would be improper
RECOVERY = 1.2  # by which it grows after a sweep that asked for less than the one before


@dataclass
class EpRun:
    """One fit; a sweep over all sites is atomic."""

    target: Target
    sites: Sites
    parallel: bool
    most: float  # of the damping
    damping: float
    tolerance: float
    max_sweeps: int
    precisions: np.ndarray  # (n, w, w), with `shifts` (n, w): the natural parameters of the sites
    shifts: Matrix
    mean: Vector
    covariance: Matrix
    prior_mean: Vector
    prior_precision: Matrix
    change: float = float("inf")
    skipped: float = 0.0
    log_normaliser: float = float("nan")
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def advance(self, work: int) -> None:
        until = self.work.total + work
        while self.status is Status.RUNNING and self.work.total < until:
            self._sweep()

    def _sweep(self) -> None:
        old = self.precisions.copy(), self.shifts.copy()
        tally = self._visit(self.damping)
        share = 1.0
        while (
            not self._refresh()
        ):  # only where a factor is negative: from p's own prior on, sweep by sweep, q is proper
            share *= 0.5
            self.damping = max(LEAST, 0.5 * self.damping)
            if share < LEAST:
                self.precisions, self.shifts = old
                self._fail("no step keeps the approximation proper")
                return
            self.precisions = old[0] + share * (self.precisions - old[0])
            self.shifts = old[1] + share * (self.shifts - old[1])
        if tally[SKIPPED] == len(self.shifts) > 0:
            self._fail("no site could be matched: their cavities are improper or their moments not finite")
            return
        apart = tally[CHANGE] > self.change
        self.damping = max(LEAST, 0.5 * self.damping) if apart else min(self.most, RECOVERY * self.damping)
        self.change, self.skipped = float(tally[CHANGE]), float(tally[SKIPPED])
        if self.change <= self.tolerance and not self.skipped:
            self._finish()
        elif self.work.sweeps >= self.max_sweeps:
            unmatched = f", and {self.skipped:.0f} are skipped" if self.skipped else ""
            self._fail(f"after {self.max_sweeps} sweeps sites still ask for a change of {self.change:.2g}{unmatched}")

    def _visit(self, damping: float) -> Vector:
        """One sweep, in compiled calls of bounded length; what `visit` tallies."""
        tally = np.zeros(3)
        n, width, dim = self.sites.projections.shape
        step = max(1, int(PIECE / (width * dim * dim)))
        tilted = compiled(self.sites.tilted)
        for first in range(0, n, step):
            visit(
                tilted,
                self.sites.projections,
                self.sites.parameters,
                self.precisions,
                self.shifts,
                self.mean,
                self.covariance,
                tally,
                first,
                min(n, first + step),
                damping,
                not self.parallel and damping > 0,
            )
        self.work.sweeps += 1
        self.work.row_evaluations += n
        return tally

    def _refresh(self) -> bool:
        """The q of the natural parameters, without the rounding that rank-one updates gather; whether it is proper."""
        n, width, dim = self.sites.projections.shape
        rows = self.sites.projections.reshape(n * width, dim)
        scaled = np.einsum("nab,nbi->nai", self.precisions, self.sites.projections).reshape(n * width, dim)
        precision = self.prior_precision + rows.T @ scaled
        try:
            factor = np.linalg.cholesky(0.5 * (precision + precision.T))
        except np.linalg.LinAlgError:
            return False
        covariance = np.ascontiguousarray(cho_solve((factor, True), np.eye(dim)))
        mean = covariance @ (self.prior_precision @ self.prior_mean + rows.T @ self.shifts.ravel())
        if not (np.all(np.isfinite(covariance)) and np.all(np.isfinite(mean))):
            return False
        self.covariance, self.mean = covariance, mean
        return True

    def _finish(self) -> None:
        """The log normaliser that the sites imply (Minka 2001, equation 3.19) takes one more sweep, without moving."""
        self.status = Status.CONVERGED
        self.reason = f"all sites together ask for a change of {self.change:.1e}"
        if len(self.shifts):
            energy = float(self._visit(0.0)[ENERGY])
            prior = _log_partition(self.prior_mean, self.prior_precision)
            self.log_normaliser = energy + _log_partition(self.mean, np.asarray(np.linalg.inv(self.covariance))) - prior

    def _fail(self, reason: str) -> None:
        self.status, self.reason = Status.FAILED, reason

    def approximation(self) -> Gaussian | None:
        if not self.work.sweeps:
            return None
        return Gaussian.from_moments(self.mean, 0.5 * (self.covariance + self.covariance.T))

    def diagnostics(self) -> dict[str, float]:
        said = {"log_normaliser": self.log_normaliser, "change": self.change, "skipped": self.skipped}
        return {key: value for key, value in said.items() if np.isfinite(value)}


def _log_partition(mean: Vector, precision: Matrix) -> float:
    """The log of the integral of exp(h'x - x'Lx / 2), but for the powers of 2 pi, which cancel."""
    return 0.5 * float(mean @ precision @ mean - np.linalg.slogdet(precision)[1])


def _structure(target: Target) -> tuple[Vector, Matrix, Sites] | None:
    """Prior mean, prior precision and sites; a Gaussian target is a prior without sites."""
    if target.sites is not None and target.gaussian_prior is not None:
        prior = target.gaussian_prior
        factor = np.diag(1 / prior.scale) if prior.scale.ndim == 1 else np.linalg.inv(prior.scale)
        return prior.mean, np.asarray(factor.T @ factor), target.sites
    if target.gaussian is not None:
        none = Sites(probit, np.zeros((0, 1, target.dim)), np.zeros((0, 0)))
        return target.gaussian.mean, target.gaussian.precision, none
    return None


def _refuse(target: Target) -> str | None:
    if _structure(target) is not None:
        return None
    return "it needs a target that offers sites: a Gaussian prior times factors of few linear combinations each"


def ep(
    *, schedule: str = "sequential", damping: float | None = None, tolerance: float = 1e-6, max_sweeps: int = 500
) -> Recipe:
    """Expectation propagation with Gaussian sites.

    `schedule` is 'sequential', where q follows each site, or 'parallel', where it follows all of them after a sweep.
    `damping` is the share of the way that natural parameters move, above 0 and at most 1; by default 1 sequentially
    and 0.5 in parallel, and it halves by itself where sweeps move apart. It stops where all sites together ask for a
    change of q below `tolerance`, means and log sds in sd of q; after `max_sweeps` it gives up.
    """
    require(
        schedule in ("sequential", "parallel"),
        f"ep: schedule={schedule!r} is not accepted; it takes 'sequential' or 'parallel'",
    )
    require(
        damping is None or 0 < damping <= 1,
        f"ep: damping={damping} is not accepted; it takes a positive number, at most 1",
    )
    require(tolerance > 0, f"ep: tolerance={tolerance:g} is not accepted; it takes a positive number")
    require(max_sweeps >= 1, f"ep: max_sweeps={max_sweeps} is not accepted; it takes 1 or more")
    parallel = schedule == "parallel"
    share = (GENTLE if parallel else 1.0) if damping is None else damping

    def begin(target: Target, _: int) -> EpRun:
        found = _structure(target)
        require(found is not None, f"ep: {target.name} is not accepted: {_refuse(target)}")
        assert found is not None  # noqa: S101
        mean, precision, sites = found
        n, width, _ = sites.projections.shape
        return EpRun(
            target,
            sites,
            parallel,
            share,
            share,
            tolerance,
            max_sweeps,
            np.zeros((n, width, width)),
            np.zeros((n, width)),
            np.array(mean, dtype=np.float64),
            np.ascontiguousarray(np.linalg.inv(precision)),
            mean,
            precision,
        )

    def prepare(target: Target) -> None:
        found = _structure(target)
        _ = visit.compiled
        if found is not None:
            compiled(found[2].tilted)

    return Recipe(begin, prepare, _refuse)

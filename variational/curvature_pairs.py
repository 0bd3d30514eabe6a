"""The inverse Hessian that a path of L-BFGS has seen, as a diagonal and a few directions.

Zhang, Carpenter, Gelman and Vehtari 2022 (JMLR 23), algorithm 3: the diagonal of Gilbert and Lemarechal 1989, and the
compact form of Byrd, Nocedal and Schnabel 1994 (theorem 2.2) over the last steps.

BFGS takes these pairs in one after the other, and agrees with the last of them alone, H y = s. On a quadratic the pairs
agree with each other, and the block form of the same update (Schnabel 1983) agrees with all: H is then the inverse
Hessian along all the steps, and all of it where they span the space. Elsewhere the products of steps and changes are
made symmetric first, and combinations along which they are not positive are left out.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import solve_triangular

from targets.kernel import Matrix, Vector
from variational.stretched import StretchedGaussian

REPEATED = 1e-9  # of the largest eigenvalue of their products, below which a combination of pairs tells nothing new
BENT = 1e-8  # cosine of step and change of gradient, from which a pair says something of the curvature


@dataclass
class CurvaturePairs:
    """The last `history` pairs of a step and of the change in minus the gradient, and the diagonal of all of them.

    `block` says whether pairs are put together as a block.
    """

    history: int
    block: bool = True
    diagonal: Vector | None = None
    steps: deque[Vector] = field(default_factory=deque)
    changes: deque[Vector] = field(default_factory=deque)

    def add(self, step: Vector, change: Vector) -> bool:
        """Take a pair of vectors (dim,) in; False where it shows no downward curvature, and is left out."""
        with np.errstate(all="ignore"):
            along = float(step @ change)
            bent = along > BENT * float(np.linalg.norm(step) * np.linalg.norm(change))
        if not (bent and np.isfinite(along) and along > 0):
            return False
        diagonal = self.diagonal if self.diagonal is not None else np.full(len(step), along / float(change @ change))
        across, within = float(change**2 @ diagonal), float(step**2 @ (1 / diagonal))
        inverse = across / (along * diagonal) + change**2 / along
        inverse -= across / (along * within) * (step / diagonal) ** 2
        updated = 1 / inverse
        if not (np.all(np.isfinite(updated)) and np.all(updated > 0)):
            return False
        self.diagonal = updated
        self.steps.append(step)
        self.changes.append(change)
        if len(self.steps) > self.history:
            self.steps.popleft()
            self.changes.popleft()
        return True

    def gaussian(self, x: Vector, gradient: Vector) -> StretchedGaussian | None:
        """The Gaussian with that covariance, at the end of a Newton step from x; None where rounding spoils it."""
        if self.diagonal is None:
            return None
        scale = np.sqrt(self.diagonal)
        steps, changes = np.array(self.steps) / scale, np.array(self.changes) * scale
        with np.errstate(all="ignore"):
            pairs, inside = _compact(steps, changes, self.block)
            if not np.all(np.isfinite(inside)):
                return None
            basis, inner = np.linalg.qr(pairs.T)
            middle = inner @ inside @ inner.T
            if not np.all(np.isfinite(middle)):
                return None
            variances, turned = np.linalg.eigh(np.eye(len(middle)) + 0.5 * (middle + middle.T))
            if not variances[0] > 0:
                return None
            q = StretchedGaussian(x, scale, np.ascontiguousarray((basis @ turned).T), variances)
            mean = x + q.times(gradient)
        return StretchedGaussian(mean, q.scale, q.vectors, q.variances) if np.all(np.isfinite(mean)) else None


def _compact(steps: Matrix, changes: Matrix, block: bool) -> tuple[Matrix, Matrix]:
    """Pairs P (2 m, dim) and G (2 m, 2 m): in units of the diagonal the inverse Hessian is I + P' G P."""
    if block:
        steps, changes = _independent(steps, changes)
        inverse = own = np.eye(len(steps))
    else:
        products = steps @ changes.T
        inverse = solve_triangular(np.triu(products), np.eye(len(steps)), check_finite=False)
        own = inverse.T @ np.diag(np.diagonal(products)) @ inverse
    m = len(steps)
    inside = np.zeros((2 * m, 2 * m))
    inside[:m, m:] = -inverse
    inside[m:, :m] = -inverse.T
    inside[m:, m:] = own + inverse.T @ changes @ changes.T @ inverse
    return np.vstack([changes, steps]), inside


def _independent(steps: Matrix, changes: Matrix) -> tuple[Matrix, Matrix]:
    """Combinations of the pairs whose products, made symmetric, are the identity; those that repeat others are gone."""
    size = np.sqrt(np.einsum("ij,ij->i", steps, changes))[:, None]
    steps, changes = steps / size, changes / size
    products = steps @ changes.T
    values, vectors = np.linalg.eigh(0.5 * (products + products.T))
    held = values > REPEATED * values[-1]
    combined = (vectors[:, held] / np.sqrt(values[held])).T
    return combined @ steps, combined @ changes

"""Planar flows (Rezende and Mohamed 2015): z + u tanh(w . z + b), layer upon layer. For teaching: each bends one plane.

A layer is invertible where u . w >= -1, which holds for u' = u + (softplus(w . u + c) - 1 - w . u) w / |w|^2 of any u
(their appendix A.1, with c = log(e - 1), so that u = 0 makes the identity). There is no formula for the inverse, but
along w it is the root of a rising function. Gradients as in `variational.realnvp`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import float64, int64, types

from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, Matrix, Vector, helper, loop, zeros
from variational.network import adam

UNIT = math.log(math.e - 1.0)  # softplus of it is one
TRIES = 200  # of Newton's method or bisection: halving alone needs about sixty
CUBE = float64[:, :, ::1]


@helper
def bend(parameters, at, dim, u):  # type: ignore[no-untyped-def]
    """Fill u (dim,) with the u' of a layer whose w, u, b stand in `parameters` from `at` on; returns w . u', w . w."""
    along = 0.0
    squared = 1e-300
    for i in range(dim):
        along += parameters[at + i] * parameters[at + dim + i]
        squared += parameters[at + i] * parameters[at + i]
    shifted = along + UNIT
    bounded = max(shifted, 0.0) + math.log1p(math.exp(-abs(shifted))) - 1.0
    for i in range(dim):
        u[i] = parameters[at + dim + i] + (bounded - along) * parameters[at + i] / squared
    return bounded, squared


@loop(types.void(VECTOR, int64, MATRIX, VECTOR, VECTOR, int64))
def push(parameters, layers, points, log_determinant, u, back):  # type: ignore[no-untyped-def]
    """Map the points (n, dim) in place, and set the log determinants (n,) of the map; backwards if `back`.

    `u` (dim,) is scratch.
    """
    n, dim = points.shape
    for k in range(n):
        log_determinant[k] = 0.0
    for step in range(layers):
        layer = layers - 1 - step if back else step
        at = layer * (2 * dim + 1)
        bounded, _ = bend(parameters, at, dim, u)
        shift = parameters[at + 2 * dim]
        for k in range(n):
            level = shift
            for i in range(dim):
                level += parameters[at + i] * points[k, i]
            if back:  # level becomes the root r of r + bounded tanh(r) = level
                goal = level
                low, high = goal - abs(bounded), goal + abs(bounded)
                for _ in range(TRIES):
                    bent = math.tanh(level)
                    gap = level + bounded * bent - goal
                    if gap > 0.0:
                        high = level
                    else:
                        low = level
                    slope = 1.0 + bounded * (1.0 - bent * bent)
                    after = level - gap / slope if slope > 1e-8 else 0.5 * (low + high)
                    if not (low < after < high):
                        after = 0.5 * (low + high)
                    moved = abs(after - level)
                    level = after
                    if moved <= 1e-15 * (1.0 + abs(level)) or high - low <= 1e-15 * (1.0 + abs(level)):
                        break
            bent = math.tanh(level)
            log_determinant[k] += math.log(max(1.0 + bounded * (1.0 - bent * bent), 1e-300))
            if back:
                bent = -bent
            for i in range(dim):
                points[k, i] += u[i] * bent


@loop(
    types.int64(
        KERNEL, DATA, types.npy_rng, VECTOR, MATRIX, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, int64, MATRIX,
        MATRIX, MATRIX, MATRIX, MATRIX, VECTOR, VECTOR, VECTOR, int64, float64, float64, float64,
        float64,
    )
)  # fmt: skip
def train(  # type: ignore[no-untyped-def]
    kernel, data, rng, mean, root, parameters, gradient, first, second, pace, total, layers, bents, us, y, score, rest,
    log_ratio, x, pull, steps, rate, share, beta, warming,
):  # fmt: skip
    """As `variational.realnvp.train`. y, score, rest are (batch, dim), `bents` (layers, batch), `us` (layers, dim)."""
    batch, dim = y.shape
    skipped = 0
    for _ in range(steps):
        for c in range(batch // 2):
            for i in range(dim):
                y[c, i] = rng.standard_normal()
                y[c + batch // 2, i] = -y[c, i]
        for c in range(batch):
            for i in range(dim):
                score[c, i] = -y[c, i]
        for c in range(batch):
            log_ratio[c] = 0.0
            for i in range(dim):
                log_ratio[c] += 0.5 * y[c, i] * y[c, i]
        for layer in range(layers):
            at = layer * (2 * dim + 1)
            bounded, _ = bend(parameters, at, dim, x)
            for i in range(dim):
                us[layer, i] = x[i]
            for c in range(batch):
                level = parameters[at + 2 * dim]
                for i in range(dim):
                    level += parameters[at + i] * y[c, i]
                bent = math.tanh(level)
                slope = 1.0 - bent * bent
                volume = 1.0 + bounded * slope
                log_ratio[c] += math.log(max(volume, 1e-300))
                along = 0.0
                for i in range(dim):
                    along += us[layer, i] * score[c, i]
                # J^-T (score - grad log volume), by Sherman and Morrison: J = I + slope u w^T
                turn = 2.0 * bounded * bent * slope / volume  # minus that of log volume with the level
                along = slope * (along + turn * bounded) / volume
                for i in range(dim):
                    score[c, i] += parameters[at + i] * (turn - along)
                    y[c, i] += us[layer, i] * bent
                bents[layer, c] = bent
        used = 0
        height = 0.0
        for c in range(batch):
            for i in range(dim):
                x[i] = mean[i]
                for j in range(i + 1):
                    x[i] += root[i, j] * y[c, j]
            value = kernel(x, pull, data)
            size = abs(value)
            for i in range(dim):
                size += abs(pull[i])
            fine = size < np.inf
            used += fine
            log_ratio[c] = log_ratio[c] + beta * value if fine else np.inf
            for j in range(dim):
                along = 0.0
                for i in range(j, dim):
                    along += root[i, j] * pull[i]
                rest[c, j] = beta * along - (1.0 - beta) * y[c, j] - score[c, j] if fine else 0.0
                log_ratio[c] -= 0.5 * (1.0 - beta) * y[c, j] * y[c, j]
            height += log_ratio[c] if fine else 0.0
        skipped += batch - used
        height /= max(used, 1)
        for c in range(batch):
            fine = log_ratio[c] < np.inf
            log_ratio[c] = share * (height - log_ratio[c]) * used / max(used - 1, 1) if fine else 0.0
            for j in range(dim):
                rest[c, j] = (1.0 - share) * rest[c, j] + log_ratio[c] * score[c, j]
        beta = min(beta + warming, 1.0)
        for i in range(gradient.shape[0]):
            gradient[i] = 0.0
        for step in range(layers):
            layer = layers - 1 - step
            at = layer * (2 * dim + 1)
            bounded, squared = bend(parameters, at, dim, x)
            for i in range(dim):
                pull[i] = 0.0  # gathers the slopes of u'
            tight = 0.0  # gathers that of w . u' in log |J|
            for c in range(batch):
                bent = bents[layer, c]
                slope = 1.0 - bent * bent
                volume = log_ratio[c] / max(1.0 + bounded * slope, 1e-300)
                tight += volume * slope
                along = 0.0
                for i in range(dim):
                    along += us[layer, i] * rest[c, i]
                    pull[i] += bent * rest[c, i]
                    y[c, i] -= us[layer, i] * bent
                along = slope * (along - 2.0 * volume * bounded * bent)
                gradient[at + 2 * dim] += along
                for i in range(dim):
                    gradient[at + i] += along * y[c, i]
                    rest[c, i] += along * parameters[at + i]
            # u' = u + g w / |w|^2, with g = softplus(w . u + c) - 1 - w . u
            raw = 0.0
            along = 0.0
            for i in range(dim):
                raw += parameters[at + i] * parameters[at + dim + i]
                along += parameters[at + i] * pull[i]
            steep = 1.0 / (1.0 + math.exp(-(raw + UNIT)))
            tight *= steep
            steep -= 1.0
            lift = bounded - raw
            for i in range(dim):
                w, u = parameters[at + i], parameters[at + dim + i]
                gradient[at + dim + i] += pull[i] + along * steep * w / squared + tight * w
                turned = along * steep * u + lift * pull[i] - 2.0 * lift * along * w / squared
                gradient[at + i] += turned / squared + tight * u
        if used > 0:
            for i in range(gradient.shape[0]):
                gradient[i] /= used
            adam(parameters, gradient, first, second, pace, rate)
        for i in range(parameters.shape[0]):
            total[i] += parameters[i]
    return skipped


@dataclass(frozen=True)
class Planar:
    """The map of standard normal coordinates.

    Attributes:
        dim: number of coordinates.
        layers: one after the other.
    """

    dim: int
    layers: int

    @property
    def size(self) -> int:
        """Number of parameters: w, u and b of each layer."""
        return self.layers * (2 * self.dim + 1)

    def initial(self, rng: np.random.Generator) -> Vector:
        """Parameters (size,) with which the map is the identity: random w, u = 0."""
        parameters = np.zeros((self.layers, 2 * self.dim + 1))
        parameters[:, : self.dim] = rng.standard_normal((self.layers, self.dim)) / math.sqrt(self.dim)
        parameters[:, -1] = rng.standard_normal(self.layers)
        return parameters.ravel()

    def push(self, parameters: Vector, z: Matrix) -> tuple[Matrix, Vector]:
        """The images (n, dim) of the points z (n, dim), and log |J| (n,) there."""
        return self._mapped(parameters, z, 0)

    def pull(self, parameters: Vector, y: Matrix) -> tuple[Matrix, Vector]:
        """The points (n, dim) whose images are y (n, dim), by root-finding, and log |J| (n,) of the map there."""
        return self._mapped(parameters, y, 1)

    def _mapped(self, parameters: Vector, points: Matrix, back: int) -> tuple[Matrix, Vector]:
        points, log_determinant = np.array(points, dtype=np.float64, order="C"), np.empty(len(points))
        push(parameters, self.layers, points, log_determinant, zeros(self.dim), back)
        return points, log_determinant

    def scratch(self, batch: int) -> tuple[Any, ...]:
        """The arrays that `train` works on, from `layers` to `pull`."""
        dim = self.dim
        return (
            self.layers,
            zeros(self.layers, batch),
            zeros(self.layers, dim),
            *(zeros(batch, dim) for _ in range(3)),
            zeros(batch),
            zeros(dim),
            zeros(dim),
        )

    @property
    def train(self) -> Any:
        """The loop that fits the parameters."""
        return train

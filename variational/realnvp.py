"""RealNVP (Dinh, Sohl-Dickstein and Bengio 2017), a flow whose inverse is as cheap as the map.

Couplings shift and scale one half of the coordinates by what a network makes of the other half.

Gradients are path derivatives ("sticking the landing", Roeder, Wu and Duvenaud 2017), whose noise vanishes where the
flow is exact. They need the score of q at its own draws, which is carried along with them: for y = T(x), the score of y
is J^-T (score of x - gradient of log |J|), and the inverse of a coupling costs no more than the coupling (Vaitl et al.
2024).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import float64, int64, types

from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, Matrix, Vector, loop, zeros
from variational.network import INTEGERS, TANH, Network, activate, adam, backwards, dense, forwards

SIZES = int64[:, ::1]
CUBE = float64[:, :, ::1]
BATCH = 128  # points that are mapped at once


@dense
def condition(parameters, at, sizes, units, given, factor):  # type: ignore[no-untyped-def]
    """What the network makes of the `given` rows: its outputs are the log scales, then the shifts.

    Log scales are kept between -1 and 1; `factor` is filled with the scales.
    """
    for i in range(given.shape[0]):
        for c in range(given.shape[1]):
            units[i, c] = given[i, c]
    forwards(parameters, at, sizes, TANH, units)
    moved = factor.shape[0]
    out = units.shape[0] - 2 * moved
    activate(units[out : out + moved], TANH)
    for i in range(moved):
        for c in range(factor.shape[1]):
            factor[i, c] = np.exp(units[out + i, c])


@dense
def couple(units, factor, moved, log_determinant):  # type: ignore[no-untyped-def]
    """Scale and shift the `moved` rows, and add to the log determinants (batch,)."""
    rows = moved.shape[0]
    out = units.shape[0] - 2 * rows
    for i in range(rows):
        for c in range(moved.shape[1]):
            moved[i, c] = moved[i, c] * factor[i, c] + units[out + rows + i, c]
        for c in range(moved.shape[1]):
            log_determinant[c] += units[out + i, c]


@dense
def carry(units, factor, before, score, slopes):  # type: ignore[no-untyped-def]
    """Divide the `score` of moved rows, and set the slopes of the outputs: of y . score + log |J|.

    `before` are the rows before they moved.
    """
    rows = score.shape[0]
    out = units.shape[0] - 2 * rows
    for i in range(rows):
        for c in range(score.shape[1]):
            score[i, c] /= factor[i, c]
            slopes[out + rows + i, c] = score[i, c]
            log_scale = units[out + i, c]
            pull = 1.0 + score[i, c] * before[i, c] * factor[i, c]
            slopes[out + i, c] = pull * (1.0 - log_scale * log_scale)


@dense
def uncouple(units, factor, before, rest, slopes, volume):  # type: ignore[no-untyped-def]
    """Take `rest`, the slopes of the moved rows, through the coupling, and set the slopes of the outputs by it.

    `volume` (batch,) are the slopes of log |J|.
    """
    rows = rest.shape[0]
    out = units.shape[0] - 2 * rows
    for i in range(rows):
        for c in range(rest.shape[1]):
            slopes[out + rows + i, c] = rest[i, c]
            log_scale = units[out + i, c]
            rest[i, c] *= factor[i, c]
            slopes[out + i, c] = (rest[i, c] * before[i, c] + volume[c]) * (1.0 - log_scale * log_scale)


@loop(types.void(VECTOR, INTEGERS, SIZES, MATRIX, MATRIX, MATRIX, VECTOR, int64))
def push(parameters, offsets, sizes, units, factor, y, log_determinant, back):  # type: ignore[no-untyped-def]
    """Map the columns y (dim, batch) in place, and set the log determinants (batch,) of the map; backwards if `back`.

    `sizes` (2, layers) are those of the networks of even and of odd couplings, `offsets` (couplings,) where the
    parameters of each begin; `units` (most units, batch), `factor` (dim, batch) are scratch.
    """
    couplings = offsets.shape[0]
    dim = y.shape[0]
    half = dim // 2
    for c in range(log_determinant.shape[0]):
        log_determinant[c] = 0.0
    for step in range(couplings):
        k = couplings - 1 - step if back else step
        layers = sizes[k % 2]
        given, moved = y[:half], y[half:]
        if k % 2 == 1:
            given, moved = y[half:], y[:half]
        rows = moved.shape[0]
        total = 0
        for layer in range(layers.shape[0]):
            total += layers[layer]
        condition(parameters, offsets[k], layers, units[:total], given, factor[:rows])
        if back:
            out = total - 2 * rows
            for i in range(rows):
                for c in range(moved.shape[1]):
                    moved[i, c] = (moved[i, c] - units[out + rows + i, c]) / factor[i, c]
                for c in range(moved.shape[1]):
                    log_determinant[c] += units[out + i, c]
        else:
            couple(units[:total], factor[:rows], moved, log_determinant)


@loop(
    types.int64(
        KERNEL, DATA, types.npy_rng, VECTOR, MATRIX, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR,
        INTEGERS, SIZES, CUBE, CUBE, CUBE, MATRIX, MATRIX, MATRIX, MATRIX, VECTOR, VECTOR, VECTOR, int64, float64,
        float64, float64, float64,
    )
)  # fmt: skip
def train(  # type: ignore[no-untyped-def]
    kernel, data, rng, mean, root, parameters, gradient, first, second, pace, total, offsets, sizes, units, factors,
    before, slopes, y, score, rest, log_ratio, x, pull, steps, rate, share, beta, warming,
):  # fmt: skip
    """Make `steps` steps of Adam on draws x = mean + root y, y the map of standard normal columns in antithetic pairs.

    The target is annealed from N(mean, root root^T): its log density has the weight `beta`, which grows by `warming` a
    step up to 1. `total` gathers the parameters after each step. Draws with a log density or gradient that is not
    finite are left out; their number is returned.

    The gradient is the path derivative, but for its `share` of the score function's: (log p - log q - their mean over
    the batch) times the gradient of log q, whose slopes with respect to y and log |J| are minus the score, and minus
    one.
    """
    couplings = offsets.shape[0]
    dim, batch = y.shape
    half = dim // 2
    skipped = 0
    for _ in range(steps):
        for i in range(dim):
            for c in range(batch // 2):
                y[i, c] = rng.standard_normal()
                y[i, c + batch // 2] = -y[i, c]
        for i in range(dim):
            for c in range(batch):
                score[i, c] = -y[i, c]
        for c in range(batch):
            log_ratio[c] = 0.0
            for i in range(dim):
                log_ratio[c] += 0.5 * y[i, c] * y[i, c]
        for k in range(couplings):
            layers = sizes[k % 2]
            low, high, start, end = 0, half, half, dim
            if k % 2 == 1:
                low, high, start, end = half, dim, 0, half
            rows = end - start
            count = 0
            for layer in range(layers.shape[0]):
                count += layers[layer]
            here = units[k, :count]
            condition(parameters, offsets[k], layers, here, y[low:high], factors[k, :rows])
            for i in range(rows):
                for c in range(batch):
                    before[k, i, c] = y[start + i, c]
            couple(here, factors[k, :rows], y[start:end], log_ratio)
            carry(here, factors[k, :rows], before[k, :rows], score[start:end], slopes[:count])
            backwards(parameters, offsets[k], layers, TANH, here, slopes[:count], gradient, False)
            for i in range(high - low):
                for c in range(batch):
                    score[low + i, c] -= slopes[i, c]
        used = 0
        level = 0.0
        for c in range(batch):
            for i in range(dim):
                x[i] = mean[i]
                for j in range(i + 1):
                    x[i] += root[i, j] * y[j, c]
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
                rest[j, c] = beta * along - (1.0 - beta) * y[j, c] - score[j, c] if fine else 0.0
                log_ratio[c] -= 0.5 * (1.0 - beta) * y[j, c] * y[j, c]
            level += log_ratio[c] if fine else 0.0
        skipped += batch - used
        level /= max(used, 1)
        for c in range(batch):
            fine = log_ratio[c] < np.inf
            log_ratio[c] = share * (level - log_ratio[c]) * used / max(used - 1, 1) if fine else 0.0
            for j in range(dim):
                rest[j, c] = (1.0 - share) * rest[j, c] + log_ratio[c] * score[j, c]
        beta = min(beta + warming, 1.0)
        for i in range(gradient.shape[0]):
            gradient[i] = 0.0
        for step in range(couplings):
            k = couplings - 1 - step
            layers = sizes[k % 2]
            low, high, start, end = 0, half, half, dim
            if k % 2 == 1:
                low, high, start, end = half, dim, 0, half
            rows = end - start
            count = 0
            for layer in range(layers.shape[0]):
                count += layers[layer]
            here = units[k, :count]
            uncouple(here, factors[k, :rows], before[k, :rows], rest[start:end], slopes[:count], log_ratio)
            backwards(parameters, offsets[k], layers, TANH, here, slopes[:count], gradient, True)
            for i in range(high - low):
                for c in range(batch):
                    rest[low + i, c] += slopes[i, c]
        if used > 0:
            for i in range(gradient.shape[0]):
                gradient[i] /= used
            adam(parameters, gradient, first, second, pace, rate)
        for i in range(parameters.shape[0]):
            total[i] += parameters[i]
    return skipped


@dataclass(frozen=True)
class RealNVP:
    """The map of standard normal coordinates, in two dimensions or more.

    Attributes:
        dim: number of coordinates.
        couplings: they move the later half of the coordinates and the earlier one in turn.
        units: of each of the two hidden layers of a coupling's network.
    """

    dim: int
    couplings: int
    units: int

    @property
    def networks(self) -> tuple[Network, Network]:
        """Those of even and of odd couplings."""
        half = self.dim // 2
        rest = self.dim - half
        return Network((half, self.units, self.units, 2 * rest)), Network((rest, self.units, self.units, 2 * half))

    @property
    def sizes(self) -> np.ndarray:
        """(2, layers)."""
        return np.array([network.layers for network in self.networks], dtype=np.int64)

    @property
    def offsets(self) -> np.ndarray:
        """(couplings,), where the parameters of each begin."""
        lengths = [self.networks[k % 2].size for k in range(self.couplings)]
        return np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(self.networks[k % 2].size for k in range(self.couplings))

    def initial(self, rng: np.random.Generator) -> Vector:
        """Parameters (size,) with which the map is the identity."""
        return np.concatenate([self.networks[k % 2].initial(rng, 0.0) for k in range(self.couplings)])

    def push(self, parameters: Vector, z: Matrix) -> tuple[Matrix, Vector]:
        """The images (n, dim) of the points z (n, dim), and log |J| (n,) there."""
        return self._mapped(parameters, z, 0)

    def pull(self, parameters: Vector, y: Matrix) -> tuple[Matrix, Vector]:
        """The points (n, dim) whose images are y (n, dim), and log |J| (n,) of the map there."""
        return self._mapped(parameters, y, 1)

    def _mapped(self, parameters: Vector, points: Matrix, back: int) -> tuple[Matrix, Vector]:
        points = np.array(points, dtype=np.float64)
        log_determinant = np.empty(len(points))
        most, batch = max(n.units for n in self.networks), min(BATCH, max(len(points), 1))
        units, factor, columns, found = zeros(most, batch), zeros(self.dim, batch), zeros(self.dim, batch), zeros(batch)
        for first in range(0, len(points), batch):
            part = points[first : first + batch]
            columns[:, : len(part)] = part.T
            push(parameters, self.offsets, self.sizes, units, factor, columns, found, back)
            part[:] = columns[:, : len(part)].T
            log_determinant[first : first + batch] = found[: len(part)]
        return points, log_determinant

    def scratch(self, batch: int) -> tuple[Any, ...]:
        """The arrays that `train` works on, from `offsets` to `pull`."""
        most, dim = max(n.units for n in self.networks), self.dim
        layers = zeros(self.couplings, most, batch), *(zeros(self.couplings, dim - dim // 2, batch) for _ in range(2))
        columns = zeros(most, batch), *(zeros(dim, batch) for _ in range(3))
        return self.offsets, self.sizes, *layers, *columns, zeros(batch), zeros(dim), zeros(dim)

    @property
    def train(self) -> Any:
        """The loop that fits the parameters."""
        return train

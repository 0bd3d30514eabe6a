"""Amortised inference: a network that makes q of a data set, trained once on data sets from the model's prior.

The encoder treats the rows of a data set as a set (Zaheer et al. 2017): a network makes units of each row, their mean
is the input of a second one, and its outputs are the mean of q, the logs of the diagonal of its factor, and for a full
covariance the entries below. Both are trained on the bound of simulated data sets, by path derivatives (Roeder, Wu and
Duvenaud 2017) at antithetic pairs of draws.

What this loses is the *amortisation gap* (Cremer, Li and Duvenaud 2018): the bound of the best q of the family for this
very data set, less that of the encoder's. What the family itself loses is the *approximation gap*: log evidence less
the former.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import float64, int64, types

from targets.kernel import KERNEL, MATRIX, VECTOR, Matrix, Vector, aligned, compiled, data_matrix, loop, zeros
from targets.options import require
from targets.protocols import Status
from targets.target import GaussianStructure, Target
from variational.gaussian import LOG_TWO_PI, Gaussian
from variational.grid import integrate
from variational.network import INTEGERS, TANH, Network, adam, backwards, forwards
from variational.objectives import elbo

SETS = types.Array(float64, 3, "C", readonly=True)
COVARIANCES = ("full", "diagonal")
SIMULATED = 50  # batches at once
AVERAGED = 0.25  # of the steps, the last, over which parameters are averaged
PATIENCE = 100_000  # evaluations of a fit to one data set
PAIRS = 2000  # of draws behind a bound that has no closed form
EXACT_GRID = 1e-6  # change of moments, in sd, at which a grid is fine enough


@dataclass(frozen=True)
class Model:
    """A model of data sets: what is drawn from it, and the density of parameters z with each.

    Attributes:
        name: of the model.
        dim: number of coordinates of z.
        log_density_and_gradient: log p(rows, z) and its gradient in z, a kernel whose data are one data set.
        simulate: draws data sets, `simulate(rng, n) -> (n, rows, columns)`.
        posterior: the exact one of a data set where it is Gaussian, with the log evidence; or None.
    """

    name: str
    dim: int
    log_density_and_gradient: Any
    simulate: Callable[[np.random.Generator, int], np.ndarray]
    posterior: Callable[[Matrix], tuple[GaussianStructure, float]] | None = None

    def target(self, rows: Matrix) -> Target:
        """The posterior of one data set (rows, columns)."""
        structure = None if self.posterior is None else self.posterior(rows)[0]
        return Target(self.name, self.dim, self.log_density_and_gradient, data_matrix(rows), gaussian=structure)


@loop(
    types.float64(
        KERNEL, SETS, types.npy_rng, INTEGERS, INTEGERS, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR,
        MATRIX, MATRIX, MATRIX, MATRIX, MATRIX, MATRIX, VECTOR, VECTOR, VECTOR, VECTOR, int64, float64, float64,
    )
)  # fmt: skip
def train(  # type: ignore[no-untyped-def]
    kernel, sets, rng, rower, header, parameters, gradient, first, second, pace, total,
    units, slopes, head, back, noise, push, x, above, below, offset, full, rate, decay,
):  # fmt: skip
    """Pass over data sets (n, rows, columns) in batches as wide as `noise` (dim, batch), with a step of Adam for each.

    `units`, `slopes` (units of the rows' network, batch * rows), `head`, `back` (of the second, batch), `push` (dim,
    dim) and the vectors (dim,) are scratch; `total` gathers the parameters. The rate falls by the factor `decay` each
    step. Returns the sum over data sets of log p(rows, z) + log |factor|, averaged over their draws.
    """
    dim, batch = noise.shape
    rows, columns = sets.shape[1], sets.shape[2]
    split = 0
    for layer in range(rower.shape[0] - 1):
        split += (rower[layer] + 1) * rower[layer + 1]
    pooled = header[0]
    top = units.shape[0] - pooled
    out = head.shape[0] - header[header.shape[0] - 1]
    level = 0.0
    for start in range(0, sets.shape[0] - batch + 1, batch):
        for b in range(batch):
            for r in range(rows):
                for i in range(columns):
                    units[i, b * rows + r] = sets[start + b, r, i]
        forwards(parameters, 0, rower, TANH, units)
        for i in range(pooled):
            for b in range(batch):
                gathered = 0.0
                for r in range(rows):
                    gathered += units[top + i, b * rows + r]
                head[i, b] = gathered / rows
        forwards(parameters, split, header, TANH, head)
        for b in range(batch):
            for i in range(dim):
                noise[i, b] = rng.standard_normal()
            for i in range(dim):
                log_sd = head[out + dim + i, b]
                level += log_sd
                push[i, i] = np.exp(log_sd)
                offset[i] = push[i, i] * noise[i, b]
                for j in range(i if full else 0):
                    push[i, j] = head[out + 2 * dim + i * (i - 1) // 2 + j, b]
                    offset[i] += push[i, j] * noise[j, b]
            for i in range(dim):
                x[i] = head[out + i, b] + offset[i]
            level += 0.5 * kernel(x, above, sets[start + b])
            for i in range(dim):
                x[i] = head[out + i, b] - offset[i]
            level += 0.5 * kernel(x, below, sets[start + b])
            for up in range(dim):  # offset becomes factor^-T noise: minus the score of q at the first draw
                i = dim - 1 - up
                rest = noise[i, b]
                for j in range(i + 1, dim):
                    rest -= push[j, i] * offset[j]
                offset[i] = rest / push[i, i]
            for i in range(dim):
                back[out + i, b] = 0.5 * (above[i] + below[i])
                steep = 0.5 * (above[i] - below[i]) + offset[i]
                back[out + dim + i, b] = steep * noise[i, b] * push[i, i]
                for j in range(i if full else 0):
                    back[out + 2 * dim + i * (i - 1) // 2 + j, b] = steep * noise[j, b]
        for i in range(gradient.shape[0]):
            gradient[i] = 0.0
        backwards(parameters, split, header, TANH, head, back, gradient, True)
        for i in range(pooled):
            for b in range(batch):
                for r in range(rows):
                    slopes[top + i, b * rows + r] = back[i, b] / rows
        backwards(parameters, 0, rower, TANH, units, slopes, gradient, True)
        for i in range(gradient.shape[0]):
            gradient[i] /= batch
        adam(parameters, gradient, first, second, pace, rate)
        rate *= decay
        for i in range(parameters.shape[0]):
            total[i] += parameters[i]
    return level


class AmortisedPosterior:
    """An encoder for the posteriors of a model; see the module.

    Args:
        model: whose data sets, all of one shape, it is to know.
        covariance: `full` or `diagonal`.
        n_hidden: units of each hidden layer: two a row, and two on their mean.
        max_iter: steps of Adam, each on new data sets; parameters are averaged over the last quarter.
        batch_size: data sets of a step.
        learning_rate: the first step of Adam, which falls to a hundredth by the end.
        random_state: seed of everything that is random.

    Attributes:
        parameters_: of both networks, in one vector.
        lower_bounds_: the bound in nats a data set, a value for every fifty steps.

    Raises:
        UsageError: an option is not accepted.
    """

    def __init__(
        self,
        model: Model,
        *,
        covariance: str = "full",
        n_hidden: int = 32,
        max_iter: int = 4000,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
        random_state: int = 0,
    ) -> None:
        known = ", ".join(COVARIANCES)
        require(
            covariance in COVARIANCES, f"AmortisedPosterior: covariance={covariance} is not accepted; it takes {known}"
        )
        for name, value in (("n_hidden", n_hidden), ("max_iter", max_iter), ("batch_size", batch_size)):
            require(value >= 1, f"AmortisedPosterior: {name}={value} is not accepted; it takes 1 or more")
        require(
            learning_rate > 0,
            f"AmortisedPosterior: learning_rate={learning_rate:g} is not accepted; it takes a positive number",
        )
        self.model = model
        self.covariance = covariance
        self.n_hidden = n_hidden
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state

    @property
    def _full(self) -> bool:
        return self.covariance == "full"

    def _networks(self, columns: int) -> tuple[Network, Network]:
        dim, hidden = self.model.dim, self.n_hidden
        outputs = 2 * dim + (dim * (dim - 1) // 2 if self._full else 0)
        return Network((columns, hidden, hidden, hidden)), Network((hidden, hidden, hidden, outputs))

    def fit(self) -> "AmortisedPosterior":
        """Train on data sets that the model simulates."""
        rng = np.random.default_rng(self.random_state)
        dim, batch = self.model.dim, self.batch_size
        _, rows, columns = self.model.simulate(rng, 1).shape
        rower, header = self._networks(columns)
        parameters = aligned(np.concatenate([rower.initial(rng), header.initial(rng, 0.1)]))
        size = len(parameters)
        moments, total = (zeros(size), zeros(size), zeros(size), zeros(2)), zeros(size)
        wide = (zeros(rower.units, batch * rows) for _ in range(2))
        scratch = *wide, *(zeros(header.units, batch) for _ in range(2)), zeros(dim, batch), zeros(dim, dim)
        vectors = tuple(zeros(dim) for _ in range(4))
        averaged = max(1, round(AVERAGED * self.max_iter))
        decay = 0.01 ** (1 / self.max_iter)
        made, levels = 0, []
        while made < self.max_iter:
            goal = self.max_iter - averaged if made < self.max_iter - averaged else self.max_iter
            steps = min(SIMULATED, goal - made)
            sets = np.ascontiguousarray(self.model.simulate(rng, steps * batch), dtype=np.float64)
            sets.flags.writeable = False
            level = train(
                compiled(self.model.log_density_and_gradient), sets, rng, rower.sizes, header.sizes, parameters,
                *moments, total, *scratch, *vectors, int(self._full), self.learning_rate * decay**made, decay,
            )  # fmt: skip
            levels.append(level / len(sets) + 0.5 * dim * (1 + LOG_TWO_PI))
            made += steps
            if made == self.max_iter - averaged:
                total[:] = 0.0
        self.parameters_ = total / averaged
        self.lower_bounds_ = np.array(levels)
        return self

    def posterior(self, rows: Matrix) -> Gaussian:
        """The encoder's q for one data set (rows, columns)."""
        dim = self.model.dim
        rower, header = self._networks(rows.shape[1])
        pooled = rower(self.parameters_[: rower.size], rows).mean(axis=0, keepdims=True)
        made = header(self.parameters_[rower.size :], pooled)[0]
        if not self._full:
            return Gaussian(made[:dim], np.exp(made[dim:]))
        factor = np.diag(np.exp(made[dim : 2 * dim]))
        factor[np.tril_indices(dim, -1)] = made[2 * dim :]
        return Gaussian(made[:dim], factor)


@dataclass(frozen=True)
class Gaps:
    """What q loses, in nats, for each of several data sets.

    Attributes:
        amortisation: (n,) the bound of the best q of the family, less that of the encoder's.
        approximation: (n,) log evidence less the bound of the best q; NaN where the evidence is not known.
    """

    amortisation: Vector
    approximation: Vector


def amortisation_gap(amortised: AmortisedPosterior, data_sets: np.ndarray, seed: int = 0) -> Gaps:
    """The gaps of an encoder on data sets (n, rows, columns), against a fit of its own to each.

    Bounds are exact where the posterior is Gaussian. Elsewhere both are estimated with the same draws, and the evidence
    by a grid, in up to two dimensions.

    Raises:
        UsageError: a fit to one data set does not converge.
    """
    from variational.registry import method

    recipe = method("advi_fullrank" if amortised.covariance == "full" else "advi_meanfield")
    found = []
    for k, rows in enumerate(data_sets):
        target = amortised.model.target(rows)
        recipe.compile(target)
        run = recipe.start(target, seed + k)
        run.advance(PATIENCE)
        best = run.approximation()
        converged = run.status is Status.CONVERGED and isinstance(best, Gaussian)
        require(converged, f"amortisation_gap: the fit to data set {k} ended {run.status}: {run.reason}")
        assert isinstance(best, Gaussian)  # noqa: S101
        above, below = (_bound(q, target, seed) for q in (best, amortised.posterior(rows)))
        found.append((above - below, _log_evidence(amortised.model, rows, target, best) - above))
    return Gaps(*np.array(found).T)


def _bound(q: Gaussian, target: Target, seed: int) -> float:
    return elbo(q, target, np.random.default_rng(seed), 2 * PAIRS).value


def _log_evidence(model: Model, rows: Matrix, target: Target, q: Gaussian) -> float:
    if model.posterior is not None:
        return model.posterior(rows)[1]
    grid = integrate(target, q.mean, q.sd, EXACT_GRID) if model.dim <= 2 else None
    return np.nan if grid is None else grid.log_normaliser

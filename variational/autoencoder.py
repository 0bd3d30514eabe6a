"""A variational autoencoder (Kingma and Welling 2014; Rezende, Mohamed and Wierstra 2014) of counts.

z ~ N(0, I); each of a row's cells is Binomial(trials, p), with logits of p that a network, the decoder, makes of z; and
q(z | row) is a Gaussian with independent coordinates, whose means and log sds another network, the encoder, makes of
the row. Both are trained on the bound together: one draw of z a row, the divergence from N(0, I) in closed form.
"""

import math

import numpy as np
from numba import float64, types
from scipy.special import expit, gammaln, log_expit, logsumexp

from targets.kernel import MATRIX, VECTOR, Matrix, Vector, aligned, loop, zeros
from targets.options import require
from variational.network import INTEGERS, TANH, Network, adam, backwards, forwards

AVERAGED = 0.25  # of the epochs, the last, over which parameters are averaged


@loop(
    types.float64(
        MATRIX, INTEGERS, types.npy_rng, INTEGERS, INTEGERS, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR,
        MATRIX, MATRIX, MATRIX, MATRIX, MATRIX, float64, float64,
    )
)  # fmt: skip
def epoch(  # type: ignore[no-untyped-def]
    rows, order, rng, encoder, decoder, parameters, gradient, first, second, pace, total,
    units, slopes, inner, back, noise, trials, rate,
):  # fmt: skip
    """Pass over the rows (n, cells) in the `order` given, in batches as wide as `noise` (latent, batch), a step each.

    `units`, `slopes` (units of the encoder, batch) and `inner`, `back` (of the decoder) are scratch; `total` gathers
    the parameters, the encoder's and then the decoder's. Returns the bound on the log mass of all rows visited, without
    the binomial coefficients.
    """
    latent, batch = noise.shape
    cells = rows.shape[1]
    split = 0
    for layer in range(encoder.shape[0] - 1):
        split += (encoder[layer] + 1) * encoder[layer + 1]
    code = units.shape[0] - 2 * latent
    drawn = inner.shape[0] - cells
    bound = 0.0
    for start in range(0, order.shape[0] - batch + 1, batch):
        for c in range(batch):
            for i in range(cells):
                units[i, c] = rows[order[start + c], i] / trials
        forwards(parameters, 0, encoder, TANH, units)
        for j in range(latent):
            for c in range(batch):
                noise[j, c] = rng.standard_normal()
            for c in range(batch):
                inner[j, c] = units[code + j, c] + np.exp(units[code + latent + j, c]) * noise[j, c]
        forwards(parameters, split, decoder, TANH, inner)
        for i in range(cells):
            for c in range(batch):
                logit = inner[drawn + i, c]
                small = np.exp(-abs(logit))
                count = trials * units[i, c]
                bound += count * logit - trials * (max(logit, 0.0) + np.log(1.0 + small))
                back[drawn + i, c] = count - trials * (1.0 if logit > 0.0 else small) / (1.0 + small)
        for i in range(gradient.shape[0]):
            gradient[i] = 0.0
        backwards(parameters, split, decoder, TANH, inner, back, gradient, True)
        for j in range(latent):
            for c in range(batch):
                mean, log_sd = units[code + j, c], units[code + latent + j, c]
                sd = np.exp(log_sd)
                bound += 0.5 * (1.0 - mean * mean - sd * sd) + log_sd
                slopes[code + j, c] = back[j, c] - mean
                slopes[code + latent + j, c] = back[j, c] * sd * noise[j, c] + 1.0 - sd * sd
        backwards(parameters, 0, encoder, TANH, units, slopes, gradient, True)
        for i in range(gradient.shape[0]):
            gradient[i] /= batch
        adam(parameters, gradient, first, second, pace, rate)
        for i in range(parameters.shape[0]):
            total[i] += parameters[i]
    return bound


class VariationalAutoencoder:
    """The model and its encoder; see the module.

    Args:
        n_latent: coordinates of z.
        n_hidden: units of the one hidden layer of each network.
        trials: largest count that a cell can have.
        max_iter: passes over the rows; parameters are averaged over the last quarter.
        batch_size: rows of a step of Adam; what is left over waits for the next pass.
        learning_rate: the first step of Adam, which falls to a tenth by the end.
        random_state: seed of everything that is random.

    Attributes:
        parameters_: of both networks, in one vector.
        lower_bounds_: (max_iter,) the bound in nats a row, with one draw each, over the rows of each pass.
        n_features_in_: cells of a row.

    Raises:
        UsageError: an option, or rows, are not accepted.
    """

    def __init__(
        self,
        *,
        n_latent: int = 10,
        n_hidden: int = 128,
        trials: int = 16,
        max_iter: int = 200,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        random_state: int = 0,
    ) -> None:
        named = {"n_latent": n_latent, "n_hidden": n_hidden, "trials": trials, "max_iter": max_iter}
        for name, value in (*named.items(), ("batch_size", batch_size)):
            require(value >= 1, f"VariationalAutoencoder: {name}={value} is not accepted; it takes 1 or more")
        require(
            learning_rate > 0,
            f"VariationalAutoencoder: learning_rate={learning_rate:g} is not accepted; it takes a positive number",
        )
        self.n_latent = n_latent
        self.n_hidden = n_hidden
        self.trials = trials
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state

    @property
    def _networks(self) -> tuple[Network, Network]:
        cells = self.n_features_in_
        encoder = Network((cells, self.n_hidden, 2 * self.n_latent))
        return encoder, Network((self.n_latent, self.n_hidden, cells))

    def fit(self, rows: Matrix) -> "VariationalAutoencoder":
        """Train on counts (n, cells)."""
        rows = self._checked(rows)
        n, self.n_features_in_ = rows.shape
        require(n >= 1, "VariationalAutoencoder: there are no rows to fit")
        batch = min(self.batch_size, n)
        rng = np.random.default_rng(self.random_state)
        encoder, decoder = self._networks
        parameters = aligned(np.concatenate([encoder.initial(rng, 0.1), decoder.initial(rng, 0.1)]))
        size = len(parameters)
        moments = zeros(size), zeros(size), zeros(size), zeros(2)
        total = zeros(size)
        scratch = *(zeros(encoder.units, batch) for _ in range(2)), *(zeros(decoder.units, batch) for _ in range(2))
        averaged = max(1, round(AVERAGED * self.max_iter))
        bounds = []
        for turn in range(self.max_iter):
            if turn == self.max_iter - averaged:
                total[:] = 0.0
            order = rng.permutation(n).astype(np.int64)
            rate = self.learning_rate * 10.0 ** (-turn / max(self.max_iter - 1, 1))
            level = epoch(
                rows, order, rng, encoder.sizes, decoder.sizes, parameters, *moments, total, *scratch,
                zeros(self.n_latent, batch), float(self.trials), rate,
            )  # fmt: skip
            visited = order[: n // batch * batch]
            bounds.append(level / len(visited) + float(self._coefficients(rows[visited]).mean()))
        self.parameters_ = total / (averaged * (n // batch))
        self.lower_bounds_ = np.array(bounds)
        return self

    def encode(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        """Means and sds (n, n_latent) of q(z | row) for counts (n, cells)."""
        encoder, _ = self._networks
        made = encoder(self.parameters_[: encoder.size], self._checked(rows) / self.trials)
        return made[:, : self.n_latent], np.exp(made[:, self.n_latent :])

    def decode(self, z: Matrix) -> Matrix:
        """Probabilities (n, cells) that a dot is inked, at z (n, n_latent)."""
        return np.asarray(expit(self._logits(z)))

    def sample(self, n: int, random_state: int = 0) -> Matrix:
        """Counts (n, cells) of rows that the model makes up."""
        rng = np.random.default_rng(random_state)
        probabilities = self.decode(rng.standard_normal((n, self.n_latent)))
        return np.asarray(rng.binomial(self.trials, probabilities), dtype=np.float64)

    def score_samples(self, rows: Matrix, draws: int = 1, repeats: int = 100, random_state: int = 0) -> Vector:
        """A bound (n,) on the log mass of each row in nats: the importance-weighted one of so many `draws`.

        With one draw it is the ELBO; it rises to the log mass with their number (Burda, Grosse and Salakhutdinov 2016).
        It is estimated without bias from so many `repeats`.
        """
        require(draws >= 1 and repeats >= 1, "score_samples: draws and repeats take 1 or more")
        rows = self._checked(rows)
        rng = np.random.default_rng(random_state)
        found = np.zeros(len(rows))
        for _ in range(repeats):
            ratios = np.array([self._log_ratios(rows, rng) for _ in range(draws)])
            found += logsumexp(ratios, axis=0) - math.log(draws)
        return found / repeats

    def _log_ratios(self, rows: Matrix, rng: np.random.Generator) -> Vector:
        """Log p(row, z) - log q(z | row) (n,) at one draw of z each."""
        mean, sd = self.encode(rows)
        noise = rng.standard_normal(mean.shape)
        z = mean + sd * noise
        logits = self._logits(z)
        likelihood = np.sum(rows * log_expit(logits) + (self.trials - rows) * log_expit(-logits), axis=1)
        prior = -0.5 * np.sum(z**2, axis=1)
        proposal = -0.5 * np.sum(noise**2, axis=1) - np.sum(np.log(sd), axis=1)
        return np.asarray(likelihood + self._coefficients(rows) + prior - proposal)

    def _logits(self, z: Matrix) -> Matrix:
        encoder, decoder = self._networks
        return decoder(self.parameters_[encoder.size :], z)

    def _coefficients(self, rows: Matrix) -> Vector:
        """(n,) sums of the logs of binomial coefficients."""
        each = gammaln(self.trials + 1) - gammaln(rows + 1) - gammaln(self.trials - rows + 1)
        return np.asarray(each.sum(axis=1))

    def _checked(self, rows: Matrix) -> Matrix:
        rows = aligned(np.atleast_2d(rows))
        fine = bool(np.all((rows >= 0) & (rows <= self.trials) & (rows == np.floor(rows))))
        require(
            fine, f"VariationalAutoencoder: rows hold whole numbers from 0 to {self.trials} (trials), and nothing else"
        )
        return rows

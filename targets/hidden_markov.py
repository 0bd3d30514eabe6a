"""The posterior of a hidden Markov model of a geyser, its states summed out by the forward recursion.

    start, transition_i ~ Dirichlet(1, ..., 1)     z_1 ~ start     z_t ~ transition_(z_(t-1))
    waiting:   1 / sd_k^2 ~ Gamma(4 / 2, 400 / 2)    mu_k ~ N(60, 2 sd_k)    y_t ~ N(mu_(z_t), sd_(z_t))   minutes
    long or short:   emission_k ~ Dirichlet(1, 1)    y_t ~ emission_(z_t)

by shape and rate, and with standard deviations. Each row of probabilities is made of as many Gamma(1, 1) variables over
their sum, whose logarithms are the coordinates, so that relabellings of the states are plain exchanges of coordinates;
the sum is one coordinate more than the row needs, independent of it and of the data. Every constant and Jacobian is
kept: the log normaliser is the log evidence.
"""

import functools
import itertools
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from targets import hidden_markov_kernels as kernels
from targets import reference
from targets.conjugate import hidden_markov as conjugate
from targets.conjugate.model import Conjugate
from targets.kernel import Matrix, Vector, data_matrix
from targets.options import require
from targets.target import Generative, Named, Target
from targets.truth import Modes

MOST = 10  # states
MOST_RELABELLED = 4  # states whose relabellings are few enough to be averaged over
ERUPTIONS = 299
LONG = 180  # seconds: eruptions of so many or more are long
KINDS = ("short", "long")
PER_STATE = 2  # coordinates of a state's emissions, in both models

_FILE = pathlib.Path(__file__).parent / "data" / "geyser.csv"


def hidden_markov(*, emissions: str = "gaussian", states: int = 2, n: int = ERUPTIONS) -> Target:
    """The posterior given the eruptions of a fortnight, with a certified truth where there is a certificate.

    Args:
        emissions: 'gaussian', of the minutes waited for an eruption; or 'categorical', of whether it was long or short.
        states: how many there are.
        n: eruptions, the first of 299.

    Raises:
        UsageError: an option is out of range.
    """
    require(
        emissions in ("gaussian", "categorical"),
        f"hidden_markov: emissions={emissions!r} is not accepted; it takes gaussian or categorical",
    )
    require(2 <= states <= MOST, f"hidden_markov: states={states} is not accepted; it takes 2 to {MOST}")
    require(1 <= n <= ERUPTIONS, f"hidden_markov: n={n} is not accepted; it takes 1 to {ERUPTIONS}")
    layout = _Layout(emissions == "gaussian", states)
    target = layout.target(_data(layout.gaussian, n))
    if states > MOST_RELABELLED:
        return target
    return reference.attach(target, f"hidden_markov_{emissions}_{states}", modes=layout.modes())


class _Layout:
    """What is where in the coordinates: start (K), transitions (K, K), and two of the emissions, each (K) or (K, 2)."""

    def __init__(self, gaussian: bool, states: int) -> None:
        self.gaussian, self.states = gaussian, states
        self.head = states * (1 + states)
        self.dim = self.head + PER_STATE * states

    def target(self, data: Matrix) -> Target:
        return Target(
            name="hidden_markov",
            dim=self.dim,
            log_density_and_gradient=kernels.gaussian if self.gaussian else kernels.categorical,
            log_density=kernels.gaussian_density if self.gaussian else kernels.categorical_density,
            data=data,
            coordinates=self.names("log_g_start", "log_g", "log_g_emission", "log_sd"),
            named=Named(self.names("start", "transition", "emission", "sd"), self.named),
            invariant=Named(self.names(*(f"ordered {name}" for name in self.kinds), "ordered mu"), self.ordered),
            relabellings=tuple(self.relabelled(order) for order in _exchanges(self.states)),
            conjugate=Conjugate(self.model, self.observed(data), self.coordinates),
            initial=self.prior,
            generative=Generative(
                self.prior,
                functools.partial(self.simulated, n=data.shape[1]),
                data[:, :0],
                conjugate=lambda data: Conjugate(self.model, self.observed(data), self.coordinates),
            ),
        )

    kinds = ("start", "transition", "emission", "sd")

    def names(self, start: str, transition: str, emission: str, sd: str, mu: str = "mu") -> tuple[str, ...]:
        each = range(1, self.states + 1)
        head = *(f"{start}[{k}]" for k in each), *(f"{transition}[{i},{j}]" for i in each for j in each)
        if self.gaussian:
            return (*head, *(f"{mu}[{k}]" for k in each), *(f"{sd}[{k}]" for k in each))
        return (*head, *(f"{emission}[{k},{kind}]" for k in each for kind in KINDS))

    @property
    def model(self) -> conjugate.HiddenMarkov:
        """The same model with its conjugate prior."""
        emits: conjugate.GaussianEmissions | conjugate.CategoricalEmissions
        if self.gaussian:
            emits = conjugate.GaussianEmissions(
                np.array([kernels.MEAN]), kernels.MEAN_PRECISION, kernels.DEGREES, np.array([[kernels.SCALE]])
            )
        else:
            emits = conjugate.CategoricalEmissions(len(KINDS), kernels.CONCENTRATION)
        return conjugate.HiddenMarkov(self.states, emits, kernels.CONCENTRATION, kernels.CONCENTRATION)

    def observed(self, data: Matrix) -> npt.NDArray[Any]:
        """The data as the conjugate model takes them: (n, 1) minutes, or (n,) symbols."""
        return np.ascontiguousarray(data.T) if self.gaussian else data.argmax(axis=0)

    def coordinates(self, parameters: Mapping[str, npt.NDArray[np.float64]]) -> Matrix:
        """Draws of parameters, with the log gamma variables behind their rows, in the target's coordinates."""
        n = len(parameters["log_g"])
        parts = [parameters["log_g_start"], parameters["log_g"]]
        if self.gaussian:
            parts += [parameters["mean"], 0.5 * np.log(parameters["covariance"])]
        else:
            parts.append(parameters["log_g_emission"])
        return np.hstack([part.reshape(n, -1) for part in parts])

    def split(self, x: Matrix) -> tuple[Matrix, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(n, K), (n, K, K), and (n, 2, K) or (n, K, 2)."""
        k = self.states
        last = (PER_STATE, k) if self.gaussian else (k, PER_STATE)
        return x[:, :k], x[:, k : self.head].reshape(-1, k, k), x[:, self.head :].reshape(-1, *last)

    def joined(self, *parts: npt.NDArray[np.float64]) -> Matrix:
        """The reverse of `split`."""
        return np.hstack([part.reshape(len(parts[0]), -1) for part in parts])

    def named(self, x: Matrix) -> Matrix:
        """(n, dim) probabilities, means and scales."""
        start, transitions, last = self.split(x)
        if self.gaussian:
            last = np.stack([last[:, 0], np.exp(last[:, 1])], axis=1)
        else:
            last = conjugate.rows(last)
        return self.joined(conjugate.rows(start), conjugate.rows(transitions), last)

    def order(self, x: Matrix) -> npt.NDArray[np.intp]:
        """(n, K) states in the order of their means, or of how often their eruptions are short."""
        last = self.split(x)[2]
        return np.argsort(last[:, 0] if self.gaussian else last[:, :, 0] - last[:, :, 1], axis=1)

    def ordered(self, x: Matrix) -> Matrix:
        """As `named`, the states in that order."""
        order = self.order(x)
        start, transitions, last = self.split(self.named(x))
        transitions = np.take_along_axis(transitions, order[:, :, None], axis=1)
        transitions = np.take_along_axis(transitions, order[:, None, :], axis=2)
        last = np.take_along_axis(
            last, order[:, None, :] if self.gaussian else order[:, :, None], axis=-1 if self.gaussian else 1
        )
        return self.joined(np.take_along_axis(start, order, axis=1), transitions, last)

    def relabelled(self, order: list[int]) -> tuple[int, ...]:
        """The coordinates in the order that they have when the states are in this one."""
        start, transitions, last = self.split(np.arange(self.dim)[None])
        moved = last[:, :, order] if self.gaussian else last[:, order]
        return tuple(int(i) for i in self.joined(start[:, order], transitions[:, order][:, :, order], moved)[0])

    def modes(self) -> Modes:
        """One for each order of the states, all of one mass."""
        orders = np.array(list(itertools.permutations(range(self.states))))
        digits = self.states ** np.arange(self.states)[::-1]
        return Modes(
            lambda x: np.searchsorted(orders @ digits, self.order(x) @ digits), np.full(len(orders), 1 / len(orders))
        )

    def prior(self, rng: np.random.Generator) -> Vector:
        """A draw of the prior, in coordinates."""
        k = self.states
        head = conjugate.log_gammas(rng, np.full(self.head, kernels.CONCENTRATION))
        if not self.gaussian:
            return np.concatenate([head, conjugate.log_gammas(rng, np.full(PER_STATE * k, kernels.CONCENTRATION))])
        log_sd = 0.5 * np.log(0.5 * kernels.SCALE / rng.gamma(0.5 * kernels.DEGREES, size=k))
        mu = kernels.MEAN + np.exp(log_sd) * rng.standard_normal(k) / math.sqrt(kernels.MEAN_PRECISION)
        return np.concatenate([head, mu, log_sd])

    def simulated(self, rng: np.random.Generator, x: Vector, n: int) -> Matrix:
        """n eruptions, as the kernel takes them."""
        start, transitions, last = (part[0] for part in self.split(self.named(x[None])))
        states = conjugate.path(rng, start, transitions, n)
        if self.gaussian:
            return np.asarray(last[0, states] + last[1, states] * rng.standard_normal(n))[None]
        return _indicators(rng.random(n) >= last[states, 0])


def _exchanges(states: int) -> list[list[int]]:
    """Exchanges of neighbouring states, of which all K! relabellings are made."""
    orders = []
    for k in range(states - 1):
        order = list(range(states))
        order[k], order[k + 1] = k + 1, k
        orders.append(order)
    return orders


def _data(gaussian: bool, n: int) -> Matrix:
    waiting, duration = np.loadtxt(_FILE, delimiter=",", skiprows=1).T[:, :n]
    return data_matrix(waiting[None] if gaussian else _indicators(duration >= LONG))


def _indicators(long: npt.NDArray[np.bool_]) -> Matrix:
    """(2, n): short, long."""
    return np.stack([~long, long]).astype(np.float64)

"""Quantities of interest: what the user of a posterior wants from it, as functionals of its draws.

A quantity maps each draw to one number or to several, and reduces these to its answer:

- `mean`: E f, a probability where f is an indicator;
- `median`: of f, for one whose mean does not exist;
- `log_predictive`: sum over k of log E exp f_k, the log predictive density of rows whose log likelihoods are the f_k
  (Gelman, Hwang and Vehtari, Statistics and Computing 24, 2014, equation 5);
- `least`: the least of the E f_k, the expected loss of the best of several actions whose losses are the f_k;
- `odds`: E f / (1 + E f), the probability of a model whose odds are E f.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from targets.kernel import Matrix, Vector

Reduction = Literal["mean", "median", "log_predictive", "least", "odds"]

_NEAR = 0.1  # of probability, on either side of the median: what its density there is found by


class Known(NamedTuple):
    """A true answer, with its standard error and with the scale of `Quantity`, NaN where draws are to say it."""

    value: float
    error: float = 0.0
    scale: float = float("nan")


class Answer(NamedTuple):
    """What draws say of a quantity.

    Attributes:
        value: the estimate.
        influence: (n,) by how much each draw moves it, times n: the estimate errs like the mean of these. Their sd is
            the quantity's *scale*, so that n independent draws err by scale / sqrt(n).
    """

    value: float
    influence: Vector


@dataclass(frozen=True)
class Quantity:
    """A functional of the posterior that its user cares about. Its scale is the sd of one draw's influence.

    Of a `mean` this is the posterior sd of f.

    Attributes:
        name: unique within a target.
        description: one line, with units.
        values: f, from draws (n, dim) to (n,), or to (n, k) for `log_predictive` and `least`.
        reduction: see above.
        known: the truth where it is had exactly; otherwise it is found from the target's exact or certified draws.
        interval: whether central intervals of f are of interest: not of an indicator, nor of several numbers.
    """

    name: str
    description: str
    values: Callable[[Matrix], Matrix]
    reduction: Reduction = "mean"
    known: Known | None = None
    interval: bool = False

    def answer(self, draws: Matrix) -> Answer:
        """What draws (n, dim) say of it."""
        return self.reduce(self.values(draws))

    def reduce(self, values: Matrix) -> Answer:
        """The same from f at the draws, (n,) or (n, k). Not finite where f is not."""
        with np.errstate(invalid="ignore", over="ignore"):
            return _REDUCTIONS[self.reduction](values)


def _mean(values: Vector) -> Answer:
    mean = values.mean()
    return Answer(float(mean), values - mean)


def _median(values: Vector) -> Answer:
    low, median, high = np.quantile(values, [0.5 - _NEAR, 0.5, 0.5 + _NEAR])
    return Answer(float(median), np.where(values <= median, -0.5, 0.5) * (high - low) / (2 * _NEAR))


def _log_predictive(values: Matrix) -> Answer:
    top = values.max(axis=0)
    density = np.exp(values - top)
    mean = density.mean(axis=0)
    return Answer(float(np.sum(np.log(mean) + top)), density @ (1 / mean) - values.shape[1])


def _least(values: Matrix) -> Answer:
    return _mean(values[:, int(np.argmin(values.mean(axis=0)))])


def _odds(values: Vector) -> Answer:
    mean, influence = _mean(values)
    return Answer(mean / (1 + mean), influence / (1 + mean) ** 2)


_REDUCTIONS: dict[Reduction, Callable[[Matrix], Answer]] = {
    "mean": _mean,
    "median": _median,
    "log_predictive": _log_predictive,
    "least": _least,
    "odds": _odds,
}

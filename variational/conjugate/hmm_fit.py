"""One ascent of a hidden Markov model: the E-step, the M-step, and their bound."""

from typing import Any

import numpy as np
import numpy.typing as npt

from targets.conjugate.forward_backward import smooth
from targets.conjugate.hidden_markov import GaussianEmissions, HiddenMarkov
from variational.conjugate.hmm_factors import Categorical, Emissions, Gaussian, Rows
from variational.conjugate.hmm_start import initial_shares

Data = npt.NDArray[Any]  # (d, n) numbers, or (n,) symbols


class Fit:
    """Factors of all parameters, and the probabilities of the states."""

    def __init__(self, model: HiddenMarkov, emissions: Emissions, data: Data, ends: npt.NDArray[np.int64], point: bool):
        k, n = model.n_components, int(ends[-1])
        self.emissions, self.data, self.ends = emissions, data, ends
        self.start = Rows(model.start_prior[None], point)
        self.transitions = Rows(model.transition_prior, point)
        self.shares, self.starts, self.pairs = np.empty((n, k)), np.empty(k), np.empty((k, k))
        self._distances = np.empty((n, k))

    def expect(self) -> float:
        """The E-step: probabilities of the states; returns the bound, which is exact for the factors as they are."""
        largest = self.emissions.distances(self.data, self._distances)
        start, transitions = self.start.logs[0], np.ascontiguousarray(self.transitions.logs)
        value = smooth(self.ends, start, transitions, self._distances, self.shares, self.starts, self.pairs)
        bound = largest + value - self.start.penalty - self.transitions.penalty - self.emissions.penalty
        if not np.isfinite(bound):
            raise ValueError("the bound is not finite: the data are too far from the prior for double precision")
        return float(bound)

    def maximise(self) -> None:
        """The M-step: all factors to their optimum given the states."""
        self.start.update(self.starts[None])
        self.transitions.update(self.pairs)
        self.emissions.update(self.data, self.shares)

    def sweep(self) -> float:
        """Both."""
        self.maximise()
        return self.expect()


def begun(
    model: HiddenMarkov, data: Data, ends: npt.NDArray[np.int64], rng: np.random.Generator, *, point: bool
) -> Fit:
    """A fit that stands before its first M-step. `point` makes it EM's.

    Args:
        model: see `targets.conjugate.hidden_markov`.
        data: (d, n) numbers, C-contiguous; or (n,) symbols.
        ends: of the sequences, in order.
        rng: what the start is drawn with.
        point: EM's points, in place of distributions.
    """
    shares, pairs, centres = initial_shares(model, data, ends, rng)
    emissions: Emissions
    if isinstance(model.emissions, GaussianEmissions):
        emissions = Gaussian(model.emissions, centres, point)
    else:
        emissions = Categorical(model.emissions, model.n_components, point)
    made = Fit(model, emissions, data, ends, point)
    made.shares[:], made.pairs[:] = shares, pairs
    made.starts[:] = shares[np.concatenate([[0], ends[:-1]])].sum(axis=0)
    return made

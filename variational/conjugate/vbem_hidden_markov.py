"""VB-EM of the hidden Markov model in a target's coordinates."""

from typing import Any

import numpy as np
import numpy.typing as npt

from targets.conjugate import forward_backward
from targets.conjugate.hidden_markov import HiddenMarkov
from targets.conjugate.hidden_markov_family import HiddenMarkovFamily, Normals, Row
from targets.options import require
from variational.conjugate.hmm_factors import Categorical, Gaussian, Rows
from variational.conjugate.hmm_fit import begun


class HiddenMarkovUpdates:
    """See `variational.conjugate.vbem.Updates`: from k-means of the data, or from random rows of symbols."""

    def __init__(self, model: HiddenMarkov, data: npt.NDArray[Any], rng: np.random.Generator) -> None:
        laid_out = data if data.ndim == 1 else np.ascontiguousarray(data.T)
        self.fit = begun(model, laid_out, np.array([len(data)], np.int64), rng, point=False)
        emissions = self.fit.emissions
        known = isinstance(emissions, Categorical) or (isinstance(emissions, Gaussian) and emissions.d == 1)
        require(known, "vbem is not accepted for emissions of several features; it takes one, or symbols")

    def sweep(self) -> float:
        return self.fit.sweep()

    def approximation(self) -> HiddenMarkovFamily:
        """That of the last M-step; before the first, the prior."""
        fit, emissions = self.fit, self.fit.emissions
        last: tuple[Row | Normals, ...]
        if isinstance(emissions, Gaussian):
            last = (Normals(emissions.means[:, 0], emissions.precisions, emissions.degrees, emissions.scales[:, 0, 0]),)
        else:
            assert isinstance(emissions, Categorical)  # noqa: S101
            last = _rows(emissions.rows)
        return HiddenMarkovFamily((*_rows(fit.start), *_rows(fit.transitions), *last))


def _rows(factor: Rows) -> tuple[Row, ...]:
    """The sum of a row's gamma variables is independent of its probabilities and of the data: it keeps its prior."""
    return tuple(
        Row(float(prior.sum()), concentration)
        for prior, concentration in zip(factor.prior, factor.concentration, strict=True)
    )


def compile_sweeps() -> None:
    """Load or compile the loops."""
    for loop in (forward_backward.smooth, forward_backward.gaussian_distances, forward_backward.gaussian_moments):
        _ = loop.compiled

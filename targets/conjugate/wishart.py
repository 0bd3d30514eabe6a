"""Wishart factors in natural terms: p(L) proportional to |L|^((v - d - 1) / 2) exp(-trace(S L) / 2).

With v degrees of freedom and the inverse scale S the mean of L is v inverse(S). In one dimension it is a Gamma
distribution of shape v / 2 and rate S / 2, so that these serve precisions of every structure.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, multigammaln

LOG2 = float(np.log(2.0))
Numbers = npt.NDArray[np.float64]


def log_normaliser(degrees_of_freedom: Numbers, log_det_scale: Numbers, d: int) -> Numbers:
    """The log of the integral over L; Bishop 2006, equation B.79, turned over."""
    v = degrees_of_freedom
    return np.asarray(0.5 * d * LOG2 * v + multigammaln(0.5 * v, d) - 0.5 * v * log_det_scale)


def expected_log_det(degrees_of_freedom: Numbers, log_det_scale: Numbers, d: int) -> Numbers:
    """E log |L|; Bishop 2006, equation B.81."""
    halves = 0.5 * (np.asarray(degrees_of_freedom)[..., None] - np.arange(d))
    return np.asarray(digamma(halves).sum(-1) + d * LOG2 - log_det_scale)

"""Wishart factors in natural terms: p(L) proportional to |L|^((v - d - 1) / 2) exp(-trace(S L) / 2).

With v degrees of freedom and the inverse scale S the mean of L is v inverse(S). In one dimension it is a Gamma
distribution of shape v / 2 and rate S / 2, so that these serve precisions of every structure.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln

LOG2, LOG_PI = float(np.log(2.0)), float(np.log(np.pi))
Numbers = npt.NDArray[np.float64]


def log_normaliser(degrees_of_freedom: Numbers, log_det_scale: Numbers, d: int) -> Numbers:
    """The log of the integral over L; Bishop 2006, equation B.79, turned over."""
    v = np.asarray(degrees_of_freedom)
    gammas = gammaln(0.5 * (v[..., None] - np.arange(d))).sum(-1) + 0.25 * d * (d - 1) * LOG_PI
    return np.asarray(0.5 * v * (d * LOG2 - log_det_scale) + gammas)


def expected_log_det(degrees_of_freedom: Numbers, log_det_scale: Numbers, d: int) -> Numbers:
    """E log |L|; Bishop 2006, equation B.81."""
    halves = 0.5 * (np.asarray(degrees_of_freedom)[..., None] - np.arange(d))
    return np.asarray(digamma(halves).sum(-1) + d * LOG2 - log_det_scale)

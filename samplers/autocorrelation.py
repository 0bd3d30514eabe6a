"""How long chains remember: what lengths of decoherence are learned from."""

import numpy as np

from samplers.chain import Values
from targets.kernel import Vector

MOST = 64  # coordinates


def autocorrelation_times(values: Values) -> Vector:
    """Integrated autocorrelation times, in draws, of at most `MOST` evenly spaced coordinates of (chains, n, dim).

    Autocovariances are averaged over the chains, about their common mean, and pairs of them are summed as long as they
    are positive and fall (Geyer 1992, the initial monotone sequence). At least one, and one where nothing moves.
    """
    _, n, dim = values.shape
    picked = values[:, :, np.linspace(0, dim - 1, min(dim, MOST)).astype(np.intp)]
    spectrum = np.fft.rfft(picked - picked.mean(axis=(0, 1)), 1 << (2 * n - 1).bit_length(), axis=1)
    covariances = np.fft.irfft(np.mean(np.abs(spectrum) ** 2, axis=0), axis=0)[: n // 2 * 2]
    correlations = covariances / np.where(covariances[0] > 0.0, covariances[0], 1.0)
    pairs = np.minimum.accumulate(correlations[::2] + correlations[1::2], axis=0)
    return np.asarray(np.maximum(1.0, 2.0 * np.sum(np.maximum(pairs, 0.0), axis=0) - 1.0))

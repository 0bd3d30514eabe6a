"""Whether iterates are stationary, and how well their average is known (Welandawe et al. 2022, RAABBVI)."""

from typing import NamedTuple

import numpy as np

from targets.kernel import Matrix, Vector

LARGEST_R_HAT = 1.1
LEAST_SIZE = 25.0  # effective iterates behind an average
LEAST_WINDOW = 200  # steps
STILL = 0.1  # of the tolerance: spread within which iterates that come to rest count as stationary
COMING_TO_REST = 0.5  # spread of the second half over that of the first


class Judgement(NamedTuple):
    """What a window of iterates shows: the worst parameter's split R-hat, effective size and error of the average.

    The error is in the units that the parameters were given in.
    """

    r_hat: float
    size: float
    error: float

    @property
    def settled(self) -> bool:
        """Whether they are stationary, and enough for their average and its error to mean something."""
        return self.r_hat <= LARGEST_R_HAT and self.size >= LEAST_SIZE


def judge(iterates: Matrix, tolerance: float) -> Judgement:
    """Judge iterates (n, parameters), evenly spaced in time; all in units in which `tolerance` is the accuracy wanted.

    Parameters that come to rest, by spreading half as much in the second half of the window and a tenth of the
    tolerance in all of it, count as stationary: without noise R-hat sees their approach for ever.
    """
    n = len(iterates)
    halves = iterates[: n // 2], iterates[n - n // 2 :]
    spread = iterates.std(axis=0)
    resting = halves[1].std(axis=0) <= COMING_TO_REST * halves[0].std(axis=0)
    moving = ~(resting & (spread <= STILL * tolerance)) & (spread > 0)
    if not np.any(moving):
        return Judgement(1.0, float(n), float(spread.max(initial=0.0)))
    shown = iterates[:, moving]
    r_hat = split_r_hat(shown)
    size = effective_sizes(shown)
    error = float(np.max(spread[moving] / np.sqrt(size)))
    return Judgement(float(r_hat.max()), float(size.min()), max(error, float(spread[~moving].max(initial=0.0))))


def split_r_hat(iterates: Matrix) -> Vector:
    """(parameters,) of the two halves of iterates (n, parameters) (Gelman et al. 2013, 11.4)."""
    n = len(iterates) // 2
    halves = np.array([iterates[:n], iterates[len(iterates) - n :]])
    within = halves.var(axis=1, ddof=1).mean(axis=0)
    between = halves.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        r_hat = np.sqrt((n - 1) / n + between / within)
    return np.asarray(np.where(between > 0, r_hat, 1.0))


def effective_sizes(iterates: Matrix) -> Vector:
    """(parameters,) effective numbers of iterates (n, parameters), by Geyer's (1992) initial positive sequence."""
    n = len(iterates)
    centred = iterates - iterates.mean(axis=0)
    length = 1 << (2 * n - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(centred, length, axis=0)) ** 2
    covariance = np.fft.irfft(spectrum, length, axis=0)[:n]
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = covariance / covariance[0]
    pairs = correlation[0 : n - 1 : 2] + correlation[1:n:2]
    positive = np.minimum.accumulate(pairs > 0, axis=0)
    time = -1.0 + 2.0 * np.sum(np.where(positive, pairs, 0.0), axis=0)
    return np.asarray(n / np.maximum(time, 1.0 / np.log10(max(n, 11))))

"""Hamiltonian Monte Carlo in coordinates whitened by a covariance, written for certificates alone.

`x = mean + factor w`, standard normal momenta, the leapfrog integrator and a number of steps drawn anew for each
trajectory. It shares no code with the samplers that race, which it checks.
"""

import math
from collections.abc import Sequence

import numpy as np
from numba import float64, int64, types

from samplers.chain import Values
from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, Matrix, Vector, aligned, empty, loop
from targets.target import Target

NAME = "whitened_hmc"
STEP = 0.8  # times dim^(-1/4): the first step size in whitened coordinates
LONGEST = 2.4  # the longest trajectory; a Gaussian decorrelates wholly at pi / 2
WIDER = 1.5  # chains start so much more widely than the covariance says
TRIAL, TRIALS = 100, 20  # trajectories after which the step is shortened, and how often it may be
CAUTIOUS = 0.1  # times the step, at the start
SHORTER, LEAST_ACCEPTED = 0.75, 0.8  # of each chain
SHORTEST = 0.02
DISCARDED = 500  # trajectories after the step is settled
TRIES = 100  # starting points


@loop(int64[::1](KERNEL, DATA, VECTOR, MATRIX, VECTOR, float64, int64, types.npy_rng, MATRIX))
def trajectories(kernel, data, mean, factor, x, step, longest, rng, draws):  # type: ignore[no-untyped-def]
    """One chain from x, which ends where the chain does: writes a position after each trajectory.

    Returns how many were accepted, how many left their level set, and gradient evaluations.
    """
    dim = x.shape[0]
    gradient, here, slope = np.empty(dim), np.empty(dim), np.empty(dim)
    momentum, white, new_white = np.empty(dim), np.empty(dim), np.empty(dim)
    counts = np.zeros(3, dtype=np.int64)
    value = kernel(x, gradient, data)
    counts[2] += 1
    for i in range(dim):  # w = factor^-1 (x - mean), by forward substitution
        total = x[i] - mean[i]
        for j in range(i):
            total -= factor[i, j] * white[j]
        white[i] = total / factor[i, i]
    for n in range(draws.shape[0]):
        energy = -value
        for i in range(dim):
            momentum[i] = rng.standard_normal()
            energy += 0.5 * momentum[i] ** 2
            new_white[i] = white[i]
            here[i] = gradient[i]
        new_value = value
        steps = 1 + int(rng.random() * longest)
        for _ in range(steps):
            for j in range(dim):
                total = 0.0
                for i in range(j, dim):
                    total += factor[i, j] * here[i]
                slope[j] = total
            for j in range(dim):
                momentum[j] += 0.5 * step * slope[j]
                new_white[j] += step * momentum[j]
            for i in range(dim):
                total = mean[i]
                for j in range(i + 1):
                    total += factor[i, j] * new_white[j]
                x[i] = total
            new_value = kernel(x, here, data)
            counts[2] += 1
            for j in range(dim):
                total = 0.0
                for i in range(j, dim):
                    total += factor[i, j] * here[i]
                momentum[j] += 0.5 * step * total
        new_energy = -new_value
        for i in range(dim):
            new_energy += 0.5 * momentum[i] ** 2
        change = energy - new_energy
        if not change > -1000.0:
            counts[1] += 1
        if math.log(rng.random()) < change:
            counts[0] += 1
            value = new_value
            for i in range(dim):
                white[i] = new_white[i]
                gradient[i] = here[i]
        for i in range(dim):
            total = mean[i]
            for j in range(i + 1):
                total += factor[i, j] * white[j]
            draws[n, i] = total
    for i in range(dim):
        x[i] = draws[draws.shape[0] - 1, i]
    return counts


class Whitened:
    """Chains about a mean (dim,) with a covariance (dim, dim); see `harness.references.runs.Source`."""

    label = NAME

    def __init__(self, target: Target, mean: Vector, covariance: Matrix, rngs: Sequence[np.random.Generator]) -> None:
        self.target, self.mean, self.rngs = target, aligned(mean), rngs
        self.factor = aligned(np.linalg.cholesky(covariance))
        self.step = STEP * target.dim**-0.25
        self.points = [self._start(rng) for rng in rngs]
        self.evaluations, settled = 0, self.step
        self._reset()
        self.step = settled * CAUTIOUS  # from a wide start, steps that suit the bulk may never be accepted
        self.draws(TRIAL)
        self.step = settled
        for _ in range(TRIALS):
            self._reset()
            self.draws(TRIAL)
            if self.accepted.min() >= LEAST_ACCEPTED * TRIAL:
                break
            self.step *= SHORTER
        self.draws(DISCARDED)
        self._reset()

    def shorten(self) -> bool:
        """Go on with shorter steps, for draws that are to begin anew; False where they are short already."""
        if self.step <= SHORTEST:
            return False
        self.step *= SHORTER**2
        self._reset()
        self.draws(DISCARDED)
        self._reset()
        return True

    def _reset(self) -> None:
        self.divergences, self.done = 0, 0
        self.accepted = np.zeros(len(self.rngs), dtype=np.int64)  # by chain

    def _start(self, rng: np.random.Generator) -> Vector:
        for _ in range(TRIES):
            x = self.mean + WIDER * self.factor @ rng.standard_normal(self.target.dim)
            if np.isfinite(self.target.log_densities(x[None])[0]):
                return aligned(x)
        raise ArithmeticError(f"{NAME}: the density is nowhere finite about the mean")

    def draws(self, n: int) -> Values:
        """The next (chains, n, dim)."""
        drawn = empty(len(self.rngs), n, self.target.dim)
        longest = max(1, round(LONGEST / self.step))
        for c, (rng, x, kept) in enumerate(zip(self.rngs, self.points, drawn, strict=True)):
            counts = trajectories(
                self.target.kernel, self.target.data, self.mean, self.factor, x, self.step, longest, rng, kept
            )
            self.accepted[c] += counts[0]
            self.divergences += int(counts[1])
            self.evaluations += int(counts[2])
        self.done += n * len(self.rngs)
        return drawn

    def said(self) -> dict[str, float]:
        """What else there is to say of the run."""
        return {"accepted": float(self.accepted.sum()) / max(self.done, 1), "step": self.step}

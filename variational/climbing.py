"""Markov kernels that Markovian score climbing draws from p with, in compiled code, for several chains at once."""

import math

import numpy as np
from numba import boolean, float64, int64, types

from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, loop

CUBE = float64[:, :, ::1]
INDICES = int64[::1]


@loop(float64(CUBE, VECTOR, MATRIX, CUBE, VECTOR, INDICES, boolean))
def resample(log_weights, retained, uniforms, shares, old_shares, last, metropolis):  # type: ignore[no-untyped-def]
    """Let each chain choose, step by step, among its fresh draws from q and the one that it holds; returns its moves.

    `log_weights` (chains, steps, fresh) of log p - log q, `retained` (chains,) of what chains hold, updated; `uniforms`
    (chains, steps). Conditional importance sampling (Naesseth, Lindsten and Blei 2020, algorithm 2) chooses in
    proportion to the weights; `metropolis`, with one fresh draw, accepts it with the ratio of the weights. Each step
    has a share of one, which goes to all its draws by their probabilities, or to the state that results: added to
    `shares` (chains, steps, fresh), or to `old_shares` (chains,) while a chain holds what it came with. `last`
    (chains,) is the flat index steps x fresh of what it holds at the end, or -1. The moves are the sum of
    probabilities of leaving.
    """
    chains, steps, fresh = log_weights.shape
    moves = 0.0
    for c in range(chains):
        held = -1
        for b in range(steps):
            top = retained[c]
            for k in range(fresh):
                if log_weights[c, b, k] > top:
                    top = log_weights[c, b, k]
            stay = 1.0
            total = 0.0
            if top > -np.inf:
                stay = math.exp(retained[c] - top)
                total = stay
                for k in range(fresh):
                    total += math.exp(log_weights[c, b, k] - top)
            chosen = -1
            if metropolis:
                leave = 0.0
                if top > -np.inf:
                    leave = min(1.0, math.exp(min(0.0, log_weights[c, b, 0] - retained[c])))
                moves += leave
                if uniforms[c, b] < leave:
                    chosen = 0
            elif total > 0.0:
                stay /= total
                moves += 1.0 - stay
                left = uniforms[c, b] - stay
                for k in range(fresh):
                    share = math.exp(log_weights[c, b, k] - top) / total
                    shares[c, b, k] += share
                    if left >= 0.0 and share > 0.0:
                        chosen = k
                    left -= share
            if not metropolis:
                if held < 0:
                    old_shares[c] += stay
                else:
                    shares[c, held // fresh, held % fresh] += stay
            if chosen >= 0:
                held = b * fresh + chosen
                retained[c] = log_weights[c, b, chosen]
            if metropolis:
                if held < 0:
                    old_shares[c] += 1.0
                else:
                    shares[c, held // fresh, held % fresh] += 1.0
        last[c] = held
    return moves


@loop(
    types.Tuple((int64, float64))(
        KERNEL, DATA, MATRIX, MATRIX, VECTOR, MATRIX, CUBE, CUBE, float64, float64, int64, CUBE, MATRIX
    )
)
def trajectories(  # type: ignore[no-untyped-def]
    kernel, data, states, slopes, heights, factor, normals, uniforms, step, length, most, visited, spare
):
    """Hamiltonian trajectories (Neal 2011, section 5.2) from the states of all chains; returns gradients and moves.

    `states`, `slopes` (chains, dim) and `heights` (chains,) are positions, gradients and log densities, updated.
    Momenta are standard in the coordinates z of x = A z, with A = `factor`: (1, dim) a diagonal, or (dim, dim).
    `normals` (chains, steps, dim) and `uniforms` (chains, steps, 2) are the random numbers; `visited` (chains, steps,
    dim) is written; `spare` (4, dim). A trajectory is about `length` long, jittered by a half, in `most` steps at most.
    """
    chains, steps, dim = normals.shape
    diagonal = factor.shape[0] == 1 and dim > 1
    evaluations = 0
    moves = 0.0
    x, gradient, momentum, force = spare[0], spare[1], spare[2], spare[3]
    for c in range(chains):
        for b in range(steps):
            energy = heights[c]
            for i in range(dim):
                x[i] = states[c, i]
                gradient[i] = slopes[c, i]
                momentum[i] = normals[c, b, i]
                energy -= 0.5 * momentum[i] * momentum[i]
            count = int((0.5 + uniforms[c, b, 0]) * length / step + 0.5)
            count = min(max(count, 1), most)
            end = 0.0
            kick = 0.5 * step
            for k in range(count + 1):
                for i in range(dim):  # force = A' gradient
                    if diagonal:
                        force[i] = factor[0, i] * gradient[i]
                    else:
                        total = 0.0
                        for j in range(i, dim):
                            total += factor[j, i] * gradient[j]
                        force[i] = total
                if k == count:
                    kick = 0.5 * step
                for i in range(dim):
                    momentum[i] += kick * force[i]
                if k == count:
                    break
                kick = step
                for i in range(dim):
                    if diagonal:
                        x[i] += step * factor[0, i] * momentum[i]
                    else:
                        total = 0.0
                        for j in range(i + 1):
                            total += factor[i, j] * momentum[j]
                        x[i] += step * total
                end = kernel(x, gradient, data)
                evaluations += 1
                if not abs(end) < np.inf:
                    break
            after = end
            for i in range(dim):
                after -= 0.5 * momentum[i] * momentum[i]
            accept = 0.0
            if abs(after) < np.inf:
                accept = math.exp(min(0.0, after - energy))
            moves += accept
            if uniforms[c, b, 1] < accept:
                heights[c] = end
                for i in range(dim):
                    states[c, i] = x[i]
                    slopes[c, i] = gradient[i]
            for i in range(dim):
                visited[c, b, i] = states[c, i]
    return evaluations, moves

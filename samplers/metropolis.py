"""Random-walk Metropolis in a compiled loop."""

import math

from numba import boolean, float64, int64, void

from samplers.chain import CHAIN, RNG, STATS, TALLY, metropolis, record
from samplers.gradient_free import height
from samplers.scale import SCALE, move_along
from targets.kernel import DATA, DENSITY, KERNEL, MATRIX, loop

GAIN = 2.0  # Robbins-Monro gain of the log scale: about the inverse of the acceptance's slope near its optimum
DECAY = 0.6  # the gain falls as t^-0.6; between 1/2 and 1, so that averaging the iterates pays (Polyak & Juditsky 1992)


@loop(void(DENSITY, KERNEL, boolean, DATA, RNG, CHAIN, TALLY, SCALE, MATRIX, STATS, int64, float64))
def walk(  # type: ignore[no-untyped-def]
    log_density, kernel, gradient_free, data, rng, chain, tally, scale, draws, stats, thin, target
):
    """Advance one chain by `thin` proposals for every row of `draws`, and write each last position there.

    A proposal is x + s A z, z ~ N(0, I), with A the scale. The density is `log_density` if `gradient_free`, else that
    of `kernel`, whose gradient is thrown away. With `target` > 0 the factor s adapts to that acceptance (Robbins &
    Monro 1951); otherwise it is fixed.
    """
    position, proposal, gradient, z = chain.position, chain.proposal, chain.proposal_gradient, chain.momentum
    dim = position.shape[0]
    here = tally[0].log_density
    step = math.exp(tally[0].log_step)
    for row in range(draws.shape[0]):
        acceptance = 0.0
        for _ in range(thin):
            for i in range(dim):
                z[i] = rng.standard_normal()
                proposal[i] = position[i]
            move_along(scale, z, step, proposal, z)
            there = height(log_density, kernel, gradient_free, proposal, gradient, data)
            probability = metropolis(there - here)
            acceptance += probability
            if rng.random() < probability:
                here = there
                for i in range(dim):
                    position[i] = proposal[i]
            if target > 0.0:
                tally[0].adaptations += 1
                t = tally[0].adaptations
                tally[0].log_step += GAIN * t**-DECAY * (probability - target)
                tally[0].log_step_mean += (tally[0].log_step - tally[0].log_step_mean) * 2.0 / (t + 1.0)
                step = math.exp(tally[0].log_step)
        stats[row].lp = here
        stats[row].acceptance_rate = acceptance / thin
        stats[row].step_size = step
        stats[row].n_steps = thin
        for i in range(dim):
            draws[row, i] = position[i]
    record(tally, here, draws.shape[0], draws.shape[0] * thin)

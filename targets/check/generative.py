"""Whether what a target draws from its prior, and simulates, has the density of its kernel.

Given data y that were simulated from x, x is a draw of the posterior if prior and simulation are the kernel's. A chain
that leaves the posterior as it is, and that holds x at a place picked at random, is then as likely with any of its other
states at that place: the rank of x among them is uniform, *however slowly the chain moves* (Besag and Clifford 1989).
So short chains of a plain Metropolis sampler decide, at an exact level, with the tests of `targets.uniformity`.
"""

import numpy as np

from targets.check.finding import Finding
from targets.kernel import Matrix, Vector, data_matrix, empty
from targets.target import Generative, Target
from targets.uniformity import Uniformity, ranks

ALARM = 1e-6
REPETITIONS = 200
STEPS = 31
WHAT = "prior and simulated data have the density of the kernel"


def finding(target: Target, generative: Generative, rng: np.random.Generator) -> Finding:
    """One finding: shapes and numbers, and then ranks of each coordinate and of the density."""
    prior = np.array([generative.prior(rng) for _ in range(REPETITIONS)])
    if prior.shape != (REPETITIONS, target.dim) or not np.isfinite(prior).all():
        return Finding(False, WHAT, f"the prior gives {prior.shape[1:]} or no numbers; ({target.dim},) is expected")
    scales = np.subtract(*np.quantile(prior, [0.75, 0.25], axis=0)) / 1.35
    found = np.empty((REPETITIONS, target.dim + 1))
    for repetition, x in enumerate(prior):
        made = np.asarray(generative.simulate(rng, x), dtype=np.float64)
        if made.shape != target.data.shape or not np.isfinite(made).all():
            return Finding(False, WHAT, f"the data are {made.shape} or no numbers; {target.data.shape} is expected")
        here, others = _chain(target, data_matrix(made), x, scales, rng)
        if not np.isfinite(here[-1]):
            return Finding(False, WHAT, "the density of a prior draw, given data simulated from it, is zero")
        found[repetition] = ranks(here, others, rng)
    uniform = Uniformity.of(found, ALARM)
    wrong = [f"{test} of {(*target.coordinates, 'the log density')[column]}" for test, column in uniform.alarms]
    said = f"{len(wrong)} of its tests reject: {', '.join(wrong[:3])}" if wrong else "no test of their ranks rejects"
    return Finding(not wrong, WHAT, f"{said} ({REPETITIONS} repetitions)")


def _chain(
    target: Target, data: Matrix, x: Vector, scales: Vector, rng: np.random.Generator
) -> tuple[Vector, Matrix]:
    """x with its log density (dim + 1,), and the other states of the chain that it is put into (STEPS, dim + 1)."""
    evaluate, position = _evaluate(target, data), np.append(x, 0.0)
    position[-1] = evaluate(x)
    place, states = int(rng.integers(STEPS + 1)), []
    for steps in (place, STEPS - place):
        at = position
        for _ in range(steps):
            at = _step(at, evaluate, scales, rng)
            states.append(at)
    return position, np.array(states)


def _step(at: Vector, evaluate, scales: Vector, rng: np.random.Generator) -> Vector:  # type: ignore[no-untyped-def]
    """One step of Metropolis: some coordinates, by some share of the prior's width, both picked without regard to x."""
    dim = len(scales)
    moved = rng.permutation(dim)[: int(dim ** rng.random()) if dim > 1 else 1]
    to = at.copy()
    to[moved] += 10.0 ** rng.uniform(-2.0, 0.3) * scales[moved] * rng.standard_normal(len(moved))
    to[-1] = evaluate(to[:-1])
    return to if to[-1] - at[-1] > -rng.exponential() else at


def _evaluate(target: Target, data: Matrix):  # type: ignore[no-untyped-def]
    """The log density at one point (dim,), given the data."""
    point, gradient = empty(target.dim), empty(target.dim)

    def by_density(x: Vector) -> float:
        point[:] = x
        return float(target.density(point, data))

    def by_kernel(x: Vector) -> float:
        point[:] = x
        return float(target.kernel(point, gradient, data))

    return by_kernel if target.log_density is None else by_density

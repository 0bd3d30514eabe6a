"""Whether what a target draws from its prior, and simulates, has the density of its kernel.

Given data y that were simulated from x, x is a draw of the posterior if prior and simulation are the kernel's. A chain
that leaves the posterior as it is, and that holds x at a place picked at random, is then as likely with any other of
its states at that place: the rank of x among them is uniform, *however slowly the chain moves* (Besag and Clifford
1989).
So short chains of a plain Metropolis sampler decide, at an exact level, with the tests of `targets.uniformity`.

Power is counted in tests: of a wrong scale of the prior, by a factor of 1.5, and of data that are not those of x.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from targets.check.finding import Finding
from targets.kernel import Matrix, Vector, aligned, data_matrix, densities, empty
from targets.target import Generative, Target
from targets.uniformity import Uniformity, ranks_of

ALARM = 1e-6
REPETITIONS = 200
PRIOR = "prior draws have the density of the kernel without data"
JOINT = "prior draws and simulated data have the density of the kernel"
ALONE, GIVEN = 600, 60  # steps of a chain
WIDE, NARROW = (-0.7, 0.5), (-2.0, 0.3)  # powers of ten between which they move, in widths of the prior

Evaluate = Callable[[Matrix], Vector]  # positions (REPETITIONS, dim), each with its own data, to log densities


def findings(target: Target, generative: Generative, rng: np.random.Generator) -> Iterator[Finding]:
    """On shapes and numbers; then ranks of each coordinate and of the density, without data where there is a way."""
    prior = np.array([generative.prior(rng) for _ in range(REPETITIONS)])
    if prior.shape != (REPETITIONS, target.dim) or not np.isfinite(prior).all():
        yield Finding(False, PRIOR, f"({target.dim},) finite numbers expected; the shape is {prior.shape[1:]}")
        return
    if generative.no_data is not None:
        alone = data_matrix(generative.no_data)
        yield _ranked(target, PRIOR, prior, lambda x: _at(target, x, alone), ALONE, WIDE, rng)
    data = [np.asarray(generative.simulate(rng, x), dtype=np.float64) for x in prior]
    odd = next((made for made in data if made.shape != target.data.shape or not np.isfinite(made).all()), None)
    if odd is not None:
        yield Finding(False, JOINT, f"{target.data.shape} finite numbers expected; the shape is {odd.shape}")
        return
    yield _ranked(target, JOINT, prior, _evaluate(target, [data_matrix(made) for made in data]), GIVEN, NARROW, rng)


def _ranked(
    target: Target,
    what: str,
    prior: Matrix,
    evaluate: Evaluate,
    steps: int,
    sizes: tuple[float, float],
    rng: np.random.Generator,
) -> Finding:
    """Each draw of the prior is put into a chain of its own, at a place picked at random, and ranked there."""
    drawn = np.column_stack([prior, evaluate(prior)])
    if not np.isfinite(drawn).all():
        return Finding(False, what, "where the prior draws, the density is zero")
    scales = np.subtract(*np.quantile(prior, [0.75, 0.25], axis=0)) / 1.35
    place = rng.integers(steps + 1, size=(len(prior), 1))
    at, below, above = drawn, np.zeros(drawn.shape), np.zeros(drawn.shape)
    for step in range(steps):  # up to its place on one side of the draw, and then on the other
        at = _step(np.where(step == place, drawn, at), evaluate, scales, sizes, rng)
        below += at < drawn
        above += at > drawn
    uniform = Uniformity.of(ranks_of(below, above, steps, rng), ALARM)
    wrong = [f"{test} of {(*target.coordinates, 'the log density')[column]}" for test, column in uniform.alarms]
    said = f"{len(wrong)} tests reject: {', '.join(wrong[:3])}" if wrong else "no test of their ranks rejects"
    return Finding(not wrong, what, f"{said} ({len(prior)} repetitions)")


def _step(
    at: Matrix, evaluate: Evaluate, scales: Vector, sizes: tuple[float, float], rng: np.random.Generator
) -> Matrix:
    """One step of Metropolis in every chain; the last column is the log density.

    How many coordinates move, one or all or between, and how far, is picked without regard to where they are.
    """
    n, dim = len(at), len(scales)
    moved = rng.random((n, dim)) < float(dim) ** -rng.random((n, 1))
    size = 10.0 ** rng.uniform(*sizes, (n, 1))
    to = at.copy()
    to[:, :-1] += moved * size * scales * rng.standard_normal((n, dim))
    to[:, -1] = evaluate(to[:, :-1])
    return np.where((to[:, -1] - at[:, -1] > -rng.exponential(size=n))[:, None], to, at)


def _at(target: Target, x: Matrix, data: Matrix) -> Vector:
    """(n,) log densities at points (n, dim)."""
    if target.density is None:
        return replace(target, data=data).log_densities(x)
    values = empty(len(x))
    densities(target.density, data, aligned(x), values)
    return values


def _evaluate(target: Target, data: list[Matrix]) -> Evaluate:
    point, gradient = empty(target.dim), empty(target.dim)

    def evaluate(x: Matrix) -> Vector:
        values = np.empty(len(x))
        for i, (row, given) in enumerate(zip(aligned(x), data, strict=True)):
            point[:] = row
            values[i] = (
                target.kernel(point, gradient, given) if target.density is None else target.density(point, given)
            )
        return values

    return evaluate

"""A truth against two samplers that have little in common: both must contradict it before it counts as wrong.

Where there are exact draws, chains start from them and whatever happens by the kernel must leave their distribution as
it is; where only moments are known, chains have to find them, and what does not mix says nothing.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.check.averages import t_values, threshold
from harness.check.invariance import EXACT, SHOWN, started_exactly
from harness.check.spending import LONGEST, seeds
from samplers import method
from samplers.draws import Draws
from samplers.rounds import nominal_nanoseconds
from targets.check import Finding
from targets.kernel import Matrix, Vector
from targets.protocols import Phase, Status
from targets.target import Target
from targets.truth import Truth

CHAINS = 32
NANOSECONDS = 3e8  # nominal, that each sampler may spend
FEWEST, MOST = 60_000, 400_000  # evaluations
SECONDS, PIECES = 3.0, 20  # that warm-up may take, and sampling, on targets that are slower than they look
FEWEST_DRAWS = 10  # a chain
LEAST = 50  # draws a chain
MIXED = 1.02  # R-hat of chains that start apart, above which nothing is said
PROBABILITIES = np.array([0.25, 0.5, 0.75])
WITH_GRADIENT = (("nuts", {"num_warmup": 200}), ("slice", {"num_warmup": 60}))
WITHOUT = (("random_walk", {"num_warmup": 500}), ("slice", {"num_warmup": 60}))


@dataclass(frozen=True)
class Opinion:
    """What one sampler says: t values (k,) against the truth, and how large an error it could have seen."""

    t: Vector
    resolution: float
    draws: Draws


def findings(target: Target, seed: int) -> Iterator[Finding]:
    """None where nothing is known."""
    truth = target.truth
    if truth is None:
        return
    exact = truth.draws(EXACT, seed)
    pair = WITH_GRADIENT if target.differentiable else WITHOUT
    what = f"{pair[0][0]} and {pair[1][0]} agree with the truth"
    opinions: list[Opinion] = []
    for (name, options), each in zip(pair, seeds(seed, 30, 2), strict=True):
        kept = _sample(target, name, options, each, exact is not None)
        if isinstance(kept, str):
            yield Finding(True, what, f"nothing to compare: {name} {kept}")
            return
        opinions.append(_by_quantiles(kept, exact) if exact is not None else _by_moments(kept, target, truth))
    one, other = (opinion.t for opinion in opinions)
    both = np.where(np.sign(one) == np.sign(other), np.minimum(np.abs(one), np.abs(other)), 0.0)
    worst, limit = int(np.argmax(both)), threshold(CHAINS, len(both))
    coordinate = target.coordinates[worst % target.dim]
    detail = (
        f"at worst t = {one[worst]:.1f} and {other[worst]:.1f} in {coordinate}; both beyond {limit:.1f} are wrong; "
        f"standard errors up to {max(opinion.resolution for opinion in opinions):.3f}"
    )
    drawn = _picture(opinions, exact, [name for name, _ in pair], worst % target.dim)
    yield Finding(bool(both[worst] <= limit), what, detail, drawn)


def _sample(target: Target, name: str, options: dict[str, int], seed: int, exact: bool) -> Draws | str:
    """Draws of chains, from exact draws where there are some; or why there is nothing to compare."""
    sampler = method(name, num_chains=CHAINS, **options)
    refused = sampler.unfit(target)
    if refused is not None:
        return f"does not fit: {refused}"
    budget = int(np.clip(NANOSECONDS / nominal_nanoseconds(target), FEWEST, MOST))
    begun = started_exactly(target) if exact else target
    sampler.compile(begun)
    run = sampler.start(begun, seed)
    piece, deadline = budget // PIECES, time.monotonic() + SECONDS
    while run.status is Status.RUNNING and run.phase is Phase.WARMUP and run.work.total < LONGEST:
        if time.monotonic() > deadline:
            return f"is still warming up after {SECONDS:g} s"
        run.advance(piece)
    end, deadline = run.work.total + budget, time.monotonic() + SECONDS
    while run.status is Status.RUNNING and (run.work.total < end or run.done < LEAST) and run.work.total < 8 * end:
        if time.monotonic() > deadline and run.done >= FEWEST_DRAWS:
            break
        run.advance(piece)
    found = run.approximation()
    if run.status is Status.FAILED or run.phase is Phase.WARMUP or found is None:
        return f"has no draws: {run.reason or run.status}"
    if not exact and not np.max(found.r_hat) < MIXED:
        return f"does not mix: R-hat {np.max(found.r_hat):.2f}"
    return found


def _by_quantiles(kept: Draws, exact: Matrix) -> Opinion:
    """Distribution functions at exact quantiles: numbers between 0 and 1, whose averages are soon normal.

    Chains that stay on one side of a quantile throughout would vary too little to be believed: the number of crossings
    bounds from above how many independent draws there can be.
    """
    cuts = np.quantile(exact, PROBABILITIES, axis=0)
    below = kept.values[:, :, None, :] < cuts
    crossings = (below[:, 1:] != below[:, :-1]).sum(axis=(0, 1)) + len(below)
    p = np.repeat(PROBABILITIES[:, None], exact.shape[1], axis=1)
    floor = np.sqrt(p * (1 - p) / crossings).ravel()
    values = below.mean(axis=1).reshape(len(below), -1)
    error = np.sqrt(p * (1 - p) / len(exact)).ravel()
    own = np.maximum(values.std(axis=0, ddof=1) / np.sqrt(len(values)), floor)
    gap = values.mean(axis=0) - p.ravel()
    return Opinion(gap / np.hypot(own, error), float(own.max()), kept)


def _by_moments(kept: Draws, target: Target, truth: Truth) -> Opinion:
    """Standardised means and squares, of the coordinates and of the named quantities."""
    values, expected, error = [], [], []
    flat = kept.flat
    parts = [(flat, truth.moments)]
    if target.named is not None and truth.named is not None and len(target.named.names) == target.dim:
        parts.append((target.named.values(flat), truth.named))
    for x, moments in parts:
        z = ((x - moments.mean) / moments.sd).reshape(*kept.values.shape[:2], -1).mean(axis=1)
        squares = (((x - moments.mean) / moments.sd) ** 2).reshape(*kept.values.shape[:2], -1).mean(axis=1)
        values += [z, squares]
        expected += [np.zeros(z.shape[1]), np.ones(z.shape[1])]
        error += [moments.mean_error / moments.sd, moments.variance_error / moments.variance]
    found = t_values(np.hstack(values), np.concatenate(expected), np.concatenate(error))
    spread = np.hstack(values).std(axis=0, ddof=1) / np.sqrt(CHAINS)
    return Opinion(np.nan_to_num(found), float(np.nanmax(spread)), kept)


def _picture(opinions: list[Opinion], exact: Matrix | None, names: list[str], k: int) -> dict[str, object]:
    if exact is None:
        return {}
    lines = {
        name: np.quantile(opinion.draws.flat[:, k], SHOWN).tolist()
        for name, opinion in zip(names, opinions, strict=True)
    }
    return {"kind": "samplers", "exact": np.quantile(exact[:, k], SHOWN).tolist(), "lines": lines}

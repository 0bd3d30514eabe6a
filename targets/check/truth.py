"""A truth against the kernel and against itself: draws, moments, normaliser, modes."""

import math
from collections.abc import Iterator

import numpy as np

from targets.bridge import bridge
from targets.check.finding import SIGMAS, Finding, average
from targets.kernel import Matrix
from targets.target import HARD_BOUNDARY, Target
from targets.truth import Modes, Moments, Truth

PAIRS = 64  # of coordinates whose covariances are compared
PARTS = 8  # of the draws, each of which is bridged by itself as well
ROUNDING = 1e-6  # of a covariance, relative


def shapes(target: Target, truth: Truth) -> Finding:
    """Every moment is (dim,), the covariance (dim, dim) and no other than its transpose."""
    wrong = [*_wrong_shapes(truth.moments, target.dim)]
    if truth.named is not None and target.named is not None:
        wrong += [f"named {each}" for each in _wrong_shapes(truth.named, len(target.named.names))]
    if not wrong:
        covariance = np.nan_to_num(truth.moments.covariance, posinf=0.0, neginf=0.0)
        if not np.allclose(covariance, covariance.T, rtol=ROUNDING):
            wrong.append("the covariance is not symmetric")
        all_moments = [truth.moments, *([truth.named] if truth.named is not None else [])]
        squares = [(m.variance, m.variance_of_square, m.variance_of_centred_square) for m in all_moments]
        if any((part < 0.0).any() for parts in squares for part in parts):
            wrong.append("a variance is negative")
    return Finding(
        not wrong, "the moments have the target's dimension", "; ".join(wrong) or f"{target.dim} coordinates"
    )


def _wrong_shapes(moments: Moments, dim: int) -> Iterator[str]:
    for name, value in vars(moments).items():
        if np.shape(value) != ((dim, dim) if name == "covariance" else (dim,)):
            yield f"{name} {np.shape(value)}"


def findings(target: Target, truth: Truth, draws: Matrix | None, rng: np.random.Generator) -> Iterator[Finding]:
    """All that can be said of a truth by draws from it; what draws cannot say is left out."""
    if target.relabellings:
        yield _symmetric(target, truth.moments)
    if draws is None:
        return
    values, gradients = target.evaluate(draws)
    if not np.isfinite(values).all():
        lost = len(draws) - np.isfinite(values).sum()
        yield Finding(False, "draws have finite densities", f"{lost} of {len(draws)} have not")
        return
    if HARD_BOUNDARY not in target.tags:  # where a density does not vanish at its edge, there is a term for the edge
        yield average("Stein: E grad log p = 0", gradients, np.zeros(target.dim))
        yield average("Stein: E x grad log p = -1", draws * gradients, np.full(target.dim, -1.0))
    yield from _moments("the moments", truth.moments, draws, rng)
    if target.named is not None and truth.named is not None:
        yield from _moments("the named moments", truth.named, target.named.values(draws), rng)
    known = truth.log_normaliser - truth.entropy
    if not math.isnan(known):
        error = np.array([math.hypot(truth.log_normaliser_error, truth.entropy_error)])
        yield average("log normaliser less entropy is E log p", values[:, None], np.array([known]), error)
    if not math.isnan(truth.log_normaliser):
        yield _normaliser(target, truth, draws, rng)
    if truth.modes is not None:
        yield _modes(truth.modes, draws)


def _symmetric(target: Target, moments: Moments) -> Finding:
    """Moments that relabelling leaves unchanged, to their own standard errors."""
    what = "relabelling leaves the moments unchanged"
    worst = 0.0
    for order in map(list, target.relabellings):
        for values, errors in (
            (moments.mean, moments.mean_error),
            (moments.variance, moments.variance_error),
        ):
            allowed = np.hypot(errors, errors[order]) + ROUNDING * np.abs(moments.sd)
            worst = max(worst, float(np.nanmax(np.abs(values - values[order]) / allowed, initial=0.0)))
    return Finding(worst <= SIGMAS, what, f"at worst {worst:.1f} standard errors apart")


def _moments(whose: str, moments: Moments, draws: Matrix, rng: np.random.Generator) -> Iterator[Finding]:
    """Where tails are so heavy that a scale does not exist, an average of draws says nothing: left out."""
    yield average(f"{whose}: mean", draws, moments.mean, moments.mean_error, moments.sd)
    scale = np.sqrt(moments.variance_of_centred_square)
    squares = (draws - moments.mean) ** 2
    yield average(f"{whose}: variance", squares, moments.variance, moments.variance_error, scale)
    if draws.shape[1] > 1:
        yield _covariances(whose, moments, draws, rng)


def _covariances(whose: str, moments: Moments, draws: Matrix, rng: np.random.Generator) -> Finding:
    """Products of neighbours, and of pairs drawn anew; their scale by the Cauchy-Schwarz inequality."""
    dim = draws.shape[1]
    i = np.concatenate([np.arange(dim - 1), rng.integers(dim, size=PAIRS)])
    j = np.concatenate([np.arange(1, dim), (i[dim - 1 :] + rng.integers(1, dim, size=PAIRS)) % dim])
    centred = draws - moments.mean
    fourth = moments.variance_of_centred_square + moments.variance**2
    own = np.sqrt(moments.variance_error[i] * moments.variance_error[j])
    return average(
        f"{whose}: covariance",
        centred[:, i] * centred[:, j],
        moments.covariance[i, j],
        own,
        (fourth[i] * fourth[j]) ** 0.25,
    )


def _normaliser(target: Target, truth: Truth, draws: Matrix, rng: np.random.Generator) -> Finding:
    """By a bridge from the draws, in parts that tell how far they agree."""
    what = "the log normaliser is that of the kernel"
    parts = draws[: len(draws) // PARTS * PARTS].reshape(PARTS, -1, target.dim)
    found = bridge(target.log_densities, parts, [np.array(order) for order in target.relabellings], rng)
    if math.isnan(found.value):
        return Finding(True, what, "not looked at: a Gaussian and the density have too little in common")
    error = max(math.hypot(found.error, truth.log_normaliser_error), ROUNDING)
    sigmas = abs(found.value - truth.log_normaliser) / error
    detail = f"{found.value:.6g} by a bridge, {truth.log_normaliser:.6g} claimed, {sigmas:.1f} standard errors apart"
    return Finding(sigmas <= SIGMAS, what, detail)


def _modes(modes: Modes, draws: Matrix) -> Finding:
    what = "mode masses"
    which = np.asarray(modes.assign(draws))
    count = len(modes.masses)
    if which.shape != (len(draws),) or which.min() < 0 or which.max() >= count:
        return Finding(False, what, f"assign must give each draw an integer from 0 to {count - 1}")
    if not math.isclose(modes.masses.sum(), 1.0, rel_tol=1e-9):
        return Finding(False, what, f"they sum to {modes.masses.sum():.9g}")
    inside = (which[:, None] == np.arange(count)).astype(np.float64)
    return average(what, inside, modes.masses, scale=np.sqrt(modes.masses * (1.0 - modes.masses)))

"""Claims about gradients of expectations: exercise E5, question Q5, discrete variables."""

import numpy as np

from harness.claims.claim import Effort, Found, Verdict, either
from targets import registry as targets
from targets.kernel import Matrix, Vector
from targets.target import Target

SIGMAS = 5.0


def naive_gradient(effort: Effort) -> Found:
    """d/dmu E z^2 under N(mu, 1) at mu = 1.5, three ways."""
    rng, mu, n = effort.rng(30), 1.5, effort.of(400_000, 20_000)
    z = mu + rng.standard_normal(n)
    ways = {"naive": np.zeros(n), "score function": z**2 * (z - mu), "reparameterised": 2 * z}
    means = {name: float(values.mean()) for name, values in ways.items()}
    errors = {name: float(values.std() / np.sqrt(n)) for name, values in ways.items()}
    right = all(abs(means[name] - 2 * mu) < SIGMAS * errors[name] for name in ("score function", "reparameterised"))
    return Found(
        either(right and means["naive"] == 0.0),
        ", ".join(f"{name} {means[name]:.3f} +- {errors[name]:.3f}" for name in ways) + f"; true {2 * mu:g}",
        "With the draws held fixed the integrand does not depend on mu at all: its gradient is zero, whatever n is.",
        {"means": means, "errors": errors},
    )


def variances(target: Target, mean: Vector, sd: Vector, rng: np.random.Generator, n: int) -> tuple[float, float, float]:
    """Sums over coordinates of the variance of a gradient by the mean: score function, with a baseline, pathwise."""
    z = rng.standard_normal((n, target.dim))
    heights, slopes = target.evaluate(mean + sd * z)
    reward = heights + 0.5 * np.sum(z**2, axis=1)  # log p - log q, but for a constant
    score = z / sd
    baseline = (reward.sum() - reward) / (n - 1)  # of all other draws, so that it is independent of this one
    return _total(reward[:, None] * score), _total((reward - baseline)[:, None] * score), _total(slopes)


def _total(values: Matrix) -> float:
    return float(values.var(axis=0, ddof=1).sum())


def hundred_to_thousand_times(effort: Effort) -> Found:
    """Question Q5: the ratio by dimension and target, with q as wide as the target and half a sd beside it."""
    plain, based, at = [], [], []
    n = effort.of(20_000, 3_000)
    for dim in (1, 3, 10, 30, 100):
        target = targets.load("correlated_gaussian", dim=dim, rho=0.5)
        assert target.truth is not None and target.gaussian is not None  # noqa: S101
        sd = 1 / np.sqrt(np.diagonal(target.gaussian.precision))
        found = variances(target, target.gaussian.mean + 0.5 * sd, sd, effort.rng(31), n)
        plain.append(found[0] / found[2])
        based.append(found[1] / found[2])
        at.append(float(dim))
    real = targets.load("logistic_regression")
    assert real.truth is not None  # noqa: S101
    moments = real.truth.moments
    found = variances(real, moments.mean, moments.sd / 3, effort.rng(32), n)
    within = sum(100 <= ratio <= 1000 for ratio in plain)
    return Found(
        Verdict.ONLY_IF if 0 < within < len(plain) or min(plain) < 100 else either(within == len(plain)),
        f"{plain[0]:.2g} times in 1 dimension, {plain[2]:.2g} in 10, {plain[4]:.2g} in 100; with a baseline {based[0]:.2g}, "
        f"{based[2]:.2g}, {based[4]:.2g}",
        "there are tens of dimensions and no baseline. The ratio grows with the dimension, and without a baseline it grows "
        "with any constant added to the log density, so that one number cannot hold. Logistic regression in 31 "
        f"dimensions: {found[0] / found[2]:.2g} without, {found[1] / found[2]:.2g} with a baseline.",
        {"dimensions": at, "plain": plain, "baseline": based, "logistic": [found[0] / found[2], found[1] / found[2]]},
        {"score function": plain, "with a baseline": based},
        at,
        "dimension",
        "variance over the pathwise one",
    )


def discrete_variables(effort: Effort) -> Found:
    """d/dtheta E (z - 0.45)^2 with z Bernoulli of logit theta = 0.3, against the exact value."""
    rng, theta, n = effort.rng(33), 0.3, effort.of(400_000, 40_000)
    share = 1 / (1 + np.exp(-theta))
    exact = share * (1 - share) * (0.55**2 - 0.45**2)
    uniform = rng.random(n)
    z = (uniform < share).astype(float)
    noise = np.log(uniform) - np.log1p(-uniform)
    soft = {t: 1 / (1 + np.exp(-np.clip((theta + noise) / t, -500, 500))) for t in (1.0, 0.1)}
    ways = {
        "through the step": np.zeros(n),
        "REINFORCE": (z - 0.45) ** 2 * (z - share),
        "REINFORCE with a baseline": ((z - 0.45) ** 2 - 0.25) * (z - share),
        "Gumbel-softmax at 1": 2 * (soft[1.0] - 0.45) * soft[1.0] * (1 - soft[1.0]),
        "Gumbel-softmax at 0.1": 2 * (soft[0.1] - 0.45) * soft[0.1] * (1 - soft[0.1]) / 0.1,
    }
    means = {name: float(values.mean()) for name, values in ways.items()}
    sds = {name: float(values.std()) for name, values in ways.items()}
    biased = {name for name in ways if abs(means[name] - exact) > SIGMAS * sds[name] / np.sqrt(n)}
    right = {"through the step", "Gumbel-softmax at 1"} <= biased and not biased & {"REINFORCE"}
    return Found(
        either(right and sds["REINFORCE with a baseline"] < sds["REINFORCE"]),
        f"true {exact:.4f}; " + ", ".join(f"{name} {mean:.4f} (sd {sds[name]:.2f})" for name, mean in means.items()),
        "REINFORCE is unbiased, and a baseline takes most of its noise. Gumbel-softmax is biased, the less the colder, "
        "and the noisier.",
        {"exact": exact, "means": means, "sds": sds},
    )

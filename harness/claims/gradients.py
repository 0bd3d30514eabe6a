"""Claims about gradients of expectations: exercise E5, question Q5, discrete variables."""

import numpy as np
from scipy.special import expit

from harness.claims.claim import Effort, Found, Verdict, either
from targets import registry as targets
from targets.kernel import Matrix, Vector
from targets.target import Target
from variational.evaluation import gradients

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
    heights, slopes = gradients(target, mean + sd * z)
    reward = heights + 0.5 * np.sum(z**2, axis=1)  # log p - log q, but for a constant
    score = z / sd
    baseline = (reward.sum() - reward) / (n - 1)  # of all other draws, so that it is independent of this one
    return _total(reward[:, None] * score), _total((reward - baseline)[:, None] * score), _total(slopes)


def _total(values: Matrix) -> float:
    return float(values.var(axis=0, ddof=1).sum())


def hundred_to_thousand_times(effort: Effort) -> Found:
    """Question Q5: the ratio by dimension and target, with q as wide as the target and half a sd beside it."""
    plain, based, at = [], [], [1.0, 10.0, 100.0]
    n = effort.of(20_000, 4_000)
    for dim in at:
        target = targets.load("correlated_gaussian", dim=int(dim), rho=0.5)
        assert target.gaussian is not None  # noqa: S101
        sd = 1 / np.sqrt(np.diagonal(target.gaussian.precision))
        found = variances(target, target.gaussian.mean + 0.5 * sd, sd, effort.rng(31), n)
        plain.append(found[0] / found[2])
        based.append(found[1] / found[2])
    real = targets.load("logistic_regression")
    assert real.truth is not None  # noqa: S101
    moments = real.truth.moments
    found = variances(real, moments.mean, moments.sd / 3, effort.rng(32), n)
    logistic = [found[0] / found[2], found[1] / found[2]]
    ratios = [*plain, *based, *logistic]
    mixed = min(ratios) < 100 <= max(ratios)
    return Found(
        Verdict.ONLY_IF if mixed else either(min(ratios) >= 100 and max(ratios) <= 1000),
        f"{plain[0]:.1f} times in 1 dimension, {plain[1]:.1f} in 10, {plain[2]:.0f} in 100; logistic regression in 31: "
        f"{logistic[0]:,.0f}, and {logistic[1]:.0f} with a baseline",
        "there is no baseline and the log density is far from zero, or dimensions are in the hundreds. Without a "
        "baseline the ratio grows with any constant added to the log density, so that no one number can hold. Of one "
        "draw and of the gradient by the mean; with a baseline the Gaussians have "
        f"{based[0]:.1f}, {based[1]:.1f} and {based[2]:.0f}.",
        {"dimensions": at, "plain": plain, "baseline": based, "logistic": logistic},
        {"score function": plain, "with a baseline": based},
        at,
        "dimension",
        "variance over the pathwise one",
    )


def discrete_variables(effort: Effort) -> Found:
    """d/dtheta E (z - 0.45)^2 with z Bernoulli of logit theta = 0.3; relaxations by quadrature, REINFORCE by draws."""
    rng, theta, n = effort.rng(33), 0.3, effort.of(400_000, 40_000)
    share = 1 / (1 + np.exp(-theta))
    exact = share * (1 - share) * (0.55**2 - 0.45**2)
    z = (rng.random(n) < share).astype(float)
    drawn = {"plain": (z - 0.45) ** 2 * (z - share), "baseline": ((z - 0.45) ** 2 - 0.25) * (z - share)}
    means = {name: float(values.mean()) for name, values in drawn.items()}
    sds = {name: float(values.std()) for name, values in drawn.items()}
    unbiased = all(abs(means[name] - exact) < SIGMAS * sds[name] / np.sqrt(n) + 1e-12 for name in drawn)
    uniform = (np.arange(1_000_000) + 0.5) / 1_000_000
    noise = np.log(uniform) - np.log1p(-uniform)
    off, spread = {}, {}
    for heat in (1.0, 0.01):
        soft = expit((theta + noise) / heat)
        relaxed = 2 * (soft - 0.45) * soft * (1 - soft) / heat
        off[heat], spread[heat] = float(relaxed.mean() - exact), float(relaxed.std())
    return Found(
        either(unbiased and sds["baseline"] < sds["plain"] and abs(off[0.01]) < 0.5 * abs(off[1.0])),
        f"true {exact:.4f}; REINFORCE {means['plain']:.4f} (sd {sds['plain']:.3f}), with a baseline "
        f"{means['baseline']:.4f} (sd {sds['baseline']:.3f}); through the step 0",
        f"Gumbel-softmax is biased by {off[1.0]:+.4f} at temperature 1 (sd {spread[1.0]:.2f}) and by {off[0.01]:+.1e} "
        f"at 0.01 (sd {spread[0.01]:.2f}): the bias goes with the temperature, and noise comes. A single variable "
        "of two values is the best case for a baseline.",
        {"exact": exact, "means": means, "sds": sds, "bias": {str(heat): bias for heat, bias in off.items()}},
    )

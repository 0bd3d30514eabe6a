"""Pathwise estimators through continuous relaxations: little variance, and a bias.

They follow the gradient of the log joint's extension between corners. The entropy of q is in closed form, as in Jang,
Gu and Poole (2017), so that all of the bias is that of the expected log joint. The colder the relaxation, the smaller
the bias of `gumbel_softmax` and the larger its variance.
"""

# ruff: noqa: ARG001  (all estimators have the one signature)

from targets.kernel import helper
from targets.options import require
from variational.discrete.estimator import GRADIENTS, TEMPERATURE, Estimator, estimate, race, soften


@helper
def add_entropy(p, log_p, gradient):  # type: ignore[no-untyped-def]
    """Add the gradient of the entropy in the logits; returns the entropy."""
    entropy = 0.0
    for i in range(p.shape[0]):
        own = 0.0
        for k in range(p.shape[1]):
            own -= p[i, k] * log_p[i, k]
        for k in range(p.shape[1]):
            gradient[i, k] -= p[i, k] * (log_p[i, k] + own)
        entropy += own
    return entropy


@estimate
def through_softmax(kernel, density, data, rng, p, log_p, tuning, control, space, samples, gradient, spent):  # type: ignore[no-untyped-def]
    """Both passes with softmax((log p + Gumbel) / temperature); Maddison, Mnih and Teh (2017) call it Concrete."""
    sites, categories = p.shape
    times, x, y, slope = space[0], space[1], space[2], space[3]
    temperature, total = tuning[TEMPERATURE], 0.0
    for _ in range(samples):
        race(rng, p, log_p, times, x)
        soften(times, temperature, sites, categories, y)
        total += kernel(y, slope, data)
        spent[GRADIENTS] += 1
        for i in range(sites):
            mean = 0.0
            for k in range(categories):
                mean += y[i * categories + k] * slope[i * categories + k]
            for k in range(categories):
                j = i * categories + k
                gradient[i, k] += y[j] * (slope[j] - mean) / (temperature * samples)
    return total / samples + add_entropy(p, log_p, gradient)


@estimate
def through_draw(kernel, density, data, rng, p, log_p, tuning, control, space, samples, gradient, spent):  # type: ignore[no-untyped-def]
    """Forwards a draw, backwards as if it were p."""
    sites, categories = p.shape
    times, x, slope = space[0], space[1], space[2]
    total = 0.0
    for _ in range(samples):
        race(rng, p, log_p, times, x)
        total += kernel(x, slope, data)
        spent[GRADIENTS] += 1
        for i in range(sites):
            mean = 0.0
            for k in range(categories):
                mean += p[i, k] * slope[i * categories + k]
            for k in range(categories):
                gradient[i, k] += p[i, k] * (slope[i * categories + k] - mean) / samples
    return total / samples + add_entropy(p, log_p, gradient)


@estimate
def through_draw_and_softmax(kernel, density, data, rng, p, log_p, tuning, control, space, samples, gradient, spent):  # type: ignore[no-untyped-def]
    """Forwards a draw, backwards as if it were the relaxation of the same race."""
    sites, categories = p.shape
    times, x, y, slope = space[0], space[1], space[2], space[3]
    temperature, total = tuning[TEMPERATURE], 0.0
    for _ in range(samples):
        race(rng, p, log_p, times, x)
        soften(times, temperature, sites, categories, y)
        total += kernel(x, slope, data)
        spent[GRADIENTS] += 1
        for i in range(sites):
            mean = 0.0
            for k in range(categories):
                mean += y[i * categories + k] * slope[i * categories + k]
            for k in range(categories):
                j = i * categories + k
                gradient[i, k] += y[j] * (slope[j] - mean) / (temperature * samples)
    return total / samples + add_entropy(p, log_p, gradient)


def _annealed(name: str, made: object, samples: int, temperature: float, halving: int, coldest: float) -> Estimator:
    require(samples >= 1, f"{name}: samples={samples} is not accepted; it takes 1 or more")
    require(halving >= 0, f"{name}: halving={halving} is not accepted; it takes a number of steps, or 0 for never")
    cooling = 0.5 ** (1.0 / halving) if halving else 1.0
    return Estimator(made, samples, temperature, cooling, min(coldest, temperature), name=name)


def gumbel_softmax(*, samples: int = 2, temperature: float = 0.5, halving: int = 0, coldest: float = 0.1) -> Estimator:
    """Gumbel-softmax, which is the binary Concrete for two values (Jang et al. 2017; Maddison et al. 2017).

    In an ascent the temperature halves every `halving` steps, down to `coldest`; 0 keeps it.
    """
    return _annealed("gumbel_softmax", through_softmax, samples, temperature, halving, coldest)


def straight_through(*, samples: int = 2) -> Estimator:
    """The straight-through estimator (Bengio, Leonard and Courville 2013)."""
    require(samples >= 1, f"straight_through: samples={samples} is not accepted; it takes 1 or more")
    return Estimator(through_draw, samples)


def straight_through_gumbel(
    *, samples: int = 2, temperature: float = 0.5, halving: int = 0, coldest: float = 0.1
) -> Estimator:
    """Straight-through Gumbel-softmax (Jang et al. 2017); the temperature as in `gumbel_softmax`."""
    return _annealed("straight_through_gumbel", through_draw_and_softmax, samples, temperature, halving, coldest)

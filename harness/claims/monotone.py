"""Claims about bounds that rise: exercise E4, questions Q2 and Q6, the pruning of components, local optima."""

import numpy as np

from harness.claims import mixture
from harness.claims.claim import Effort, Found, Verdict, either
from targets import registry as targets
from targets.kernel import Vector
from targets.protocols import Status
from variational.registry import method

ROUNDING = 1e-9  # nats


def falls(bounds: Vector) -> float:
    """The largest fall from one sweep to the next, in nats; nothing below rounding."""
    worst = float(np.max(-np.diff(bounds)))
    return worst if worst > ROUNDING * max(1.0, float(np.abs(bounds).max())) else 0.0


def cavi_is_monotone(effort: Effort) -> Found:
    """Every sweep of a Bayesian mixture, from many starts and data."""
    worst, sweeps = 0.0, 0
    for k in range(effort.of(100, 15)):
        rng = np.random.default_rng([effort.seed, 10, k])
        fitted = mixture.fit(mixture.draw(rng, 100, (-1.5, 1.5)), 4, rng)
        worst, sweeps = max(worst, falls(fitted.bounds)), sweeps + len(fitted.bounds)
    return Found(either(worst == 0.0), f"no fall in {sweeps} sweeps of a mixture", numbers={"worst_fall": worst})


def planted_mistakes(effort: Effort) -> Found:
    """Question Q2: each mistake in the same mixture, and how often a falling bound gives it away."""
    repetitions, seen, lost = effort.of(60, 12), {}, {}
    shown: dict[str, list[float]] = {}
    for name in mixture.MISTAKES:
        caught, below = [], []
        for k in range(repetitions):
            rng = np.random.default_rng([effort.seed, 11, k])
            x = mixture.draw(rng, 60, (-1.5, 0.0, 1.5))
            state = rng.bit_generator.state
            right = mixture.fit(x, 3, rng)
            rng.bit_generator.state = state
            fitted = mixture.fit(x, 3, rng, mistake=name)
            caught.append(falls(fitted.bounds) > 0)
            truly = mixture.bound(x, fitted.r, fitted.alpha, fitted.m, fitted.v, 1.0)
            below.append(float(right.bounds[-1] - truly))
            if k == 0:
                shown[name] = fitted.bounds[:30].tolist()
        seen[name], lost[name] = float(np.mean(caught)), float(np.median(below))
    betrayed = [name for name in seen if seen[name] > 0.5]
    return Found(
        Verdict.ONLY_IF if seen["sign"] > 0.5 > min(seen["axis"], seen["stale"]) else either(min(seen.values()) > 0.5),
        "a fall gives away: " + ", ".join(f"{name} {share:.0%}" for name, share in seen.items() if name != "none"),
        f"the mistake is one of some: {', '.join(betrayed)}. Shares of {repetitions} data sets; without a mistake "
        f"{seen['none']:.0%}. Normalising over the wrong axis gives a bound that rises {-lost['axis']:.0f} nats "
        "beyond the right one; never updating the variances of the means one that ends "
        f"{lost['never']:.0f} nats below it. Reading last sweep's responsibilities is harmless in this model.",
        {"caught": seen, "nats_lost": lost},
        {name: line for name, line in shown.items() if name in ("none", "sign", "stale", "never")},
        list(range(1, 31)),
        "sweep",
        "bound as reported, nats",
    )


def stale_reads_can_diverge(effort: Effort) -> Found:
    """Gaussians in five dimensions, all coordinates updated at once from the sweep before."""
    start, drops, shown = effort.rng(12).standard_normal(5), {}, {}
    for name, shared in (("positive", 0.6), ("negative", -0.2)):
        precision = (1 - shared) * np.eye(5) + shared  # entries off the diagonal
        mean, bounds = start, []
        for _ in range(12):
            mean = mean - precision @ mean
            bounds.append(-0.5 * float(mean @ precision @ mean))
        drops[name], shown[name] = falls(np.array(bounds)), bounds
    return Found(
        Verdict.ONLY_IF if drops["positive"] > 0 == drops["negative"] else either(min(drops.values()) > 0),
        f"the bound of a Gaussian falls, by up to {drops['positive']:.1g} nats a sweep, where precisions off the "
        "diagonal are 0.6, and never where they are -0.2",
        "coordinates compete. Updates from the sweep before multiply the distance by a matrix of the model's, and the "
        "bound falls where its norm exceeds one.",
        drops,
        {"precisions of -0.2": shown["negative"]},
        list(range(1, 13)),
        "sweep",
        "bound, nats",
    )


def stochastic_bounds_are_not_monotone(effort: Effort) -> Found:
    """ADVI with steps of Adam's kind on draws: the bound of the iterates, by quadrature of the closed form."""
    target = targets.load("correlated_gaussian", dim=10, rho=0.5)
    assert target.gaussian is not None  # noqa: S101
    precision, rng = target.gaussian.precision, effort.rng(13)
    mean, log_sd, bounds = np.full(10, 1.0), np.full(10, -1.0), []
    for step in range(400):
        z = rng.standard_normal(10)
        slope = -precision @ (mean + np.exp(log_sd) * z)
        rate = 0.1 / (1 + step / 50)
        mean, log_sd = mean + rate * slope, log_sd + rate * (slope * np.exp(log_sd) * z + 1)
        spread = float(np.diagonal(precision) @ np.exp(2 * log_sd))
        bounds.append(float(log_sd.sum()) - 0.5 * (float(mean @ precision @ mean) + spread))
    share = float(np.mean(np.diff(bounds[100:]) < 0))
    return Found(
        either(share < 0.01),
        f"the exact bound falls in {share:.0%} of the steps of a stochastic gradient after the hundredth",
        "With exact updates it is true. With draws or mini-batches neither the bound nor its estimate is monotone, and "
        "a bound that has settled says nothing of how far q is from p.",
        {"share_of_falls": share},
        {"bound": bounds},
        list(range(400)),
        "step",
        "exact bound, nats",
    )


def local_optimum_only(effort: Effort) -> Found:
    """The bounds that random starts of a mixture end at."""
    x = mixture.draw(effort.rng(14), 160, tuple(range(-20, 20, 5)))
    ends = [
        mixture.fit(x, 8, np.random.default_rng([effort.seed, 15, k]), sweeps=100, apart=True).bounds[-1]
        for k in range(effort.of(100, 25))
    ]
    best = max(ends)
    behind = float(np.mean(np.array(ends) < best - 1.0))
    return Found(
        either(behind > 0),
        f"{behind:.0%} of {len(ends)} starts end more than a nat below the best",
        f"A mixture of eight, from data chosen as centres: bounds between {min(ends):.1f} and {best:.1f}.",
        {"behind": behind, "best": best, "worst": min(ends)},
    )


def components_are_pruned(effort: Effort) -> Found:
    """Six components on data of three: how many keep a datum, under the listing's prior and a sparse one."""
    kept = {}
    for alpha0 in (1.0, 0.01):
        held = []
        for k in range(effort.of(40, 6)):
            rng = np.random.default_rng([effort.seed, 16, k])
            fitted = mixture.fit(mixture.draw(rng, 150), 6, rng, alpha0, sweeps=effort.of(1500, 500))
            held.append(int(np.sum(fitted.alpha - alpha0 > 1)))
        kept[alpha0] = float(np.mean(held))
    return Found(
        Verdict.ONLY_IF if kept[0.01] < 4 < kept[1.0] else either(kept[1.0] < 4),
        f"of six components {kept[1.0]:.1f} keep a datum on average with alpha_0 = 1, {kept[0.01]:.1f} with 0.01",
        "the prior is sparse. With alpha_0 = 1, as in the listing, surplus components share a cluster.",
        {"kept": {str(alpha0): number for alpha0, number in kept.items()}},
    )


def variational_em_rises(effort: Effort) -> Found:
    """Factor analysis with independent factors in q and one sweep of them an iteration: x = W z + noise."""
    rng = effort.rng(17)
    n, d, k = 200, 6, 3
    x = rng.standard_normal((n, k)) @ (2 * rng.standard_normal((k, d))) + 0.5 * rng.standard_normal((n, d))
    W, noise, m = rng.standard_normal((d, k)), 1.0, np.zeros((n, k))
    bounds, evidence = [], []
    for _ in range(effort.of(300, 100)):
        gram, pull = W.T @ W / noise, x @ W / noise
        v = 1 / (1 + np.diagonal(gram))  # variances of q's factors
        for j in range(k):
            m[:, j] = v[j] * (pull[:, j] - m @ gram[:, j] + m[:, j] * gram[j, j])
        second = m.T @ m + n * np.diag(v)
        W = np.asarray(np.linalg.solve(second, m.T @ x).T, dtype=np.float64)
        left = np.sum(x**2) - 2 * np.sum(x * (m @ W.T)) + np.sum((W @ second) * W)
        noise = float(left / (n * d))
        bounds.append(
            -0.5 * n * d * (np.log(2 * np.pi * noise) + 1)
            - 0.5 * (np.sum(m**2) + n * v.sum())
            + 0.5 * n * (k + float(np.log(v).sum()))
        )
        covariance = W @ W.T + noise * np.eye(d)
        quadratic = float(np.sum(x * np.linalg.solve(covariance, x.T).T))
        evidence.append(-0.5 * (n * (d * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1]) + quadratic))
    worst, lowered = falls(np.array(bounds)), int(np.sum(np.diff(evidence) < -ROUNDING))
    gap = evidence[-1] - bounds[-1]
    return Found(
        either(worst == 0.0 and gap > 0),
        f"no fall of the bound in {len(bounds)} iterations; {gap:.1f} nats below the likelihood at the end",
        f"It is not tight, as claimed. Nothing is said of the likelihood itself, which fell in {lowered} iterations.",
        {"worst_fall": worst, "gap": gap, "likelihood_falls": lowered},
        {"bound": bounds[:60], "log likelihood": evidence[:60]},
        list(range(min(60, len(bounds)))),
        "iteration",
        "nats",
    )


def bayes_when_data_are_few(effort: Effort) -> Found:
    """Held-out log density of a mixture: averages over q(theta) against maximum likelihood."""
    ahead = {}
    for n in (8, 500):
        gains = []
        for j in range(effort.of(40, 8)):
            rng = np.random.default_rng([effort.seed, 18, n, j])
            x, new = mixture.draw(rng, n), mixture.draw(rng, 2000)
            fits = [mixture.fit(x, 3, rng, sweeps=30, apart=True) for _ in range(4)]
            bayes = max(fits, key=lambda fitted: float(fitted.bounds[-1]))
            point = max((mixture.em(x, 3, rng, 30) for _ in range(4)), key=lambda fitted: float(fitted[2][-1]))
            gains.append(float(np.mean(bayes.log_predictive(new) - mixture.log_plug_in(new, *point[:2]))))
        ahead[n] = float(np.median(gains))
    return Found(
        either(ahead[8] > 0.02 and abs(ahead[500]) < 0.01),
        f"held-out gain of averaging: {ahead[8]:.3f} nats a datum from 8 data, {ahead[500]:.4f} from 500",
        "The best of four starts each. A sweep costs the same for both, so that nothing is lost by averaging.",
        {str(n): gain for n, gain in ahead.items()},
    )


def bayes_selects_models(effort: Effort) -> Found:
    """How many components the bound and the likelihood choose, of 1 to 6, where there are three."""
    chosen: dict[str, list[int]] = {"bound": [], "likelihood": []}
    for j in range(effort.of(30, 6)):
        rng = np.random.default_rng([effort.seed, 19, j])
        x, counts = mixture.draw(rng, 100), range(1, 7)
        bounds = [max(mixture.fit(x, k, rng, apart=True).bounds[-1] for _ in range(4)) for k in counts]
        heights = [max(mixture.em(x, k, rng)[2][-1] for _ in range(4)) for k in counts]
        chosen["bound"].append(1 + int(np.argmax(bounds)))
        chosen["likelihood"].append(1 + int(np.argmax(heights)))
    right = {name: float(np.mean(np.array(found) == 3)) for name, found in chosen.items()}
    return Found(
        either(right["bound"] > max(0.5, right["likelihood"])),
        f"the bound finds three components in {right['bound']:.0%} of the data sets, the likelihood in "
        f"{right['likelihood']:.0%}",
        f"The likelihood chooses {np.mean(chosen['likelihood']):.1f} on average.",
        {"right": right},
    )


def laplace_is_deterministic(effort: Effort) -> Found:
    """Whether two seeds end in the same place: CAVI, Newton's method on fixed draws, and stochastic gradients."""
    target, apart = targets.load("bioassay"), {}
    for name in ("laplace", "cavi_grid", "advi_meanfield"):
        ends = []
        for seed in (effort.seed, effort.seed + 1):
            run = method(name).start(target, seed)
            while run.status is Status.RUNNING:
                run.advance(1_000_000)
            q = run.approximation()
            assert q is not None  # noqa: S101
            ends.append(q.mean / np.sqrt(np.diagonal(q.covariance)))
        apart[name] = float(np.abs(ends[1] - ends[0]).max())
    calm = max(apart["laplace"], apart["cavi_grid"])
    return Found(
        Verdict.ONLY_IF if calm < 1e-3 < apart["advi_meanfield"] else either(max(apart.values()) < 1e-3),
        "means of two seeds differ by " + ", ".join(f"{off:.1e} sd ({name})" for name, off in apart.items()),
        "updates are exact. Black-box gradients are as random as a sampler.",
        apart,
    )

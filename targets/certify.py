"""Makes the committed certificates: `python -m targets.certify logistic_regression`.

A long run of Hamiltonian Monte Carlo in coordinates whitened by the posterior's own covariance, written for this and
independent of the samplers that race: `x = mean + factor w`, standard normal momenta, the leapfrog integrator and a
number of steps drawn anew for each trajectory. The log normaliser by bridge sampling, once for each chain.
"""

import argparse
import datetime
import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numba
import numpy as np
import scipy
from numba import float64, int64, types

from targets import gmm_full, logistic_regression, reference
from targets.gmm_full_kernels import SIZE
from targets.gmm_posterior import gmm_posterior
from targets.importance import laplace
from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, Matrix, Vector, aligned, empty, loop
from targets.long_run import Permutations, moments_with_errors
from targets.options import defaults
from targets.target import Target

CHAINS = 8
PILOT = 4_000
DRAWS = 100_000
LARGEST_R_HAT = 1.001
LEAST_ESS = 1e5
THINNED = 500  # kept from each chain
BRIDGE = 20_000  # draws of the posterior, and as many of the proposal, in each chain's bridge
STEP = 1.1  # times dim^(-1/4): the step size in whitened coordinates
LONGEST = 2.4  # the longest trajectory; a Gaussian decorrelates wholly at pi / 2


@loop(int64(KERNEL, DATA, VECTOR, MATRIX, VECTOR, float64, int64, types.npy_rng, MATRIX, VECTOR))
def trajectories(kernel, data, mean, factor, x, step, longest, rng, draws, values):  # type: ignore[no-untyped-def]
    """One chain from x: writes a position and its log density after each trajectory, returns how many were accepted."""
    dim = x.shape[0]
    gradient, here, slope = np.empty(dim), np.empty(dim), np.empty(dim)
    momentum, white, new_white = np.empty(dim), np.empty(dim), np.empty(dim)
    value = kernel(x, gradient, data)
    for i in range(dim):  # w = factor^-1 (x - mean), by forward substitution
        total = x[i] - mean[i]
        for j in range(i):
            total -= factor[i, j] * white[j]
        white[i] = total / factor[i, i]
    accepted = 0
    for n in range(draws.shape[0]):
        energy = -value
        for i in range(dim):
            momentum[i] = rng.standard_normal()
            energy += 0.5 * momentum[i] ** 2
            new_white[i] = white[i]
            here[i] = gradient[i]
        new_value = value
        steps = 1 + int(rng.random() * longest)
        for _ in range(steps):
            for j in range(dim):
                total = 0.0
                for i in range(j, dim):
                    total += factor[i, j] * here[i]
                slope[j] = total
            for j in range(dim):
                momentum[j] += 0.5 * step * slope[j]
                new_white[j] += step * momentum[j]
            for i in range(dim):
                total = mean[i]
                for j in range(i + 1):
                    total += factor[i, j] * new_white[j]
                x[i] = total
            new_value = kernel(x, here, data)
            for j in range(dim):
                total = 0.0
                for i in range(j, dim):
                    total += factor[i, j] * here[i]
                momentum[j] += 0.5 * step * total
        new_energy = -new_value
        for i in range(dim):
            new_energy += 0.5 * momentum[i] ** 2
        if math.log(rng.random()) < energy - new_energy:
            accepted += 1
            value = new_value
            for i in range(dim):
                white[i] = new_white[i]
                gradient[i] = here[i]
        for i in range(dim):
            total = mean[i]
            for j in range(i + 1):
                total += factor[i, j] * white[j]
            draws[n, i] = total
        values[n] = value
    return accepted


@dataclass(frozen=True)
class Chains:
    """Draws (chains, n, dim), their log densities (chains, n), and the share of accepted trajectories."""

    draws: np.ndarray
    values: Matrix
    accepted: float


def run(target: Target, mean: Vector, covariance: Matrix, n: int, rngs: Sequence[np.random.Generator]) -> Chains:
    """One chain for each generator, started at overdispersed points, `n` draws each after n / 10 discarded ones."""
    factor = aligned(np.linalg.cholesky(covariance))
    step = STEP * target.dim**-0.25
    discarded = n // 10
    draws, values, accepted = [], [], 0
    for rng in rngs:
        # half as wide again as the posterior
        x = aligned(mean + 1.5 * factor @ rng.standard_normal(target.dim))
        kept, density = empty(n + discarded, target.dim), empty(n + discarded)
        accepted += trajectories(
            target.kernel, target.data, aligned(mean), factor, x, step, round(LONGEST / step), rng, kept, density
        )
        draws.append(kept[discarded:])
        values.append(density[discarded:])
    return Chains(np.array(draws), np.array(values), accepted / (len(rngs) * (n + discarded)))


def bridge(
    log_density: Callable[[Matrix], Vector],
    draws: Matrix,
    mean: Vector,
    covariance: Matrix,
    relabel: Permutations,
    rng: np.random.Generator,
) -> float:
    """Log normaliser by the optimal bridge (Meng and Wong, Statistica Sinica 6, 1996) to relabelled Gaussians."""
    factor = np.linalg.cholesky(covariance)
    constant = -0.5 * len(mean) * math.log(2 * math.pi) - float(np.log(np.diagonal(factor)).sum())

    def log_proposal(x: Matrix) -> Vector:
        each = [
            -0.5 * (np.linalg.solve(factor, (x[:, order] - mean).T) ** 2).sum(axis=0) + constant for order in relabel
        ]
        total: Vector = np.logaddexp.reduce(each, axis=0) - math.log(len(relabel))
        return total

    proposed = mean + rng.standard_normal((len(draws), len(mean))) @ factor.T  # one label suffices: both are symmetric
    at_draws = log_density(draws) - log_proposal(draws)
    at_proposed = log_density(proposed) - log_proposal(proposed)
    log_normaliser = float(np.median(at_draws))
    for _ in range(1000):  # as many independent draws on one side as on the other
        above = np.exp(at_proposed - log_normaliser)
        below = np.exp(at_draws - log_normaliser)
        ratio = np.mean(above / (above + 1)) / np.mean(1 / (below + 1))
        log_normaliser += float(np.log(ratio))
        if abs(math.log(ratio)) < 1e-12:
            break
    return log_normaliser


def certify(key: str, target: Target, options: dict[str, Any], start: Vector, relabel: Permutations, seed: int) -> None:
    """Run, and write the certificate and draws."""
    from arviz_stats.base.array import array_stats

    rngs = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(CHAINS + 1)]
    aside = rngs.pop()
    mean, covariance = laplace(target, start)
    for _ in range(3):
        pilot = run(target, mean, covariance, PILOT, rngs)
        flat = pilot.draws.reshape(-1, target.dim)
        mean, covariance = flat.mean(axis=0), np.cov(flat, rowvar=False) + np.zeros((target.dim, target.dim))
    chains = run(target, mean, covariance, DRAWS, rngs)
    moments, worst = moments_with_errors(chains.draws, relabel)
    if not (worst["r_hat_max"] < LARGEST_R_HAT and worst["ess_min"] > LEAST_ESS):
        raise ArithmeticError(f"{key}: the run did not converge and certifies nothing: {worst}")
    energy = float(chains.values.mean())
    energy_ess = float(array_stats.ess(chains.values, method="mean"))
    energy_error = float(chains.values.std()) / math.sqrt(energy_ess)
    evidence = np.array(
        [
            bridge(target.log_densities, chain[:: DRAWS // BRIDGE], mean, covariance, relabel, rng)
            for chain, rng in zip(chains.draws, rngs, strict=True)
        ]
    )
    log_normaliser, log_normaliser_error = float(evidence.mean()), float(evidence.std(ddof=1)) / math.sqrt(CHAINS)
    kept = chains.draws[:, :: DRAWS // THINNED].reshape(-1, target.dim)
    orders = np.array(relabel)[aside.integers(len(relabel), size=len(kept))]
    kept = np.take_along_axis(kept, orders, axis=1)[aside.permutation(len(kept))]
    content: dict[str, Any] = {
        "target": target.name,
        "options": options,
        "data_digest": reference.digest(target.data),
        "note": "whitened Hamiltonian Monte Carlo; log normaliser by bridge sampling"
        + (f"; averaged over {len(relabel)} relabellings" if len(relabel) > 1 else ""),
        "details": {
            "chains": CHAINS,
            "draws": CHAINS * DRAWS,
            **worst,
            "accepted": chains.accepted,
            "seed": seed,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "versions": {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "scipy": scipy.__version__,
                "numba": numba.__version__,
            },
        },
        "log_normaliser": {"value": log_normaliser, "standard_error": log_normaliser_error},
        "entropy": {
            "value": log_normaliser - energy,
            "standard_error": math.hypot(log_normaliser_error, energy_error),
        },
        "probe": {"at": kept[0].astype(np.float32).tolist()},
        "moments": reference.moments_as_lists(moments),
    }
    content["probe"]["log_density"] = float(target.log_densities(np.array([content["probe"]["at"]]))[0])
    if target.named is not None:
        named = np.array([target.named.values(chain) for chain in chains.draws])
        content["named"] = reference.moments_as_lists(moments_with_errors(named, relabel)[0])
    reference.write(key, content, kept)
    print(  # noqa: T201 (a command's answer)
        f"{key}: ESS at least {worst['ess_min']:.0f}, R-hat at most {worst['r_hat_max']:.5f}, "
        f"{chains.accepted:.0%} accepted, log normaliser {log_normaliser:.5f} +- {log_normaliser_error:.5f}"
    )


def _logistic_regression(key: str) -> None:
    target = logistic_regression.without_truth(dataset="breast_cancer")
    certify(key, target, {"dataset": "breast_cancer"}, np.zeros(target.dim), [np.arange(target.dim)], seed=20)


def _mixture(key: str, components: int) -> None:
    options = {**defaults(gmm_posterior), "model": "full", "components": components}
    target = gmm_full.without_truth(components, options["n"], options["separation"], options["seed"])
    start = np.zeros((components, SIZE))
    start[:, 1:3] = gmm_full.centres(components, options["separation"])
    certify(key, target, options, start.ravel(), gmm_full.relabellings(components), seed=30 + components)


MAKERS: dict[str, Callable[[str], None]] = {
    "logistic_regression": _logistic_regression,
    **{key: partial(_mixture, components=k) for k, key in gmm_full.CERTIFIED.items()},
}


def main() -> None:
    """Make the certificates named on the command line, by default all."""
    parser = argparse.ArgumentParser(prog="python -m targets.certify", description="make certified references")
    parser.add_argument("keys", nargs="*", choices=[*MAKERS, []], help="which; by default all")
    for key in parser.parse_args().keys or MAKERS:
        MAKERS[key](key)


if __name__ == "__main__":
    main()

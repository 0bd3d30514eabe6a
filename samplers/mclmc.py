"""Microcanonical Langevin Monte Carlo, unadjusted."""

import math
from dataclasses import dataclass

import numpy as np

from samplers import microcanonical
from samplers.chain import Stats, Tally
from samplers.mams import ONE_DIMENSION
from samplers.method import MCMC
from samplers.metric import draw_gradient_deviations, standard_deviations
from samplers.microcanonical import SQUARES, STEPS, Particle, particle_at
from samplers.pointer import pointer
from samplers.transition import Plain, Seen, Starts, Tuning
from samplers.warmup import restart
from targets.kernel import Matrix, compiled
from targets.options import require
from targets.target import Target

import os
FACTOR = float(os.environ.get("FACTOR", 0.4))
METRIC = os.environ.get("METRIC", "nutpie")
EVERY = float(os.environ.get("EVERY", 0.25))
FIRST_STEP = 0.25
FIRST_MOST = 1
MOST = 1000
AGG = os.environ.get("AGG", "mean")
CLIP = float(os.environ.get("CLIP", 4.0))


def autocorrelation_times(values):
    """(dim,) integrated autocorrelation times."""
    chains, n, dim = values.shape
    centred = values - values.mean(axis=(0, 1))
    size = 1 << (2 * n - 1).bit_length()
    f = np.fft.rfft(centred, size, axis=1)
    acov = np.fft.irfft(np.abs(f) ** 2, size, axis=1)[:, :n].mean(axis=0) / n
    rho = acov / np.where(acov[0] > 0, acov[0], 1.0)
    m = n // 2 * 2
    pairs = rho[0:m:2] + rho[1:m:2]
    pairs = np.minimum.accumulate(pairs, axis=0)
    return -1.0 + 2.0 * np.sum(np.where(pairs > 0, pairs, 0.0), axis=0)


@dataclass(frozen=True)
class MCLMC(Plain):
    energy_variance: float
    decoherence: float | None
    stages: int
    reports = ("lp", "acceptance_rate", "step_size", "n_steps", "diverging")

    def unfit(self, target: Target) -> str | None:
        return ONE_DIMENSION if target.dim == 1 else None

    def usual_warmup(self, kept: bool) -> int:
        return 200 if kept else 1000

    def compile(self, target: Target) -> None:
        compiled(target.log_density_and_gradient)
        _ = microcanonical.wander.compiled

    def begin(
        self, target: Target, rngs: list[np.random.Generator], starts: Starts, counters: Tally, tuning: Tuning
    ) -> list[Particle]:
        tuning.path = 1.0 if self.decoherence is None else self.decoherence
        tuning.most = FIRST_MOST
        tuning.with_gradients = False
        counters["log_step"] = math.log(FIRST_STEP)
        counters["log_density"] = starts.log_densities[:, 0]
        restart(counters)
        chains = []
        for c, rng in enumerate(rngs):
            u = rng.standard_normal(target.dim)
            chains.append(particle_at(starts.positions[c, 0], starts.gradients[c, 0], u / np.linalg.norm(u)))
        return chains

    def advance(
        self,
        target: Target,
        rng: np.random.Generator,
        chain: Particle,
        tally: Tally,
        tuning: Tuning,
        draws: Matrix,
        stats: Stats,
        adapting: bool,
    ) -> None:
        microcanonical.wander(
            pointer(target.log_density_and_gradient),
            target.data,
            rng,
            chain,
            tally,
            tuning.scale,
            draws,
            stats,
            tuning.path,
            EVERY,
            tuning.most,
            self.stages,
            self.energy_variance if adapting else 0.0,
        )

    def learn(self, seen: Seen, tuning: Tuning) -> None:
        steps = float(np.exp(seen.counters["log_step"].mean()))
        apart = max(1.0, min(EVERY * tuning.path / steps, tuning.most)) * steps
        if not tuning.kept:
            tuning.scale = standard_deviations(seen.values, tuning.scale)
        tuning.most = MOST
        if self.decoherence is None and seen.values.shape[1] >= 100:
            times = autocorrelation_times(seen.values) * apart
            t = times.mean() if AGG == "mean" else times.max() if AGG == "max" else 1 / np.mean(1 / times)
            new = FACTOR * t
            tuning.path = float(np.clip(new, tuning.path / CLIP, tuning.path * CLIP))

    def cost(self, target: Target, counters: Tally, tuning: Tuning) -> float:  # noqa: ARG002
        steps = EVERY * tuning.path / math.exp(float(np.mean(counters["log_step"])))
        return self.stages * min(max(steps, 1.0), float(tuning.most))

    def says(self, chains: list[Particle], counters: Tally, tuning: Tuning) -> dict[str, float]:  # noqa: ARG002
        squares, steps = (sum(chain.memory[k] for chain in chains) for k in (SQUARES, STEPS))
        dim = len(chains[0].position)
        return {"energy_variance": float(squares / (steps * dim)) if steps else math.nan}


def mclmc(
    *,
    energy_variance: float = 5e-4,
    decoherence: float | None = None,
    stages: int = 2,
    num_warmup: int | None = None,
    num_chains: int = 4,
) -> MCMC:
    return MCMC("mclmc", MCLMC(energy_variance, decoherence, stages), num_chains, num_warmup)

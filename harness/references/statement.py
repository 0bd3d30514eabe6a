"""All that one long run states about a target: its coordinates, named quantities, log normaliser and entropy."""

import math
from dataclasses import dataclass, replace

import numpy as np

from harness.references import agreement
from harness.references.agreement import Number
from harness.references.runs import LongRun
from samplers.chain import Values
from targets.bridge import bridge
from targets.kernel import Vector
from targets.long_run import Estimates, Relabellings, estimates, mean_and_error
from targets.target import Target
from targets.truth import Moments, Quantiles, Truth

MOST_ENERGIES = 100_000  # densities evaluated for the mean of the log density


@dataclass(frozen=True)
class Statement:
    """What is said, each with its standard error: (value, error) where it is one number, NaN where unknown."""

    moments: Moments
    quantiles: Quantiles | None
    named: Moments | None
    named_quantiles: Quantiles | None
    log_normaliser: tuple[float, float]
    entropy: tuple[float, float]

    def scaled_by(self, truth: Truth) -> "Statement":
        """The same with errors that are no smaller than the true scales imply.

        Of draws with heavy tails the largest are missing, from their variance as much as from what it is the error of.
        """
        named = None if self.named is None or truth.named is None else _scaled(self.named, truth.named)
        return replace(self, moments=_scaled(self.moments, truth.moments), named=named or self.named)

    def numbers(self, target: Target) -> list[Number]:
        """Everything that can be compared."""
        found = agreement.moments(self.moments, target.coordinates)
        if self.quantiles is not None:
            found += agreement.quantiles(self.quantiles, target.coordinates)
        if target.named is not None and self.named is not None:
            of = [*agreement.moments(self.named, target.named.names)]
            if self.named_quantiles is not None:
                of += agreement.quantiles(self.named_quantiles, target.named.names)
            found += [Number(f"named {each.what}", each.names, each.value, each.error) for each in of]
        found.append(agreement.number("log normaliser", *self.log_normaliser))
        found.append(agreement.number("entropy", *self.entropy))
        return found


def _scaled(said: Moments, true: Moments) -> Moments:
    def factor(true_variance: Vector, variance: Vector) -> Vector:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.fmax(1.0, np.sqrt(true_variance / variance))

    return replace(
        said,
        mean_error=said.mean_error * factor(true.variance, said.variance),
        variance_error=said.variance_error * factor(true.variance_of_centred_square, said.variance_of_centred_square),
        second_moment_error=said.second_moment_error * factor(true.variance_of_square, said.variance_of_square),
    )


def of_run(target: Target, run: LongRun, relabellings: Relabellings, rng: np.random.Generator) -> Statement:
    """What the draws of a run say."""
    bridged = bridge(target.log_densities, run.values, relabellings, rng)
    energy, energy_error = mean_and_error(_log_densities(target, run.values))
    named = _named(target, run.values, relabellings)
    return Statement(
        run.found.moments,
        run.found.quantiles,
        None if named is None else named.moments,
        None if named is None else named.quantiles,
        (bridged.value, bridged.error),
        (bridged.value - energy, math.hypot(bridged.error, energy_error)),
    )


def of_truth(truth: Truth) -> Statement:
    """What the truth says."""
    return Statement(
        truth.moments,
        truth.quantiles,
        truth.named,
        truth.named_quantiles,
        (truth.log_normaliser, truth.log_normaliser_error),
        (truth.entropy, truth.entropy_error),
    )


def _named(target: Target, values: Values, relabellings: Relabellings) -> Estimates | None:
    if target.named is None:
        return None
    chains, n, dim = values.shape
    of = target.named.values(values.reshape(-1, dim)).reshape(chains, n, -1)
    return estimates(of, relabellings if of.shape[2] == dim else ())


def _log_densities(target: Target, values: Values) -> np.ndarray:
    """(chains, n) of draws, evenly spaced where they are many."""
    chains, n, dim = values.shape
    spaced = values[:, :: -(-chains * n // MOST_ENERGIES)]
    return target.log_densities(spaced.reshape(-1, dim)).reshape(chains, -1)

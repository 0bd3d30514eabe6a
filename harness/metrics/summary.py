"""The final answer by coordinate, as the records keep it."""

from typing import Any

import numpy as np

from harness.metrics.belief import Belief
from harness.metrics.evaluate import mode_masses
from harness.metrics.reference import Reference
from targets.kernel import Vector
from targets.protocols import Approximation
from targets.target import Target
from targets.truth import Moments


def summary(approximation: Approximation | None, target: Target, reference: Reference, seed: int = 0) -> dict[str, Any]:
    """Lists to be written as JSON; empty without an approximation or a truth. What is not a number becomes None.

    Keys: coordinates, mean_z ((mean_q - mean_p) / sd_p), sd_ratio (sd_q / sd_p); where the target has them, mode_masses
    and true_mode_masses; named, named_mean_z, named_sd_ratio.
    """
    truth = reference.truth
    if approximation is None or truth is None:
        return {}
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        belief = Belief.of(approximation, target.dim, seed)
        mean_z, sd_ratio = _standardised(belief.mean, np.diagonal(belief.covariance), truth.moments)
        said: dict[str, Any] = {"coordinates": list(target.coordinates), "mean_z": mean_z, "sd_ratio": sd_ratio}
        if truth.modes is not None and belief.finite:
            said["mode_masses"] = mode_masses(belief, truth.modes).tolist()
            said["true_mode_masses"] = np.asarray(truth.modes.masses).tolist()
        if truth.named is not None and target.named is not None:
            values = target.named.values(belief.draws)
            mean_z, sd_ratio = _standardised(values.mean(axis=0), values.var(axis=0), truth.named)
            said |= {"named": list(target.named.names), "named_mean_z": mean_z, "named_sd_ratio": sd_ratio}
    return said


def _standardised(mean: Vector, variance: Vector, moments: Moments) -> tuple[list[float | None], list[float | None]]:
    return _plain((mean - moments.mean) / moments.sd), _plain(np.sqrt(variance) / moments.sd)


def _plain(values: Vector) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]

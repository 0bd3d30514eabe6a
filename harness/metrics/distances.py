"""The metrics that compare whole distributions by pairs of draws, or by a classifier: for the last checkpoint."""

import math

import numpy as np

from harness.metrics import classifier, pairs
from harness.metrics.entries import Entries, entry
from harness.metrics.reference import Reference
from harness.metrics.standard import evenly
from targets.kernel import Matrix


def of(draws: Matrix, reference: Reference) -> Entries:
    """Their columns for draws (n, dim)."""
    return {**_pairs(draws, reference), **_stein(draws, reference), **_classifier(draws, reference)}


def _pairs(draws: Matrix, reference: Reference) -> Entries:
    found = reference.pairs
    few = evenly(draws, pairs.MOST)
    if found is None or len(few) < 2:
        return {}
    gaussian, distance = found.compare(few)
    n, worth = len(few), found.worth
    result = entry("mmd_squared", gaussian, found.gaussian.sd / worth, found.gaussian.quantile(n, worth))
    if reference.truth is None or not np.all(np.isfinite(reference.truth.moments.mean)):
        return result  # distances have no expectation
    return result | entry("energy_distance", distance, found.distance.sd / worth, found.distance.quantile(n, worth))


def _stein(draws: Matrix, reference: Reference) -> Entries:
    stein = reference.stein
    if stein is None or len(draws) < 2:
        return {}
    few = evenly(draws, stein.most)
    floor = math.nan if stein.law is None else stein.law.quantile(len(few))
    return entry("stein_discrepancy_squared", stein.squared(few), 0.0, floor)


def _classifier(draws: Matrix, reference: Reference) -> Entries:
    found = reference.classifier
    few = evenly(draws, classifier.MOST)
    if found is None or len(few) < classifier.LEAST:
        return {}
    few = few[: min(len(few), len(found.features))]
    n = len(few)
    return entry("classifier_two_sample", found.accuracy(few), found.reference_floor(n), found.sampling_floor(n))

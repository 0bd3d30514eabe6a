"""The metrics that compare whole distributions by pairs of draws, or by a classifier: for the last checkpoint."""

import math

import numpy as np

from harness.metrics import classifier, pairs
from harness.metrics.entries import Entries, entry
from harness.metrics.reference import Reference
from harness.metrics.standard import evenly
from targets.kernel import Matrix


def of(draws: Matrix, reference: Reference, seed: int) -> Entries:
    """Their columns for draws (n, dim); the seed picks the draws of p that a classifier is to tell them from."""
    return {**_pairs(draws, reference), **_stein(draws, reference), **_classifier(draws, reference, seed)}


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


def _classifier(draws: Matrix, reference: Reference, seed: int) -> Entries:
    found = reference.classifier
    if found is None:
        return {}
    few = evenly(draws, min(classifier.MOST, len(found.points)))
    n = len(few)
    if n < classifier.LEAST:
        return {}
    return entry("classifier_two_sample", found.accuracy(few, seed), found.reference_floor(n), found.sampling_floor(n))

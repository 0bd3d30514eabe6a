"""Collapsed Gibbs sampling of latent Dirichlet allocation: against the enumeration of all assignments."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp

from samplers import gibbs
from samplers.gibbs.lda import CollapsedGibbs, log_joint
from targets.conjugate.bags import Bags
from targets.conjugate.lda import TopicPrior

TINY = Bags.of(np.array([[2, 1, 0], [0, 1, 2]]), "tiny")
SWEEPS, BATCHES, LIMIT = 20_000, 40, 6.5  # a t of 39 degrees beyond 6.5 has a chance of 1e-7; 32 pairs of states


def exact(prior: TopicPrior) -> Any:
    """Probabilities of all assignments of the six tokens, the first fastest."""
    state = CollapsedGibbs(TINY, prior, np.random.default_rng(0))
    owner = np.repeat(np.arange(2), np.diff(state.starts))
    logs = []
    for z in itertools.product(range(2), repeat=6):
        by_document, by_term = np.zeros((2, 2)), np.zeros((3, 2))
        for d, w, k in zip(owner, state.terms, z[::-1], strict=True):
            by_document[d, k] += 1
            by_term[w, k] += 1
        logs.append(log_joint(by_document, by_term, prior))
    return np.exp(np.array(logs) - logsumexp(logs))


def worst(prior: TopicPrior, truth: Any) -> float:
    """The largest |t| of states' frequencies, by batch means."""
    state, power = CollapsedGibbs(TINY, prior, np.random.default_rng(3)), 2 ** np.arange(6)
    visited = np.empty(SWEEPS, np.int64)
    for n in range(SWEEPS):
        state.sweep()
        visited[n] = state.assignments @ power
    shares = np.array([np.bincount(part, minlength=64) for part in np.split(visited, BATCHES)]) * BATCHES / SWEEPS
    error = shares.std(axis=0, ddof=1) / math.sqrt(BATCHES)
    usual = truth > 2e-3  # rarer ones are seen too seldom for means of batches to be normal
    return float(np.max(np.abs(shares.mean(axis=0) - truth)[usual] / error[usual]))


def test_states_are_visited_as_often_as_enumeration_says() -> None:
    prior = TopicPrior(np.array([0.6, 1.1]), 0.7)
    truth = exact(prior)
    assert worst(prior, truth) < LIMIT
    # Priors off by two fifths, as if a count were wrong, are seen.
    assert worst(TopicPrior(prior.document * 1.4, prior.term), truth) > LIMIT
    assert worst(TopicPrior(prior.document, prior.term * 1.4), truth) > LIMIT


def test_the_log_joint_is_kept_up_to_date() -> None:
    X = np.random.default_rng(1).poisson(0.7, (30, 20))
    state = CollapsedGibbs(Bags.of(X, "X"), TopicPrior.of(5), np.random.default_rng(1))
    for _ in range(20):
        state.sweep()
    assert state.log_joint == pytest.approx(log_joint(state.by_document, state.by_term, state.prior), rel=1e-11)
    assert np.array_equal(state.by_term.sum(axis=1), X.sum(axis=0))
    assert np.array_equal(state.by_document.sum(axis=1), X.sum(axis=1))
    assert np.array_equal(state.by_topic, state.by_term.sum(axis=0))


def test_chains_find_the_topics_with_any_number_of_threads() -> None:
    rng = np.random.default_rng(2)
    beta, theta = rng.dirichlet(np.full(40, 0.1), 3), rng.dirichlet(np.full(3, 0.2), 200)
    X = np.array([rng.multinomial(40, row @ beta) for row in theta])
    options: dict[str, Any] = {"n_components": 3, "num_samples": 20, "num_warmup": 60, "num_chains": 2, "seed": 1}
    found = gibbs.latent_dirichlet_allocation(X[:150], **options)
    again = gibbs.latent_dirichlet_allocation(X[:150], num_threads=2, **options)
    assert np.array_equal(found.draws.values, again.draws.values)
    assert np.array_equal(found.topics_, again.topics_)
    assert found.draws.coordinates[:2] == ("log_joint", "share[0]")
    assert found.topics_.sum(axis=2) == pytest.approx(1.0)
    assert found.proportions_.sum(axis=2) == pytest.approx(1.0)
    distances = np.abs(found.topics_[:, :, None] - beta).sum(axis=3).min(axis=1)
    assert distances.max() < 0.5
    unigram = np.log((X[:150].sum(axis=0) + 1) / (X[:150].sum() + 40)) @ X[150:].sum(axis=0) / X[150:].sum()
    assert found.held_out(X[150:]) > unigram + 0.2
    assert len(found.topics(5)) == 3


def test_bad_data_are_refused_and_empty_documents_are_not() -> None:
    found = gibbs.latent_dirichlet_allocation(
        np.array([[0, 0], [1, 2]]), n_components=2, doc_topic_prior=[1.0, 3.0], num_samples=5, num_chains=1
    )
    assert found.proportions_[0, 0] == pytest.approx([0.25, 0.75])
    for X, message in (
        ([[0.5, 1.0]], "takes whole counts"),
        ([[-1.0, 1.0]], "Negative"),
        ([[math.nan, 1.0]], "NaN"),
        ([[0.0, 0.0]], "at least one word"),
    ):
        with pytest.raises(ValueError, match=message):
            gibbs.latent_dirichlet_allocation(np.array(X))
    with pytest.raises(ValueError, match="n_components=0"):
        gibbs.latent_dirichlet_allocation(np.eye(2), n_components=0)

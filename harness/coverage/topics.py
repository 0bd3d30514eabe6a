"""Coverage of latent Dirichlet allocation: a small corpus, by what no order of the topics changes."""

from typing import Any

import numpy as np

from harness.coverage.repeated import CHAINS, DRAWS, STARTS, WARMUP, Subject
from samplers.gibbs.lda import CollapsedGibbs
from targets.conjugate.bags import Bags
from targets.conjugate.lda import TopicPrior
from targets.kernel import Matrix, Vector
from variational.conjugate.lda import LatentDirichletAllocation

Tensor = np.ndarray

TOPICS, DOCUMENTS, WORDS, TERMS = 3, 30, 40, 12
DOCUMENT_PRIOR, TERM_PRIOR = 0.5, 0.5
ASKED = 3  # the first documents, and the first terms
SEVERAL = np.arange(1, ASKED + 1)
NAMES = (
    *(f"word[{d},{w}]" for d in SEVERAL for w in SEVERAL),
    *(f"largest[{w}]" for w in SEVERAL),
)


def subject() -> Subject:
    """word[d,w], the probability of term w in document d, and largest[w], that in the topic where it is largest."""
    return Subject("latent_dirichlet_allocation", NAMES, _simulated, _fitted, _sampled)


def asked(theta: Tensor, beta: Tensor) -> Matrix:
    """(n, k) the quantities, of proportions (n, documents, K) and of topics (n, K, terms)."""
    theta, beta = theta[:, :ASKED], beta[:, :, :ASKED]
    return np.concatenate([(theta @ beta).reshape(len(theta), -1), beta.max(axis=1)], axis=1)


def _simulated(rng: np.random.Generator) -> tuple[Vector, Any]:
    theta = rng.dirichlet(np.full(TOPICS, DOCUMENT_PRIOR), DOCUMENTS)
    beta = rng.dirichlet(np.full(TERMS, TERM_PRIOR), TOPICS)
    return asked(theta[None], beta[None])[0], rng.multinomial(WORDS, theta @ beta)


def _dirichlets(rng: np.random.Generator, concentrations: Tensor) -> Tensor:
    """A draw for each of the rows of the last axis."""
    amounts = np.maximum(rng.standard_gamma(concentrations), np.finfo(float).tiny)
    return np.asarray(amounts / amounts.sum(axis=-1, keepdims=True))


def _fitted(X: Matrix, rng: np.random.Generator) -> Matrix:
    fits = [
        LatentDirichletAllocation(
            n_components=TOPICS, doc_topic_prior=DOCUMENT_PRIOR, topic_word_prior=TERM_PRIOR, max_iter=1000, tol=1e-7,
            max_doc_update_iter=1000, mean_change_tol=1e-6, random_state=int(rng.integers(2**31)),
        ).fit(X)
        for _ in range(STARTS)
    ]  # fmt: skip
    best = max(fits, key=lambda fit: fit.lower_bound_)
    gamma = best.transform(X[:ASKED]) * (TOPICS * DOCUMENT_PRIOR + WORDS)  # as its words and its prior count
    lambdas = best.components_
    theta = _dirichlets(rng, np.broadcast_to(gamma, (DRAWS, *gamma.shape)))
    return asked(theta, _dirichlets(rng, np.broadcast_to(lambdas, (DRAWS, *lambdas.shape))))


def _sampled(X: Matrix, sweeps: int, seed: int) -> Matrix:
    """Of chains over the topics of all words, given which proportions and topics are drawn."""
    bags, prior = Bags.of(X, "coverage"), TopicPrior.of(TOPICS, DOCUMENT_PRIOR, TERM_PRIOR)
    each, found = -(-sweeps // CHAINS), []
    for child in np.random.SeedSequence(seed).spawn(CHAINS):
        rng = np.random.default_rng(child)
        chain = CollapsedGibbs(bags, prior, rng)
        by_document, by_term = np.empty((each, ASKED, TOPICS)), np.empty((each, TERMS, TOPICS))
        for sweep in range(-WARMUP, each):
            chain.sweep()
            if sweep >= 0:
                by_document[sweep], by_term[sweep] = chain.by_document[:ASKED], chain.by_term
        beta = _dirichlets(rng, by_term.swapaxes(1, 2) + TERM_PRIOR)
        found.append(asked(_dirichlets(rng, by_document + DOCUMENT_PRIOR), beta))
    return np.concatenate(found)

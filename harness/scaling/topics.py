"""Seconds of a pass over documents, by variational inference and by collapsed Gibbs sampling, and their memory."""

from collections.abc import Callable

import numpy as np

from harness.scaling.measured import Measured, measured
from samplers.gibbs.lda import CollapsedGibbs
from targets.conjugate.bags import Bags
from targets.conjugate.lda import TopicPrior
from variational.conjugate.lda import LatentDirichletAllocation

WORDS, TERMS, TOPICS, DOCUMENTS = 100, 5_000, 20, 2_000
FEW = 50  # documents, with which loops are compiled
BATCH = 256


def corpus(n: int, *, words: int = WORDS, terms: int = TERMS, topics: int = TOPICS, seed: int = 0) -> Bags:
    """`n` documents of so many words each from the model itself, drawn token by token."""
    rng = np.random.default_rng(seed)
    ladder = np.cumsum(rng.dirichlet(np.full(terms, 0.05), topics), axis=1)
    shares = np.cumsum(rng.dirichlet(np.full(topics, 0.1), n), axis=1)
    drawn = rng.random((n, words))
    z = np.zeros((n, words), np.int64)
    for k in range(topics - 1):
        z += drawn > shares[:, k, None]
    w = np.empty((n, words), np.int64)
    for k in range(topics):
        own = z == k
        w[own] = np.minimum(np.searchsorted(ladder[k], rng.random(int(own.sum()))), terms - 1)
    return Bags.of_entries(np.repeat(np.arange(n), words), w.ravel(), np.ones(n * words), (n, terms))


def batch(size: int, repeats: int) -> Measured:
    """A pass of "batch" over so many documents."""
    return measured(lambda n: batch_passes(corpus(n), TOPICS), size, repeats, FEW)


def online(size: int, repeats: int) -> Measured:
    """A pass of "online" over so many documents."""
    return measured(lambda n: online_passes(corpus(n), TOPICS), size, repeats, FEW)


def gibbs(size: int, repeats: int) -> Measured:
    """A sweep of collapsed Gibbs over so many documents."""
    return measured(lambda n: gibbs_sweeps(corpus(n), TOPICS), size, repeats, FEW)


def number(size: int, repeats: int) -> Measured:
    """A pass of "online" with so many topics."""
    return measured(lambda k: online_passes(corpus(DOCUMENTS, topics=k), k), size, repeats, size)


def batch_passes(bags: Bags, topics: int) -> Callable[[], object]:
    """What makes one pass when called, after the first, which starts from random topics."""
    course = LatentDirichletAllocation(n_components=topics, tol=0.0).passes(bags)
    next(course)
    return course.__next__


def online_passes(bags: Bags, topics: int) -> Callable[[], object]:
    """The same, in batches of `BATCH` documents."""
    fit = LatentDirichletAllocation(n_components=topics, batch_size=BATCH, total_samples=len(bags)).partial_fit(bags)
    return lambda: fit.partial_fit(bags)


def gibbs_sweeps(bags: Bags, topics: int) -> Callable[[], object]:
    """The same, as sweeps of a chain."""
    chain = CollapsedGibbs(bags, TopicPrior.of(topics), np.random.default_rng(0))
    chain.sweep()
    return chain.sweep

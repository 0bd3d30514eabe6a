"""The study of topics: VI of all documents, VI of batches, and collapsed Gibbs, by what they predict and how soon."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from harness.corpus import documentation
from samplers.gibbs.lda import CollapsedGibbs
from targets.conjugate.bag_files import read
from targets.conjugate.bags import Bags
from targets.conjugate.lda import TopicPrior, completion, words
from targets.kernel import Matrix, Vector
from targets.options import require
from variational.conjugate.lda import LatentDirichletAllocation

SEEDS, HELD_OUT = 5, 0.1
TOPICS, DOCUMENT_PRIOR, TERM_PRIOR, BATCH = 20, 0.1, 0.05, 256
PASSES = {"batch VI": 100, "batch VI, learned priors": 100, "stochastic VI": 30, "collapsed Gibbs": 300}
LOOKS = 14  # at each run, about evenly in the log of passes
WORDS = 10

Look = tuple[float, Matrix, Vector]  # seconds so far, topics (K, terms), alpha


def compute(seeds: int | None, max_evaluations: int | None, corpus: str = "") -> dict[str, Any]:
    """The numbers of the study, ready for JSON; an evaluation is a document visited.

    Args:
        seeds: 1 to this, each with another tenth of the documents held out; 5 where None.
        max_evaluations: of each run; where None, as many passes as each method is usually given.
        corpus: file of bags of words or folder of texts; where '', the documentation of the installed packages.
    """
    count = SEEDS if seeds is None else seeds
    require(count >= 1, f"--seeds {count} is not accepted; it takes 1 or more")
    bags = read(corpus) if corpus else documentation()
    require(len(bags) >= 20, f"the corpus has {len(bags)} documents; the study takes 20 or more")
    least = 1 if max_evaluations is None else max_evaluations // len(bags)
    require(least >= 1, f"--max-gradients {max_evaluations} is not accepted; a pass takes {len(bags)}")
    runs, shown = [], {}
    for seed in range(1, count + 1):
        order = np.random.default_rng([seed, 7]).permutation(len(bags))
        cut = max(1, round(HELD_OUT * len(bags)))
        train, test = bags.take(np.sort(order[cut:])), bags.take(order[:cut])
        for method, usual in PASSES.items():
            passes = usual if max_evaluations is None else min(usual, least)
            marks = sorted({round(mark) for mark in np.geomspace(1, passes, LOOKS)})
            looks = list(RUNS[method](train, seed, marks))
            scores = [completion(topics, alpha, test, seed=seed) for _, topics, alpha in looks]
            runs.append(
                {
                    "method": method, "seed": seed, "passes": marks, "seconds": [look[0] for look in looks],
                    "held_out": scores,
                }
            )  # fmt: skip
            shown[method] = words(looks[-1][1], bags.vocabulary, WORDS, "lift")
    share = (np.bincount(bags.terms, bags.counts, bags.n_terms) + 1.0)[None]
    return {
        "corpus": corpus or "documentation strings", "documents": len(bags), "terms": bags.n_terms,
        "words": float(bags.counts.sum()), "n_topics": TOPICS, "seeds": count, "runs": runs,
        "unigram": completion(share / share.sum(), np.ones(1), bags),
        "topics": {method: [[word for word, _ in row] for row in rows] for method, rows in shown.items()},
    }  # fmt: skip


def _model(seed: int, bags: Bags, **options: Any) -> LatentDirichletAllocation:
    return LatentDirichletAllocation(
        n_components=TOPICS, doc_topic_prior=DOCUMENT_PRIOR, topic_word_prior=TERM_PRIOR, batch_size=BATCH,
        total_samples=len(bags), random_state=seed, **options,
    )  # fmt: skip


def _warm() -> None:
    """Load the loops, so that no run pays for it."""
    few = np.eye(2)
    LatentDirichletAllocation(n_components=2, max_iter=1).fit(few)
    CollapsedGibbs(Bags.of(few, "few"), TopicPrior.of(2), np.random.default_rng(0)).sweep()


def _batch(bags: Bags, seed: int, marks: list[int], learn: bool = False) -> Iterator[Look]:
    _warm()
    model = _model(seed, bags, learn_priors=learn, tol=0.0)
    spent = 0.0
    begun = time.perf_counter()
    for n, _ in enumerate(model.passes(bags), 1):
        spent += time.perf_counter() - begun
        if n in marks:
            yield spent, model.topics_, model.doc_topic_prior_
        if n == marks[-1]:
            return
        begun = time.perf_counter()


def _learned(bags: Bags, seed: int, marks: list[int]) -> Iterator[Look]:
    return _batch(bags, seed, marks, learn=True)


def _stochastic(bags: Bags, seed: int, marks: list[int]) -> Iterator[Look]:
    _warm()
    model, rng, spent = _model(seed, bags), np.random.default_rng([seed, 1]), 0.0
    for n in range(1, marks[-1] + 1):
        begun = time.perf_counter()
        model.partial_fit(bags.take(rng.permutation(len(bags))))
        spent += time.perf_counter() - begun
        if n in marks:
            yield spent, model.topics_, model.doc_topic_prior_


def _gibbs(bags: Bags, seed: int, marks: list[int]) -> Iterator[Look]:
    """Topics are averaged over the sweeps since the mark before."""
    _warm()
    begun = time.perf_counter()
    prior = TopicPrior.of(TOPICS, DOCUMENT_PRIOR, TERM_PRIOR)
    chain = CollapsedGibbs(bags, prior, np.random.default_rng(seed))
    spent = time.perf_counter() - begun
    total, kept = np.zeros((TOPICS, bags.n_terms)), 0
    for n in range(1, marks[-1] + 1):
        begun = time.perf_counter()
        chain.sweep()
        total, kept = total + chain.topics, kept + 1
        spent += time.perf_counter() - begun
        if n in marks:
            yield spent, total / kept, prior.document
            total, kept = np.zeros_like(total), 0


RUNS = {
    "batch VI": _batch,
    "batch VI, learned priors": _learned,
    "stochastic VI": _stochastic,
    "collapsed Gibbs": _gibbs,
}

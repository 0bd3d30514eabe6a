"""Figure 7: topics of the documentation that every installation has, and what eight of its documents are made of."""

from typing import Any

import numpy as np

from harness.corpus import documentation
from targets.conjugate.bags import Bags
from targets.conjugate.lda import completion, words
from variational import LatentDirichletAllocation

TOPICS, PASSES = 20, 60
DOCUMENT_PRIOR, TERM_PRIOR = 0.1, 0.05
WORDS = 9  # of each topic shown

# The topics shown are those that give these words the most; the names are ours, as names of topics always are.
SHOWN = {
    "linear algebra": ("matrix", "eigenvalues", "matrices", "singular"),
    "statistics": ("distribution", "statistic", "hypothesis", "sample"),
    "plotting": ("axes", "plot", "color", "figure"),
    "strings and files": ("string", "characters", "file", "format"),
}


def topics(seed: int, bags: Bags | None = None, passes: int = PASSES) -> dict[str, Any]:
    """Topics by VI with learned priors of all documents but a tenth, which they are scored on."""
    bags = documentation() if bags is None else bags
    order = np.random.default_rng(seed).permutation(len(bags))
    train, test = bags.take(np.sort(order[len(bags) // 10 :])), bags.take(order[: len(bags) // 10])
    model = LatentDirichletAllocation(
        n_components=TOPICS, doc_topic_prior=DOCUMENT_PRIOR, topic_word_prior=TERM_PRIOR, learn_priors=True,
        max_iter=passes, tol=0.0, random_state=seed,
    ).fit(train)  # fmt: skip
    beta, proportions = model.topics_, model.transform(train)
    shown = _shown(beta, bags.vocabulary)
    lifted = words(beta, bags.vocabulary, WORDS, "lift")
    unigram = (np.bincount(train.terms, train.counts, train.n_terms) + 1.0)[None] / (train.counts.sum() + train.n_terms)
    return {
        "topics": [
            {
                "name": name,
                "number": k,
                "share": float(proportions[:, k].mean()),
                "words": [word for word, _ in lifted[k]],
                "probabilities": [float(beta[k, bags.vocabulary.index(word)]) for word, _ in lifted[k]],
            }
            for name, k in shown.items()
        ],
        "documents": [
            {"title": train.titles[d], "proportions": [float(proportions[d, k]) for k in shown.values()]}
            for d in _documents(proportions, list(shown.values()), train)
        ],
        "all_topics": [[word for word, _ in row] for row in lifted],
        "held_out": model.held_out(test),
        "unigram": completion(unigram, np.ones(1), test),
        "note": f"{len(train)} documentation strings, {bags.n_terms} terms, {TOPICS} topics by VI; the "
        "names of topics are ours. Words by lift, bars their probabilities within the topic.",
    }


def _shown(beta: Any, vocabulary: tuple[str, ...]) -> dict[str, int]:
    """The topic behind each name, no two the same."""
    number = {word: w for w, word in enumerate(vocabulary)}
    chosen: dict[str, int] = {}
    for name, seeds in SHOWN.items():
        known = [number[word] for word in seeds if word in number]
        share = (beta[:, known] / beta[:, known].sum(axis=0)).sum(axis=1)
        share[list(chosen.values())] = -1.0
        chosen[name] = int(np.argmax(share))
    return chosen


def _documents(proportions: Any, shown: list[int], bags: Bags) -> list[int]:
    """For each topic shown a document that is nearly all of it, and one that it shares with another of them."""
    chosen: list[int] = []
    lengths = bags.lengths
    for k in shown:
        rest = proportions[:, [j for j in shown if j != k]].max(axis=1)
        for score in (
            proportions[:, k] * (lengths >= np.median(lengths)),
            np.minimum(proportions[:, k], 1.5 * rest),
        ):
            free = np.where(np.isin(np.arange(len(bags)), chosen), -1.0, score)
            chosen.append(int(np.argmax(free)))
    return chosen

"""Latent Dirichlet allocation (Blei, Ng and Jordan 2003): its prior, and the score of topics on documents held out.

theta_d ~ Dirichlet(document)        beta_k ~ Dirichlet(term, ..., term)
z_dn ~ theta_d, w_dn ~ beta_z: the topic and the term of token n of document d
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from targets.conjugate.bags import Bags
from targets.conjugate.expectations import SMALLEST
from targets.conjugate.lda_documents import infer
from targets.kernel import Matrix, Vector
from targets.options import require


@dataclass(frozen=True, eq=False)
class TopicPrior:
    """The two Dirichlet priors.

    Attributes:
        document: (K,) concentrations of a document's proportions.
        term: concentration of every term in a topic.
    """

    document: Vector
    term: float

    def __post_init__(self) -> None:
        fine = self.document.ndim == 1 and len(self.document) >= 1 and np.isfinite(self.document).all()
        require(
            bool(fine) and bool(np.all(self.document >= SMALLEST)),
            f"doc_topic_prior is not accepted; it takes numbers from {SMALLEST}, one or one a topic",
        )
        require(
            np.isfinite(self.term) and self.term >= SMALLEST,
            f"topic_word_prior={self.term:g} is not accepted; it takes numbers from {SMALLEST}",
        )

    @property
    def n_topics(self) -> int:
        """K."""
        return len(self.document)

    @classmethod
    def of(cls, n_topics: int, document: npt.ArrayLike | None = None, term: float | None = None) -> "TopicPrior":
        """A number for all topics, or one for each; 1 / K where nothing is given."""
        require(n_topics >= 1, f"n_components={n_topics} is not accepted; it takes 1 or more")
        usual = max(1.0 / n_topics, SMALLEST)
        given = np.asarray(usual if document is None else document, dtype=np.float64)
        require(
            given.shape in ((), (n_topics,)),
            f"doc_topic_prior of shape {given.shape} is not accepted; it takes a number, or {n_topics}, one a topic",
        )
        return cls(np.full(n_topics, given), usual if term is None else float(term))


def halves(bags: Bags, seed: int) -> tuple[Bags, Bags]:
    """Each document's tokens split at random: one half to see, the larger where they are odd, and one to score.

    Raises:
        ValueError: a count is not whole.
    """
    if not bags.whole:
        raise ValueError("document completion takes whole counts: tokens are split in two")
    repeats = bags.counts.astype(np.int64)
    documents = np.repeat(np.repeat(np.arange(len(bags)), np.diff(bags.starts)), repeats)
    terms = np.repeat(bags.terms, repeats)
    order = np.lexsort((np.random.default_rng(seed).random(len(terms)), documents))
    lengths = np.bincount(documents, minlength=len(bags))
    place = np.arange(len(terms)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    seen = place % 2 == 0
    terms = terms[order]
    return tuple(  # type: ignore[return-value]
        Bags.of_entries(documents[part], terms[part], np.ones(int(part.sum())), bags.shape) for part in (seen, ~seen)
    )


def completion(topics: Matrix, alpha: Vector, bags: Bags, *, seed: int = 0) -> float:
    """Held-out log predictive probability of a word by document completion, in nats.

    Half of each document's tokens are seen, and its proportions inferred from them, topics being known (variational
    means, from a tolerance of 1e-6 on); the other half is scored by the mixture of topics that they make:
    sum log(sum_k theta_dk beta_kw) / number of words scored. Documents of one word see it, and score nothing.

    Args:
        topics: (K, terms), rows of which sum to one, or (draws, K, terms), over which predictions are averaged.
        alpha: (K,) prior concentrations of proportions.
        bags: documents held out.
        seed: of the split.

    Raises:
        ValueError: a count is not whole, or no document has two words.
    """
    seen, scored = halves(bags, seed)
    total = float(scored.counts.sum())
    if total == 0:
        raise ValueError("document completion needs a document of two words or more")
    chances = np.zeros(len(scored.terms))
    draws = topics[None] if topics.ndim == 2 else topics
    documents = np.repeat(np.arange(len(scored)), np.diff(scored.starts))
    for each in draws:
        theta = proportions(each, alpha, seen)
        by_term = np.ascontiguousarray(each.T)
        for first in range(0, len(chances), BLOCK):
            part = slice(first, first + BLOCK)
            chances[part] += np.einsum("nk,nk->n", theta[documents[part]], by_term[scored.terms[part]])
    return float(scored.counts @ np.log(chances / len(draws)) / total)


BLOCK = 1 << 16  # scored at a time


def proportions(topics: Matrix, alpha: Vector, bags: Bags) -> Matrix:
    """Posterior means (documents, K) of proportions under known topics (K, terms), by variational inference."""
    gamma = start(alpha, bags)
    by_term = np.ascontiguousarray(np.maximum(topics.T, 1e-290))
    infer(
        bags.starts, bags.terms, bags.counts, by_term, np.ones(len(alpha)), alpha, gamma, np.empty_like(gamma),
        np.empty(len(bags.terms)), np.empty(len(bags)), 0, len(bags), 1e-6, 1000, False,
    )  # fmt: skip
    return np.asarray(gamma / gamma.sum(axis=1, keepdims=True))


def start(alpha: Vector, bags: Bags) -> Matrix:
    """Where inference of documents starts: every topic has the same share of the words."""
    return np.ascontiguousarray(alpha + (bags.lengths / len(alpha))[:, None])


def words(topics: Matrix, vocabulary: Sequence[str], n: int, by: str = "probability") -> list[list[tuple[str, float]]]:
    """The `n` first words of every topic (K, terms) with their scores, best first.

    Scored by probability, or by lift: beta_kw log(beta_kw / geometric mean of beta_w over topics), which is small for
    words that all topics share (Blei and Lafferty 2009). Terms without words are called by their number.

    Raises:
        UsageError: there is no such score.
    """
    require(by in ("probability", "lift"), f"by={by!r} is not accepted; it takes 'probability' or 'lift'")
    logs = np.log(topics)
    scores = topics if by == "probability" else topics * (logs - logs.mean(axis=0))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :n]
    return [
        [(vocabulary[w] if len(vocabulary) else str(w), float(row[w])) for w in chosen]
        for row, chosen in zip(scores, best, strict=True)
    ]

"""Collapsed Gibbs sampling of latent Dirichlet allocation (Griffiths and Steyvers 2004).

Proportions and topics are integrated out, and the topic of every token is drawn given those of all others.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import float64, int32, int64, types
from scipy.special import gammaln

from samplers.chain import RNG
from samplers.draws import Draws
from samplers.gibbs.chains import run
from targets.conjugate.bags import Bags
from targets.conjugate.lda import TopicPrior, completion, words
from targets.kernel import MATRIX, VECTOR, Matrix, Vector, loop
from targets.options import require

TOKENS = types.Array(int32, 1, "C")
STARTS = types.Array(int64, 1, "C")


@loop(float64(RNG, STARTS, TOKENS, TOKENS, MATRIX, MATRIX, VECTOR, VECTOR, float64))
def sweep(rng, starts, terms, topics, by_document, by_term, by_topic, alpha, eta):  # type: ignore[no-untyped-def]
    """Draw the topic of every token in turn, and return by how much log p(w, z) rose.

    Token n, of term w and document d, has topic k with a probability that is proportional to
    (by_document_dk + alpha_k) (by_term_wk + eta) / (by_topic_k + V eta), the counts being of all other tokens: equation
    5 of Griffiths and Steyvers 2004. The counts are written, and `topics`.
    """
    K, V = alpha.shape[0], by_term.shape[0]
    ladder, pace = np.empty(K), np.empty(K)
    for k in range(K):
        pace[k] = 1.0 / (by_topic[k] + V * eta)
    gain = 0.0
    for d in range(starts.shape[0] - 1):
        for n in range(starts[d], starts[d + 1]):
            w, former = terms[n], topics[n]
            by_document[d, former] -= 1.0
            by_term[w, former] -= 1.0
            by_topic[former] -= 1.0
            pace[former] = 1.0 / (by_topic[former] + V * eta)
            for k in range(K):
                ladder[k] = (by_document[d, k] + alpha[k]) * (by_term[w, k] + eta) * pace[k]
            before = ladder[former]
            total = 0.0
            for k in range(K):
                total += ladder[k]
            left = rng.random() * total
            drawn = 0
            while drawn < K - 1 and left >= ladder[drawn]:
                left -= ladder[drawn]
                drawn += 1
            if drawn != former:
                gain += math.log(ladder[drawn] / before)
            topics[n] = drawn
            by_document[d, drawn] += 1.0
            by_term[w, drawn] += 1.0
            by_topic[drawn] += 1.0
            pace[drawn] = 1.0 / (by_topic[drawn] + V * eta)
    return gain


class CollapsedGibbs:
    """One chain, from topics drawn uniformly.

    Attributes:
        assignments: (tokens,) their topics; tokens are those of `bags`, in its order, repeated as often as counted.
        by_document, by_term, by_topic: counts of assignments: (documents, K), (terms, K), (K,).
        log_joint: log p(w, z), in nats, of words in sequence.
    """

    def __init__(self, bags: Bags, prior: TopicPrior, rng: np.random.Generator) -> None:
        require(bags.whole, "collapsed Gibbs sampling takes whole counts: every token has a topic")
        require(bool(len(bags.terms)), "the documents are empty; it takes at least one word")
        self.bags, self.prior, self.rng = bags, prior, rng
        repeats = bags.counts.astype(np.int64)
        lengths = np.add.reduceat(np.append(repeats, 0), bags.starts[:-1]) * (np.diff(bags.starts) > 0)
        self.starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.terms = np.repeat(bags.terms, repeats)
        K = prior.n_topics
        self.assignments = rng.integers(K, size=len(self.terms)).astype(np.int32)
        self.by_document, self.by_term = np.zeros((len(bags), K)), np.zeros((bags.n_terms, K))
        np.add.at(self.by_document, (np.repeat(np.arange(len(bags)), lengths), self.assignments), 1.0)
        np.add.at(self.by_term, (self.terms, self.assignments), 1.0)
        self.by_topic: Vector = self.by_term.sum(axis=0)
        self.log_joint = log_joint(self.by_document, self.by_term, prior)

    def sweep(self) -> None:
        """Draw every token's topic once."""
        self.log_joint += sweep(
            self.rng, self.starts, self.terms, self.assignments, self.by_document, self.by_term, self.by_topic,
            self.prior.document, self.prior.term,
        )  # fmt: skip

    @property
    def topics(self) -> Matrix:
        """(K, terms) means of topics given the present assignments."""
        eta = self.prior.term
        return np.ascontiguousarray(((self.by_term + eta) / (self.by_topic + eta * self.bags.n_terms)).T)

    @property
    def proportions(self) -> Matrix:
        """(documents, K) means of documents' proportions given the present assignments."""
        found = self.by_document + self.prior.document
        return np.asarray(found / found.sum(axis=1, keepdims=True))


def log_joint(by_document: Matrix, by_term: Matrix, prior: TopicPrior) -> float:
    """Log p(w, z), theta and beta integrated out, of counts of assignments (documents, K) and (terms, K)."""
    return _polya(by_document, prior.document) + _polya(by_term.T, np.full(len(by_term), prior.term))


def _polya(counts: Matrix, prior: Vector) -> float:
    each = gammaln(counts + prior).sum(axis=1) - gammaln(prior).sum()
    return float(np.sum(each + gammaln(prior.sum()) - gammaln(counts.sum(axis=1) + prior.sum())))


class _Chain:
    """What `run` advances: the means are kept of the sweeps after warm-up, one draw each."""

    def __init__(self, state: CollapsedGibbs, warmup: int) -> None:
        self.state, self.left = state, warmup
        K = state.prior.n_topics
        self.names = ("log_joint", *(f"share[{k}]" for k in range(K)))
        self.topics, self.proportions = np.zeros((K, state.bags.n_terms)), np.zeros((len(state.bags), K))

    def advance(self, rows: Matrix) -> None:
        for row in rows:
            self.state.sweep()
            row[0], row[1:] = self.state.log_joint, self.state.by_topic / len(self.state.terms)
            self.left -= 1
            if self.left < 0:
                self.topics += self.state.topics
                self.proportions += self.state.proportions


@dataclass(frozen=True, eq=False)
class TopicDraws:
    """What chains made of the topics. Their numbers mean nothing across chains, nor, in a long one, within.

    Attributes:
        draws: of `log_joint`, log p(w, z) in nats, and of `share[k]`, the share of all tokens that topic k has.
        topics_: (chains, K, terms) posterior means by chain, over sweeps after warm-up.
        proportions_: (chains, documents, K) likewise.
        prior: of the model.
        vocabulary_: words of the terms, or ().
    """

    draws: Draws
    topics_: npt.NDArray[np.float64]
    proportions_: npt.NDArray[np.float64]
    prior: TopicPrior
    vocabulary_: tuple[str, ...]

    def held_out(self, X: Any, *, seed: int = 0) -> float:
        """Log predictive probability of a word, in nats, by document completion: predictions averaged over chains."""
        bags = Bags.of(X, "held_out", features=self.topics_.shape[2])
        return completion(self.topics_, self.prior.document, bags, seed=seed)

    def topics(self, n: int = 10, *, by: str = "probability", chain: int = 0) -> list[list[tuple[str, float]]]:
        """The `n` first words of every topic of a chain with their scores: `targets.conjugate.lda.words`."""
        return words(self.topics_[chain], self.vocabulary_, n, by)


def latent_dirichlet_allocation(
    X: Any,
    *,
    n_components: int = 10,
    doc_topic_prior: npt.ArrayLike | None = None,
    topic_word_prior: float | None = None,
    num_samples: int = 200,
    num_warmup: int = 200,
    num_chains: int = 4,
    seed: int = 0,
    num_threads: int = 1,
) -> TopicDraws:
    """Draws from the posterior of latent Dirichlet allocation; the model and the priors are those of the estimator.

    A sweep costs time in proportion to tokens times topics. Chains start at random and seldom move from the mode that
    they find: R-hat of `log_joint` says whether their modes are as good as each other.

    Args:
        X: counts (documents, terms), whole: an array, a SciPy sparse matrix, or `Bags`.
        n_components: topics.
        doc_topic_prior: concentration of a document's proportions, one or one a topic; 1 / n_components where None.
        topic_word_prior: concentration of every term in a topic; 1 / n_components where None.
        num_samples: sweeps kept of each chain.
        num_warmup: sweeps before.
        num_chains: chains.
        seed: of everything.
        num_threads: chains at a time; draws do not depend on it.

    Raises:
        ValueError: X or a number is not accepted.
    """
    bags = Bags.of(X, "latent_dirichlet_allocation")
    prior = TopicPrior.of(n_components, doc_topic_prior, topic_word_prior)
    chains: list[_Chain] = []

    def start(rng: np.random.Generator) -> _Chain:
        chains.append(_Chain(CollapsedGibbs(bags, prior, rng), num_warmup))
        return chains[-1]

    draws = run(
        start, num_warmup=num_warmup, num_samples=num_samples, num_chains=num_chains, seed=seed, num_threads=num_threads
    )
    return TopicDraws(
        draws,
        np.array([chain.topics / num_samples for chain in chains]),
        np.array([chain.proportions / num_samples for chain in chains]),
        prior,
        bags.vocabulary,
    )

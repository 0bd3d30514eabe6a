"""The topics of latent Dirichlet allocation as they are learned: one update from a batch of documents at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, psi

from targets.conjugate.bags import Bags
from targets.conjugate.lda import TopicPrior, start
from targets.conjugate.lda_documents import infer
from targets.kernel import Matrix, Vector
from targets.kernel import empty as aligned
from variational.conjugate.lda_sweep import absorb, arrange, refresh
from variational.conjugate.workers import Pool

LEAST_SCALE = 1e-100
NOTHING = np.empty(0)
DIGAMMA, TURNS = 4, 8  # multiplications that exp(digamma) costs, and turns that a document takes, roughly


@dataclass(frozen=True)
class Inference:
    """How documents are inferred.

    Attributes:
        tolerance: of the mean change of gamma over topics in a turn.
        most: turns.
    """

    tolerance: float = 1e-3
    most: int = 100


class Batch:
    """Documents with their terms numbered, so that only these are looked at, and room for what is inferred of them.

    Attributes:
        bags: the documents, whose terms are the numbers.
        known: the terms by number.
        begins, entries, documents: of the entries by term.
        gamma: (documents, K), of q(theta): where inference goes on, and what it finds.
        topics: (terms, K) exp E[log beta], up to each topic's factor.
        factors, ratios: what `targets.conjugate.lda_documents.infer` calls so.
    """

    def __init__(self, bags: Bags, place: npt.NDArray[np.int32], alpha: Vector) -> None:
        size, K = len(bags.terms), len(alpha)
        local, known, self.documents = (np.empty(size, np.int32) for _ in range(3))
        begins, self.entries = np.empty(size + 1, np.int64), np.empty(size, np.int64)
        distinct = arrange(bags.starts, bags.terms, place, local, known, begins, self.entries, self.documents)
        self.known, self.begins = known[:distinct], begins[: distinct + 1]
        self.bags = Bags(bags.starts, local, bags.counts, distinct)
        self.gamma = start(alpha, bags)
        self.topics, self.factors, self.ratios = aligned(distinct, K), aligned(len(bags), K), np.empty(size)


@dataclass
class Topics:
    """q(beta_k) = Dirichlet(lambda_k), lambda being eta + scale * weights; see `lda_sweep`.

    Attributes:
        prior: of documents' proportions and of topics.
        weights: (terms, K).
        scale: of the weights.
        pool: threads.
    """

    prior: TopicPrior
    weights: Matrix
    pool: Pool
    inference: Inference = field(default_factory=Inference)
    scale: float = 1.0

    def __post_init__(self) -> None:
        self.sums: Vector = self.weights.sum(axis=0)
        self.place = np.full(len(self.weights), -1, np.int32)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Arrays of a memory map, as joblib may load them, are not to be written.
        kept = {name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in state.items()}
        self.__dict__.update(kept)
        self.prior = replace(self.prior, document=np.array(self.prior.document))

    @classmethod
    def random(
        cls, prior: TopicPrior, n_terms: int, rng: np.random.Generator, pool: Pool, inference: Inference
    ) -> "Topics":
        """Every lambda drawn from Gamma(100, 1/100), as Hoffman's code does."""
        lambdas = rng.gamma(100.0, 0.01, (n_terms, prior.n_topics))
        return cls(prior, np.maximum(lambdas - prior.term, 0.0), pool, inference)

    @property
    def n_terms(self) -> int:
        """Of the vocabulary."""
        return len(self.weights)

    @property
    def lambdas(self) -> Matrix:
        """(terms, K)."""
        return np.asarray(self.prior.term + self.scale * self.weights)

    @property
    def pace(self) -> Vector:
        """(K,) exp(-digamma(sum_w lambda_wk))."""
        return np.asarray(np.exp(-psi(self.n_terms * self.prior.term + self.scale * self.sums)))

    def batch(self, bags: Bags) -> Batch:
        """Documents with their terms numbered, of which nothing is inferred yet."""
        return Batch(bags, self.place, self.prior.document)

    def infer(self, batch: Batch, bounded: bool, beside: Callable[[], None] = lambda: None) -> tuple[Vector, Vector]:
        """Infer documents from their gamma on: their bounds, where `bounded`, and `pace`. Meanwhile do `beside`."""
        bags, K, pace, rule = batch.bags, self.prior.n_topics, self.pace, self.inference
        bounds = np.empty(len(bags)) if bounded else NOTHING

        def expect(first: int, last: int) -> None:
            refresh(batch.known, self.weights, self.scale, self.prior.term, batch.topics, first, last)

        def read(first: int, last: int) -> None:
            infer(
                bags.starts, bags.terms, bags.counts, batch.topics, pace, self.prior.document, batch.gamma,
                batch.factors, batch.ratios, bounds, first, last, rule.tolerance, rule.most, bounded,
            )  # fmt: skip

        self.pool.share(np.arange(len(batch.known) + 1) * K * DIGAMMA, expect)
        self.pool.share(bags.starts * K * TURNS, read, beside)
        return bounds, pace

    def learn(
        self,
        batch: Batch,
        step: float,
        weight: float,
        bounded: bool = False,
        beside: Callable[[], None] = lambda: None,
    ) -> float:
        """Move by `step` to what the batch, which counts `weight` times, says; where `bounded`, returns the bound.

        That is of the parameters moved to, all documents being in the batch, the step and the weight one. `beside` is
        done while documents are inferred.
        """
        bounds, pace = self.infer(batch, bounded, beside)
        found = (batch.gamma - self.prior.document).sum(axis=0)
        if step >= 1.0:
            self.weights[:], self.sums[:], self.scale = 0.0, 0.0, 1.0
        else:
            self.scale *= 1.0 - step
            if self.scale < LEAST_SCALE:
                self.weights *= self.scale
                self.sums *= self.scale
                self.scale = 1.0
        by = step * weight / self.scale
        spent = np.empty(len(batch.known)) if bounded else NOTHING

        def add(first: int, last: int) -> None:
            absorb(
                batch.begins, batch.entries, batch.documents, batch.ratios, batch.factors, batch.topics, batch.known,
                self.weights, by, spent, first, last,
            )  # fmt: skip

        self.pool.share(batch.begins * self.prior.n_topics, add)
        self.sums += by * found
        if not bounded:
            return 0.0
        return float(bounds.sum() - spent.sum() - found @ np.log(pace)) + self._evidence()

    def _evidence(self) -> float:
        """The log of the ratio of Dirichlet normalisers, lambda's and the prior's."""
        eta, V = self.prior.term, self.n_terms
        lambdas = self.lambdas
        each = gammaln(V * eta) - V * gammaln(eta) - gammaln(lambdas.sum(axis=0)) + gammaln(lambdas).sum(axis=0)
        return float(each.sum())

    def read(self, bags: Bags, bounded: bool = False) -> tuple[Matrix, Vector]:
        """The gamma (documents, K) of documents from afresh, and their bounds where `bounded`."""
        batch = self.batch(bags)
        bounds, _ = self.infer(batch, bounded)
        return batch.gamma, bounds

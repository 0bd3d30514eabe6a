"""Latent Dirichlet allocation (Blei, Ng and Jordan 2003) by variational inference.

Of all documents at a time, or of batches of them with decreasing steps (Hoffman, Blei and Bach 2010; Hoffman, Blei,
Wang and Paisley 2013).
"""

import math
import os
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from targets.conjugate.bags import Bags
from targets.conjugate.lda import TopicPrior, completion, words
from targets.kernel import Matrix
from targets.options import require
from variational.conjugate.ascent import ascend
from variational.conjugate.estimator import Estimator
from variational.conjugate.lda_priors import learned
from variational.conjugate.lda_topics import Inference, Topics
from variational.conjugate.workers import Pool

MOST = {"batch": 100, "online": 10}  # passes
TURNS = 2  # of a document's inference in a pass of "batch", which goes on where the last one ended
FIRST_TURNS, MORE_TURNS = 10, 3  # at most in the first step of "online", and in each that follows


class LatentDirichletAllocation(Estimator):
    """Topics of documents; see the module. Names and defaults are scikit-learn's, except where they say otherwise.

    `X`, wherever it is asked for, holds counts (documents, terms): an array, a SciPy sparse matrix, or `Bags` that
    `targets.conjugate.bag_files.read` makes of a file. Fractions are accepted as weights of words.

    Args:
        n_components: topics.
        doc_topic_prior: concentration of a document's proportions, one or one a topic; 1 / n_components where None.
        topic_word_prior: concentration of every term in a topic; 1 / n_components where None.
        learning_method: "batch", whose bound never falls, or "online".
        learning_decay: kappa, in (0.5, 1] for convergence: step t is (learning_offset + t) ** -learning_decay.
        learning_offset: tau0, above zero.
        max_iter: passes over the documents; where None, 100 of "batch", unless `tol` ends them, and 10 of "online".
        batch_size: documents of an online step.
        total_samples: documents that `partial_fit` takes its batches to come from.
        tol: "batch" ends where a pass gains less, in nats a word.
        max_doc_update_iter: turns of a document's inference, at most. Documents that are inferred to the end under the
            topics of the start, which are random, hold these fast; so there are two a pass in "batch", which goes on
            where the last pass ended, and 10 + 3 t in step t of "online", at most.
        mean_change_tol: of the mean change of its parameters in a turn, at which it ends.
        learn_priors: whether "batch" sets the priors to what the bound is highest with, after each pass (Minka 2000);
            the two given are where it starts.
        shuffle: whether "online" takes documents in another order in each pass. scikit-learn takes them as they are.
        n_jobs: threads, 1 where None, and all cores' where -1. Results do not depend on it.
        random_state: seed of the topics at the start and of the order.

    Attributes:
        components_: (n_components, terms) lambda, the parameters of q(topics); read only.
        topics_: (n_components, terms) their means, rows of which sum to one.
        doc_topic_prior_: (n_components,) as used or learned.
        topic_word_prior_: as used or learned.
        n_iter_: passes made.
        n_batch_iter_: steps made.
        lower_bound_: of "batch": the ELBO, in nats, of what was learned: every constant is in it, of words in sequence.
        lower_bounds_: of "batch": after each pass.
        converged_: of "batch": whether `tol` ended it.
        n_features_in_: terms.
        vocabulary_: words of the terms, or () where they are not known.

    Raises:
        ValueError: an option or X is not accepted.
    """

    def __init__(
        self,
        *,
        n_components: int = 10,
        doc_topic_prior: float | npt.ArrayLike | None = None,
        topic_word_prior: float | None = None,
        learning_method: Literal["batch", "online"] = "batch",
        learning_decay: float = 0.7,
        learning_offset: float = 10.0,
        max_iter: int | None = None,
        batch_size: int = 128,
        total_samples: float = 1e6,
        tol: float = 1e-5,
        max_doc_update_iter: int = 100,
        mean_change_tol: float = 1e-3,
        learn_priors: bool = False,
        shuffle: bool = True,
        n_jobs: int | None = None,
        random_state: int | np.random.Generator | None = 0,
    ) -> None:
        self.n_components = n_components
        self.doc_topic_prior = doc_topic_prior
        self.topic_word_prior = topic_word_prior
        self.learning_method = learning_method
        self.learning_decay = learning_decay
        self.learning_offset = learning_offset
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.total_samples = total_samples
        self.tol = tol
        self.max_doc_update_iter = max_doc_update_iter
        self.mean_change_tol = mean_change_tol
        self.learn_priors = learn_priors
        self.shuffle = shuffle
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002  (the convention's argument)
        """Learn topics from documents."""
        bags = self._bags(X)
        rng = self._begin(bags)
        most = MOST[self.learning_method] if self.max_iter is None else self.max_iter
        if self.learning_method == "batch":
            course = self._sweeps(bags)
            ascent = ascend(
                lambda: next(course), data=max(1, math.ceil(bags.counts.sum())), tolerance=self.tol, most=most
            )
            course.close()
            self.lower_bound_, self.lower_bounds_, self.converged_ = ascent.bound, ascent.bounds, ascent.converged
        else:
            for self.n_iter_ in range(1, most + 1):
                order = rng.permutation(len(bags)) if self.shuffle else None
                self._pass(bags, len(bags), order)
        return self

    def passes(self, X: Any) -> Iterator[float]:
        """`fit` of "batch" as passes over the documents without end: the ELBO after each, in nats."""
        bags = self._bags(X)
        self._begin(bags)
        return self._sweeps(bags)

    def partial_fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002
        """Take steps with these documents, `batch_size` at a time, as a part of `total_samples`."""
        bags = self._bags(X, features=self.n_features_in_ if self.__sklearn_is_fitted__() else None)
        if not self.__sklearn_is_fitted__():
            self._begin(bags)
        self._pass(bags, self.total_samples)
        return self

    def transform(self, X: Any) -> Matrix:
        """Posterior means (documents, n_components) of proportions; those of an empty document are the prior's."""
        gamma, _ = self._learned().read(self._given(X))
        return np.asarray(gamma / gamma.sum(axis=1, keepdims=True))

    def fit_transform(self, X: Any, y: object = None) -> Matrix:
        """`fit` and `transform` of the same."""
        return self.fit(X, y).transform(X)

    def score(self, X: Any, y: object = None) -> float:  # noqa: ARG002
        """A bound on the log probability of the words given the topics learned, in nats a word; see `held_out`.

        It is the sum over documents of E[log p(w, z, theta | topics)] - E[log q(z, theta)], by the number of words.
        That of the topics themselves is no part of it, so that it does not depend on how many documents there are.
        """
        bags = self._given(X)
        total = float(bags.counts.sum())
        if total == 0:
            raise ValueError("score: the documents are empty; it takes at least one word")
        return float(self._learned().read(bags, bounded=True)[1].sum()) / total

    def held_out(self, X: Any, *, seed: int = 0) -> float:
        """Log predictive probability of a word by document completion, in nats: `targets.conjugate.lda.completion`."""
        self._fitted()
        return completion(self.topics_, self.doc_topic_prior_, self._given(X), seed=seed)

    def perplexity(self, X: Any, *, seed: int = 0) -> float:
        """Exp of minus `held_out`: scikit-learn's is another, of a bound that the topics' is part of."""
        return math.exp(-self.held_out(X, seed=seed))

    def topics(
        self, n: int = 10, *, by: Literal["probability", "lift"] = "probability"
    ) -> list[list[tuple[str, float]]]:
        """The `n` first words of every topic with their scores: `targets.conjugate.lda.words`."""
        self._fitted()
        return words(self.topics_, self.vocabulary_, n, by)

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[np.object_]:  # noqa: ARG002
        """Names of what `transform` gives."""
        self._fitted()
        names = [f"{type(self).__name__.lower()}{k}" for k in range(self.n_components)]
        return np.array(names, dtype=object)

    @property
    def components_(self) -> Matrix:
        return np.ascontiguousarray(self._learned().lambdas.T)

    @property
    def topics_(self) -> Matrix:
        lambdas = self.components_
        return np.asarray(lambdas / lambdas.sum(axis=1, keepdims=True))

    @property
    def doc_topic_prior_(self) -> npt.NDArray[np.float64]:
        return self._learned().prior.document

    @property
    def topic_word_prior_(self) -> float:
        return self._learned().prior.term

    def _learned(self) -> Topics:
        self._fitted()
        return self._topics

    def _bags(self, X: Any, features: int | None = None) -> Bags:
        return Bags.of(X, type(self).__name__, features=features)

    def _given(self, X: Any) -> Bags:
        self._fitted()
        return self._bags(X, self.n_features_in_)

    def _begin(self, bags: Bags) -> np.random.Generator:
        """Check the options and draw the topics."""
        self._check()
        prior = TopicPrior.of(self.n_components, self.doc_topic_prior, self.topic_word_prior)
        rng = np.random.default_rng(self.random_state)
        threads = (os.cpu_count() or 1) if self.n_jobs == -1 else self.n_jobs or 1
        inference = Inference(self.mean_change_tol, self.max_doc_update_iter)
        self._topics = Topics.random(prior, bags.n_terms, rng, Pool(threads), inference)
        self.n_features_in_, self.vocabulary_ = bags.n_terms, bags.vocabulary
        self.n_iter_ = self.n_batch_iter_ = 0
        return rng

    def _sweeps(self, bags: Bags) -> Generator[float]:
        topics, batch = self._topics, self._topics.batch(bags)
        thorough = topics.inference
        hasty = replace(thorough, most=min(TURNS, thorough.most))
        while True:
            if self.learn_priors and self.n_iter_ > 0:
                topics.prior = learned(topics.prior, batch.gamma, topics.lambdas)
            topics.inference = hasty
            bound = topics.learn(batch, 1.0, 1.0, bounded=True)
            topics.inference = thorough
            self.n_iter_ += 1
            self.n_batch_iter_ += 1
            yield bound

    def _pass(self, bags: Bags, population: float, order: npt.NDArray[np.int64] | None = None) -> None:
        """Steps through documents, in this order; while those of a batch are inferred, the next is prepared."""
        topics, thorough, size = self._topics, self._topics.inference, self.batch_size
        ends = [(first, min(first + size, len(bags))) for first in range(0, len(bags), size)]
        upcoming = (topics.batch(bags.slice(a, b) if order is None else bags.take(order[a:b])) for a, b in ends)
        ready = deque(islice(upcoming, 1))
        while ready:
            batch = ready.popleft()
            step = min(1.0, (self.learning_offset + self.n_batch_iter_) ** -self.learning_decay)
            topics.inference = replace(thorough, most=min(FIRST_TURNS + MORE_TURNS * self.n_batch_iter_, thorough.most))
            topics.learn(batch, step, population / len(batch.bags), beside=lambda: ready.extend(islice(upcoming, 1)))
            self.n_batch_iter_ += 1
        topics.inference = thorough

    def _check(self) -> None:
        whole = {
            "n_components": self.n_components,
            "max_iter": 1 if self.max_iter is None else self.max_iter,
            "batch_size": self.batch_size,
            "max_doc_update_iter": self.max_doc_update_iter,
        }
        for name, number in whole.items():
            require(
                isinstance(number, int | np.integer) and number >= 1,
                f"{name}={number!r} is not accepted; it takes whole numbers from 1",
            )
        require(
            self.n_jobs is None or self.n_jobs == -1 or self.n_jobs >= 1,
            f"n_jobs={self.n_jobs} is not accepted; it takes a number of threads, -1 for all cores', or None",
        )
        require(
            self.learning_method in MOST,
            f"learning_method={self.learning_method!r} is not accepted; it takes {' or '.join(map(repr, MOST))}",
        )
        positive = {
            "learning_offset": self.learning_offset,
            "total_samples": self.total_samples,
            "mean_change_tol": self.mean_change_tol,
        }
        for name, value in positive.items():
            require(value > 0, f"{name}={value!r} is not accepted; it takes numbers above 0")
        require(
            0.5 <= self.learning_decay <= 1.0,
            f"learning_decay={self.learning_decay!r} is not accepted; it takes numbers from 0.5 to 1",
        )
        require(self.tol >= 0, f"tol={self.tol!r} is not accepted; it takes numbers from 0")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        from sklearn.utils import TransformerTags

        tags.transformer_tags = TransformerTags()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        return tags

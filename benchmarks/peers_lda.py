"""Latent Dirichlet allocation beside scikit-learn and gensim: seconds of one online pass, and what it predicts.

`python -m benchmarks.peers_lda` simulates 5,000 documents of 100 words (5,000 terms, 20 topics) and as many again to be
held out; all three take the same batches in the same order with the same steps, priors and stopping rule, on one core.
The held-out log predictive probability is by one scorer (`targets.conjugate.lda.completion`), from each one's topics.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from targets.conjugate.bags import Bags
from targets.conjugate.lda import completion
from targets.kernel import Matrix
from variational import LatentDirichletAllocation

DOCUMENTS, WORDS, TERMS, TOPICS = 5_000, 100, 5_000, 20
KAPPA, TAU, TURNS, TOLERANCE = 0.7, 10.0, 100, 1e-3
PRIOR = 1.0 / TOPICS
BATCHES = (128, 512)
REPEATS, PAIRS = 3, 9


def corpus(n: int, seed: int) -> csr_matrix:
    """Counts (n, terms) from the model itself."""
    rng = np.random.default_rng(0)
    beta = rng.dirichlet(np.full(TERMS, 0.05), TOPICS)
    rng = np.random.default_rng([seed, 1])
    theta = rng.dirichlet(np.full(TOPICS, 0.1), n)
    return csr_matrix(np.array([rng.multinomial(WORDS, row @ beta) for row in theta], dtype=np.float64))


def ours(X: csr_matrix, batch: int, seed: int = 0, threads: int = 1) -> tuple[float, Matrix]:
    """Seconds of a pass, and topics (K, terms)."""
    model = LatentDirichletAllocation(
        n_components=TOPICS, learning_method="online", max_iter=1, batch_size=batch, shuffle=False, n_jobs=threads,
        random_state=seed,
        learning_decay=KAPPA, learning_offset=TAU, max_doc_update_iter=TURNS, mean_change_tol=TOLERANCE,
    )  # fmt: skip
    seconds = timed(lambda: model.fit(X))
    return seconds, model.topics_


def scikit_learn(X: csr_matrix, batch: int, seed: int) -> tuple[float, Matrix]:
    """As `ours`."""
    from sklearn.decomposition import LatentDirichletAllocation as Theirs

    model = Theirs(
        n_components=TOPICS, learning_method="online", max_iter=1, batch_size=batch, n_jobs=1, random_state=seed,
        learning_decay=KAPPA, learning_offset=TAU, max_doc_update_iter=TURNS, mean_change_tol=TOLERANCE,
    )  # fmt: skip
    seconds = timed(lambda: model.fit(X))
    return seconds, model.components_ / model.components_.sum(axis=1, keepdims=True)


def gensim(X: csr_matrix, batch: int, seed: int) -> tuple[float, Matrix]:
    """As `ours`; its offset is counted from one less."""
    from gensim.models import LdaModel

    bags = [
        [(int(w), float(n)) for w, n in zip(X.indices[a:b], X.data[a:b], strict=True)]
        for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True)
    ]
    names = {w: str(w) for w in range(TERMS)}
    made: list[Any] = []
    seconds = timed(
        lambda: made.append(
            LdaModel(
                bags,
                num_topics=TOPICS,
                id2word=names,
                chunksize=batch,
                passes=1,
                update_every=1,
                alpha=[PRIOR] * TOPICS,
                eta=PRIOR,
                decay=KAPPA,
                offset=TAU,
                eval_every=None,
                iterations=TURNS,
                gamma_threshold=TOLERANCE,
                random_state=seed,
                dtype=np.float64,
            )
        )
    )
    return seconds, np.asarray(made[0].get_topics())


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print the tables."""
    X, test = corpus(DOCUMENTS, 1), Bags.of(corpus(1_000, 2), "test")
    with threadpool_limits(1):
        for batch in BATCHES:
            compare(X, test, batch)
            threads(X, batch)


def compare(X: csr_matrix, test: Bags, batch: int) -> None:
    """Paired ratios of seconds, and held-out scores."""
    ours(X[:batch], batch)
    ratios: dict[str, list[float]] = {"scikit-learn": [], "gensim": []}
    seconds: dict[str, list[float]] = {"ours": [], "scikit-learn": [], "gensim": []}
    scores: dict[str, list[float]] = {"ours": [], "scikit-learn": [], "gensim": []}
    for seed in range(REPEATS):
        mine, topics = ours(X, batch, seed)
        scores["ours"].append(score(topics, test))
        for name, peer in (("scikit-learn", scikit_learn), ("gensim", gensim)):
            theirs, topics = peer(X, batch, seed)
            mine = 0.5 * (mine + ours(X, batch, seed)[0])  # before and after
            ratios[name].append(theirs / mine)
            seconds[name].append(theirs)
            scores[name].append(score(topics, test))
        seconds["ours"].append(mine)
    print(f"\nbatches of {batch}      seconds   times ours   held out, nats a word, mean and standard error")  # noqa: T201
    for name, values in seconds.items():
        mean, error = statistics.mean(scores[name]), statistics.stdev(scores[name]) / REPEATS**0.5
        ratio = f"{statistics.median(ratios[name]):10.1f}" if name in ratios else " " * 10
        print(f"{name:16} {statistics.median(values):10.3f}   {ratio}   {mean:10.4f} ± {error:.4f}")  # noqa: T201


def score(topics: Matrix, test: Bags) -> float:
    """Held out, in nats a word."""
    return completion(topics, np.full(TOPICS, PRIOR), test)


def threads(X: csr_matrix, batch: int) -> None:
    """How many times faster two threads are, with the same topics."""
    found = []
    for _ in range(PAIRS):
        one, serial = ours(X, batch)
        two, threaded = ours(X, batch, threads=2)
        assert np.array_equal(serial, threaded)
        found.append(one / two)
    print(f"two threads      {statistics.median(found):10.2f} times faster, best {max(found):.2f}")  # noqa: T201


if __name__ == "__main__":
    main()

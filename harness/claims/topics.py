"""The claim of Figure 7, on documents that the model itself draws, whose topics are known."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from harness.claims.claim import Effort, Found, either
from targets.kernel import Matrix
from variational.conjugate.lda import LatentDirichletAllocation

TOPICS, TERMS, WORDS, STARTS = 4, 60, 80, 12
CLOSE = 0.1  # total variation


def topics_are_found(effort: Effort) -> Found:
    """Distances of posterior means from the topics and proportions that documents were drawn with; several starts."""
    rng = effort.rng(71)
    documents = effort.of(2000, 500)
    beta = rng.dirichlet(np.full(TERMS, 0.1), TOPICS)
    theta = rng.dirichlet(np.full(TOPICS, 0.3), documents)
    counts = np.array([rng.multinomial(WORDS, row @ beta) for row in theta])
    fits = [
        LatentDirichletAllocation(
            n_components=TOPICS, doc_topic_prior=0.3, topic_word_prior=0.1, max_iter=100, random_state=seed % 2**31
        ).fit(counts)
        for seed in effort.seeds(71, STARTS)
    ]
    apart = [_apart(fit, counts, beta, theta) for fit in fits]
    best = apart[int(np.argmax([fit.lower_bound_ for fit in fits]))]
    right = sum(max(each) < CLOSE for each in apart)
    return Found(
        either(max(best) < CLOSE),
        f"total variation from the truth: {best[0]:.3f} for the worst topic, {best[1]:.3f} for proportions; "
        f"{right} of {STARTS} starts get there",
        "Of several starts the one with the highest bound is kept; another may end where two topics share a factor. "
        f"{documents} documents of {WORDS} words from {TOPICS} topics over {TERMS} terms.",
        {"topics": best[0], "proportions": best[1], "right": right},
    )


def _apart(fit: LatentDirichletAllocation, counts: Matrix, beta: Matrix, theta: Matrix) -> tuple[float, float]:
    """Of the worst topic, and of proportions on average, in the best order of topics."""
    between = 0.5 * np.abs(fit.topics_[:, None] - beta).sum(axis=2)
    found, true = linear_sum_assignment(between)
    order = found[np.argsort(true)]
    proportions = 0.5 * np.abs(fit.transform(counts)[:, order] - theta).sum(axis=1)
    return float(between[order, np.arange(TOPICS)].max()), float(proportions.mean())

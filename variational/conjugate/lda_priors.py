"""The priors of latent Dirichlet allocation that its bound is highest with, by Newton's method.

Minka 2000, "Estimating a Dirichlet distribution", section 1, and Blei, Ng and Jordan 2003, appendix A.2.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import gammaln, polygamma, psi

from targets.conjugate.expectations import SMALLEST
from targets.conjugate.lda import TopicPrior
from targets.kernel import Matrix, Vector

LARGEST = 1e6
STEPS, HALVINGS = 20, 12


def learned(prior: TopicPrior, gamma: Matrix, lambdas: Matrix) -> TopicPrior:
    """From q(theta_d) = Dirichlet(gamma_d) (documents, K) and q(beta_k) = Dirichlet(lambda_k) (terms, K)."""
    logs = (psi(gamma) - psi(gamma.sum(axis=1, keepdims=True))).mean(axis=0)
    V, average = len(lambdas), float((psi(lambdas) - psi(lambdas.sum(axis=0))).mean())

    def of_documents(alpha: Vector) -> float:
        return float(gammaln(alpha.sum()) - gammaln(alpha).sum() + alpha @ logs)

    def of_topics(eta: Vector) -> float:
        return float(gammaln(V * eta[0]) / V - gammaln(eta[0]) + eta[0] * average)

    def newton_of_documents(alpha: Vector) -> Vector:
        slope = psi(alpha.sum()) - psi(alpha) + logs
        own, shared = -polygamma(1, alpha), float(polygamma(1, alpha.sum()))
        pull = np.sum(slope / own) / (1.0 / shared + np.sum(1.0 / own))
        return np.asarray((pull - slope) / own)

    def newton_of_topics(eta: Vector) -> Vector:
        slope = psi(V * eta) - psi(eta) + average
        return np.asarray(slope / np.maximum(polygamma(1, eta) - V * polygamma(1, V * eta), 1e-12))

    alpha, eta = prior.document, np.array([prior.term])
    if len(alpha) > 1:  # one topic has all of every document, and one term all of every topic
        alpha = _climbed(alpha, of_documents, newton_of_documents)
    if V > 1:
        eta = _climbed(eta, of_topics, newton_of_topics)
    return TopicPrior(alpha, float(eta[0]))


def _climbed(x: Vector, value: Callable[[Vector], float], step: Callable[[Vector], Vector]) -> Vector:
    """Steps are halved until they raise the value, so that it never falls."""
    level = value(x)
    for _ in range(STEPS):
        way = step(x)
        for halving in range(HALVINGS):
            new = np.clip(x + way * 0.5**halving, SMALLEST, LARGEST)
            if value(new) > level:
                break
        else:
            break
        x, level = new, value(new)
    return x

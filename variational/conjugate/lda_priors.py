"""The priors of latent Dirichlet allocation that its bound is highest with: Minka 2000, "Estimating a Dirichlet
distribution", section 1, by his fixed point, each turn of which raises the bound.
"""

import numpy as np
from scipy.special import polygamma, psi

from targets.conjugate.expectations import SMALLEST
from targets.conjugate.lda import TopicPrior
from targets.kernel import Matrix, Vector

TURNS = 20


def learned(prior: TopicPrior, gamma: Matrix, lambdas: Matrix) -> TopicPrior:
    """From q(theta_d) = Dirichlet(gamma_d) (documents, K) and q(beta_k) = Dirichlet(lambda_k) (terms, K)."""
    alpha = prior.document
    expected = (psi(gamma) - psi(gamma.sum(axis=1, keepdims=True))).mean(axis=0)
    for _ in range(TURNS):
        alpha = np.maximum(inverse_psi(psi(alpha.sum()) + expected), SMALLEST)
    eta, V = prior.term, len(lambdas)
    average = float((psi(lambdas) - psi(lambdas.sum(axis=0))).mean())
    for _ in range(TURNS):
        eta = max(float(inverse_psi(np.array([psi(V * eta) + average]))[0]), SMALLEST)
    return TopicPrior(np.asarray(alpha), eta)


def inverse_psi(y: Vector) -> Vector:
    """X of digamma(x) = y by Newton's method: Minka 2000, appendix C."""
    x = np.where(y >= -2.22, np.exp(np.minimum(y, 50.0)) + 0.5, -1.0 / (y + 0.5772156649015329))
    for _ in range(6):
        x = x - (psi(x) - y) / polygamma(1, x)
    return np.asarray(x)

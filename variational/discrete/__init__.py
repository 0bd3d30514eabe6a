"""Variational inference for discrete latents: independent categorical sites, and estimators of the ELBO's gradient."""

from variational.discrete.cavi import Cavi, optima
from variational.discrete.descent import Descent, fit
from variational.discrete.estimator import Estimator, replicates
from variational.discrete.exact import Exact, exact
from variational.discrete.family import Factorised

__all__ = ["Cavi", "Descent", "Estimator", "Exact", "Factorised", "exact", "fit", "optima", "replicates"]

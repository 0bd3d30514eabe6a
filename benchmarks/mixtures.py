"""What a sweep of the Bayesian Gaussian mixture costs; `benchmarks.peers_mixture` sets it beside scikit-learn's."""

import numpy as np

from benchmarks.peers_mixture import SEPARATIONS
from benchmarks.peers_mixture import clusters as made
from variational import BayesianGaussianMixture
from variational.conjugate.blocks import blocks
from variational.conjugate.mixture_ascent import State

N, D, SIZE = 100_000, 5, 10


class MixtureSweep:
    params = (("full", "tied", "diag", "spherical"), tuple(SEPARATIONS))
    param_names = ("covariance_type", "clusters")

    def setup(self, covariance_type: str, clusters: str) -> None:
        rows, labels = made(N, D, SIZE, SEPARATIONS[clusters], np.random.default_rng(1))
        fitted = BayesianGaussianMixture(
            n_components=SIZE, covariance_type=covariance_type, init_params=np.eye(SIZE)[labels], max_iter=1
        ).fit(rows)
        self.state, self.data = State(fitted.prior_, fitted._moments_), blocks(rows, "rows")
        self.time_sweep(covariance_type, clusters)

    def time_sweep(self, covariance_type: str, clusters: str) -> None:
        self.state.sweep(self.data)

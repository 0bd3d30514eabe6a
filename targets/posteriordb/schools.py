"""posteriordb's two parameterisations of the eight schools, which share one reference; see `targets.eight_schools`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from targets.eight_schools import SCHOOLS, centred, centred_density, noncentred, noncentred_density
from targets.kernel import Matrix
from targets.options import require
from targets.posteriordb.build import posterior
from targets.posteriordb.folder import Values
from targets.target import Target


def _data(given: Mapping[str, Any]) -> Matrix:
    effect, error = np.asarray(given["y"], dtype=np.float64), np.asarray(given["sigma"], dtype=np.float64)
    require(effect.shape == (SCHOOLS,), f"eight_schools: {SCHOOLS} schools are expected, not {effect.shape}")
    return np.array([effect / error, 1.0 / error])


def noncentred_schools() -> Target:
    """Eight schools in coordinates that are independent of each other in the prior."""

    def named(x: Matrix) -> Mapping[str, Any]:
        tau = np.exp(x[:, 1])
        return {"mu": x[:, 0], "tau": tau, "theta": x[:, :1] + tau[:, None] * x[:, 2:]}

    def unconstrain(parameters: Values) -> Matrix:
        mu, tau, theta = parameters["mu"], parameters["tau"], parameters["theta"]
        return np.column_stack([mu, np.log(tau), (theta - mu[:, None]) / tau[:, None]])

    return posterior(
        "eight_schools-eight_schools_noncentered",
        kernel=noncentred,
        density=noncentred_density,
        data=_data,
        coordinates=("mu", "log_tau", *(f"raw[{j}]" for j in range(1, SCHOOLS + 1))),
        named=named,
        unconstrain=unconstrain,
        tags=frozenset({"hierarchical", "real-data"}),
        description="eight schools, non-centred",
    )


def centred_schools() -> Target:
    """Eight schools as the model is written, a funnel."""

    def named(x: Matrix) -> Mapping[str, Any]:
        return {"mu": x[:, 0], "tau": np.exp(x[:, 1]), "theta": x[:, 2:]}

    def unconstrain(parameters: Values) -> Matrix:
        return np.column_stack([parameters["mu"], np.log(parameters["tau"]), parameters["theta"]])

    return posterior(
        "eight_schools-eight_schools_centered",
        kernel=centred,
        density=centred_density,
        data=_data,
        coordinates=("mu", "log_tau", *(f"theta[{j}]" for j in range(1, SCHOOLS + 1))),
        named=named,
        unconstrain=unconstrain,
        tags=frozenset({"funnel", "hierarchical", "real-data"}),
        description="eight schools, centred",
    )

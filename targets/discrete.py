"""Models whose latent variables are discrete: a density that counts at the corners of a product of simplices alone.

A model has `sites` variables of `categories` values each. A state is written as its indicators, 1 at x[i * categories
+ k] where site i has value k, so that the kernel of a model has the one signature of all kernels. At a corner it is the
log joint density of state and data; between corners it extends the formula of the model to soft indicators, which is
what continuous relaxations differentiate. An extension is no part of the model: another gives relaxations another bias.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import int64, void

from targets.kernel import DATA, DENSITY, VECTOR, Density, Kernel, Matrix, Vector, compiled, loop
from targets.options import require, spec

MOST_STATES = 2**20  # that are enumerated

States = npt.NDArray[np.int64]  # (n, sites), values from 0


@loop(void(DENSITY, DATA, int64, int64, VECTOR))
def tabulate(density, data, sites, categories, values):  # type: ignore[no-untyped-def]
    """Fill `values` (categories^sites,) with the log joint of every state, the last site running fastest."""
    x = np.zeros(sites * categories)
    state = np.zeros(sites, np.int64)
    for i in range(sites):
        x[i * categories] = 1.0
    for n in range(values.shape[0]):
        values[n] = density(x, data)
        for i in range(sites - 1, -1, -1):
            x[i * categories + state[i]] = 0.0
            state[i] = (state[i] + 1) % categories
            x[i * categories + state[i]] = 1.0
            if state[i] > 0:
                break


@dataclass(frozen=True, eq=False)
class Enumeration:
    """The exact posterior of a model, from all of its states.

    Attributes:
        log_joint: (categories,) * sites, the log joint density of each state and the data.
    """

    log_joint: npt.NDArray[np.float64]

    @property
    def sites(self) -> int:
        return self.log_joint.ndim

    @property
    def categories(self) -> int:
        return int(self.log_joint.shape[0])

    @cached_property
    def log_evidence(self) -> float:
        """Log of the sum over all states."""
        top = float(self.log_joint.max())
        return top + math.log(float(np.exp(self.log_joint - top).sum()))

    @cached_property
    def masses(self) -> npt.NDArray[np.float64]:
        """(categories,) * sites, the posterior probability of each state."""
        return np.asarray(np.exp(self.log_joint - self.log_evidence))

    @cached_property
    def marginals(self) -> Matrix:
        """(sites, categories) posterior probabilities of each site's values."""
        others = [tuple(j for j in range(self.sites) if j != i) for i in range(self.sites)]
        return np.stack([self.masses.sum(axis=rest) for rest in others])

    @cached_property
    def total_correlation(self) -> float:
        """KL from the product of the marginals to the posterior, in nats: zero where the sites are independent."""
        held = self.masses[self.masses > 0]
        joint = float(held @ np.log(held))
        alone = self.marginals[self.marginals > 0]
        return joint - float(alone @ np.log(alone))

    def sample(self, rng: np.random.Generator, n: int) -> States:
        """(n, sites) independent draws from the posterior."""
        flat = self.masses.ravel()
        drawn = rng.choice(flat.size, size=n, p=flat / flat.sum())
        return np.stack(np.unravel_index(drawn, self.masses.shape), axis=1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class DiscreteModel:
    """A model with discrete latent variables; see the module.

    Attributes:
        sites, categories: how many variables, and how many values each has.
        kernel: `log_density_and_gradient(x, gradient, data)` with x (sites * categories,), the indicators or soft ones.
        density: the same without gradient.
        data: one read-only matrix, as the two take it.
        coordinates: names of the sites.
        name, options, changed: as the registry resolved them; `changed` names those that differ from their defaults.
    """

    sites: int
    categories: int
    kernel: Kernel
    density: Density
    data: Matrix
    coordinates: tuple[str, ...]
    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    changed: tuple[str, ...] = ()

    @property
    def dim(self) -> int:
        """Length of x."""
        return self.sites * self.categories

    @property
    def states(self) -> int:
        """How many states there are."""
        return int(self.categories**self.sites)

    @property
    def label(self) -> str:
        """The name with the options that differ from their defaults."""
        return spec(self.name, {key: self.options[key] for key in self.changed})

    def __reduce__(self) -> Any:
        """Pickle as name and options, from which the registry makes it anew."""
        from targets.registry import reload_discrete

        return (reload_discrete, (self.name, dict(self.options))) if self.name else super().__reduce__()

    def compile(self) -> None:
        """Load or compile kernel and density."""
        compiled(self.kernel)
        compiled(self.density)

    def encode(self, states: States) -> Matrix:
        """(n, dim) indicators of states (n, sites)."""
        return np.eye(self.categories)[np.asarray(states)].reshape(len(states), self.dim)

    def log_joint(self, states: States) -> Vector:
        """(n,) log joint densities of states (n, sites) and the data."""
        density = compiled(self.density)
        return np.array([density(x, self.data) for x in self.encode(states)])

    @cached_property
    def enumeration(self) -> Enumeration:
        """All states, which costs as many densities.

        Raises:
            UsageError: there are more than `MOST_STATES`.
        """
        require(
            self.states <= MOST_STATES,
            f"{self.label or 'a model'} has {self.states} states and is not enumerated; at most {MOST_STATES} are",
        )
        values = np.empty(self.states)
        tabulate(compiled(self.density), self.data, self.sites, self.categories, values)
        return Enumeration(values.reshape((self.categories,) * self.sites))

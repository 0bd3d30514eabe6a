"""What is ranked of a draw: functions of it, and of the data that its posterior is given."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from targets.kernel import Matrix
from targets.target import Target

PROBES = 200  # draws of the prior that say which named quantities are a coordinate in another scale
JOINT = "log joint density"
LIKELIHOOD = "log likelihood"


@dataclass(frozen=True)
class Ranked:
    """The quantities of a target that are ranked.

    Coordinates, and named quantities that are more than a coordinate in another scale; of a density that relabelling
    leaves as it is, the invariant ones in their stead. Declared quantities with one value a draw. The log joint
    density, which sees the data where no function of the draw alone does (Modrak et al. 2023, arXiv:2211.02383), and
    the log likelihood where the target knows its prior apart.

    Attributes:
        names: (k,).
        functions: of draws (n, dim) alone, each to some of the columns.
        prior: the target without data, or None.
    """

    names: tuple[str, ...]
    functions: tuple[Callable[[Matrix], Matrix], ...]
    prior: Target | None

    @classmethod
    def of(cls, target: Target) -> "Ranked":
        """Of a generative target."""
        names: list[str] = []
        functions: list[Callable[[Matrix], Matrix]] = []
        if target.relabellings:
            if target.invariant is not None:
                names += target.invariant.names
                functions.append(target.invariant.values)
        else:
            names += target.coordinates
            functions.append(np.asarray)
            if target.named is not None and (own := _own(target)):
                names += [target.named.names[i] for i in own]
                functions.append(_Columns(target.named.values, tuple(own)))
        for quantity in target.quantities:
            if quantity.reduction in ("mean", "median", "odds"):
                names.append(quantity.name)
                functions.append(quantity.values)
        generative = target.generative
        alone = None if generative is None or generative.no_data is None else target.given(generative.no_data)
        return cls((*names, JOINT, *([] if alone is None else [LIKELIHOOD])), tuple(functions), alone)

    def values(self, posterior: Target, x: Matrix) -> Matrix:
        """(n, k) at draws (n, dim) of a posterior."""
        with np.errstate(all="ignore"):
            parts = [np.reshape(function(x), (len(x), -1)) for function in self.functions]
            joint = posterior.log_densities(x)
            seen = [joint] if self.prior is None else [joint, joint - self.prior.log_densities(x)]
        return np.hstack([*parts, np.where(np.isnan(seen), -np.inf, seen).T])  # what has no density has the least


@dataclass(frozen=True)
class _Columns:
    values: Callable[[Matrix], Matrix]
    which: tuple[int, ...]

    def __call__(self, x: Matrix) -> Matrix:
        return np.asarray(self.values(x)[:, self.which])


def _own(target: Target) -> list[int]:
    """Numbers of the named quantities that do not rise with some coordinate: the others have that one's ranks."""
    if target.named is None or target.generative is None:
        return []
    rng = np.random.default_rng(0)
    x = np.array([target.generative.prior(rng) for _ in range(PROBES)])
    with np.errstate(all="ignore"):
        values = target.named.values(x)
    orders = {np.argsort(column, kind="stable").tobytes() for column in x.T}
    return [i for i, column in enumerate(values.T) if np.argsort(column, kind="stable").tobytes() not in orders]

"""A target: a density, its data, and what is known about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from targets.conjugate.model import Conjugate
from targets.kernel import Density, Kernel, Matrix, Vector, compiled, data_matrix, densities, empty, raise_failure
from targets.options import spec
from targets.quantity import Quantity
from targets.truth import Place, Truth

DENSITY_ALONE = "density alone"  # the tag of a target without gradient
HARD_BOUNDARY = "hard-boundary"  # the tag of a density that does not vanish where it ends: Stein's identities fail


@dataclass(frozen=True)
class GaussianStructure:
    """What a Gaussian target offers to closed-form methods: mean (dim,) and precision (dim, dim)."""

    mean: Vector
    precision: Matrix


@dataclass(frozen=True)
class GaussianPrior:
    """A Gaussian prior over all coordinates; the rest of the density is a likelihood.

    Attributes:
        mean: (dim,).
        scale: standard deviations (dim,), or a lower factor of the covariance (dim, dim).
    """

    mean: Vector
    scale: Vector | Matrix


@dataclass(frozen=True)
class Rows:
    """A log density that is prior(x) + sum over rows of likelihood(x), the two kernels apart.

    Both have the one kernel signature and overwrite their gradient; `likelihood` sums over the rows that it is given,
    so that `prior + (n / B) likelihood(data[a:b])` estimates the whole without bias.
    """

    prior: Kernel
    likelihood: Kernel


@dataclass(frozen=True)
class Sites:
    """A density that is its Gaussian prior times sites, each a function of a few linear combinations of x.

        exp(log_density(x)) = N(x; prior) prod_i site(projections[i] @ x; parameters[i])

    with every constant. The prior is the target's `gaussian_prior`, normalised.

    Attributes:
        tilted: what a Gaussian times one site integrates to, compiled by `targets.sites.site`.
        projections: (sites, width, dim); the width is 1 for regressions, and dim where a site sees all of x.
        parameters: (sites, any number), what `tilted` reads of each.
    """

    tilted: Any
    projections: Matrix
    parameters: Matrix


@dataclass(frozen=True)
class Named:
    """Quantities of a target, with their names: `values(x: (n, dim)) -> (n, len(names))`."""

    names: tuple[str, ...]
    values: Callable[[Matrix], Matrix]


@dataclass(frozen=True)
class Generative:
    """A model that can be simulated: what the kernel holds, prior times likelihood, as a way to draw both.

    The density of x times that of the data given x is the kernel's, but for a factor that x does not enter.

    Attributes:
        prior: draws coordinates (dim,) with an rng; a proper prior, in the unconstrained coordinates.
        simulate: draws data given coordinates (dim,): a matrix of the shape of the target's, as its kernel takes it.
        no_data: a matrix under which the kernel is the prior, but for a constant; None where its form has none.
        initial: starting points given such a matrix, where the target's own depend on its data.
        conjugate: what a conjugate target offers given such a matrix.
    """

    prior: Callable[[np.random.Generator], Vector]
    simulate: Callable[[np.random.Generator, Vector], Matrix]
    no_data: Matrix | None = None
    initial: Callable[[Matrix], Callable[[np.random.Generator], Vector]] | None = None
    conjugate: Callable[[Matrix], Conjugate] | None = None


@dataclass(frozen=True)
class Target:
    """A density on R^dim, known up to its normaliser.

    Attributes:
        name: the name in the registry.
        dim: number of unconstrained coordinates.
        log_density_and_gradient: see `targets.kernel.kernel`.
        data: (rows, columns) float64, C-contiguous, read-only, aligned: what the kernel is given.
        truth: what is known of the answer, or None for a bare density.
        log_density: see `targets.kernel.density`; None if there is only the kernel.
        coordinates: names of the coordinates, by default x[0], x[1], ....
        tags: words to select by, such as 'exact', 'multimodal', 'heavy-tailed', 'real-data'.
        options: the options that made it; `changed` names those that differ from their defaults.
        registered: whether `targets.load` made it, so that another process can make it again.
        gaussian, gaussian_prior, rows, sites, conjugate, named: optional structure that some methods require.
        invariant: quantities that no relabelling of the coordinates changes, for a density that such a one leaves as it
            is: errors of them are errors of the answer, whatever the labels.
        predictions: what the model predicts of rows of its data, such as means, probabilities or densities; of many
            rows some hundred are enough.
        relabellings: orders of the coordinates that leave the density unchanged, those of a mixture's components: the
            others follow from these by repetition.
        quantities: what users of the posterior want from it, beside its moments.
        place: where its certificate is kept, or will be once it is made; `targets.reference.attach` sets it.
        initial: draws starting points, `initial(rng) -> (dim,)`; by default uniform on (-2, 2).
        generative: draws the prior and simulates data, where the model is one that can be: see `crossover calibrate`.
        description: one line for `crossover list`.
    """

    name: str
    dim: int
    log_density_and_gradient: Kernel
    data: Matrix
    truth: Truth | None = None
    log_density: Density | None = None
    coordinates: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    options: Mapping[str, object] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    registered: bool = False
    gaussian: GaussianStructure | None = None
    gaussian_prior: GaussianPrior | None = None
    rows: Rows | None = None
    sites: Sites | None = None
    conjugate: Conjugate | None = None
    named: Named | None = None
    invariant: Named | None = None
    predictions: Named | None = None
    relabellings: tuple[tuple[int, ...], ...] = ()
    quantities: tuple[Quantity, ...] = ()
    place: Place | None = None
    initial: Callable[[np.random.Generator], Vector] | None = None
    generative: Generative | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if not self.coordinates:
            object.__setattr__(self, "coordinates", tuple(f"x[{i}]" for i in range(self.dim)))
        if len(self.coordinates) != self.dim:
            raise ValueError(f"{self.name}: {len(self.coordinates)} coordinate names for {self.dim} dimensions")
        if len({quantity.name for quantity in self.quantities}) < len(self.quantities):
            raise ValueError(f"{self.name}: two quantities have the same name")
        if self.data.ndim != 2 or self.data.flags.writeable or not self.data.flags.c_contiguous:
            raise ValueError(f"{self.name}: the data must be a read-only matrix, as targets.data_matrix makes it")
        if self.sites is not None and (self.gaussian_prior is None or self.sites.projections.shape[2] != self.dim):
            raise ValueError(f"{self.name}: sites need a Gaussian prior, and projections (sites, width, {self.dim})")

    @property
    def label(self) -> str:
        """The name with the options that differ from their defaults, as `crossover run -t` takes it."""
        return spec(self.name, {key: self.options[key] for key in self.changed})

    @property
    def differentiable(self) -> bool:
        """Whether the kernel writes gradients; that of a target tagged `DENSITY_ALONE` fills them with NaN."""
        return DENSITY_ALONE not in self.tags

    @cached_property
    def kernel(self) -> Any:
        """The compiled kernel, loaded from the cache or compiled when first read."""
        return compiled(self.log_density_and_gradient)

    @cached_property
    def density(self) -> Any:
        """The compiled log density without gradient, or None."""
        return None if self.log_density is None else compiled(self.log_density)

    def start(self, rng: np.random.Generator) -> Vector:
        """One starting point (dim,), drawn with `rng`."""
        if self.initial is not None:
            return np.ascontiguousarray(self.initial(rng), dtype=np.float64)
        return rng.uniform(-2.0, 2.0, self.dim)

    def given(self, data: Matrix) -> "Target":
        """The same model with other data, of the same shape: nothing is compiled anew.

        What is known of the answer for the old data is left out, and with it the structure made of them.
        """
        initial, conjugate = self.initial, None
        if self.generative is not None and self.generative.initial is not None:
            initial = self.generative.initial(data)
        if self.generative is not None and self.generative.conjugate is not None:
            conjugate = self.generative.conjugate(data)
        return replace(
            self,
            data=data_matrix(data),
            truth=None,
            gaussian=None,
            sites=None,
            conjugate=conjugate,
            predictions=None,
            quantities=(),
            place=None,
            registered=False,  # no name and options make it again
            initial=initial,
        )

    def evaluate(self, x: Matrix) -> tuple[Vector, Matrix]:
        """Log densities (n,) and gradients (n, dim) at the points x (n, dim). For checks and metrics, not for loops."""
        points = np.atleast_2d(np.ascontiguousarray(x, dtype=np.float64))
        values = np.empty(len(points))
        gradients = np.empty_like(points)
        position, gradient = empty(self.dim), empty(self.dim)
        for i, point in enumerate(points):
            position[:] = point
            values[i] = self.kernel(position, gradient, self.data)
            gradients[i] = gradient
        raise_failure()
        return values, gradients

    def log_densities(self, x: Matrix) -> Vector:
        """Log densities (n,) at the points x (n, dim)."""
        if self.differentiable:
            return self.evaluate(x)[0]
        points = np.atleast_2d(np.ascontiguousarray(x, dtype=np.float64))
        values = empty(len(points))
        densities(self.density, self.data, points, values)
        return values

    def __reduce__(self) -> Any:
        if self.registered:
            from targets import registry

            return registry.reload, (self.name, dict(self.options))
        return super().__reduce__()

"""What a target offers whose density is the posterior of a conjugate model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from targets.kernel import Matrix


@dataclass(frozen=True)
class Conjugate:
    """The model behind a density, for methods that draw from its conditionals or update its factors exactly.

    Attributes:
        model: prior and settings, one of the frozen dataclasses of this package; methods go by its type.
        data: what it is conditioned on, as `model` takes it.
        coordinates: parameters by name, draw after draw (n, ...) -> the target's coordinates (n, dim).
    """

    model: Any
    data: npt.NDArray[Any]
    coordinates: Callable[[Mapping[str, npt.NDArray[np.float64]]], Matrix]

"""Draws as ArviZ takes them: an xarray DataTree in its schema, for plots, comparison and netCDF files.

https://python.arviz.org/en/stable/schema/schema.html
"""

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from samplers.variables import variables
from targets.kernel import Matrix
from targets.options import UsageError

if TYPE_CHECKING:
    import xarray

    from samplers.draws import Draws

Variables = dict[str, npt.NDArray[Any]]


def to_arviz(draws: "Draws", save_warmup: bool = True) -> "xarray.DataTree":
    """See `Draws.to_arviz`."""
    try:
        from arviz_base import from_dict
    except ModuleNotFoundError as error:
        raise UsageError("to_arviz needs arviz-base and xarray, which this project's extra 'arviz' installs") from error

    groups: dict[str, Variables] = {}
    axes: dict[str, Sequence[Any]] = {}
    for prefix, part in (("", draws), ("warmup_", draws.warmup if save_warmup else None)):
        if part is None:
            continue
        coordinates = part.coordinates or tuple(f"x[{i}]" for i in range(part.values.shape[2]))
        groups[f"{prefix}posterior"] = _variables(coordinates, part.values, axes)
        if part.named is not None:
            groups[f"{prefix}unconstrained_posterior"] = groups[f"{prefix}posterior"]
            groups[f"{prefix}posterior"] = _variables(part.named.names, part.named_values, axes)
        if part.stats:
            groups[f"{prefix}sample_stats"] = _stats(part)
    said = attributes(draws.about)
    return from_dict(
        groups,
        coords={dimension: list(labels) for (dimension, labels) in axes.items()},
        dims=_dimensions(groups),
        save_warmup=save_warmup,
        check_conventions=False,  # more chains than draws are no mistake
        attrs={"/": said, **dict.fromkeys(groups, said)},
    )


def attributes(about: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of every group: the library, and what `about` says of the run."""
    try:
        version = importlib.metadata.version("crossover")
    except importlib.metadata.PackageNotFoundError:  # sources that are not installed
        version = "unknown"
    return {"inference_library": "crossover", "inference_library_version": version, **about}


def _variables(names: Sequence[str], values: Matrix, axes: dict[str, Sequence[Any]]) -> Variables:
    """Arrays (chains, n, *shape) by name; labels of their dimensions go to `axes`."""
    found = {}
    for variable in variables(names):
        found[variable.name] = variable.of(values)
        axes.update({f"{variable.name}_dim_{k}": labels for k, labels in enumerate(variable.labels)})
    return found


def _dimensions(groups: Mapping[str, Variables]) -> dict[str, list[str]]:
    return {
        name: [f"{name}_dim_{k}" for k in range(values.ndim - 2)]
        for group in groups.values()
        for name, values in group.items()
        if values.ndim > 2
    }


def _stats(draws: "Draws") -> Variables:
    """Statistics with the schema's types. The members of an ensemble share one row, which is repeated for each."""
    repeat = len(draws.values) // len(next(iter(draws.stats.values())))
    found = {name: np.repeat(values, repeat, axis=0) for name, values in draws.stats.items()}
    if "diverging" in found:
        found["diverging"] = found["diverging"].astype(bool)
    return found

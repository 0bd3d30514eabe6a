"""Reading a clone of posteriordb, or a part of one: data, and reference draws, as zipped JSON."""

import functools
import json
import os
import pathlib
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from targets.options import UnavailableError

ENVIRONMENT = "CROSSOVER_POSTERIORDB"
INSIDE = "posterior_database"
LEAST_DRAWS = 8  # a chain, for standard errors

Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Record:
    """What posteriordb holds of a posterior.

    Attributes:
        name: as posteriordb calls it.
        data: the data by name; lists of numbers are arrays.
        parameters: names of the scalar parameters, such as theta[1], in the order of the reference draws.
        draws: (chains, n, parameters) reference draws.
        reference: the name of the reference, which several posteriors may share, and how it was made.
    """

    name: str
    data: Mapping[str, Any]
    parameters: tuple[str, ...]
    draws: np.ndarray
    reference: Mapping[str, Any]


def root() -> pathlib.Path:
    """The folder `posterior_database` of the clone that the user named.

    Raises:
        UnavailableError: none is named, or it is no such clone.
    """
    named = os.environ.get(ENVIRONMENT)
    if not named:
        raise UnavailableError(
            f"no folder of posteriordb is named: set {ENVIRONMENT}, or crossover --posteriordb DIR, to a clone of "
            "stan-dev/posteriordb"
        )
    folder = pathlib.Path(named).expanduser()
    for found in (folder / INSIDE, folder):
        if (found / "posteriors").is_dir():
            return found
    raise UnavailableError(f"{named} is no clone of posteriordb: it holds no {INSIDE}")


def read(name: str) -> Record:
    """Everything about a posterior.

    Raises:
        UnavailableError: the folder, or a file in it, is missing or cannot be read; the message says which.
    """
    folder = root()
    info = _mapping(folder / "posteriors" / f"{name}.json", f"{folder} has no posterior {name!r}")
    data_name, reference = info.get("data_name"), info.get("reference_posterior_name")
    if not isinstance(reference, str):
        raise UnavailableError(f"posteriordb has no reference draws of {name}")
    about = _mapping(folder / "data" / "info" / f"{data_name}.info.json")
    data = _mapping(folder / str(about.get("data_file", f"data/data/{data_name}.json")))
    draws = folder / "reference_posteriors" / "draws"
    parameters, values = _draws(draws / "draws" / f"{reference}.json")
    made = draws / "info" / f"{reference}.info.json"
    how = _mapping(made).get("inference") if made.is_file() else None
    return Record(
        name,
        {key: _array(value) for key, value in data.items()},
        parameters,
        values,
        {"reference": reference, "how": how},
    )


def _mapping(path: pathlib.Path, absent: str = "") -> dict[str, Any]:
    content = _content(path, absent)
    if not isinstance(content, dict):
        raise UnavailableError(
            f"{path} is damaged: it should hold one JSON object, and holds a {type(content).__name__}"
        )
    return content


def _content(path: pathlib.Path, absent: str = "") -> Any:
    """What a JSON file says, or the first file of the archive beside it that ends in .zip."""
    archive = path.with_name(path.name + ".zip")
    found = archive if archive.is_file() else path
    try:
        if found is path:
            return json.loads(path.read_bytes())
        with zipfile.ZipFile(archive) as opened:
            return json.loads(opened.read(opened.namelist()[0]))
    except FileNotFoundError as error:
        raise UnavailableError(absent or f"posteriordb: {path} is not there") from error
    except (
        OSError,
        EOFError,
        IndexError,
        ValueError,
        RuntimeError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnavailableError(f"{found} is damaged: {line}") from error


def _draws(path: pathlib.Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Names, and values (chains, n, names), of a list of chains that map each name to its draws."""
    found = path.with_name(path.name + ".zip")
    found = found if found.is_file() else path
    stamp = found.stat().st_mtime_ns if found.is_file() else 0
    return _draws_as_of(path, stamp)


@functools.lru_cache(maxsize=32)
def _draws_as_of(path: pathlib.Path, stamp: int) -> tuple[tuple[str, ...], np.ndarray]:  # noqa: ARG001
    chains = _content(path)
    try:
        names = tuple(chains[0])
        values = np.array([[chain[name] for name in names] for chain in chains], dtype=np.float64).transpose(0, 2, 1)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UnavailableError(
            f"{path} is damaged: it should hold chains of equal length, each a map from names"
        ) from error
    if not (np.isfinite(values).all() and values.shape[1] >= LEAST_DRAWS and names):
        raise UnavailableError(f"{path} is damaged: it should hold {LEAST_DRAWS} finite draws a chain or more")
    values.flags.writeable = False
    return names, values


def _array(value: Any) -> Any:
    """Lists as arrays, where they are regular; all else as it is."""
    if not isinstance(value, list):
        return value
    try:
        return np.array(value)
    except ValueError:
        return value


@dataclass(frozen=True)
class Parameter:
    """Which columns belong to a parameter, and where each stands in its array, flattened."""

    columns: list[int]
    places: list[int]
    shape: tuple[int, ...]


@functools.lru_cache(maxsize=64)
def parameters(names: tuple[str, ...]) -> dict[str, Parameter]:
    """The parameters that names such as tau, theta[8] and L[2,3] belong to; indices count from 1."""
    found: dict[str, list[tuple[int, list[int]]]] = {}
    for column, name in enumerate(names):
        parameter, _, inner = name.partition("[")
        found.setdefault(parameter, []).append((column, [int(i) - 1 for i in re.findall(r"\d+", inner)]))
    return {name: _parameter(*zip(*entries, strict=True)) for name, entries in found.items()}


def _parameter(columns: tuple[int, ...], indices: tuple[list[int], ...]) -> Parameter:
    index = np.array(indices).T
    shape = tuple(int(size) for size in index.max(axis=1) + 1) if index.size else ()
    places = np.ravel_multi_index(tuple(index), shape).tolist() if shape else [0]
    return Parameter(list(columns), places, shape)


def by_parameter(names: tuple[str, ...], values: np.ndarray) -> Values:
    """Columns (n, names) by parameter: (n,) for tau, (n, 8) for theta[1] to theta[8], (n, 2, 3) for L[1,1] ...."""
    found: Values = {}
    for name, parameter in parameters(names).items():
        array = np.full((len(values), *parameter.shape), np.nan)
        array.reshape(len(values), -1)[:, parameter.places] = values[:, parameter.columns]
        found[name] = array
    return found


def by_name(names: tuple[str, ...], values: Mapping[str, Any], n: int) -> np.ndarray:
    """The columns (n, names) again; the inverse of `by_parameter`.

    Raises:
        ValueError: a parameter is missing, or has another shape.
    """
    columns = np.empty((n, len(names)))
    for name, parameter in parameters(names).items():
        if name not in values:
            raise ValueError(f"the parameter {name} is missing; posteriordb has {', '.join(parameters(names))}")
        array, shape = np.asarray(values[name]), (n, *parameter.shape)
        if array.shape != shape:
            raise ValueError(f"the parameter {name} has the shape {array.shape}; {shape} is expected")
        columns[:, parameter.columns] = array.reshape(n, -1)[:, parameter.places]
    return columns

"""Certified references: moments and quantiles with standard errors, and draws, from long runs that agreed.

`crossover reference` makes them and verifies them. A factory ends with `return reference.attach(target)`: a target
whose certificate is there has its truth, and one whose certificate is yet to be made has none. A certificate is two
files, `NAME-DIGEST.json` for what people read and `NAME-DIGEST.npz` for arrays, where DIGEST stands for the target's
data; so one factory can have certificates for several values of its options.
"""

import contextlib
import contextvars
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from targets.kernel import Matrix
from targets.relabelling import all_from
from targets.target import Target
from targets.truth import Certificate, Modes, Moments, Place, Quantiles, Truth

FOLDER = pathlib.Path(__file__).parent / "certificates"
DECIMALS = 6  # the digest must not depend on how a platform rounds the last bits
FORMAT = 2

_ignored = contextvars.ContextVar("ignored", default=False)


def digest(data: Matrix) -> str:
    """Sixteen hexadecimal digits that change with the shape or the first six decimals of the data."""
    rounded = np.round(data, DECIMALS) + 0.0  # no negative zeros
    return hashlib.sha256(f"{data.shape}".encode() + rounded.astype("<f8").tobytes()).hexdigest()[:16]


def attach(
    target: Target,
    key: str = "",
    *,
    folder: str | os.PathLike[str] | None = None,
    modes: Modes | None = None,
) -> Target:
    """The same target with its certified truth; tagged 'no-truth' while there is no certificate for its data.

    Args:
        target: without truth. Where it has `relabellings`, the certificate is averaged over all that follow from them.
        key: what the files are called, by default the target's name. Targets that share their data and differ in
            their density need different keys.
        folder: where the files are, by default with the project's own; a plug-in gives `pathlib.Path(__file__).parent`.
        modes: see `Truth`.

    Raises:
        ValueError: the files are not a certificate about these data.
    """
    stem = (FOLDER if folder is None else pathlib.Path(folder)) / f"{key or target.name}-{digest(target.data)[:8]}"
    place = Place(stem, modes, tuple(all_from(target.relabellings)))
    placed = replace(target, place=place)
    if not exists(place) or _ignored.get():
        return replace(placed, tags=placed.tags | {"no-truth"})
    return replace(placed, truth=read(placed))


@contextlib.contextmanager
def ignored() -> Iterator[None]:
    """Within it targets are made without what certificates say: the way to make a certificate again."""
    token = _ignored.set(True)
    try:
        yield
    finally:
        _ignored.reset(token)


def exists(place: Place) -> bool:
    """Whether there is a certificate."""
    return file(place).exists()


def file(place: Place, suffix: str = ".json") -> pathlib.Path:
    """One of the two files of a certificate."""
    return place.stem.with_name(place.stem.name + suffix)


def content(place: Place) -> dict[str, Any]:
    """What the readable part of a certificate says.

    Raises:
        ValueError: the file is not a certificate of this format.
    """
    path = file(place)
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        known = said["format"] == FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name} is not a certificate; make it again: crossover reference") from error
    if not known:
        raise ValueError(f"{path.name} is of format {said['format']}, not {FORMAT}; make it again: crossover reference")
    return dict(said)


def read(target: Target) -> Truth:
    """The truth that the certificate at the target's place says.

    Raises:
        ValueError: the target has no place, or the certificate is not about its data.
    """
    place = target.place
    if place is None:
        raise ValueError(f"{target.name} has no place for a certificate; see targets.reference.attach")
    said = content(place)
    if said["data_digest"] != digest(target.data) or said["dim"] != target.dim:
        raise ValueError(f"the certificate {place.stem.name} is about other data; make it again: crossover reference")
    with np.load(file(place, ".npz")) as archive:
        arrays = dict(archive)
    log_normaliser, entropy = said["log_normaliser"], said["entropy"]
    has_named = "named_mean" in arrays
    return Truth(
        moments=_moments(arrays, "moments"),
        certificate=Certificate("long run", said["note"], said["details"]),
        reference_draws=arrays["draws"].astype(np.float64),
        log_normaliser=_number(log_normaliser["value"]),
        log_normaliser_error=_number(log_normaliser["standard_error"], 0.0),
        entropy=_number(entropy["value"]),
        entropy_error=_number(entropy["standard_error"], 0.0),
        modes=place.modes,
        named=_moments(arrays, "named") if has_named else None,
        quantiles=_quantiles(arrays, "moments"),
        named_quantiles=_quantiles(arrays, "named") if has_named else None,
    )


def write(
    place: Place,
    said: Mapping[str, Any],
    draws: Matrix,
    known: Mapping[str, tuple[Moments, Quantiles]],
) -> None:
    """Write a certificate: what people read, draws (n, dim), and moments and quantiles by kind.

    Kinds are 'moments', those of the coordinates, and 'named', those of the named quantities.
    """
    arrays: dict[str, Any] = {"draws": draws.astype(np.float32)}
    for kind, (moments, quantiles) in known.items():
        for field in fields(moments):
            if field.name != "covariance":
                arrays[f"{kind}_{field.name}"] = getattr(moments, field.name)
        arrays[f"{kind}_covariance"] = moments.covariance[np.triu_indices(len(moments.mean))]  # half of it suffices
        arrays[f"{kind}_probabilities"] = quantiles.probabilities
        arrays[f"{kind}_quantiles"], arrays[f"{kind}_quantile_errors"] = quantiles.values, quantiles.errors
    place.stem.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (".npz", ".json"):  # the readable part last: it says that the certificate is whole
        path = file(place, suffix)
        partial = path.with_name(f".{path.name}")
        if suffix == ".json":
            partial.write_text(json.dumps({"format": FORMAT, **said}, indent=1) + "\n", encoding="utf-8")
        else:
            with partial.open("wb") as handle:
                np.savez_compressed(handle, **arrays)
        partial.replace(path)


def _number(value: float | None, otherwise: float = float("nan")) -> float:
    """JSON has no NaN: None stands for it."""
    return otherwise if value is None else float(value)


def _moments(arrays: Mapping[str, np.ndarray], kind: str) -> Moments:
    parts = {field.name: arrays[f"{kind}_{field.name}"] for field in fields(Moments)}
    dim = len(parts["mean"])
    covariance = np.zeros((dim, dim))
    upper = np.triu_indices(dim)
    covariance[upper] = covariance.T[upper] = parts["covariance"]
    return Moments(**{**parts, "covariance": covariance})


def _quantiles(arrays: Mapping[str, np.ndarray], kind: str) -> Quantiles:
    return Quantiles(arrays[f"{kind}_probabilities"], arrays[f"{kind}_quantiles"], arrays[f"{kind}_quantile_errors"])

"""Certified references: moments with standard errors, and draws, kept under `certificates/` as JSON and NumPy archive.

`targets.certify` makes them. A certificate says which options and data it is about; one about other data is refused.
"""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from targets.kernel import Matrix
from targets.target import Target
from targets.truth import Certificate, Modes, Moments, Truth

FOLDER = pathlib.Path(__file__).parent / "certificates"
DECIMALS = 6  # the digest must not depend on how a platform rounds the last bits


def digest(data: Matrix) -> str:
    """Sixteen hexadecimal digits that change with the shape or the first six decimals of the data."""
    rounded = np.round(data, DECIMALS) + 0.0  # no negative zeros
    return hashlib.sha256(f"{data.shape}".encode() + rounded.astype("<f8").tobytes()).hexdigest()[:16]


def attach(target: Target, key: str, modes: Modes | None = None) -> Target:
    """The same target with the truth certified under the name `key`.

    Raises:
        ValueError: the certificate is about other data.
    """
    content = json.loads((FOLDER / f"{key}.json").read_text(encoding="utf-8"))
    if content["data_digest"] != digest(target.data):
        raise ValueError(f"the certificate {key} is about other data; make it again: python -m targets.certify {key}")
    with np.load(FOLDER / f"{key}.npz") as archive:
        draws = archive["draws"].astype(np.float64)
    log_normaliser, entropy = content["log_normaliser"], content["entropy"]
    truth = Truth(
        moments=_moments(content["moments"]),
        certificate=Certificate("long run", content["note"], content["details"]),
        reference_draws=draws,
        log_normaliser=log_normaliser["value"],
        log_normaliser_error=log_normaliser["standard_error"],
        entropy=entropy["value"],
        entropy_error=entropy["standard_error"],
        modes=modes,
        named=_moments(content["named"]) if "named" in content else None,
    )
    return replace(target, truth=truth)


def write(key: str, content: Mapping[str, Any], draws: Matrix) -> None:
    """Write a certificate and its draws (n, dim)."""
    (FOLDER / f"{key}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    np.savez_compressed(FOLDER / f"{key}.npz", draws=draws.astype(np.float32))


def moments_as_lists(moments: Moments) -> dict[str, Any]:
    """What `write` keeps of moments."""
    return {field.name: np.round(getattr(moments, field.name), 12).tolist() for field in fields(moments)}


def _moments(content: Mapping[str, Any]) -> Moments:
    return Moments(**{name: np.array(values) for name, values in content.items()})

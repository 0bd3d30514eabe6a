"""Making a certificate: two samplers, one after the other, that must suffice and agree."""

import datetime
import pathlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness import plugins, provenance
from harness.references import statement
from harness.references.agreement import Agreement, agreement, finite
from harness.references.plan import Plan
from harness.references.runs import LongRun, Uncertified, insufficient, long_run, start
from harness.references.statement import Statement
from samplers.chain import Values
from targets import reference
from targets.kernel import Matrix
from targets.options import UsageError, require
from targets.target import Target
from targets.truth import Moments, Place, Quantiles

MOST_KEPT, LEAST_KEPT, KEPT_VALUES = 4000, 500, 250_000  # draws in a certificate, and numbers: about one megabyte


@dataclass(frozen=True)
class Made:
    """A certificate that was made: where it is, and how well the samplers suffice and agree."""

    place: Place
    runs: tuple[LongRun, ...]
    agreed: Agreement
    log_normaliser: tuple[float, float]


def make(target: Target, plan: Plan, folder: pathlib.Path | None = None, tell: Callable[[str], None] = print) -> Made:
    """Make the certificate of a target and write it to its place, or to `folder`.

    What is certified is what the first sampler says; the second says it again.

    Raises:
        Uncertified: a sampler did not suffice, or the two do not agree; nothing is written.
        UsageError: the samplers do not fit, or the truth needs no certificate.
    """
    require(
        target.truth is None or not target.truth.exact,
        f"the truth of {target.label} is exact and needs no certificate; crossover reference --verify checks it",
    )
    place = place_of(target, folder)
    bare = replace(target, truth=None, place=place)
    samplers = plan.for_target(bare)
    runs, said = two_statements(bare, samplers, plan, tell, keep_first=True)
    agreed = agreement(said[0].numbers(bare), said[1].numbers(bare))
    if not agreed.ok:
        raise Uncertified(
            f"{samplers[0]} and {samplers[1]} disagree: {agreed}; one of them misses something: look at both "
            "(crossover run), or try others (-m SPEC -m SPEC)"
        )
    write(bare, place, runs, said[0], agreed, plan)
    return Made(place, runs, agreed, said[0].log_normaliser)


def two_statements(
    target: Target, samplers: tuple[str, ...], plan: Plan, tell: Callable[[str], None], keep_first: bool = False
) -> tuple[tuple[LongRun, ...], tuple[Statement, ...]]:
    """A long run of each sampler, and what it says.

    Raises:
        Uncertified: one of them does not suffice.
    """
    relabellings = () if target.place is None else target.place.relabellings
    runs: list[LongRun] = []
    said: list[Statement] = []
    for index, spec in enumerate(samplers):
        seeds = np.random.SeedSequence([plan.seed, index, zlib.crc32(target.label.encode())])
        seed, own = (int(word) for word in seeds.generate_state(2))
        source = start(target, spec, seed, plan, runs[0].found if runs else None)
        run = long_run(source, plan, relabellings, tell)
        if reason := insufficient(run, target.coordinates):
            raise Uncertified(reason)
        said.append(statement.of_run(target, run, relabellings, np.random.default_rng(own)))
        if index or not keep_first:
            run.values = run.values[:, :0]  # they may fill the memory that the next run needs
        elif run.values.size > KEPT_VALUES:
            run.values = _spaced(run.values, target.dim)
        runs.append(run)
    return tuple(runs), tuple(said)


def place_of(target: Target, folder: pathlib.Path | None) -> Place:
    """Where its certificate goes: to the folder given; where its factory says; beside its plug-in."""
    known = target.place
    if known is None:
        plugin = plugins.file_of(target.name)
        if folder is None and plugin is not None:
            folder = plugin.parent
        if folder is None:
            raise UsageError(
                f"{target.label} has no place for a certificate: let its factory return targets.reference.attach(...), "
                "or name a --folder"
            )
        known = reference.attach(replace(target, truth=None), folder=folder).place
    elif folder is not None:
        known = replace(known, stem=folder / known.stem.name)
    assert known is not None  # noqa: S101  (attach gives one)
    return known


def write(
    target: Target, place: Place, runs: tuple[LongRun, ...], said: Statement, agreed: Agreement, plan: Plan
) -> None:
    """Write what the first run says."""
    rng = np.random.default_rng(plan.seed)
    draws = kept_draws(runs[0].values, place, rng)
    probe = draws[0].astype(np.float32).astype(np.float64)
    first = runs[0].about
    log_normaliser, entropy = said.log_normaliser, said.entropy
    content: dict[str, Any] = {
        "target": target.name,
        "options": dict(target.options),
        "dim": target.dim,
        "data_digest": reference.digest(target.data),
        "note": _note(runs, place, log_normaliser),
        "details": {
            **{key: first[key] for key in ("chains", "draws", "ess_min", "ess_square_min", "r_hat_max")},
            "seed": plan.seed,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "runs": [run.about for run in runs],
            "agreement": {
                "sigmas": agreed.sigmas,
                "where": agreed.where,
                "numbers": agreed.count,
                "limit": agreed.limit,
                "false_alarm": agreed.false_alarm,
            },
            "versions": provenance.versions(),
        },
        "log_normaliser": {"value": finite(log_normaliser[0]), "standard_error": finite(log_normaliser[1])},
        "entropy": {"value": finite(entropy[0]), "standard_error": finite(entropy[1])},
        "probe": {"at": probe.tolist(), "log_density": float(target.log_densities(probe[None])[0])},
    }
    assert said.quantiles is not None  # noqa: S101  (draws have them)
    known: dict[str, tuple[Moments, Quantiles]] = {"moments": (said.moments, said.quantiles)}
    if said.named is not None and said.named_quantiles is not None:
        known["named"] = (said.named, said.named_quantiles)
    reference.write(place, content, draws, known)


def kept_draws(values: Values, place: Place, rng: np.random.Generator) -> Matrix:
    """(n, dim) in random order, evenly spaced along the chains, each under a random relabelling."""
    flat = _spaced(values, values.shape[2]).reshape(-1, values.shape[2])
    if place.relabellings:
        orders = np.array(place.relabellings)[rng.integers(len(place.relabellings), size=len(flat))]
        flat = np.take_along_axis(flat, orders, axis=1)
    return np.asarray(flat[rng.permutation(len(flat))])


def _spaced(values: Values, dim: int) -> Values:
    """As many draws as a certificate keeps, evenly spaced."""
    chains, n, _ = values.shape
    wanted = int(np.clip(KEPT_VALUES // dim, LEAST_KEPT, MOST_KEPT))
    each = min(n, -(-wanted // chains))
    return values[:, np.linspace(0, n - 1, each).astype(np.intp)].copy()


def _note(runs: tuple[LongRun, ...], place: Place, log_normaliser: tuple[float, float]) -> str:
    names = " and ".join(str(run.about["sampler"]) for run in runs)
    known = "log normaliser by bridge sampling" if np.isfinite(log_normaliser[0]) else "log normaliser unknown"
    averaged = f"; averaged over {len(place.relabellings)} relabellings" if place.relabellings else ""
    return f"{names} agree; {known}{averaged}"

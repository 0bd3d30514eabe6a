"""Which targets a command is about: those named, or all that have a truth, or all that lack one."""

import json
from collections.abc import Iterable, Iterator

from harness import plugins, registry
from harness.spec import Spec
from targets import reference
from targets.options import require
from targets.registry import TARGETS
from targets.target import Target


def to_make(patterns: Iterable[str], everything: bool) -> Iterator[Target]:
    """Targets without their truth: those chosen, or all that have a place for a certificate and none there.

    Raises:
        UsageError: a SPEC is not accepted, or nothing was chosen.
    """
    for spec in _chosen(list(patterns), everything):
        with reference.ignored():
            target = registry.target(spec)
        place = target.place
        if not everything or (place is not None and not reference.exists(place)):
            yield target


def to_verify(patterns: Iterable[str], everything: bool) -> Iterator[Target]:
    """Targets with their truth: those chosen, or all that have one, with every value of options that is certified.

    Raises:
        UsageError: a SPEC is not accepted, nothing was chosen, or a certificate cannot be read.
    """
    labels: dict[str, Target] = {}
    chosen = _chosen(list(patterns), everything)
    for spec in [*chosen, *(_certified() if everything else ())]:
        target = registry.target(spec)
        if target.label not in labels and (target.truth is not None or not everything):
            labels[target.label] = target
            yield target


def _chosen(patterns: list[str], everything: bool) -> list[Spec]:
    require(bool(patterns) != everything, "name the targets, or say --all, one of them")
    return [Spec(name) for name in TARGETS.names()] if everything else registry.select_targets(patterns)


def _certified() -> Iterator[Spec]:
    """What the certificates of the project and of the plug-ins' folders are about."""
    folders = [reference.FOLDER, *{path.parent for path in map(plugins.file_of, TARGETS.plugins) if path is not None}]
    for folder in folders:
        for path in sorted(folder.glob("*.npz")):
            said = json.loads(path.with_name(path.stem + ".json").read_text(encoding="utf-8"))
            yield Spec(said["target"], said["options"])


def stray() -> list[str]:
    """Certificates that their own target no longer reads, since its data or its place are others now."""
    lost = []
    for spec in _certified():
        target = registry.target(spec)
        if target.truth is None or target.truth.certificate.method != "long run":
            lost.append(str(spec))
    return lost

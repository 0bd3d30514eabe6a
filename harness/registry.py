"""All methods that can race: the samplers, the VI methods, those of plug-ins, and warm starts made of them."""

import fnmatch
import warnings
from collections.abc import Callable
from typing import Any

from harness import basins, warm_start
from harness.plugins import guarded
from harness.spec import Spec, is_glob, parse
from samplers.registry import METHODS as SAMPLERS
from targets.catalogue import Catalogue
from targets.options import UnavailableError, UsageError, defaults
from targets.protocols import Method
from targets.registry import TARGETS
from targets.target import Target
from variational.registry import METHODS as VARIATIONAL

PLUGIN_METHODS = Catalogue("method", {})


def catalogue() -> Catalogue:
    """Every method under its name."""
    return Catalogue("method", SAMPLERS.entries | VARIATIONAL.entries, PLUGIN_METHODS.plugins)


def names() -> list[str]:
    """Names of all methods."""
    return catalogue().names()


def target(spec: str | Spec) -> Target:
    """Make the target that a SPEC names.

    Raises:
        UsageError: the SPEC, its name or an option is not accepted.
    """
    import targets

    wanted = parse(spec) if isinstance(spec, str) else spec
    return guarded(f"target {wanted}", lambda: targets.load(wanted.name, **wanted.options))


def method(spec: str | Spec) -> Method:
    """Make the method that a SPEC names.

    Any sampler also takes the options of `harness.warm_start`, or those of `harness.basins`.

    Raises:
        UsageError: the SPEC, its name or an option is not accepted.
    """
    wanted = parse(spec) if isinstance(spec, str) else spec
    return guarded(f"method {wanted}", lambda: _method(wanted))


def _method(wanted: Spec) -> Method:
    options: dict[str, Any] = dict(wanted.options)
    if wanted.name in SAMPLERS.entries:
        return _sampler(wanted.name, options)
    if warm := {key for key in warm_start.OPTIONS if key in options and key not in _own_options(wanted.name)}:
        samplers = ", ".join(SAMPLERS.entries)
        raise UsageError(f"{wanted.name} cannot be warm-started ({min(warm)}); samplers that can: {samplers}")
    if wanted.name in VARIATIONAL.entries:
        from variational.registry import method as make_vi

        return make_vi(wanted.name, **options)
    made = catalogue().prepare(wanted.name, options)
    return _named(made.factory(**made.options), Spec(wanted.name, {key: made.options[key] for key in made.changed}))


def _sampler(name: str, options: dict[str, Any]) -> Method:
    from samplers.registry import method as make_sampler

    own = _own_options(name)
    warm = {key: options.pop(key) for key in warm_start.OPTIONS if key in options and key not in own}
    basin = {key: options.pop(key) for key in basins.OPTIONS if key in options and key not in own}
    sampler = make_sampler(name, **options)
    if warm and basin:
        raise UsageError(
            f"{name}: a sampler begins from a fit or in known basins: {min(warm)} and start exclude each other"
        )
    if basin:
        return basins.wrap(sampler, **basin)
    return warm_start.wrap(sampler, method, **warm) if warm else sampler


def _own_options(name: str) -> set[str]:
    """Names of the options that a method has of its own; none where it has no name."""
    known = catalogue()
    return set(defaults(known.factory(name))) if name in known.names() else set()


def label(made: Method) -> str:
    """The SPEC that makes this method again, with the options that differ from their defaults."""
    return str(getattr(made, "label", made.name))


def select_targets(patterns: list[str], tell: Callable[[str], None] = warnings.warn) -> list[Spec]:
    """The targets that SPECs, globs and `tag:WORD` choose.

    What a glob or a tag chooses and this machine lacks the data of is left out, and `tell` is told why.

    Raises:
        UsageError: one of them chooses nothing, or all is left out.
    """
    named = {str(parse(pattern)) for pattern in patterns if not _is_pattern(pattern)}
    chosen, left_out = [], dict[str, list[str]]()
    for spec in _select(patterns, TARGETS):
        lacking = "" if str(spec) in named else _lacking(spec)
        if lacking:
            left_out.setdefault(lacking, []).append(spec.name)
        else:
            chosen.append(spec)
    for reason, skipped in left_out.items():
        if not chosen:
            raise UnavailableError(reason)
        tell(f"skipped {', '.join(skipped)}: {reason}")
    return chosen


def _lacking(spec: Spec) -> str:
    """Why a target cannot be made on this machine; empty where it can, or where it is wrong."""
    try:
        target(spec)
    except UnavailableError as error:
        return str(error)
    except UsageError:  # it is reported where it is used
        return ""
    return ""


def select_methods(patterns: list[str]) -> list[Spec]:
    """As `select_targets`, for methods."""
    return _select(patterns, catalogue())


def _select(patterns: list[str], known: Catalogue) -> list[Spec]:
    chosen: dict[str, Spec] = {}
    for pattern in patterns:
        found = _matches(pattern, known)
        if not found:
            raise UsageError(f"no {known.kind} matches {pattern!r}; known: {', '.join(known.names())}")
        chosen |= {str(spec): spec for spec in found}
    return list(chosen.values())


def _is_pattern(pattern: str) -> bool:
    return pattern.startswith("tag:") or is_glob(pattern)


def _matches(pattern: str, known: Catalogue) -> list[Spec]:
    if pattern.startswith("tag:"):
        return [Spec(name) for name, entry in known.entries.items() if pattern[4:] in entry.tags]
    if not is_glob(pattern):
        return [parse(pattern)]
    if "[" in pattern:
        wanted = parse(pattern)
        return [Spec(name, wanted.options) for name in known.names() if fnmatch.fnmatchcase(name, wanted.name)]
    return [Spec(name) for name in known.names() if fnmatch.fnmatchcase(name, pattern)]


def _named(made: Any, spec: Spec) -> Method:
    """Check that a plug-in's factory made a method, and let it be called by the name that its author registered."""
    missing = [part for part in ("unfit", "compile", "start", "tags") if not hasattr(made, part)]
    if missing:
        raise UsageError(f"method {spec.name!r} lacks {', '.join(missing)}; see targets.protocols.Method")
    made.name, made.label = spec.name, str(spec)
    return made  # type: ignore[no-any-return]  # checked above; a protocol has no runtime type

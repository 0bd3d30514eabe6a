"""What `crossover list` and `crossover info` say."""

import sys
from dataclasses import asdict
from typing import Any

SECTIONS = ["targets", "methods", "metrics", "presets", "studies"]


def sections(wanted: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The sections asked for, each a list of records. Nothing is compiled and no target or method is imported."""
    makers = {
        "targets": _targets,
        "methods": _methods,
        "metrics": _metrics,
        "presets": _presets,
        "studies": _studies,
    }
    return {name: makers[name]() for name in wanted}


def text(found: dict[str, list[dict[str, Any]]]) -> str:
    """Sections as lines for reading."""
    lines: list[str] = []
    for name, records in found.items():
        lines += [name, ""]
        width = max(len(record["name"]) for record in records)
        for record in records:
            tags = f"  [{', '.join(record['tags'])}]" if record.get("tags") else ""
            lines.append(f"  {record['name']:<{width}}  {record['summary']}{tags}")
            if len(found) == 1:
                lines += [f"  {'':<{width}}    {about}" for about in record.get("about", ())]
        lines.append("")
    return "\n".join(lines).rstrip()


def facts() -> dict[str, Any]:
    """The machine, the versions and the cache, by name."""
    from harness import provenance
    from targets import cache

    files = [path for path in cache.folder().rglob("*") if path.is_file()] if cache.folder().exists() else []
    return {
        "machine": provenance.machine(),
        **provenance.versions(),
        "executable": sys.executable,
        "commit": provenance.columns()["commit"] or "unknown",
        "cache": str(cache.folder()),
        "cached": f"{len(files)} files, {sum(path.stat().st_size for path in files) / 2**20:.1f} MiB",
    }


def _targets() -> list[dict[str, Any]]:
    from targets.registry import TARGETS

    return _entries(TARGETS)


def _methods() -> list[dict[str, Any]]:
    from harness import registry

    return _entries(registry.catalogue())


def _entries(catalogue: Any) -> list[dict[str, Any]]:
    own = [{"name": name, "summary": e.summary, "tags": list(e.tags)} for name, e in catalogue.entries.items()]
    return own + [
        {"name": name, "summary": _first_line(make.__doc__), "tags": ["plug-in"]}
        for name, make in catalogue.plugins.items()
    ]


def _metrics() -> list[dict[str, Any]]:
    from reports.records import METRICS

    return [
        {
            "name": metric.name,
            "summary": f"{metric.label}: {metric.formula}",
            "tags": ["last checkpoint"] if metric.final else [],
            **{key: value for key, value in asdict(metric).items() if key not in ("name", "note")},
            "about": [
                f"source: {metric.source}; of: {metric.coordinates}; draws of q: {metric.draws}",
                f"reference floor: {metric.by_reference}",
                f"sampling floor: {metric.by_sampling}",
                *([metric.note] if metric.note else []),
            ],
        }
        for metric in METRICS.values()
    ]


def _presets() -> list[dict[str, Any]]:
    from harness.presets import DEFAULT, PRESETS

    default = {DEFAULT: " (default)"}
    return [_race(name, preset, default.get(name, "")) for name, preset in PRESETS.items()]


def _studies() -> list[dict[str, Any]]:
    from harness.studies import INQUIRIES, STUDIES

    races = [_race(name, study.grid()) for name, study in STUDIES.items()]
    return races + [{"name": name, "summary": inquiry.summary} for name, inquiry in INQUIRIES.items()]


def _race(name: str, preset: Any, more: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "summary": preset.summary + more,
        "targets": list(preset.targets),
        "methods": list(preset.methods),
        "seeds": preset.seeds,
        "max_gradients": preset.budget.max_gradients,
    }


def _first_line(doc: str | None) -> str:
    return (doc or "no description").strip().splitlines()[0]

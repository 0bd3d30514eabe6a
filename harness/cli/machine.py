"""Commands about what is installed: what there is by name, the compiled code, and the machine."""

import json

import click

from harness.cli.shared import load_plugins, plugin_option, say


@click.command("list")
@click.argument("what", type=click.Choice(["targets", "methods", "metrics", "presets", "studies"]), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_option
def list_(what: str | None, as_json: bool, plugin_files: tuple[str, ...]) -> None:
    """List targets, methods, metrics, presets and studies."""
    from harness import listing

    load_plugins(plugin_files)
    sections = listing.sections([what] if what else listing.SECTIONS)
    click.echo(json.dumps(sections, indent=2) if as_json else listing.text(sections))


@click.command()
@plugin_option
@click.option("--jobs", type=click.IntRange(min=1), default=None, help="Processes at a time; by default one a core.")
def warmup(plugin_files: tuple[str, ...], jobs: int | None) -> None:
    """Compile all targets and methods now, so that no race has to."""
    from harness import compiling, registry
    from harness.executor import Executor
    from targets import cache

    load_plugins(plugin_files)
    with Executor(jobs or compiling.cores()) as executor:  # its server loads while targets are looked through
        found = [spec.name for spec in registry.select_targets(["*"], say)]
        done = compiling.everything(found, registry.names(), executor)
    removed = cache.prune()
    say(f"{done} pairs of a target and a method are compiled in {cache.folder()}")
    if removed:
        say(f"{removed} old caches removed")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(as_json: bool) -> None:
    """Show the machine, the versions, and the cache of compiled code."""
    from harness import listing

    facts = listing.facts()
    click.echo(
        json.dumps(facts, indent=2) if as_json else "\n".join(f"{key:<12} {value}" for key, value in facts.items())
    )

"""What the pages say is so: their files and commands run, their links lead somewhere, and nothing is left out.

No network, small budgets. A page's console blocks hold commands after `$ ` and lines of what they print; every line
shown must be printed, numbers apart. A fenced block with a file's name after its language is that file.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import click
import pytest

from harness.basins import OPTIONS as BASINS
from harness.cli import cli
from harness.presets import PRESETS
from harness.studies import INQUIRIES, STUDIES
from harness.warm_start import OPTIONS as WARM_START
from reports.records import METRICS
from samplers.registry import METHODS as SAMPLERS
from targets.catalogue import Catalogue
from targets.options import defaults
from targets.posteriordb import ENVIRONMENT
from targets.registry import DISCRETE, TARGETS
from tests.tiers import seldom
from variational.registry import ESTIMATORS
from variational.registry import METHODS as VARIATIONAL

HOUSE = pathlib.Path(__file__).resolve().parents[2]
PAGES = [HOUSE / "README.md", *sorted((HOUSE / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
POSTERIORDB = HOUSE / "docs" / "posteriordb.md"  # its commands and snippets read a folder that the user names
NUMBER = re.compile(r"\b[0-9a-f]{16}\b|-?\d[\d,.]*(?:e[-+]?\d+)?")
SECONDS_FOR_A_COMMAND = 300
IN_TURN = """
import runpy, sys
sys.path.insert(0, "")
for script in sys.argv[1:]:
    runpy.run_path(script, run_name="__main__")
"""


class Block(NamedTuple):
    language: str
    file: str
    body: str


class Command(NamedTuple):
    line: str
    shown: list[str]
    code: int


def blocks(page: pathlib.Path) -> list[Block]:
    return [Block(*match.groups()) for match in FENCE.finditer(page.read_text(encoding="utf-8"))]


def prose(page: pathlib.Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def commands(page: pathlib.Path) -> list[Command]:
    """Commands of a page's console blocks; the exit code is zero unless `echo $?` shows another."""
    found: list[Command] = []
    for block in blocks(page):
        if block.language != "console":
            continue
        for part in re.split(r"^\$ ", block.body, flags=re.MULTILINE)[1:]:
            line, *shown = part.rstrip("\n").split("\n")
            if line == "echo $?":
                found[-1] = found[-1]._replace(code=int(shown[0]))
            else:
                found.append(Command(line, [text for text in shown if text.strip() and text.strip() != "..."], 0))
    return found


def without_numbers(text: str) -> str:
    return " ".join(NUMBER.sub("#", text).split())


def run(line: str, folder: pathlib.Path) -> tuple[int, str]:
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={**os.environ, "PATH": path, "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=SECONDS_FOR_A_COMMAND,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def skip_without_its_folder(page: pathlib.Path) -> None:
    if page == POSTERIORDB and not os.environ.get(ENVIRONMENT):
        pytest.skip(f"{ENVIRONMENT} names no folder of posteriordb")


# Pages whose snippets fit at length what tests of their subjects fit in short.
LONG = ("networks", "discrete-latents", "conjugate-em", "conjugate-regression-and-factors")


@pytest.mark.parametrize(
    "name", seldom(["add-a-target", "add-a-method", "first-run", "posteriordb"], {"first-run", "posteriordb"})
)
def test_a_tutorial_works_when_it_is_followed(name: str, tmp_path: pathlib.Path) -> None:
    page = HOUSE / "docs" / f"{name}.md"
    skip_without_its_folder(page)
    for block in blocks(page):
        if block.file:
            (tmp_path / block.file).write_text(block.body, encoding="utf-8")
    for command in commands(page):
        code, printed = run(command.line, tmp_path)
        assert code == command.code, f"{command.line}: exit code {code}\n{printed}"
        said = {without_numbers(line) for line in printed.splitlines()}
        missing = [line for line in command.shown if without_numbers(line) not in said]
        assert not missing, f"{command.line} does not print {missing}, but\n{printed}"


@pytest.mark.parametrize(
    "page",
    seldom(PAGES, {HOUSE / "docs" / f"{name}.md" for name in LONG}),
    ids=lambda page: page.stem,
)
def test_snippets_of_python_run(page: pathlib.Path, tmp_path: pathlib.Path) -> None:
    skip_without_its_folder(page)
    snippets = [block for block in blocks(page) if block.language == "python"]
    for block in snippets:
        if block.file:
            (tmp_path / block.file).write_text(block.body, encoding="utf-8")
    scripts = []
    for number, block in enumerate(block for block in snippets if not block.file):
        scripts.append(tmp_path / f"snippet_{number}.py")
        scripts[-1].write_text(block.body, encoding="utf-8")
    if scripts:  # each from an empty namespace; one process, since to start one takes longer than most snippets
        code, printed = run(shlex.join([sys.executable, "-c", IN_TURN, *(script.name for script in scripts)]), tmp_path)
        assert code == 0, printed


def test_every_page_runs_what_it_shows() -> None:
    """Guards the two tests above against pages from which nothing is extracted."""
    counts = {page.stem: len(commands(page)) for page in PAGES}
    snippets = [block for block in blocks(HOUSE / "docs" / "bring-your-own-density.md") if block.language == "python"]
    assert len(snippets) >= 7
    assert counts["add-a-target"] >= 5
    assert counts["add-a-method"] >= 2
    assert counts["first-run"] >= 3
    assert counts["posteriordb"] >= 3
    assert any(block.file for block in blocks(HOUSE / "docs" / "add-a-target.md"))
    assert any(block.file for block in blocks(HOUSE / "docs" / "add-a-method.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: pathlib.Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def anchors(page: pathlib.Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def options_of(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts if option.startswith("-")}


def shell_lines() -> Iterator[tuple[str, str]]:
    """(page, command line) of everything that starts with `crossover`, in blocks and in code spans."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for line in re.findall(r"(?:^|`|\$ |-- |^    )(crossover [^`\n]*)", text, flags=re.MULTILINE):
            yield page.name, line


def test_options_mentioned_exist() -> None:
    seen = set()
    for page, line in shell_lines():
        words = line.split("#")[0].split("  ")[0].split()
        name = words[1] if len(words) > 1 else ""
        if not re.fullmatch(r"[a-z]+", name):
            continue
        assert name in cli.commands, f"{page}: {line}"
        for word in words[2:]:
            option = word.strip("[].,").split("=")[0]
            if re.fullmatch(r"-[a-z]|--[a-z-]+", option):
                assert option in options_of(cli.commands[name]) | {"--help"}, f"{page}: {line}"
        seen.add(name)
    assert seen >= {"list", "run", "report", "figures", "check"}


def test_every_command_and_option_is_documented() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name, command in cli.commands.items():
        assert f"crossover {name}" in text, name
        for parameter in command.params:
            named = [option for option in parameter.opts if option.startswith("-")]
            assert not named or any(re.search(rf"(?<![\w-]){option}(?![\w-])", text) for option in named), (
                f"{name} {named}"
            )


def section(page: str, name: str) -> str:
    text = (HOUSE / "docs" / page).read_text(encoding="utf-8")
    parts = re.split(r"^#{2,3} `([\w-]+)`$", text, flags=re.MULTILINE)
    described = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert name in described, f"docs/{page} has no section `{name}`"
    return re.split(r"^#", described[name], flags=re.MULTILINE)[0]


def plain(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


ENTRIES = [
    ("posteriordb.md" if "posteriordb" in entry.tags else page, catalogue, name)
    for page, catalogue in (
        ("targets.md", TARGETS),
        ("methods.md", SAMPLERS),
        ("methods.md", VARIATIONAL),
        ("discrete-latents.md", DISCRETE),
        ("discrete-latents.md", ESTIMATORS),
    )
    for name, entry in catalogue.entries.items()
]


@pytest.mark.parametrize(("page", "catalogue", "name"), ENTRIES, ids=[name for *_, name in ENTRIES])
def test_registered_names_are_documented_with_options_and_defaults(page: str, catalogue: Catalogue, name: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (`[^`]*`) \|", section(page, name), flags=re.MULTILINE)
    documented = {option: default.strip("`") for option, default in rows}
    actual = {option: plain(value) for option, value in defaults(catalogue.factory(name)).items()}
    assert documented == actual


def test_nothing_is_documented_that_does_not_exist() -> None:
    methods = {*SAMPLERS.entries, *VARIATIONAL.entries}
    for page, known in (
        ("targets.md", {name for page, _, name in ENTRIES if page == "targets.md"}),
        ("posteriordb.md", {name for page, _, name in ENTRIES if page == "posteriordb.md"}),
        ("methods.md", methods),
        ("discrete-latents.md", {*DISCRETE.entries, *ESTIMATORS.entries}),
    ):
        named = set(re.findall(r"^#{2,3} `([\w-]+)`$", (HOUSE / "docs" / page).read_text("utf-8"), flags=re.MULTILINE))
        assert named == known


def test_the_page_of_metrics_says_what_the_registry_does() -> None:
    """Its rows, in order: formula, perfect value and source; then quantities, checkpoints, draws and floors."""
    page = (HOUSE / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    definitions = [
        (m.name, m.formula, "none" if m.perfect is None else f"{m.perfect:g}", m.source) for m in METRICS.values()
    ]
    floors = [
        (m.name, m.coordinates, "last" if m.final else "all", m.draws, m.by_reference, m.by_sampling)
        for m in METRICS.values()
    ]
    known = [(f"`{name}`", *(text.replace("|", "\\|") for text in rest)) for name, *rest in (*definitions, *floors)]
    assert rows == ["| " + " | ".join(row) + " |" for row in known]


def test_presets_studies_and_starts_are_documented() -> None:
    first_run = (HOUSE / "docs" / "first-run.md").read_text(encoding="utf-8")
    for name in (*PRESETS, *STUDIES, *INQUIRIES):
        assert f"`{name}`" in first_run, name
    methods = (HOUSE / "docs" / "methods.md").read_text(encoding="utf-8")
    for option in (*WARM_START, *BASINS):
        assert f"| `{option}` |" in methods, option

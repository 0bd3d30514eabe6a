"""A corpus that every installation has: the documentation strings of the scientific packages that it needs."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from targets.conjugate.bags import Bags
from targets.conjugate.texts import bags_of_texts

PACKAGES = ("matplotlib", "numpy", "pandas", "scipy")
SHORTEST = 40  # words, for a document

# What documentation strings are made of, whatever they are about.
_DROP = """
add added alias allowed api argument arguments arg args array_like attribute attributes bool boolean call callable
called calls cases changed class classes code compute computed computes contain contained containing contains
correspond corresponding corresponds created creates current currently def default defaults defined depending
deprecated describe described details different directive directly docs docstring documentation e.g. equal error
example examples exists false first float func function functions future generated guide handle ignored implement
implementation implemented import include included includes including information inp input inputs int integer
internal keyword keywords kwargs last list lists mean means method methods module name named names new none note
notes number numbers numpy object objects occur omitted option optional options order output outputs parameter
parameters params pass passed performance private provide provided provides public purpose raise raised raises
refer reference references ref result resulting results return returned returning returns scipy second section
self sequence set sets setting simple single specific specified specifies specify standard str
subclass subclasses support supported supports test true tuple type types typeerror usage valid value valueerror
values version versions versionadded versionchanged warning warnings work works array arrays shape size dtype
autosummary toctree frac math
pandas matplotlib plt ser dataframe series ndarray doi vol press journal isbn isinstance len range print
"""
DROP = frozenset(_DROP.split())

MARKUP = re.compile(r"^\s*(>>>|\.\.\.(\s|$)).*$|``[^`]*``|:[a-z:]+:`|`|https?://\S+", re.MULTILINE)


def documentation(packages: tuple[str, ...] = PACKAGES) -> Bags:
    """Documentation strings of public functions, classes and modules, a document each, in the order of their names.

    Sources are parsed and not imported. Examples' code, rare and common words, and texts of fewer than 40 words that
    are left are left out, and so is what repeats another text.
    """
    found = dict(pair for package in packages for pair in _texts(package))
    once: dict[str, str] = {}
    for title in sorted(found):
        once.setdefault(found[title], title)
    return bags_of_texts(list(once), list(once.values()), fewest=10, share=0.2, drop=DROP, shortest=SHORTEST)


def _texts(package: str) -> Iterator[tuple[str, str]]:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return
    top, above = Path(spec.origin).parent, package.split(".")[:-1]
    for path in sorted(top.rglob("*.py")):
        parts = path.relative_to(top.parent).with_suffix("").parts
        if any(part in ("tests", "testing", "conftest", "_vendor", "externals") for part in parts):
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        yield from _documented(tree, ".".join(part for part in (*above, *parts) if part != "__init__"))


def _documented(node: ast.Module | ast.ClassDef, name: str) -> Iterator[tuple[str, str]]:
    if text := ast.get_docstring(node):
        yield name, MARKUP.sub(" ", text)
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield from _documented(child, f"{name}.{child.name}")
        elif (
            isinstance(child, ast.FunctionDef)
            and not child.name.startswith("__")
            and (text := ast.get_docstring(child))
        ):
            yield f"{name}.{child.name}", MARKUP.sub(" ", text)

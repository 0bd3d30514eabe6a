"""Files to begin with: a target or a method that is right as it stands, with comments where its author goes on."""

import keyword
import pathlib
import re

from targets.options import UsageError, require

SCAFFOLDS = pathlib.Path(__file__).parent / "scaffolds"
METHOD_KINDS = ("mcmc", "vi")
PLACE = re.compile(r"\bNAME\b")
ACCEPTED = re.compile(r"[a-z][a-z0-9_]*")
RESERVED = {"truth", "walk", "climb", "log_posterior", "log_posterior_alone", "targets", "np", "math"}


def write(what: str, name: str, kind: str | None = None, folder: pathlib.Path | None = None) -> pathlib.Path:
    """Write NAME.py into `folder`, by default the current one; `what` is 'target' or 'method', `kind` that of a method.

    Raises:
        UsageError: the name is not one, or is taken; there is such a file; a target is given a kind.
    """
    from harness import registry
    from targets.registry import TARGETS

    require(what == "method" or kind is None, f"--kind {kind} goes with a method; a target has no kind")
    fits = ACCEPTED.fullmatch(name) is not None and not keyword.iskeyword(name) and name not in RESERVED
    require(fits, f"the name {name!r} is not accepted; it takes small letters, digits and _, and begins with a letter")
    taken = TARGETS.names() if what == "target" else registry.names()
    require(name not in taken, f"the name {name!r} is taken by a {what} of the project; choose another")
    path = (folder or pathlib.Path()) / f"{name}.py"
    source = SCAFFOLDS / f"{'target' if what == 'target' else kind or METHOD_KINDS[0]}.py.txt"
    text = PLACE.sub(name, source.read_text(encoding="utf-8"))
    try:
        with path.open("x", encoding="utf-8") as file:  # never over a file that is there
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already; choose another name, or remove it") from error
    return path

"""The chapter's figures 1 to 7: drawn from plain numbers to SVG and PNG, with the numbers beside them as JSON.

The same numbers give the same bytes: no dates, no random identifiers, no state that other drawings could have left.
"""

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reports import charts, charts_networks, charts_topics, gradients
from reports.records import RecordsError, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = Mapping[str, Any]

_DRAW: dict[int | str, Callable[["Figure", Numbers], None]] = {
    1: charts.elbo_identity,
    2: charts.mean_field,
    3: charts.reverse_and_forward,
    4: charts.trade_off,
    5: charts.sweeps,
    6: charts.asymmetry,
    7: charts_topics.topics,
    "gradients": gradients.variances,
    "amortisation": charts_networks.amortisation,
    "vae": charts_networks.autoencoder,
}

NUMBERS = tuple(figure for figure in _DRAW if isinstance(figure, int))

SIZES: dict[int | str, tuple[float, float]] = dict(
    (*charts.SIZES.items(), *charts_networks.SIZES.items(), *charts_topics.SIZES.items())
)
WIDE = (10.4, 5.0)

_SVG: tuple[str, dict[str, Any]] = ("svg", {"Date": None, "Creator": None})
_PNG: tuple[str, dict[str, Any]] = ("png", {"Software": None})

STYLE: Any = {
    "svg.hashsalt": "crossover",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": False,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


def draw(number: int | str, numbers: Numbers, folder: str | os.PathLike[str]) -> list[Path]:
    """Write figure-N.svg, figure-N.png and figure-N.json below `folder`, which is made where it is missing.

    Args:
        number: 1 to 7, or a name.
        numbers: what `harness.figures` computes for that figure; it may hold a `note`, which is drawn below.
        folder: where to.

    Raises:
        RecordsError: there is no such figure, a key is missing, or the disk refuses.
    """
    if number not in _DRAW:
        raise RecordsError(f"there is no figure {number}; accepted: {', '.join(map(str, _DRAW))}")
    try:
        pictures = _render(number, numbers)
    except KeyError as error:
        raise RecordsError(f"the numbers of figure {number} lack {error.args[0]!r}") from error
    content = json.dumps(_plain(numbers), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    out = Path(folder)
    paths = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for suffix, what in (*pictures.items(), ("json", content.encode())):
            paths.append(out / f"figure-{number}.{suffix}")
            write_atomically(paths[-1], what)
    except OSError as error:
        raise RecordsError(f"{out} cannot be written: {error.strerror or error}") from error
    return paths


def picture(draw: "Callable[[Figure], None]", size: tuple[float, float]) -> bytes:
    """SVG of what `draw` draws on a figure of that size in inches, in the style of all figures."""
    return _saved(draw, size, (_SVG,))["svg"]


def pictures(draw: "Callable[[Figure], None]", size: tuple[float, float]) -> dict[str, bytes]:
    """As `picture`, as SVG and as PNG, by suffix."""
    return _saved(draw, size, (_SVG, _PNG))


def _render(number: int | str, numbers: Numbers) -> dict[str, bytes]:
    def draw(figure: "Figure") -> None:
        _DRAW[number](figure, numbers)
        if numbers.get("note"):
            figure.supxlabel(
                charts.wrapped(str(numbers["note"]), figure), fontsize=8, color=charts.QUIET, x=0.01, ha="left"
            )

    return pictures(draw, SIZES.get(number, WIDE))


def _saved(
    draw: "Callable[[Figure], None]", size: tuple[float, float], forms: tuple[tuple[str, dict[str, Any]], ...]
) -> dict[str, bytes]:
    import io

    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(mpl.rcParamsDefault), mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        pictures = {}
        for suffix, metadata in forms:
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, metadata=metadata, dpi=160, facecolor="white")
            pictures[suffix] = buffer.getvalue()
    return pictures


def _plain(value: Any) -> Any:
    """JSON's own types: arrays as lists, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

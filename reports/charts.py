"""How each of the chapter's figures is drawn on a matplotlib figure."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Numbers = Mapping[str, Any]

INK, QUIET, FAINT = "#1c2330", "#5b6675", "#d9dde3"
REVERSE, FORWARD, TARGET = "#6a3d9a", "#d98200", "#1c2330"  # the chapter's purple and amber; apart in lightness too
VI = ("#0072b2", "#009e73", "#56b4e9", "#332288")
MCMC = ("#d55e00", "#cc79a7", "#e69f00", "#882255")

FEW_DECADES = 1e3
SAME_KL = 1e-6  # optima whose divergences differ by less are equally good, such as mirror images

SIZES = {1: (7.2, 3.6), 2: (9.6, 3.5), 3: (7.2, 3.6), 4: (7.2, 4.4), 5: (9.6, 4.0), 6: (9.6, 5.6)}


def wrapped(text: str, figure: "Figure") -> str:
    """`text` in lines as wide as the figure."""
    return textwrap.fill(text, int(figure.get_figwidth() * 17))


def elbo_identity(figure: "Figure", numbers: Numbers) -> None:
    """Figure 1: log evidence = ELBO + KL, a stacked bar a sweep, both measured down from the evidence."""
    axes = figure.subplots()
    sweeps = np.asarray(numbers["sweeps"])
    elbo, kl, evidence = np.asarray(numbers["elbo"]), np.asarray(numbers["kl"]), float(numbers["log_evidence"])
    bottom = min(elbo.min(), evidence) - 0.25 * max(float(np.ptp(elbo)), 1e-9)
    axes.bar(sweeps, elbo - bottom, bottom=bottom, color=VI[0], width=0.7, label="ELBO")
    axes.bar(sweeps, kl, bottom=elbo, color=FORWARD, width=0.7, hatch="//", edgecolor="white", label="KL(q || p)")
    axes.axhline(evidence, color=INK, linestyle="--", linewidth=1.2, label=f"log evidence = {evidence:.4f}")
    top = evidence + 0.12 * (evidence - bottom)
    axes.set(ylim=(bottom, top), xticks=sweeps, xlabel="sweep", ylabel="nats", title="The evidence is fixed: ELBO + KL")
    figure.legend(loc="outside upper right", ncols=3)


def mean_field(figure: "Figure", numbers: Numbers) -> None:
    """Figure 2: the posterior, the product of its marginals, and the reverse-KL optimum, as one and two sd ellipses."""
    mean, covariance = np.asarray(numbers["mean"]), np.asarray(numbers["covariance"])
    panels = (
        (f"posterior, correlation {numbers['correlation']:g}", covariance, TARGET),
        ("forward KL: product of marginals", np.diag(numbers["forward_variance"]), FORWARD),
        ("reverse KL: mean-field optimum", np.diag(numbers["reverse_variance"]), REVERSE),
    )
    reach = 2.6 * math.sqrt(float(np.max(np.diag(covariance))))
    for axes, (title, shape, colour) in zip(figure.subplots(1, 3, sharex=True, sharey=True), panels, strict=True):
        for sd in (1, 2):
            _ellipse(axes, mean, covariance, sd, color=FAINT, linewidth=1.4)
            _ellipse(axes, mean, shape, sd, color=colour)
        axes.plot(*mean, "+", color=colour, markersize=8)
        axes.set(title=title, aspect="equal", xlabel="$z_1$")
        axes.set(xlim=(mean[0] - reach, mean[0] + reach), ylim=(mean[1] - reach, mean[1] + reach))
        axes.text(0.03, 0.97, f"variance {shape[0, 0]:.3g}", transform=axes.transAxes, va="top", color=colour)
    figure.axes[0].set_ylabel("$z_2$")


def reverse_and_forward(figure: "Figure", numbers: Numbers) -> None:
    """Figure 3: a bimodal target with the optimum of either divergence."""
    axes = figure.subplots()
    grid = np.asarray(numbers["grid"])
    axes.fill_between(grid, np.asarray(numbers["target"]), color=FAINT, label="target")
    axes.plot(grid, numbers["target"], color=TARGET, linewidth=1.2)
    for key, name, colour, dash in (
        ("reverse", "reverse KL(q || p)", REVERSE, "-"),
        ("forward", "forward KL(p || q)", FORWARD, "--"),
    ):
        fit = numbers[key]
        label = f"{name}: mean {fit['mean']:.3g}, variance {fit['variance']:.3g}"
        axes.plot(grid, fit["density"], dash, color=colour, linewidth=2.2, label=label)
    mixture = numbers["mixture"]
    axes.plot([], [], " ", label=f"the target's own: mean {mixture['mean']:.3g}, variance {mixture['variance']:.3g}")
    axes.set(xlabel="$z$", ylabel="density", ylim=(0, None), title="One mode, or both and the valley between")
    figure.legend(loc="outside upper center", ncols=2)


def trade_off(figure: "Figure", numbers: Numbers) -> None:
    """Figure 4: error against seconds, with VI's floors, the sampler's slope and the crossover."""
    axes = figure.subplots()
    floors = {name: value for name, value in numbers["floors"].items() if value is not None}
    vi, mcmc = iter(VI * 4), iter(MCMC * 4)
    end = max((max(curve["seconds"]) for curve in numbers["curves"].values() if curve["seconds"]), default=1.0)
    for name, curve in numbers["curves"].items():
        colour = next(vi) if name in floors else next(mcmc)
        seconds, error = _known(curve["seconds"], curve["error"])
        marker, dash = ("o", "-") if name in floors else ("s", "--" if "warm_start" in name else "-")
        axes.plot(seconds, error, dash, marker=marker, markersize=3.5, color=colour, label=name)
        within, low, high = _known(curve["seconds"], curve["low"], curve["high"])
        axes.fill_between(within, low, high, color=colour, alpha=0.15, linewidth=0)
        if name in floors:
            axes.plot([seconds[-1], end], [floors[name]] * 2, linestyle=(0, (6, 2, 1, 2)), color=colour, linewidth=1.2)
    crossover = numbers["crossover"]
    if crossover is not None:
        _mark_crossover(axes, crossover, end)
    slope = numbers["slope"]
    said = [] if slope is None else [f"slope of sampling {_slope_text(slope)}"]
    said.append("no crossover within the budget" if crossover is None else _crossover_text(crossover))
    axes.set(xscale="log", yscale="log", xlabel="seconds", ylabel=numbers.get("metric", "error"))
    axes.set_title(f"Speed against accuracy: {numbers['target']}")
    axes.grid(color=FAINT, linewidth=0.6)
    for axis in (axes.xaxis, axes.yaxis):
        _plain_ticks(axis)
    figure.legend(loc="outside upper center", ncols=2, title="; ".join(said))


def sweeps(figure: "Figure", numbers: Numbers) -> None:
    """Figure 5: the ellipses of coordinate ascent, sweep by sweep, and its ELBO."""
    import matplotlib as mpl

    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    covariance = np.asarray(numbers["covariance"])
    centre = np.asarray(numbers.get("mean", np.zeros(2)))
    steps = numbers["sweeps"]
    for sd in (1, 2):
        _ellipse(left, centre, covariance, sd, color=FAINT, linewidth=1.6)
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, len(steps)))
    means = np.array([step["mean"] for step in steps])
    left.plot(*means.T, color=QUIET, linewidth=0.8, zorder=1)
    for step, colour in zip(steps, colours, strict=True):
        _ellipse(left, np.asarray(step["mean"]), np.diag(step["variance"]), 1, color=colour, linewidth=1.3)
        left.plot(*step["mean"], "o", color=colour, markersize=4)
    left.set(aspect="equal", xlabel="$z_1$", ylabel="$z_2$", title="q after each sweep, dark to light")
    first = int(numbers.get("first_sweep", 0 if len(steps) > 8 else 1))
    order = np.arange(first, first + len(steps))
    elbo = [step["elbo"] for step in steps]
    right.plot(order, elbo, color=QUIET, linewidth=1)
    right.scatter(order, elbo, c=colours, zorder=3, s=28)
    right.set(xlabel="sweep", ylabel="ELBO, nats", title="The ELBO never falls", xticks=order)


def asymmetry(figure: "Figure", numbers: Numbers) -> None:
    """Figure 6: three separations with all optima, and where the optima lie as the separation grows."""
    examples = numbers["examples"][:3]
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.5), squeeze=False)[:, 0]
    for axes, example in zip(upper.subplots(1, len(examples), squeeze=False)[0], examples, strict=True):
        grid = np.asarray(example["grid"])
        axes.fill_between(grid, np.asarray(example["target"]), color=FAINT)
        for density in example["reverse"]:
            axes.plot(grid, density, color=REVERSE)
        axes.plot(grid, example["forward"], "--", color=FORWARD)
        axes.set(title=f"separation {example['separation']:g}", yticks=[], ylim=(0, None))
    axes = lower.subplots()
    for name, face, best in (("the best optimum", REVERSE, True), ("the others", "white", False)):
        chosen = [
            (at["separation"], optimum["mean"], optimum["variance"])
            for at in numbers["reverse"]
            for optimum in at["optima"]
            if (optimum["kl"] <= min(other["kl"] for other in at["optima"]) + SAME_KL) is best
        ]
        if chosen:
            at, mean, variance = np.array(chosen, dtype=np.float64).T
            style = {"fmt": "o", "color": REVERSE, "markerfacecolor": face, "markersize": 5, "elinewidth": 0.8}
            axes.errorbar(at, mean, yerr=np.sqrt(variance), capsize=2, label=f"reverse KL, {name}: mean ± sd", **style)
    forward = numbers["forward"]
    at = np.array([f["separation"] for f in forward])
    centre, sd = np.array([f["mean"] for f in forward]), np.sqrt([f["variance"] for f in forward])
    axes.fill_between(at, centre - sd, centre + sd, color=FORWARD, alpha=0.18, linewidth=0)
    axes.plot(at, centre, "--", color=FORWARD, label="forward KL: mean ± sd")
    axes.set(xlabel="separation of the modes", ylabel="$z$", title="Every local optimum")
    lower.legend(loc="outside lower center", ncols=2)


def _ellipse(axes: "Axes", mean: NDArray[np.float64], covariance: ArrayLike, sd: float, **style: Any) -> None:
    angle = np.linspace(0, 2 * np.pi, 181)
    root = np.linalg.cholesky(np.asarray(covariance))
    axes.plot(*(mean[:, None] + sd * root @ np.array([np.cos(angle), np.sin(angle)])), **style)


def _known(*columns: Sequence[float | None]) -> list[NDArray[np.float64]]:
    """The columns as arrays, without the places where any is missing or not finite."""
    table = np.array([[math.nan if v is None else v for v in column] for column in columns], dtype=np.float64)
    return list(table[:, np.isfinite(table).all(axis=0)])


def _mark_crossover(axes: "Axes", crossover: Numbers, end: float) -> None:
    at = crossover["seconds"]
    low, high = crossover.get("low"), crossover.get("high")
    axes.axvspan(at if low is None else low, end if high is None else high, color=QUIET, alpha=0.12, linewidth=0)
    axes.axvline(at, color=INK, linewidth=1.1, linestyle=":")


def _plain_ticks(axis: "Axis") -> None:
    """1, 2 and 5 on a logarithmic axis that spans few decades, powers of ten on others."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_minor_formatter(NullFormatter())
    if high / low < FEW_DECADES:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter("{x:g}")


def _crossover_text(crossover: Numbers) -> str:
    low, high = (crossover.get(end) for end in ("low", "high"))
    shown = ["?" if low is None else f"{low:.2g}", "beyond the budget" if high is None else f"{high:.2g}"]
    return f"crossover at {crossover['seconds']:.2g} s [{', '.join(shown)}]"


def _slope_text(slope: Any) -> str:
    if isinstance(slope, Mapping):
        return f"{slope['value']:.2f} [{slope['low']:.2f}, {slope['high']:.2f}]"
    return f"{slope:.2f}"

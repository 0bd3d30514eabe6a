"""The pictures of the study of discrete latents."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reports.charts import FAINT, INK, MCMC, QUIET, VI

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = Mapping[str, Any]

RELAXED = {"gumbel_softmax": VI[0], "straight_through_gumbel": MCMC[1], "rebar": VI[1]}
FITS = {
    "reinforce": (QUIET, ":"),
    "rloo": (VI[1], "-"),
    "local_expectation": (VI[3], "-"),
    "rebar": (VI[2], "-"),
    "gumbel_softmax": (VI[0], "--"),
    "gumbel_softmax[temperature=1,halving=2000]": (VI[0], "-"),
    "straight_through": (MCMC[1], "--"),
}
GIBBS = MCMC[0]
SMALLEST = 1e-6  # nats, what the logarithmic axis shows of a smaller gap
FLOOR = 0.7  # of the smallest, where what is not told from zero is drawn


def gradients(figure: "Figure", models: Sequence[Numbers]) -> None:
    """Bias against variance near the optimum, and both against the temperature; a column a model."""
    grid = figure.subplots(2, max(len(models), 1), squeeze=False)
    for column, model in enumerate(models):
        _scatter(grid[0, column], model)
        _temperatures(grid[1, column], model)
    grid[1, 0].legend(loc="upper left", fontsize=8)


def _scatter(axes: "Axes", model: Numbers) -> None:
    rows = [row for row in model["gradients"] if row["at"] != "random"]
    floor = FLOOR * min([row["bias"] for row in rows if row["significant"]], default=1.0)
    for row in rows:
        x, seen = row["work_normalised"], row["significant"]
        y = row["bias"] if seen else floor
        colour = MCMC[0] if row["claim"] == "biased" else VI[0]
        axes.plot(x, y, "o" if seen else "v", color=colour, markersize=6)
        axes.annotate(
            row["estimator"].replace("temperature=", "").replace("samples=", ""),
            (x, y),
            xytext=(3, 5),
            textcoords="offset points",
            fontsize=7,
            rotation=0 if seen else 55,
            color=colour,
        )
        if seen:
            axes.plot([x, x], [row["low"], row["high"]], color=colour, linewidth=1)
    top = max(row["high"] for row in rows if row["significant"] or row is rows[0])
    axes.set(xscale="log", yscale="log", ylim=(0.75 * floor, max(8 * top, 12 * floor)))
    axes.set(xlabel="variance × evaluations", ylabel="bias (triangles: none found)", title=model["name"])


def _temperatures(axes: "Axes", model: Numbers) -> None:
    for name, colour in RELAXED.items():
        rows = [row for row in model["temperatures"] if row["estimator"] == name]
        at = [row["temperature"] for row in rows]
        axes.plot(at, np.sqrt([row["variance"] for row in rows]), "--", color=colour, label=f"{name}: sd")
        if name != "rebar":
            axes.plot(at, [row["bias"] or np.nan for row in rows], color=colour, marker="o", markersize=3, label="its bias")
            low, high = ([max(row[end], 1e-3) for row in rows] for end in ("low", "high"))
            axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.axhline(model["gradients"][-1]["gradient"], color=INK, linewidth=1, linestyle=":", label="length of the gradient")
    axes.set(xscale="log", yscale="log", xlabel="temperature", ylabel="length", ylim=(0.01, None))
    axes.set_title("near the optimum")


def fits(figure: "Figure", models: Sequence[Numbers]) -> None:
    """Gap and error of the marginals against evaluations; a column a model, medians over seeds."""
    grid = figure.subplots(2, len(models), squeeze=False)
    for column, model in enumerate(models):
        gap, error = grid[:, column]
        for fit in model["fits"]:
            if fit["estimator"] in FITS:
                colour, dash = FITS[fit["estimator"]]
                style = {"color": colour, "linestyle": dash, "linewidth": 1.4, "label": fit["estimator"]}
                cost = _median(fit["runs"], "cost")
                gap.plot(cost, np.maximum(_median(fit["runs"], "gap"), SMALLEST), **style)
                error.plot(cost, _median(fit["runs"], "marginal_error"), **style)
        error.plot(
            _median(model["gibbs"], "cost"), _median(model["gibbs"], "marginal_error"), color=GIBBS, linewidth=2.2, label="Gibbs"
        )
        error.axhline(model["optima"][0]["marginal_error"], color=INK, linewidth=1, linestyle="--", label="mean field's floor")
        for axes in (gap, error):
            axes.axvline(model["states"], color=FAINT, linewidth=4, zorder=0, label="enumeration")
            axes.set(xscale="log", yscale="log", xlabel="evaluations")
        gap.set_title(model["name"].replace("[", "\n["))
    grid[0, 0].set_ylabel("gap to the best ELBO, nats")
    grid[1, 0].set_ylabel("error of marginals")
    handles, labels = grid[1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8.5)


def _median(runs: Sequence[Numbers], what: str) -> Any:
    """Over seeds, checkpoint by checkpoint; runs that failed are shorter, and the shortest says how far."""
    length = min(len(run[what]) for run in runs)
    return np.median([run[what][:length] for run in runs], axis=0)

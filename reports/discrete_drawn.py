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


def gradients(figure: "Figure", models: Sequence[Numbers]) -> None:
    """Bias and noise of every estimator near the optimum, and both against the temperature; a column a model."""
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.15, 1), squeeze=False)[:, 0]
    for axes, model in zip(upper.subplots(1, len(models), sharey=True, squeeze=False)[0], models, strict=True):
        _estimators(axes, model)
    upper.axes[0].invert_yaxis()
    upper.legend(*upper.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8.5)
    for axes, model in zip(lower.subplots(1, len(models), sharey=True, squeeze=False)[0], models, strict=True):
        _temperatures(axes, model)
    lower.axes[0].set_ylabel("length")
    lower.legend(*lower.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8.5)


def _estimators(axes: "Axes", model: Numbers) -> None:
    rows = [row for row in model["gradients"] if row["at"] != "random"]
    found = [(n, row) for n, row in enumerate(rows) if row["significant"]]
    others = [(n, row) for n, row in enumerate(rows) if not row["significant"]]
    noise = np.sqrt([row["work_normalised"] for row in rows])
    axes.plot(
        noise,
        range(len(rows)),
        "|",
        color=VI[0],
        markersize=11,
        markeredgewidth=2.4,
        label="√(variance by evaluations)",
    )
    bias = [row["bias"] for _, row in found]
    axes.errorbar(
        bias,
        [n for n, _ in found],
        xerr=[
            [row["bias"] - row["low"] for _, row in found],
            [row["high"] - row["bias"] for _, row in found],
        ],
        fmt="o",
        color=MCMC[0],
        markersize=5,
        label="bias",
    )
    least = [row["high"] for _, row in others]
    axes.plot(least, [n for n, _ in others], "<", color=QUIET, markersize=5, label="no bias found: at most this (95 %)")
    axes.axvline(rows[0]["gradient"], color=INK, linewidth=1, linestyle=":", label="length of the gradient")
    axes.set(xscale="log", xlabel="length", title=f"{model['name']}, near the optimum")
    axes.set_yticks(range(len(rows)), [row["estimator"] for row in rows], fontsize=8.5)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)


def _temperatures(axes: "Axes", model: Numbers) -> None:
    for name, colour in RELAXED.items():
        rows = [row for row in model["temperatures"] if row["estimator"] == name]
        at = [row["temperature"] for row in rows]
        axes.plot(at, np.sqrt([row["variance"] for row in rows]), "--", color=colour, label=f"{name}: sd")
        if name != "rebar":
            axes.plot(
                at,
                [row["bias"] or np.nan for row in rows],
                color=colour,
                marker="o",
                markersize=3,
                label=f"{name}: bias",
            )
            low, high = ([max(row[end], 1e-3) for row in rows] for end in ("low", "high"))
            axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
    length = model["gradients"][-1]["gradient"]
    axes.axhline(length, color=INK, linewidth=1, linestyle=":", label="length of the gradient")
    axes.set(xscale="log", yscale="log", xlabel="temperature", ylim=(0.01, None))
    axes.set_title(model["name"])


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
            _median(model["gibbs"], "cost"),
            _median(model["gibbs"], "marginal_error"),
            color=GIBBS,
            linewidth=2.2,
            label="Gibbs",
        )
        error.axhline(
            model["optima"][0]["marginal_error"], color=INK, linewidth=1, linestyle="--", label="mean field's floor"
        )
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

"""The gradient study as a figure: the variance of each estimator by dimension, and what the score function costs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reports import charts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = Mapping[str, Any]

NO_NOISE = 1e-9  # what is below is rounding
STYLES = {
    "score": ("score function", charts.MCMC[0], "o-"),
    "rao_blackwell": ("score, Rao-Blackwellised", charts.MCMC[3], "v-"),
    "score_cv": ("score, leave-one-out baseline", charts.MCMC[1], "s-"),
    "relax": ("score, learned surrogate (RELAX)", charts.MCMC[2], "D-"),
    "reparameterised": ("reparameterised", charts.VI[0], "o--"),
    "sticking_the_landing": ("reparameterised, path alone", charts.VI[1], "s--"),
    "reparameterised, antithetic": ("reparameterised, antithetic pairs", charts.VI[2], "v--"),
}
FAMILIES = {
    "correlated_gaussian": ("correlated Gaussian", charts.VI[0], "o"),
    "logistic_regression": ("logistic regression", charts.MCMC[0], "s"),
    "banana": ("banana", charts.VI[1], "D"),
    "bimodal_mixture": ("two modes", charts.MCMC[1], "v"),
}


def variances(figure: "Figure", numbers: Numbers) -> None:
    """Left: trace of the covariance on Gaussians at the optimum. Right: score over reparameterised, by target."""
    left, right = figure.subplots(1, 2)
    _by_estimator(left, numbers["rows"])
    _by_target(right, numbers["rows"], numbers["claim"])


def _by_estimator(axes: "Axes", rows: list[Numbers]) -> None:
    for estimator, (label, colour, style) in STYLES.items():
        seen = _points(rows, estimator, "correlated_gaussian", "optimum", "trace")
        axes.plot(*seen, style, color=colour, markersize=4, label=label)
    axes.set(xscale="log", yscale="log", xlabel="dimension", ylabel="trace of the covariance, one draw")
    axes.set_title("Correlated Gaussian, at the optimum")
    axes.legend(fontsize=7.5)
    axes.grid(color=charts.FAINT, linewidth=0.6)


def _by_target(axes: "Axes", rows: list[Numbers], claim: Numbers) -> None:
    axes.axhspan(claim["low"], claim["high"], color=charts.FAINT, label="the chapter's 100 to 1000")
    for family, (label, colour, marker) in FAMILIES.items():
        for place, dash in (("optimum", "-"), ("displaced", ":")):
            seen = _points(rows, "score", family, place, "ratio")
            named = label if place == "optimum" else f"{label}, off the optimum"
            axes.plot(*seen, dash, marker=marker, color=colour, markersize=4, label=named)
    axes.set(xscale="log", yscale="log", xlabel="dimension", ylabel="variance over that of reparameterised gradients")
    axes.set_title("Score function")
    axes.set_ylim(0.3, 3e7)
    axes.legend(fontsize=7.5, loc="upper left", ncols=2)
    axes.grid(color=charts.FAINT, linewidth=0.6)


def _points(
    rows: list[Numbers], estimator: str, family: str, place: str, value: str
) -> tuple[list[float], list[float]]:
    wanted = (estimator, family, place)
    found = [row for row in rows if (row["estimator"], row["family"], row["place"]) == wanted and row[value] > NO_NOISE]
    found.sort(key=lambda row: row["dim"])
    return [row["dim"] for row in found], [row[value] for row in found]

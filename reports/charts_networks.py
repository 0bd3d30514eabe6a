"""How the figures of networks are drawn: the autoencoder of digits, and what amortisation loses."""

from typing import TYPE_CHECKING

import numpy as np

from reports.charts import INK, MCMC, QUIET, VI, Numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES: dict[int | str, tuple[float, float]] = {"amortisation": (9.6, 4.2), "vae": (9.6, 7.0)}

_DIGITS = (*VI, *MCMC, "#999933", INK)  # a colour for each of the ten


def autoencoder(figure: "Figure", numbers: Numbers) -> None:
    """The means of held-out images in two dimensions; beside it images, their reconstructions, and made-up ones."""
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.0, 1.05))[0]
    axes = left.subplots()
    means, digits = np.asarray(numbers["map"]["means"]), np.asarray(numbers["map"]["digits"])
    for digit in range(10):
        shown = means[digits == digit]
        style = {"color": _DIGITS[digit], "fontsize": 8, "ha": "center", "va": "center"}
        axes.plot(*shown.T, linestyle="none")  # text alone leaves the limits where they are
        for x, y in shown:
            axes.text(x, y, str(digit), **style)
    axes.set(title="held-out digits, two latent coordinates", xlabel="mean of z[0]", ylabel="mean of z[1]")
    rows = [
        ("image", numbers["images"]),
        ("reconstruction", numbers["reconstructions"]),
        ("made up", numbers["samples"]),
    ]
    upper, lower = right.subfigures(2, 1, squeeze=False, height_ratios=(1.0, 1.1))[:, 0]
    side = round(len(rows[0][1][0]) ** 0.5)
    gap = np.zeros((side, 1))
    panels = np.atleast_1d(upper.subplots(len(rows), 1))
    for panel, (name, images) in zip(panels, rows, strict=True):
        strip = np.hstack([part for image in images for part in (np.reshape(image, (side, side)), gap)])
        panel.imshow(strip, cmap="Greys", vmin=0.0, vmax=1.0, interpolation="nearest", aspect="equal")
        panel.set_axis_off()
        panel.set_title(name, fontsize=8.5, fontweight="normal")
    bounds = lower.subplots()
    for colour, fit in zip((VI[0], VI[1]), numbers["fits"], strict=True):
        label = f"{fit['n_latent']} latent coordinates"
        error = 1.96 * np.asarray(fit["bound_error"])
        bounds.errorbar(fit["draws"], fit["bound"], error, color=colour, marker="o", markersize=4, label=label)
    bounds.axhline(numbers["independent"], color=QUIET, linestyle=":", label="independent cells")
    bounds.set_xscale("log")
    bounds.set(
        title="held-out bound", xlabel="draws in the importance-weighted bound (1: ELBO)", ylabel="nats an image"
    )
    bounds.legend(fontsize=8)


def amortisation(figure: "Figure", numbers: Numbers) -> None:
    """The mean amortisation gap against training, a panel a model, with the approximation gap as a line."""
    curves = numbers["curves"]
    models = list(dict.fromkeys(curve["model"] for curve in curves))
    for axes, model in zip(np.atleast_1d(figure.subplots(1, len(models), sharey=True)), models, strict=True):
        for colour, curve in zip(VI, (c for c in curves if c["model"] == model), strict=False):
            gap, error = np.asarray(curve["amortisation"]), 1.96 * np.asarray(curve["amortisation_error"])
            name = f"{curve['covariance']} covariance"
            axes.errorbar(
                curve["data_sets"], gap, error, color=colour, marker="o", markersize=4, label=f"amortisation, {name}"
            )
            if curve["approximation"] > 1e-3:
                axes.axhline(curve["approximation"], color=colour, linestyle=":", label=f"approximation, {name}")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(curves[0]["data_sets"], [f"{number:,}" for number in curves[0]["data_sets"]])
        axes.minorticks_off()
        axes.set(title=model, xlabel="simulated data sets in training")
        axes.legend(fontsize=8)
    figure.axes[0].set_ylabel("gap, nats a data set")

"""How figure 7 and the race of topics are drawn."""

from typing import TYPE_CHECKING

import numpy as np

from reports.charts import FAINT, INK, MCMC, QUIET, VI, Numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES: dict[int | str, tuple[float, float]] = {7: (10.4, 5.6)}
RACE = (7.6, 4.4)

_TOPICS = (VI[0], MCMC[0], VI[1], MCMC[1])
_METHODS = {
    "batch VI": (VI[0], "-"),
    "batch VI, learned priors": (VI[2], "--"),
    "stochastic VI": (VI[1], "-"),
    "collapsed Gibbs": (MCMC[0], "-"),
}


def topics(figure: "Figure", numbers: Numbers) -> None:
    """Proportions of eight documents on the left, words of four topics on the right."""
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.15, 1.0))[0]
    axes = left.subplots()
    documents, names = numbers["documents"], [topic["name"] for topic in numbers["topics"]]
    shares = np.array([document["proportions"] for document in documents])
    start, place = np.zeros(len(documents)), np.arange(len(documents))
    for k, name in enumerate(names):
        axes.barh(place, shares[:, k], left=start, color=_TOPICS[k], height=0.68, label=name)
        start += shares[:, k]
    axes.barh(place, 1.0 - start, left=start, color=FAINT, height=0.68, label="all other topics")
    axes.set_yticks(place, [_short(document["title"]) for document in documents], fontsize=8)
    axes.invert_yaxis()
    axes.set(title="topic proportions of eight documents", xlabel="posterior mean share of the document", xlim=(0, 1))
    left.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    for k, (panel, topic) in enumerate(zip(right.subplots(2, 2).ravel(), numbers["topics"], strict=True)):
        panel.barh(range(len(topic["words"])), topic["probabilities"], color=_TOPICS[k], height=0.68)
        panel.set_yticks(range(len(topic["words"])), topic["words"], fontsize=8)
        panel.invert_yaxis()
        panel.tick_params(axis="x", labelsize=8)
        panel.set_title(topic["name"])


def race(figure: "Figure", numbers: Numbers) -> None:
    """Held-out log predictive probability against seconds: medians over seeds, and all of them."""
    axes = figure.subplots()
    for method, (colour, dash) in _METHODS.items():
        runs = [run for run in numbers["runs"] if run["method"] == method]
        if not runs:
            continue
        for run in runs:
            axes.plot(run["seconds"], run["held_out"], color=colour, linewidth=0.6, alpha=0.35)
        seconds = np.median([run["seconds"] for run in runs], axis=0)
        axes.plot(seconds, np.median([run["held_out"] for run in runs], axis=0), dash, color=colour, label=method)
    axes.axhline(numbers["unigram"], color=QUIET, linestyle=":", label="one topic")
    axes.set(xscale="log", xlabel="seconds", ylabel="held-out log probability of a word, nats")
    axes.set_title("predictions against time", color=INK)
    axes.legend(fontsize=8.5)


def _short(title: str) -> str:
    """The package and the last two parts of a dotted name, or the last 34 characters."""
    parts = [part for part in title.split(".") if not part.startswith("_")]
    short = title if len(parts) < 2 else ".".join([parts[0], *parts[1:][-2:]])
    return short if len(short) <= 34 else "…" + short[-33:]

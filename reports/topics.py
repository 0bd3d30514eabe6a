"""The study of topics: what VI and Gibbs predict of words held out, how soon, and the topics themselves."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from reports import charts_topics
from reports.figures import picture
from reports.section import Cell, Page, Section
from reports.wording import significant

Numbers = Mapping[str, Any]

NEAR = 0.02  # nats a word
NOTE = (
    "Held out: a tenth of the documents, another for each of {seeds} seeds. Of each, half the words are seen; the "
    "mean log probability of the others is given, in nats a word. Medians over seeds, with the smallest and the "
    "largest. All have {n_topics} topics, and the same priors but where they are learned. Gibbs' topics are averaged "
    "over the sweeps since the look before."
)


def page(numbers: Numbers) -> Page:
    """Tables and the picture of what `harness.topics` computed."""
    drawn = picture(lambda figure: charts_topics.race(figure, numbers), charts_topics.RACE)
    return Page([_scores(numbers), *_words(numbers)], {"topics-race": drawn})


def _scores(numbers: Numbers) -> Section:
    methods = list(dict.fromkeys(run["method"] for run in numbers["runs"]))
    courses = {method: _course(numbers, method) for method in methods}
    best = max(float(held_out[-1]) for _, held_out, _ in courses.values())
    rows, told = [], []
    for method, (seconds, held_out, last) in courses.items():
        near = np.flatnonzero(held_out >= held_out[-1] - NEAR)[0]
        told.append(
            {
                "method": method, "held_out": float(held_out[-1]), "lowest": min(last), "highest": max(last),
                "seconds": float(seconds[-1]), "seconds_near": float(seconds[near]), "below_best": best - held_out[-1],
            }
        )  # fmt: skip
        rows.append(
            [
                Cell(method),
                Cell.of(float(held_out[-1]), f"{held_out[-1]:.3f} ({min(last):.3f} to {max(last):.3f})"),
                Cell.of(float(seconds[-1]), significant(float(seconds[-1]))),
                Cell.of(float(seconds[near]), significant(float(seconds[near]))),
            ]
        )
    sentences = [
        f"{numbers['documents']:,} documents of {numbers['corpus']}, {numbers['terms']:,} terms, "
        f"{numbers['words']:,.0f} words; one topic for all scores {numbers['unigram']:.3f}.",
        *(_overtaken(method, courses) for method in methods if method != "collapsed Gibbs"),
    ]
    head = ("method", "held out", "seconds", f"seconds to within {NEAR:g} of that")
    return Section("Predictions", head, rows, sentences, NOTE.format(**numbers), told, labels=1)


Course = tuple[Any, Any, list[float]]


def _course(numbers: Numbers, method: str) -> Course:
    """Median seconds and scores at the looks, and the last scores of all seeds."""
    runs = [run for run in numbers["runs"] if run["method"] == method]
    seconds, held_out = (np.median([run[what] for run in runs], axis=0) for what in ("seconds", "held_out"))
    return seconds, held_out, [run["held_out"][-1] for run in runs]


def _overtaken(method: str, courses: Mapping[str, Course]) -> str:
    """When Gibbs is better for good than what the method has by then."""
    seconds, held_out, _ = courses[method]
    later, gibbs, _ = courses["collapsed Gibbs"]
    has = np.array([held_out[seconds <= at][-1] if (seconds <= at).any() else -np.inf for at in later])
    behind = np.flatnonzero(gibbs <= has)
    first = 0 if len(behind) == 0 else int(behind[-1]) + 1
    if first == len(later):
        return f"Collapsed Gibbs does not overtake {method} within {significant(float(later[-1]))} seconds."
    return f"Collapsed Gibbs overtakes {method} by {significant(float(later[first]))} seconds."


def _words(numbers: Numbers) -> list[Section]:
    """A section a method, of the last seed."""
    return [
        Section(
            f"Topics of {method}",
            ("topic", "words, by lift"),
            [[Cell(str(k)), Cell(", ".join(row))] for k, row in enumerate(rows)],
            [],
            "",
            [{"topic": k, "words": row} for k, row in enumerate(rows)],
        )
        for method, rows in numbers["topics"].items()
    ]

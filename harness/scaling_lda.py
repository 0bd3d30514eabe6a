"""How the cost of latent Dirichlet allocation grows with documents: seconds of a pass, slopes, and peak memory."""

import multiprocessing
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from samplers.gibbs.lda import CollapsedGibbs
from targets.conjugate.bags import Bags
from targets.conjugate.lda import TopicPrior
from variational.conjugate.lda import LatentDirichletAllocation

SIZES = (100, 1_000, 10_000, 100_000)
WORDS, TERMS, TOPICS = 100, 5_000, 20
METHODS = ("batch VI", "stochastic VI", "collapsed Gibbs")


def corpus(n: int, *, words: int = WORDS, terms: int = TERMS, topics: int = TOPICS, seed: int = 0) -> Bags:
    """`n` documents of so many words each from the model itself, drawn token by token."""
    rng = np.random.default_rng(seed)
    ladder = np.cumsum(rng.dirichlet(np.full(terms, 0.05), topics), axis=1)
    shares = np.cumsum(rng.dirichlet(np.full(topics, 0.1), n), axis=1)
    z = np.minimum((rng.random((n, words))[:, :, None] > shares[:, None, :]).sum(axis=2), topics - 1)
    w = np.empty((n, words), np.int64)
    for k in range(topics):
        own = z == k
        w[own] = np.minimum(np.searchsorted(ladder[k], rng.random(int(own.sum()))), terms - 1)
    return Bags.of_entries(np.repeat(np.arange(n), words), w.ravel(), np.ones(n * words), (n, terms))


def measure(
    sizes: Sequence[int] = SIZES, *, methods: Sequence[str] = METHODS, repeats: int = 3
) -> list[dict[str, Any]]:
    """A row for each method and size: documents, seconds of a pass (the fastest of repeats), MB above the base.

    Each is measured in a process of its own, so that peaks are its own; the base holds the corpus and the loops.
    """
    context = multiprocessing.get_context("spawn")
    rows = []
    with context.Pool(1, maxtasksperchild=1) as pool:
        for method in methods:
            rows += [pool.apply(_one, (method, n, repeats)) for n in sizes]
    return rows


def slopes(rows: Sequence[dict[str, Any]], least: int = 1_000) -> dict[str, float]:
    """By method, of log seconds in log documents from `least` on, by least squares."""
    found = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        used = [row for row in rows if row["method"] == method and row["documents"] >= least]
        if len(used) > 1:
            x, y = (np.log([row[what] for row in used]) for what in ("documents", "seconds"))
            found[method] = float(np.polyfit(x, y, 1)[0])
    return found


def _one(method: str, n: int, repeats: int) -> dict[str, Any]:
    _pass(method, corpus(50), 1)  # loads the loops
    bags = corpus(n)
    base = _forgotten()
    return {"method": method, "documents": n, "seconds": _pass(method, bags, repeats), "megabytes": _peak() - base}


def _pass(method: str, bags: Bags, repeats: int) -> float:
    """Seconds of a pass over the documents: the fastest of those after the first."""
    if method == "collapsed Gibbs":
        chain = CollapsedGibbs(bags, TopicPrior.of(TOPICS), np.random.default_rng(0))
        work = chain.sweep
    elif method == "batch VI":
        course = LatentDirichletAllocation(n_components=TOPICS, tol=0.0).passes(bags)
        work = course.__next__  # type: ignore[assignment]
    else:
        model = LatentDirichletAllocation(n_components=TOPICS, batch_size=256, total_samples=len(bags))

        def work() -> None:
            model.partial_fit(bags)

    work()
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def _forgotten() -> float:
    """Forget the peak so far, where the system can (Linux); what is resident now, or else the peak, in MB."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    """Of this process since it was last forgotten, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        return (
            float(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) / 1e3
        )
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit

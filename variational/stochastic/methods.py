"""Stochastic-gradient VI by name: `bbvi`, `alpha_vi` and `iwvi` are compositions of one engine."""

import numpy as np

from targets.kernel import compiled
from targets.options import require
from targets.target import Target
from variational.evaluation import compile_log_densities
from variational.forward import forward_kl_fullrank, forward_kl_meanfield
from variational.method import Recipe
from variational.mode import compile_search
from variational.psis import smooth
from variational.stochastic.fit import StochasticRun
from variational.stochastic.plan import ESTIMATORS, Plan, plan
from variational.stochastic.shapes import FULLRANK
from variational.stochastic.state import compile_loops

STARTS = ("mode", "forward_kl")


def bbvi(
    *,
    family: str = "meanfield",
    rank: int = 5,
    noise: str = "gaussian",
    estimator: str = "sticking_the_landing",
    draws: int = 10,
    step: float | str = 0.1,
    tolerance: float = 0.05,
    batch_rows: int | None = None,
) -> Recipe:
    """Reverse KL by stochastic gradients and Adam, "black box" (Ranganath, Gerrish and Blei 2014).

    `family` is meanfield, fullrank or lowrank (a diagonal plus a matrix of `rank`), `noise` gaussian or logistic;
    `estimator` is reparameterised, sticking_the_landing, score, score_cv, rao_blackwell or relax; `draws` a step.
    `step` is Adam's first, in sd, or search for the best of 0.1 / 4^k; it is lowered until averages agree to
    `tolerance` sd. `batch_rows` are drawn from the data for each step; none takes all.
    """
    composed = plan("bbvi", family, rank, noise, estimator, 1.0, draws, step, tolerance, batch_rows)
    return _recipe("bbvi", composed, family, "reverse-kl")


def alpha_vi(
    *,
    alpha: float = 0.5,
    family: str = "fullrank",
    rank: int = 5,
    noise: str = "gaussian",
    estimator: str = "sticking_the_landing",
    start: str = "mode",
    draws: int = 10,
    step: float | str = 0.1,
    tolerance: float = 0.05,
) -> Recipe:
    """The variational Renyi bound (Li and Turner 2016), by doubly reparameterised gradients. Options as `bbvi`.

    `alpha` near 0 covers mass, as far as `draws` allow; 1 is reverse KL; above it seeks modes. The fit starts at a
    rough `mode`, or with `start=forward_kl` from the Gaussian with the target's moments: where the bound has a maximum
    that covers and others in single modes, it finds that of its start.
    """
    require(start in STARTS, f"alpha_vi: start={start} is not accepted; it takes {', '.join(STARTS)}")
    require(alpha > 0, f"alpha_vi: alpha={alpha:g} is not accepted; it takes a positive number")
    composed = plan("alpha_vi", family, rank, noise, estimator, alpha, draws, step, tolerance, None)
    cover = None
    if start == "forward_kl":
        cover = forward_kl_fullrank() if composed.family == FULLRANK else forward_kl_meanfield()
    return _recipe("alpha_vi", composed, family, "alpha", cover)


def iwvi(
    *,
    family: str = "fullrank",
    rank: int = 5,
    noise: str = "gaussian",
    estimator: str = "sticking_the_landing",
    draws: int = 10,
    step: float | str = 0.1,
    tolerance: float = 0.05,
) -> Recipe:
    """The importance-weighted bound of `draws` (Burda, Grosse and Salakhutdinov 2016; Domke and Sheldon 2018).

    By doubly reparameterised gradients (Tucker et al. 2019). Options as `bbvi`.
    """
    composed = plan("iwvi", family, rank, noise, estimator, 0.0, draws, step, tolerance, None)
    return _recipe("iwvi", composed, family, "importance-weighted")


def _recipe(name: str, composed: Plan, family: str, direction: str, cover: Recipe | None = None) -> Recipe:
    """The method; `cover` is what it starts from, if not from a rough mode."""

    def begin(target: Target, seed: int) -> StochasticRun:
        refused = refuse(target)
        require(refused is None, f"{name} cannot run on {target.label}: {refused}")
        if cover is None:
            return StochasticRun(target, np.random.default_rng(seed), composed)
        ours, theirs = np.random.SeedSequence(seed).spawn(2)
        start = cover.start(target, int(theirs.generate_state(1)[0]))
        return StochasticRun(target, np.random.default_rng(ours), composed, start)

    def refuse(target: Target) -> str | None:
        if composed.batch_rows is not None and target.rows is None:
            return "its log density is not given as a prior and a sum over rows of data"
        return None if cover is None else cover.unfit(target)

    def prepare(target: Target) -> None:
        compile_search(target)
        if cover is not None:
            cover.compile(target)
        compile_log_densities(target)
        compile_loops(composed)
        if composed.batch_rows is not None and target.rows is not None:
            _ = compiled(target.rows.prior), compiled(target.rows.likelihood)
        smooth(np.zeros(100))  # loads what it needs

    return Recipe(begin, prepare, refuse, frozenset({"vi", family, direction}))


__all__ = ["ESTIMATORS", "alpha_vi", "bbvi", "iwvi"]

"""Fits with every estimator, and Gibbs: exact errors at checkpoints that grow geometrically in evaluations."""

from typing import Any

import numpy as np

from harness.spec import parse
from samplers.discrete_gibbs import Gibbs
from targets.discrete import DiscreteModel, Enumeration
from targets.kernel import Matrix
from variational import registry
from variational.discrete import Descent, exact
from variational.discrete.descent import SPREAD

ESTIMATORS = (
    "reinforce",
    "reinforce_baseline",
    "rloo",
    "local_expectation",
    "rebar",
    "relax",
    "gumbel_softmax",
    "gumbel_softmax[temperature=1,halving=2000]",
    "straight_through",
    "straight_through_gumbel",
)
RATES = (0.01, 0.05, 0.2)  # of Adam, of which each estimator has its best
PILOTS = (1001, 1002, 1003)  # seeds that it is found with
FIRST = 100  # evaluations at the first checkpoint
CHECKPOINTS_A_DECADE = 6


def start(model: DiscreteModel, seed: int) -> Matrix:
    """(sites, categories) logits near zero, as `Descent` starts from."""
    return np.random.default_rng(seed).normal(scale=SPREAD, size=(model.sites, model.categories))


def marginal_error(enumeration: Enumeration, marginals: Matrix) -> float:
    """The total variation between marginals (sites, categories) and the exact ones, averaged over sites."""
    return float(0.5 * np.abs(marginals - enumeration.marginals).sum(axis=1).mean())


def checkpoints(budget: int) -> list[int]:
    """Evaluations at which errors are taken, the last of them the budget."""
    steps = max(2, 1 + round(CHECKPOINTS_A_DECADE * np.log10(budget / FIRST)))
    return sorted({round(c) for c in np.geomspace(FIRST, budget, steps)})


def fit(model: DiscreteModel, label: str, rate: float, best: float, seed: int, budget: int) -> dict[str, Any]:
    """One ascent: evaluations spent, the gap to the best ELBO, and the error of the marginals, at each checkpoint."""
    chosen = parse(label)
    run = Descent(model, registry.estimator(chosen.name, **chosen.options), seed, rate)
    costs, gaps, errors = [], [], []
    for more in np.diff(checkpoints(budget), prepend=0):
        run.advance(int(more))
        if run.status != "running":
            break
        q = run.approximation()
        costs.append(run.work.total)
        gaps.append(best - exact(model.enumeration, q).elbo)
        errors.append(marginal_error(model.enumeration, q.probabilities))
    return {"seed": seed, "cost": costs, "gap": gaps, "marginal_error": errors, "reason": run.reason}


def all_fits(model: DiscreteModel, best: float, seeds: int, budget: int) -> list[dict[str, Any]]:
    """Every estimator, with the rate that left the smallest median gap on seeds of its own, and what each rate left."""
    found = []
    for label in ESTIMATORS:
        left = {}
        for rate in RATES:
            left[rate] = float(np.median([_last(fit(model, label, rate, best, seed, budget)) for seed in PILOTS]))
        rate = min(left, key=lambda r: left[r])
        runs = [fit(model, label, rate, best, seed, budget) for seed in range(1, seeds + 1)]
        tried = [{"rate": r, "gap": gap} for r, gap in left.items()]
        found.append({"estimator": label, "rate": rate, "rates": tried, "runs": runs})
    return found


def _last(run: dict[str, Any]) -> float:
    return float(run["gap"][-1]) if run["gap"] and not run["reason"] else float("inf")


def chains(model: DiscreteModel, seeds: int, budget: int) -> list[dict[str, Any]]:
    """Gibbs from random states, nothing thrown away: evaluations and the error of the marginals at each checkpoint."""
    found = []
    for seed in range(1, seeds + 1):
        run = Gibbs(model, seed)
        costs, errors = [], []
        for more in np.diff(checkpoints(budget), prepend=0):
            run.advance(int(more))
            costs.append(run.work.density_evaluations)
            errors.append(marginal_error(model.enumeration, run.marginals))
        found.append({"seed": seed, "cost": costs, "marginal_error": errors})
    return found

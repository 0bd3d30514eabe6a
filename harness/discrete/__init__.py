"""The study of discrete latents: estimators of the ELBO's gradient, fits with them, and Gibbs, all against enumeration."""

from typing import Any

from harness.discrete import bias, fits
from targets import registry as targets
from targets.options import require
from variational.discrete import exact, optima
from variational.discrete.cavi import Cavi

MODELS = ("sigmoid_belief_net", "mixture_assignments")
SEEDS, EVALUATIONS = 10, 100_000
SWEEPS = 200  # of CAVI, at most
STARTS = 50  # of CAVI, among which the best optimum is sought


def compute(seeds: int | None, max_evaluations: int | None) -> dict[str, Any]:
    """The numbers of the study, ready for JSON: seeds 1 to `seeds`, each fit and chain with so many evaluations."""
    count = SEEDS if seeds is None else seeds
    budget = EVALUATIONS if max_evaluations is None else max_evaluations
    require(count >= 1, f"--seeds {count} is not accepted; it takes 1 or more")
    require(budget >= fits.FIRST, f"--max-gradients {budget} is not accepted; it takes {fits.FIRST} or more")
    return {"seeds": count, "budget": budget, "models": [_model(name, count, budget) for name in MODELS]}


def _model(name: str, seeds: int, budget: int) -> dict[str, Any]:
    model = targets.discrete(name)
    model.compile()
    enumeration = model.enumeration
    found = optima(model, starts=STARTS)
    best = found[0]
    ascent = Cavi(model, fits.start(model, 1))
    sweeps = []
    while len(sweeps) < SWEEPS and ascent.status == "running":
        q = ascent.approximation()
        told = {"elbo": exact(enumeration, q).elbo, "marginal_error": fits.marginal_error(enumeration, q.probabilities)}
        sweeps.append(told)
        ascent.advance(1)
    return {
        "name": model.label,
        "sites": model.sites,
        "categories": model.categories,
        "states": model.states,
        "log_evidence": enumeration.log_evidence,
        "total_correlation": enumeration.total_correlation,
        "optima": [{"elbo": o.elbo, "starts": o.starts} for o in found],
        "marginal_error": fits.marginal_error(enumeration, best.q.probabilities),
        "cavi": sweeps,
        "gradients": bias.table(model, best.q),
        "temperatures": bias.temperatures(model, best.q),
        "fits": fits.all_fits(model, best.elbo, seeds, budget),
        "gibbs": fits.chains(model, seeds, budget),
    }

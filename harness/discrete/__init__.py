"""The study of discrete latents: estimators of gradients, fits with them, and Gibbs, all against enumeration."""

from typing import Any

from harness.discrete import bias, fits
from harness.spec import parse
from targets import registry as targets
from targets.options import require
from variational.discrete import exact, optima
from variational.discrete.cavi import Cavi

MODELS = (
    "sigmoid_belief_net",
    "mixture_assignments",
    "sigmoid_belief_net[weight_sd=10]",  # where Gibbs is slow
    "mixture_assignments[separation=0,prior_sd=4]",  # where labels can be exchanged
)
LOOKED_AT = MODELS[:2]  # whose gradients are
SEEDS, EVALUATIONS = 10, 50_000
SWEEPS = 200  # of CAVI, at most
STARTS = 50  # of CAVI, among which the best optimum is sought


def compute(seeds: int | None, max_evaluations: int | None) -> dict[str, Any]:
    """The numbers of the study, ready for JSON: seeds 1 to `seeds`, each fit and chain with so many evaluations."""
    count = SEEDS if seeds is None else seeds
    budget = EVALUATIONS if max_evaluations is None else max_evaluations
    require(count >= 1, f"--seeds {count} is not accepted; it takes 1 or more")
    require(budget >= fits.FIRST, f"--max-gradients {budget} is not accepted; it takes {fits.FIRST} or more")
    told = {"replicates": bias.REPLICATES, "level": bias.LEVEL, "power": bias.POWER}
    return {"seeds": count, "budget": budget, **told, "models": [_model(label, count, budget) for label in MODELS]}


def _model(label: str, seeds: int, budget: int) -> dict[str, Any]:
    spec = parse(label)
    model = targets.discrete(spec.name, **spec.options)
    model.compile()
    enumeration = model.enumeration
    found = optima(model, starts=STARTS)
    best = found[0]
    ascent = Cavi(model, fits.start(model, 1))
    sweeps: list[dict[str, float]] = []
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
        "optima": [
            {
                "elbo": o.elbo,
                "starts": o.starts,
                "marginal_error": fits.marginal_error(enumeration, o.q.probabilities),
            }
            for o in found
        ],
        "cavi": sweeps,
        "gradients": bias.table(model, best.q) if label in LOOKED_AT else [],
        "temperatures": bias.temperatures(model, best.q) if label in LOOKED_AT else [],
        "fits": fits.all_fits(model, best.elbo, seeds, budget),
        "gibbs": fits.chains(model, seeds, budget),
    }

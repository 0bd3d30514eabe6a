"""What races when the user names nothing: targets, methods, seeds and a budget."""

from dataclasses import dataclass

from harness.budget import Budget
from targets.options import UsageError


@dataclass(frozen=True)
class Preset:
    """SPECs of targets and methods, the number of seeds, and the budget of each cell."""

    summary: str
    targets: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: int
    budget: Budget


_TARGETS = (
    "correlated_gaussian",
    "correlated_gaussian[dim=50,structure=rotated]",
    "bimodal_mixture",
    "bimodal_mixture[dim=2]",
    "gmm_posterior",
    "banana",
    "funnel",
    "funnel[parameterisation=centred]",
    "student_t",
    "eight_schools",
    "eight_schools[parameterisation=centred]",
    "bioassay",
    "logistic_regression",
    "conjugate_mixture",
)

_METHODS = (
    "cavi",
    "laplace",
    "advi_meanfield",
    "advi_fullrank",
    "forward_kl_meanfield",
    "forward_kl_fullrank",
    "pathfinder",
    "bam",
    "ep",
    "mixture_vi",
    "vbem",
    "random_walk",
    "random_walk[warm_start=advi_fullrank,take=draws+metric]",
    "hmc",
    "hmc[warm_start=advi_meanfield,take=mean]",
    "hmc[warm_start=advi_fullrank,take=draws]",
    "hmc[warm_start=advi_fullrank,take=draws+metric]",
    "nuts",
    "nuts[metric=nutpie_low_rank]",
    "mams",
    "parallel_tempering",
    "gibbs",
)

# Every sampler there is, with Stan's metrics beside nutpie's; larger presets have every fit too.
_SAMPLERS = ("tag:mcmc", "elliptical_slice[gaussian=fitted]", "nuts[metric=stan]", "nuts[metric=stan_dense]")

PRESETS = {
    "quick": Preset("a few minutes: small budgets, five seeds", _TARGETS, _METHODS, 5, Budget(200_000, 10.0)),
    "standard": Preset(
        "some hours: every method, larger budgets and dimensions, ten seeds",
        (
            *_TARGETS,
            "correlated_gaussian[dim=100]",
            "gmm_posterior[model=full]",
            "logistic_regression[dataset=synthetic]",
            "radon",
            "lotka_volterra",
            "hidden_markov",
            "linear_regression",
            "tag:posteriordb",
        ),
        (*_METHODS, "tag:vi", *_SAMPLERS),
        10,
        Budget(1_000_000, 60.0),
    ),
    "full": Preset(
        "a night: every target at several sizes, twenty seeds",
        (
            *_TARGETS,
            "correlated_gaussian[dim=100]",
            "correlated_gaussian[dim=1000]",
            "correlated_gaussian[structure=equicorrelated]",
            "bimodal_mixture[dim=10]",
            "gmm_posterior[model=full]",
            "banana[dim=10]",
            "student_t[df=3]",
            "logistic_regression[dataset=synthetic]",
            "rosenbrock",
            "gaussian_mixture",
            "radon",
            "radon[parameterisation=centred]",
            "brownian_motion",
            "shifted_exponential",
            "gaussian_process_regression",
            "gaussian_process_classification",
            "stochastic_volatility",
            "lotka_volterra",
            "horseshoe",
            "item_response",
            "hidden_markov",
            "linear_regression",
            "tag:posteriordb",
        ),
        (*_METHODS, "tag:vi", *_SAMPLERS),
        20,
        Budget(4_000_000, 300.0),
    ),
}
DEFAULT = "quick"


def choose(name: str | None) -> Preset:
    """The preset of that name, or the default one.

    Raises:
        UsageError: there is none of that name.
    """
    if name is not None and name not in PRESETS:
        raise UsageError(f"no preset is called {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name or DEFAULT]

"""The list of targets. A new one is a file with a factory, and a line here."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from targets.catalogue import Catalogue, Entry
from targets.discrete import DiscreteModel
from targets.options import UsageError
from targets.target import Target

TARGETS = Catalogue(
    "target",
    {
        "correlated_gaussian": Entry(
            "targets.correlated_gaussian:correlated_gaussian",
            "Gaussian of any dimension: AR(1), equicorrelated, or rotated with a chosen condition number",
            ("exact", "gaussian"),
        ),
        "bimodal_mixture": Entry(
            "targets.bimodal_mixture:bimodal_mixture",
            "two Gaussians of any dimension, with weights, separation and widths chosen",
            ("exact", "multimodal"),
        ),
        "banana": Entry(
            "targets.banana:banana", "Gaussian bent along a parabola, in two dimensions or more", ("exact", "curved")
        ),
        "funnel": Entry(
            "targets.funnel:funnel",
            "Neal's funnel, centred or not, in two dimensions or more",
            ("exact", "hierarchical"),
        ),
        "rosenbrock": Entry(
            "targets.rosenbrock:rosenbrock",
            "Rosenbrock densities with known answers: chains of parabolas from one coordinate, or from several",
            ("exact", "curved"),
        ),
        "gaussian_mixture": Entry(
            "targets.gaussian_mixture:gaussian_mixture",
            "a hundred Gaussians, or any number, on a grid or scattered, in any dimension",
            ("exact", "multimodal"),
        ),
        "student_t": Entry(
            "targets.student_t:student_t",
            "multivariate Student t with chosen degrees of freedom",
            ("exact", "heavy-tailed"),
        ),
        "eight_schools": Entry(
            "targets.eight_schools:eight_schools",
            "eight schools: a hierarchical posterior, centred or not",
            ("exact", "generative", "hierarchical", "posterior", "real-data"),
        ),
        "radon": Entry(
            "targets.radon:radon",
            "radon in 919 homes of 85 counties: varying intercepts on real data, centred or not",
            ("exact", "generative", "hierarchical", "posterior", "real-data"),
        ),
        "brownian_motion": Entry(
            "targets.brownian_motion:brownian_motion",
            "Brownian motion with unknown scales and a gap in the middle, centred or not",
            ("exact", "generative", "hierarchical", "posterior", "synthetic"),
        ),
        "gaussian_process_regression": Entry(
            "targets.gaussian_process_regression:gaussian_process_regression",
            "length, amplitude and noise of a Gaussian process through 21 years of hare pelts",
            ("exact", "generative", "posterior", "real-data"),
        ),
        "shifted_exponential": Entry(
            "targets.shifted_exponential:shifted_exponential",
            "least delays and a common rate from waiting times: a density that is highest where it ends",
            ("exact", "generative", "posterior", "synthetic"),
        ),
        "gaussian_process_classification": Entry(
            "targets.gaussian_process_classification:gaussian_process_classification",
            "O-ring failures by temperature: a Gaussian process behind a logit",
            ("generative", "hierarchical", "posterior", "real-data"),
        ),
        "stochastic_volatility": Entry(
            "targets.stochastic_volatility:stochastic_volatility",
            "stochastic volatility of simulated returns, of any number",
            ("generative", "hierarchical", "posterior", "synthetic"),
        ),
        "item_response": Entry(
            "targets.item_response:item_response",
            "abilities of 400 students and difficulties of 100 questions: 501 dimensions",
            ("generative", "posterior", "synthetic"),
        ),
        "horseshoe": Entry(
            "targets.horseshoe:horseshoe",
            "sparse logistic regression under the regularised horseshoe, on the breast cancer data or synthetic ones",
            ("funnel", "generative", "hierarchical", "posterior"),
        ),
        "lotka_volterra": Entry(
            "targets.lotka_volterra:lotka_volterra",
            "hares and lynxes: an ordinary differential equation with its sensitivities",
            ("generative", "posterior", "real-data"),
        ),
        "gmm_posterior": Entry(
            "targets.gmm_posterior:gmm_posterior",
            "parameters of a Gaussian mixture given data, with the label symmetry: means, or all in the plane",
            ("generative", "multimodal", "posterior"),
        ),
        "conjugate_mixture": Entry(
            "targets.conjugate_mixture:conjugate_mixture",
            "parameters of a Gaussian mixture with full covariances under its conjugate prior, for Gibbs and VB-EM too",
            ("conjugate", "generative", "multimodal", "posterior", "real-data"),
        ),
        "hidden_markov": Entry(
            "targets.hidden_markov:hidden_markov",
            "a hidden Markov model of 299 eruptions of a geyser, states summed out: waiting times, or long and short",
            ("conjugate", "generative", "multimodal", "posterior", "real-data", "time-series"),
        ),
        "bioassay": Entry(
            "targets.bioassay:bioassay",
            "dose and response of twenty animals: a skewed posterior of two coordinates, and what its users ask of it",
            ("exact", "posterior", "real-data"),
        ),
        "logistic_regression": Entry(
            "targets.logistic_regression:logistic_regression",
            "logistic regression on the Wisconsin breast cancer data, or on synthetic data of any size",
            ("generative", "posterior"),
        ),
        "linear_regression": Entry(
            "targets.linear_regression:linear_regression",
            "linear regression with unknown noise on the diabetes data, or on synthetic data: a conjugate model",
            ("conjugate", "generative", "posterior"),
        ),
        "probit_regression": Entry(
            "targets.probit_regression:probit_regression",
            "probit regression on synthetic data of any size: expectation propagation in closed form",
            ("posterior", "synthetic"),
        ),
        "clutter": Entry(
            "targets.clutter:clutter",
            "the mean of a Gaussian in clutter, in one or two dimensions: sites that are mixtures",
            ("exact", "posterior", "synthetic"),
        ),
        "arK-arK": Entry(
            "targets.posteriordb.regressions:ark_ark",
            "an autoregression of order five (posteriordb)",
            ("posterior", "posteriordb", "synthetic", "time-series"),
        ),
        "diamonds-diamonds": Entry(
            "targets.posteriordb.diamonds:diamonds_diamonds",
            "log prices of diamonds on 24 nearly collinear covariates (posteriordb)",
            ("posterior", "posteriordb", "real-data"),
        ),
        "earnings-logearn_interaction": Entry(
            "targets.posteriordb.regressions:earnings_logearn_interaction",
            "log earnings on height and sex (posteriordb)",
            ("posterior", "posteriordb", "real-data"),
        ),
        "eight_schools-eight_schools_centered": Entry(
            "targets.posteriordb.schools:centred_schools",
            "eight schools, centred (posteriordb)",
            ("funnel", "hierarchical", "posterior", "posteriordb", "real-data"),
        ),
        "eight_schools-eight_schools_noncentered": Entry(
            "targets.posteriordb.schools:noncentred_schools",
            "eight schools, non-centred (posteriordb)",
            ("hierarchical", "posterior", "posteriordb", "real-data"),
        ),
        "garch-garch11": Entry(
            "targets.posteriordb.garch:garch_garch11",
            "a GARCH(1,1) model of a series of 200 (posteriordb)",
            ("posterior", "posteriordb", "synthetic", "time-series"),
        ),
        "gp_pois_regr-gp_regr": Entry(
            "targets.posteriordb.gaussian_process:gp_regr",
            "Gaussian process regression of eleven points (posteriordb)",
            ("gaussian-process", "posterior", "posteriordb", "synthetic"),
        ),
        "hmm_example-hmm_example": Entry(
            "targets.posteriordb.hidden_markov:hmm_example",
            "a hidden Markov model with two states (posteriordb)",
            ("posterior", "posteriordb", "synthetic", "time-series"),
        ),
        "kidiq-kidscore_interaction": Entry(
            "targets.posteriordb.regressions:kidiq_kidscore_interaction",
            "children's test scores on mothers' schooling and IQ (posteriordb)",
            ("posterior", "posteriordb", "real-data"),
        ),
        "low_dim_gauss_mix-low_dim_gauss_mix": Entry(
            "targets.posteriordb.mixture:low_dim_gauss_mix",
            "two normal components of 1,000 numbers (posteriordb)",
            ("mixture", "posterior", "posteriordb", "synthetic"),
        ),
        "nes1992-nes": Entry(
            "targets.posteriordb.regressions:nes1992_nes",
            "party identification on eight covariates (posteriordb)",
            ("posterior", "posteriordb", "real-data"),
        ),
        "sblrc-blr": Entry(
            "targets.posteriordb.regressions:sblrc_blr",
            "linear regression on five correlated covariates (posteriordb)",
            ("posterior", "posteriordb", "synthetic"),
        ),
    },
)


def names() -> list[str]:
    """All names that `load` accepts."""
    return TARGETS.names()


def load(name: str, **options: Any) -> Target:
    """Make a target by name: `load("correlated_gaussian", dim=50, rho=0.9)`.

    Raises:
        UsageError: the name or an option is not accepted; the message says what is.
    """
    made = TARGETS.prepare(name, options)
    target = made.factory(**made.options)
    if not isinstance(target, Target):
        raise UsageError(f"the factory of target {name!r} returned {type(target).__name__}, not targets.Target")
    listed = TARGETS.entries[name].tags if name in TARGETS.entries else ()
    return replace(
        target,
        name=name,
        options=made.options,
        changed=made.changed,
        tags=target.tags | set(listed),
        registered=True,
    )


def reload(name: str, options: Mapping[str, Any]) -> Target:
    """What a pickled target is made again by."""
    return load(name, **options)


DISCRETE = Catalogue(
    "discrete model",
    {
        "sigmoid_belief_net": Entry(
            "targets.sigmoid_belief_net:sigmoid_belief_net",
            "a sigmoid belief net of one or two layers of binary units, given a visible vector",
            ("enumerable", "posterior", "synthetic"),
        ),
        "mixture_assignments": Entry(
            "targets.mixture_assignments:mixture_assignments",
            "assignments of data to the components of a Gaussian mixture, whose parameters are integrated out",
            ("enumerable", "posterior", "synthetic"),
        ),
    },
)


def discrete(name: str, **options: Any) -> DiscreteModel:
    """Make a model with discrete latent variables by name: `discrete("sigmoid_belief_net", hidden=5)`.

    Raises:
        UsageError: the name or an option is not accepted; the message says what is.
    """
    made = DISCRETE.prepare(name, options)
    fresh: DiscreteModel = made.factory(**made.options)
    return replace(fresh, name=name, options=made.options, changed=made.changed)


def reload_discrete(name: str, options: Mapping[str, Any]) -> DiscreteModel:
    """What a pickled discrete model is made again by."""
    return discrete(name, **options)

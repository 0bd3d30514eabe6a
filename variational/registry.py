"""The list of VI methods. A new one is a file with a factory, and a line here."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from targets.catalogue import Catalogue, Entry
from targets.options import UsageError
from variational.method import Recipe

if TYPE_CHECKING:
    from variational.discrete.estimator import Estimator

METHODS = Catalogue(
    "VI method",
    {
        "cavi": Entry(
            "variational.cavi:cavi", "coordinate ascent with exact updates, for Gaussian targets", ("vi", "meanfield")
        ),
        "advi_meanfield": Entry(
            "variational.advi:advi_meanfield",
            "reverse KL by reparameterised gradients, Gaussian with independent coordinates",
            ("vi", "meanfield", "reverse-kl"),
        ),
        "advi_fullrank": Entry(
            "variational.advi:advi_fullrank",
            "reverse KL by reparameterised gradients, Gaussian with a dense covariance",
            ("vi", "fullrank", "reverse-kl"),
        ),
        "laplace": Entry("variational.laplace:laplace", "Gaussian with the curvature at the mode", ("vi", "fullrank")),
        "forward_kl_meanfield": Entry(
            "variational.forward:forward_kl_meanfield",
            "forward KL by moment matching (quadrature or importance sampling), independent coordinates",
            ("vi", "meanfield", "forward-kl"),
        ),
        "forward_kl_fullrank": Entry(
            "variational.forward:forward_kl_fullrank",
            "forward KL by moment matching (quadrature or importance sampling), dense covariance",
            ("vi", "fullrank", "forward-kl"),
        ),
        "forward_kl_oracle": Entry(
            "variational.oracle:forward_kl_oracle",
            "forward KL from the target's own truth; for figures, never ranked",
            ("vi", "forward-kl", "oracle"),
        ),
        "mixture_vi": Entry(
            "variational.mixture_vi:mixture_vi",
            "reverse KL by natural gradients, mixture of Gaussians with dense or diagonal covariances",
            ("vi", "mixture", "reverse-kl"),
        ),
        "boosting": Entry(
            "variational.boosting:boosting",
            "reverse KL by adding Gaussians one by one where the fit so far leaves most out",
            ("vi", "mixture", "reverse-kl"),
        ),
        "svgd": Entry(
            "variational.svgd:svgd",
            "Stein variational gradient descent of particles",
            ("vi", "particles", "reverse-kl"),
        ),
        "ep": Entry(
            "variational.ep:ep",
            "expectation propagation: Gaussian sites that match moments, for targets that offer their sites",
            ("vi", "fullrank", "forward-kl"),
        ),
        "adaptive_is": Entry(
            "variational.adaptive_is:adaptive_is",
            "forward KL by adaptive importance sampling, a mixture of Gaussians",
            ("vi", "mixture", "forward-kl"),
        ),
        "msc": Entry(
            "variational.score_climb:msc",
            "Markovian score climbing: forward KL along chains, by conditional importance sampling or HMC",
            ("vi", "forward-kl"),
        ),
        "jsa": Entry(
            "variational.score_climb:jsa",
            "joint stochastic approximation: forward KL along chains of independent Metropolis steps",
            ("vi", "forward-kl"),
        ),
        "bam": Entry(
            "variational.score_matching:bam",
            "batch and match: scores matched in closed form, Gaussian with a dense covariance",
            ("vi", "fullrank", "score-matching"),
        ),
        "gsm": Entry(
            "variational.score_matching:gsm",
            "Gaussian score matching, draw by draw, dense covariance",
            ("vi", "fullrank", "score-matching"),
        ),
        "ngvi": Entry(
            "variational.score_matching:ngvi",
            "reverse KL by natural gradients that keep the precision positive definite, dense covariance",
            ("vi", "fullrank", "reverse-kl"),
        ),
        "bam_lowrank": Entry(
            "variational.score_matching_lowrank:bam_lowrank",
            "batch, match and patch: scores matched by a diagonal plus low-rank covariance, for many dimensions",
            ("vi", "lowrank", "score-matching"),
        ),
        "structured": Entry(
            "variational.structured:structured",
            "reverse KL, Gaussian whose precision has the zeros of a tree, of blocks or of a band",
            ("vi", "structured", "reverse-kl"),
        ),
        "pathfinder": Entry(
            "variational.pathfinder:pathfinder",
            "the best of the Gaussians along a path of L-BFGS, diagonal and of low rank",
            ("vi", "lowrank", "reverse-kl"),
        ),
        "multi_pathfinder": Entry(
            "variational.multi_pathfinder:multi_pathfinder",
            "draws of several such paths, resampled by importance",
            ("vi", "lowrank", "particles"),
        ),
        "dadvi": Entry(
            "variational.dadvi:dadvi",
            "reverse KL over fixed draws by Newton's method, independent coordinates, or their linear response",
            ("vi", "meanfield", "reverse-kl"),
        ),
        "cavi_grid": Entry(
            "variational.cavi_grid:cavi_grid",
            "free-form coordinate ascent on a grid, in up to three dimensions: factors of any shape",
            ("vi", "meanfield", "reverse-kl"),
        ),
        "bbvi": Entry(
            "variational.stochastic.methods:bbvi",
            "reverse KL by stochastic gradients of every kind, and Adam; dense and low-rank scales, mini-batches",
            ("vi", "reverse-kl"),
        ),
        "alpha_vi": Entry(
            "variational.stochastic.methods:alpha_vi",
            "Renyi bounds between covering mass and seeking modes, by stochastic gradients and Adam",
            ("vi", "alpha"),
        ),
        "iwvi": Entry(
            "variational.stochastic.methods:iwvi",
            "importance-weighted bound by doubly reparameterised gradients and Adam",
            ("vi", "importance-weighted"),
        ),
        "realnvp": Entry(
            "variational.flow_vi:realnvp",
            "reverse KL by path gradients, RealNVP on a Gaussian base",
            ("vi", "flow", "reverse-kl"),
        ),
        "planar": Entry(
            "variational.flow_vi:planar",
            "reverse KL by path gradients, planar flow on a Gaussian base",
            ("vi", "flow", "reverse-kl"),
        ),
        "vbem": Entry(
            "variational.conjugate.vbem:vbem",
            "exact updates of independent factors, for targets that offer the conjugate model behind their density",
            ("vi", "meanfield", "reverse-kl", "conjugate", "gradient-free"),
        ),
    },
)


def names() -> list[str]:
    """All names that `method` accepts."""
    return METHODS.names()


def method(name: str, **options: Any) -> Recipe:
    """Make a method by name: `method("advi_meanfield", tolerance=0.02)`.

    Raises:
        UsageError: the name or an option is not accepted; the message says what is.
    """
    made = METHODS.prepare(name, options)
    recipe = made.factory(**made.options)
    if not isinstance(recipe, Recipe):
        raise UsageError(f"the factory of VI method {name!r} returned {type(recipe).__name__}, not a Recipe")
    listed = METHODS.entries[name].tags if name in METHODS.entries else ("vi",)
    return replace(recipe, name=name, options=made.options, changed=made.changed, tags=recipe.tags | set(listed))


ESTIMATORS = Catalogue(
    "estimator of discrete gradients",
    {
        "reinforce": Entry(
            "variational.discrete.score:reinforce", "score function, nothing more", ("unbiased", "score")
        ),
        "reinforce_baseline": Entry(
            "variational.discrete.score:reinforce_baseline",
            "score function with a running mean as baseline",
            ("unbiased", "score"),
        ),
        "rloo": Entry(
            "variational.discrete.score:rloo", "score function with leave-one-out baselines", ("unbiased", "score")
        ),
        "local_expectation": Entry(
            "variational.discrete.score:local_expectation",
            "Rao-Blackwellised: each site's expectation exactly, given a draw of the others",
            ("unbiased", "score"),
        ),
        "gumbel_softmax": Entry(
            "variational.discrete.relaxed:gumbel_softmax",
            "pathwise through a relaxation (Concrete), warm or annealed",
            ("biased", "relaxed"),
        ),
        "straight_through": Entry(
            "variational.discrete.relaxed:straight_through",
            "a draw forwards, its mean backwards",
            ("biased", "relaxed"),
        ),
        "straight_through_gumbel": Entry(
            "variational.discrete.relaxed:straight_through_gumbel",
            "a draw forwards, its relaxation backwards",
            ("biased", "relaxed"),
        ),
        "rebar": Entry(
            "variational.discrete.surrogate:rebar",
            "score function with the relaxation as control variate",
            ("unbiased", "score", "relaxed"),
        ),
        "relax": Entry(
            "variational.discrete.surrogate:relax",
            "REBAR with a network, learned on the way, in its control variate",
            ("unbiased", "score", "relaxed"),
        ),
    },
)


def estimator(name: str, **options: Any) -> "Estimator":
    """Make an estimator of the ELBO's gradient for discrete latents by name: `estimator("rloo", samples=4)`.

    Raises:
        UsageError: the name or an option is not accepted; the message says what is.
    """
    made = ESTIMATORS.prepare(name, options)
    tags = frozenset(ESTIMATORS.entries[name].tags) if name in ESTIMATORS.entries else frozenset()
    fresh: Estimator = made.factory(**made.options)
    return replace(fresh, name=name, options=made.options, changed=made.changed, tags=tags)


def remake_estimator(name: str, options: Mapping[str, Any]) -> "Estimator":
    """What a pickled estimator is made again by."""
    return estimator(name, **options)

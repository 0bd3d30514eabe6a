"""The chapter's claims, each as something that is run: `run()` gives what every one of them comes to.

The list is here; the checks stand in the modules beside it, by what they are about.
"""

from collections.abc import Iterator

from harness.claims import bounds, families, gradients, monotone, racing, topics
from harness.claims.claim import Claim, Effort, Found, Verdict

__all__ = ["CLAIMS", "Claim", "Effort", "Found", "Verdict", "run"]


CLAIMS = (
    Claim("bound", "Exercise E1", "The ELBO of any q is at most the log evidence.", bounds.bound_below_evidence),
    Claim(
        "factor",
        "Exercise E2, the boxed formula",
        "The best factor is the exponential of the log joint, averaged over the other factors.",
        bounds.optimal_factor,
    ),
    Claim(
        "precision",
        "Exercise E3",
        "On a bivariate Gaussian the variances of q are the reciprocal diagonal of the precision.",
        bounds.variances_are_of_the_precision,
    ),
    Claim(
        "variational-em",
        "Exercise E4, Variational EM",
        "The bound of variational EM never falls, though its E-step is not exact and the bound is not tight.",
        monotone.variational_em_rises,
    ),
    Claim(
        "naive-gradient",
        "Exercise E5",
        "Averaging gradients at draws that are held fixed is wrong; score function and reparameterisation are right.",
        gradients.naive_gradient,
    ),
    Claim(
        "forward-needs-p",
        "FAQ Q1",
        "The forward divergence needs expectations under the intractable posterior.",
        families.forward_needs_the_posterior,
    ),
    Claim("cavi-rises", "FAQ Q2", "The ELBO of CAVI never falls.", monotone.cavi_is_monotone),
    Claim(
        "mistakes",
        "FAQ Q2",
        "A fall betrays mistakes: in normalising, in the entropy's sign, in reading stale parameters.",
        monotone.planted_mistakes,
    ),
    Claim("stale", "FAQ Q2", "A stale parameter makes the ELBO fall.", monotone.stale_reads_can_diverge),
    Claim("gap", "FAQ Q3", "Log evidence less the best ELBO is KL(q* || p).", bounds.gap_is_the_divergence),
    Claim(
        "comparison",
        "FAQ Q3, Figure 1",
        "Comparing models by the ELBO is fair only where the gaps are alike.",
        bounds.comparison_needs_equal_gaps,
    ),
    Claim(
        "correlation",
        "FAQ Q4",
        "Strong correlation makes mean field far too narrow and overconfident.",
        families.correlation_breaks_mean_field,
    ),
    Claim(
        "modes",
        "FAQ Q4",
        "Several modes make the answer depend on the start; a full covariance is among the remedies.",
        families.modes_break_full_rank_too,
    ),
    Claim(
        "structure",
        "FAQ Q4, when mean field bites",
        "Keeping some dependencies in q narrows the gap.",
        families.structure_narrows_the_gap,
    ),
    Claim(
        "hundredfold",
        "FAQ Q5",
        "Reparameterised gradients have 100 to 1000 times less variance than REINFORCE.",
        gradients.hundred_to_thousand_times,
    ),
    Claim(
        "discrete",
        "FAQ Q5, the reparameterization trick",
        "For discrete variables the trick fails; REINFORCE with control variates and Gumbel-softmax are the remedies.",
        gradients.discrete_variables,
    ),
    Claim(
        "few-data",
        "FAQ Q6",
        "Few data need the uncertainty of the parameters; with many a point estimate predicts as well.",
        monotone.bayes_when_data_are_few,
    ),
    Claim("selection", "FAQ Q6", "Variational Bayes chooses the size of a model.", monotone.bayes_selects_models),
    Claim(
        "figure-1",
        "Figure 1",
        "The log evidence is the ELBO plus the KL; what the one gains the other loses.",
        bounds.evidence_splits,
    ),
    Claim(
        "figure-2-factor",
        "Figure 2",
        "Variances shrink by the factor 1 - rho^2.",
        bounds.shrinks_by_one_minus_r_squared,
    ),
    Claim(
        "figure-2",
        "Figure 2",
        "The reverse optimum is too narrow along both axes; the other factorised q keeps the marginals.",
        families.forward_keeps_marginals,
    ),
    Claim(
        "figure-3",
        "Figure 3",
        "Reverse KL holds one mode; forward KL matches the moments and covers both.",
        families.one_mode_or_both,
    ),
    Claim(
        "figure-4",
        "Figure 4",
        "VI is quick to a floor of bias; the error of MCMC falls with the root of the work, after its warm-up.",
        racing.plateau_and_slope,
    ),
    Claim(
        "figure-5",
        "Figure 5",
        "CAVI drags the means to the origin in two sweeps.",
        bounds.means_arrive_in_two_sweeps,
    ),
    Claim(
        "figure-6",
        "Figure 6",
        "Every local optimum of the reverse KL is centred on a mode; the forward KL has one, between them.",
        families.each_optimum_is_a_mode,
    ),
    Claim("figure-7", "Figure 7", "LDA finds topics of documents and words of topics.", topics.topics_are_found),
    Claim(
        "local",
        "CAVI",
        "CAVI converges to a local optimum, and not always to the best.",
        monotone.local_optimum_only,
    ),
    Claim(
        "deterministic",
        "Table, approach",
        "VI is deterministic, MCMC is stochastic.",
        monotone.laplace_is_deterministic,
    ),
    Claim("exact", "Table, asymptotic behaviour", "MCMC is exact in the limit.", racing.exact_in_the_limit),
    Claim("cost", "Table, computational cost", "VI costs less than MCMC.", racing.costs_less),
    Claim(
        "diagnostics",
        "Table, diagnostics",
        "Diagnostics of VI are easy, those of MCMC hard.",
        racing.diagnostics_are_easy,
    ),
    Claim(
        "monotone",
        "Table, diagnostics",
        "The ELBO of VI is monotone.",
        monotone.stochastic_bounds_are_not_monotone,
    ),
    Claim(
        "mini-batches",
        "Table, large data; when to choose what",
        "VI scales to large data by mini-batches.",
        racing.mini_batches,
    ),
    Claim(
        "matters",
        "When to choose what",
        "Use MCMC where the posterior matters, such as a dose and its response.",
        racing.when_it_matters,
    ),
    Claim(
        "warm-start",
        "When to choose what",
        "Starting HMC from a VI mean gives a fast start.",
        racing.warm_start_from_the_mean,
    ),
    Claim(
        "pruning",
        "Implementation",
        "Surplus components of a variational mixture fade out by themselves.",
        monotone.components_are_pruned,
    ),
)


def run(effort: Effort) -> Iterator[tuple[Claim, Found]]:
    """Every claim with what it comes to, in order."""
    for claim in CLAIMS:
        yield claim, claim.check(effort)

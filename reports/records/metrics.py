"""The metrics of error: what each is called, means, and is for a perfect answer. `harness` computes them."""

from dataclasses import replace

from reports.records.distributions import DISTRIBUTIONS, OF_MASS, QUANTILES
from reports.records.metric import (
    BY_DRAWS,
    EXACT_ANSWER,
    INDEPENDENT_OF_ANY,
    INVARIANT,
    NAMED,
    PREDICTED,
    Metric,
)

__all__ = ["METRICS", "Metric"]

FIELD = "the field's b² convention, Hoffman & Sountsov 2022"
GAUSSIAN_KL = "Kullback & Leibler 1951; closed form between Gaussians"
MANY = "at most 10,000"
HALF_WIDTH = "95 % half-width of the estimate"


_MOMENTS_AND_MODES = (
    Metric(
        "mean_error",
        "error of the mean",
        0.0,
        True,
        "root mean over coordinates of ((mean_q - mean_p) / sd_p)²",
        "root-mean-square standardised error",
        -0.5,
        "In posterior standard deviations; n independent draws have 1/sqrt(n).",
    ),
    Metric(
        "mean_error_worst",
        "error of the mean, worst coordinate",
        0.0,
        True,
        "max over coordinates of |mean_q - mean_p| / sd_p",
        "root-mean-square standardised error",
        -0.5,
    ),
    Metric(
        "second_moment_b2",
        "b² of the second moment",
        0.0,
        True,
        "mean over coordinates of (E_q x² - E_p x²)² / Var_p x²",
        FIELD,
        -1.0,
        "A squared error. Where the mean is far from zero it sees only the mean.",
    ),
    Metric(
        "second_moment_b2_worst",
        "b² of the second moment, worst coordinate",
        0.0,
        True,
        "max over coordinates of (E_q x² - E_p x²)² / Var_p x²",
        FIELD,
        -1.0,
    ),
    Metric(
        "centred_b2",
        "b² of the variance",
        0.0,
        True,
        "mean over coordinates of (E_q (x - mean_p)² - Var_p x)² / Var_p (x - mean_p)²",
        "b² about the true mean",
        -1.0,
        "A squared error; n independent draws have 1/n. Undefined without fourth moments.",
    ),
    Metric(
        "centred_b2_worst",
        "b² of the variance, worst coordinate",
        0.0,
        True,
        "max over coordinates of (E_q (x - mean_p)² - Var_p x)² / Var_p (x - mean_p)²",
        "b² about the true mean",
        -1.0,
    ),
    Metric(
        "covariance_error",
        "error of mean and covariance",
        0.0,
        True,
        "KL( N(mean_q, cov_q) || N(mean_p, cov_p) ), nats",
        GAUSSIAN_KL,
        -1.0,
        "Infinite until there are more draws than coordinates.",
        by_reference="expected of as many independent draws as the reference is worth",
    ),
    Metric(
        "sliced_wasserstein",
        "sliced Wasserstein distance",
        0.0,
        True,
        "mean over random directions of the Wasserstein distance of the projections, in posterior sd",
        "Rabin et al. 2012; Bonneel et al. 2015",
        -0.5,
        "Sees shape and modes, not only moments.",
        by_reference=BY_DRAWS,
        by_sampling=INDEPENDENT_OF_ANY,
        draws=MANY,
    ),
    Metric(
        "mode_mass_error",
        "error of the modes' masses",
        0.0,
        True,
        "total variation between the masses of the modes: half the sum of |mass_q - mass_p|",
        "total variation distance",
        -0.5,
        by_reference="expected of as many independent draws as the reference is worth",
        by_sampling=INDEPENDENT_OF_ANY,
    ),
    Metric(
        "kl_reverse",
        "KL(q || p)",
        0.0,
        True,
        "E_q [log q - log p], nats",
        GAUSSIAN_KL,
        note="What VI minimises.",
        by_reference="standard error of the log normaliser",
        by_sampling=HALF_WIDTH,
        draws="at most 4,000 of the density",
    ),
    Metric(
        "kl_forward",
        "KL(p || q)",
        0.0,
        True,
        "E_p [log p - log q], nats",
        GAUSSIAN_KL,
        note="Large where q leaves out what the posterior holds.",
        by_reference="standard error of the estimate",
        by_sampling="zero: q is not sampled",
        draws="none",
    ),
    Metric(
        "sd_ratio_worst",
        "ratio of standard deviations, worst coordinate",
        1.0,
        True,
        "sd_q / sd_p of the coordinate whose ratio has the largest |log|",
        "Giordano, Broderick & Jordan 2018 report such ratios",
        -0.5,
        "Below one the answer is overconfident.",
    ),
    Metric(
        "coverage_90",
        "coverage of central 90 % intervals",
        0.9,
        False,
        "mean over coordinates of the mass under p of q's central 90 % interval",
        "nominal coverage",
        note="Below 0.9 the answer is overconfident.",
        by_reference=OF_MASS,
        draws=QUANTILES,
    ),
)

_BOUNDS_AND_PREDICTIONS = (
    Metric(
        "elbo",
        "evidence lower bound",
        None,
        False,
        "E_q [log p~ - log q], nats",
        "Jordan et al. 1999",
        note="Below the log normaliser in expectation.",
        by_reference=EXACT_ANSWER,
        by_sampling=HALF_WIDTH,
        draws="at most 4,000 of the density",
    ),
    Metric(
        "eubo",
        "evidence upper bound",
        None,
        False,
        "E_p [log p~ - log q], nats",
        "Blessing et al. 2024",
        note="Above the log normaliser in expectation.",
        by_reference="standard error of the estimate",
        by_sampling="zero: q is not sampled",
        draws="none",
    ),
    Metric(
        "predictive_error",
        "error of what is predicted",
        0.0,
        True,
        "root mean over predictions f of ((E_q f - E_p f) / sd_p f)²; the target says what it predicts of rows of data",
        "root-mean-square standardised error",
        -0.5,
        "Undefined where a target predicts nothing. Whatever the labels of a mixture, predictions are the same.",
        coordinates=PREDICTED,
        by_sampling=INDEPENDENT_OF_ANY,
        draws="500,000 / predictions, at least 1,000",
    ),
)

_COORDINATES = (*_MOMENTS_AND_MODES, *DISTRIBUTIONS, *_BOUNDS_AND_PREDICTIONS)


def _of(prefix: str, coordinates: str, name: str, final: bool) -> Metric:
    """The metric called `name` of other quantities than the coordinates; of a density through its draws."""
    metric = next(metric for metric in _COORDINATES if metric.name == name)
    return replace(
        metric,
        name=f"{prefix}_{name}",
        label=f"{metric.label}, {coordinates}",
        formula=f"{name} of the target's {coordinates}",
        coordinates=coordinates,
        by_sampling=INDEPENDENT_OF_ANY,
        note="",
        final=final,
    )


_NAMED = (
    *(_of("named", NAMED, name, False) for name in ("mean_error", "centred_b2")),
    *(
        _of("named", NAMED, name, True)
        for name in (
            "mean_error_worst",
            "centred_b2_worst",
            "sd_ratio_worst",
            "coverage_50",
            "coverage_90",
            "coverage_99",
            "marginal_wasserstein",
            "tail_quantile_error",
        )
    ),
)
_INVARIANT = tuple(_of("invariant", INVARIANT, name, False) for name in ("mean_error", "centred_b2", "sd_ratio_worst"))

METRICS: dict[str, Metric] = {metric.name: metric for metric in (*_COORDINATES, *_NAMED, *_INVARIANT)}

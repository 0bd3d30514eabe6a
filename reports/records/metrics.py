"""The metrics of error: what each is called, means, and is for a perfect answer. `harness` computes them."""

from dataclasses import dataclass

FIELD = "the field's b² convention, Hoffman & Sountsov 2022"
GAUSSIAN_KL = "Kullback & Leibler 1951; closed form between Gaussians"


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: its column in the curves; with `_reference_floor` and `_sampling_floor` behind it, those of its floors.
        label: what it is called in tables and on axes.
        perfect: its value for a perfect answer, None where that depends on the target (the log normaliser).
        log: whether its axis is logarithmic.
        formula: its definition; q is the approximation, p the target.
        source: where the definition comes from.
        rate: the exponent with which independent draws bring it to its perfect value as they grow in number, or None.
        note: what its reader has to know, or ''.
    """

    name: str
    label: str
    perfect: float | None
    log: bool
    formula: str
    source: str
    rate: float | None = None
    note: str = ""

    @property
    def reference_floor(self) -> str:
        """The column with the error that the reference's own standard error implies."""
        return f"{self.name}_reference_floor"

    @property
    def ranks(self) -> bool:
        """Whether methods can be ranked by it: a perfect answer has one value, the same on every target."""
        return self.perfect is not None

    @property
    def sampling_floor(self) -> str:
        """The column with the 95 % quantile of the metric between the truth and as many independent draws."""
        return f"{self.name}_sampling_floor"


_LIST = (
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
    ),
    Metric(
        "mode_mass_error",
        "error of the modes' masses",
        0.0,
        True,
        "total variation between the masses of the modes: half the sum of |mass_q - mass_p|",
        "total variation distance",
        -0.5,
    ),
    Metric("kl_reverse", "KL(q || p)", 0.0, True, "E_q [log q - log p], nats", GAUSSIAN_KL, note="What VI minimises."),
    Metric(
        "kl_forward",
        "KL(p || q)",
        0.0,
        True,
        "E_p [log p - log q], nats",
        GAUSSIAN_KL,
        note="Large where q leaves out what the posterior holds.",
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
    ),
    Metric(
        "elbo",
        "evidence lower bound",
        None,
        False,
        "E_q [log p~ - log q], nats",
        "Jordan et al. 1999",
        note="Below the log normaliser in expectation.",
    ),
    Metric(
        "eubo",
        "evidence upper bound",
        None,
        False,
        "E_p [log p~ - log q], nats",
        "Blessing et al. 2024",
        note="Above the log normaliser in expectation.",
    ),
    Metric(
        "named_mean_error",
        "error of the mean, named quantities",
        0.0,
        True,
        "mean_error of the target's named quantities",
        "root-mean-square standardised error",
        -0.5,
    ),
    Metric(
        "named_centred_b2",
        "b² of the variance, named quantities",
        0.0,
        True,
        "centred_b2 of the target's named quantities",
        "b² about the true mean",
        -1.0,
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _LIST}

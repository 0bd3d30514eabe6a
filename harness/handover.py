"""What a sampler is given of an approximation: starting points, and a first metric with what it weighs.

`take` reads POSITIONS or POSITIONS+METRIC. POSITIONS:

- `mean`: every chain starts at the mean of the approximation;
- `draws`: every chain starts at its own draw from it.

METRIC:

- `diagonal`: the variances of the fit;
- `dense`: its covariance;
- `low_rank`: its covariance, reduced to standard deviations and the directions in which they are far off;
- `metric`: what the family offers: its covariance, in its own form, or the variances of a factorised one.

A factorised fit knows of no correlations, so that whatever is asked, variances are what it hands over. A covariance is
kept, and warm-up tunes the step alone; variances are refined, since freezing them is harmful wherever the posterior is
correlated. `keep` says otherwise, and `strength` how many draws a metric that is not kept counts for in every window of
warm-up (`samplers.metric.adapt`).
"""

import math
from dataclasses import dataclass, field

import numpy as np

from samplers import Initial
from samplers.metric import PRIOR, reduced
from samplers.scale import Scale, low_rank_scale
from targets.kernel import Matrix, Vector
from targets.options import require
from targets.protocols import Approximation, Work
from targets.target import Target
from variational.evaluation import log_densities
from variational.psis import smooth
from variational.stretched import StretchedGaussian

POSITIONS = ("mean", "draws")
METRICS = ("diagonal", "dense", "low_rank", "metric")
TAKES = (*POSITIONS, *(f"{positions}+{metric}" for positions in POSITIONS for metric in METRICS))

CANDIDATES = 1000  # draws that importance sampling chooses from, at least
CANDIDATES_A_POINT = 10
LARGEST_K = 0.7  # of the tail of the importance ratios (Vehtari et al. 2024)


@dataclass(frozen=True)
class Handover:
    """What is taken of a fit, with its options.

    Attributes:
        take: see the module.
        keep: whether the metric stays as it is; by default a covariance does.
        strength: draws that a metric counts for which is not kept.
        rank: most directions that `low_rank` keeps; None for all that matter.
        psis: whether starting points are chosen among draws by Pareto-smoothed importance weights.

    Raises:
        UsageError: an option is not accepted.
    """

    take: str = "mean"
    keep: bool | None = None
    strength: float = PRIOR
    rank: int | None = None
    psis: bool = False

    def __post_init__(self) -> None:
        require(self.take in TAKES, f"take={self.take} is not accepted; it takes {', '.join(TAKES)}")
        require(self.keep in (None, True, False), f"keep={self.keep} is not accepted; it takes true, false or none")
        require(
            _is_number(self.strength) and self.strength >= 0,
            f"strength={self.strength} is not accepted; it takes a number of draws, 0 or more, or inf",
        )
        require(
            self.rank is None or (_is_number(self.rank) and isinstance(self.rank, int) and self.rank >= 1),
            f"rank={self.rank} is not accepted; it takes 1 or more, or none",
        )
        require(isinstance(self.psis, bool), f"psis={self.psis} is not accepted; it takes true or false")
        metric = self.metric_kind
        require(
            bool(metric) or (self.keep is None and self.strength == PRIOR),
            f"take={self.take} hands over no metric that keep or strength could be about",
        )
        require(
            self.keep is not True or self.strength == PRIOR,
            "keep=true and strength exclude each other: what is kept is not weighed",
        )
        require(self.rank is None or metric == "low_rank", f"take={self.take} has no rank; low_rank has")
        require(
            not self.psis or self.take.startswith("draws"), f"take={self.take} makes no draws that psis could choose"
        )

    @property
    def metric_kind(self) -> str:
        """The part of `take` behind the plus; '' without."""
        return self.take.partition("+")[2]

    def metric(self, approximation: Approximation) -> Vector | Matrix | Scale | None:
        """(dim,) variances, a (dim, dim) covariance, a scale of low rank, or None."""
        kind = self.metric_kind
        if not kind:
            return None
        if kind == "metric" and isinstance(approximation, StretchedGaussian):
            return low_rank_scale(approximation.scale, approximation.vectors, approximation.variances)
        covariance = approximation.covariance
        if kind == "diagonal" or getattr(approximation, "diagonal", False):
            return np.diagonal(covariance).copy()
        return reduced(covariance, self.rank) if kind == "low_rank" else covariance

    def begin(self, approximation: Approximation, target: Target, points: int, seed: int) -> "Start":
        """Starting points (points, dim) and the metric, with what they cost."""
        start = Start()
        if self.take.startswith("mean"):
            positions = np.tile(approximation.mean, (points, 1))
        else:
            chosen = _chosen(approximation, target, points, seed, start) if self.psis else None
            positions = approximation.sample(np.random.default_rng([seed, 2]), points) if chosen is None else chosen
        start.initial = Initial(np.ascontiguousarray(positions), self.metric(approximation), self.keep, self.strength)
        return start


@dataclass
class Start:
    """What is handed over.

    Attributes:
        work: evaluations that choosing the starting points took.
        note: why they are plain draws where importance weights were asked for, or ''.
        diagnostics: `start_k_hat`, the tail of the importance ratios, and `start_fallback`, 1 where they were no guide.
    """

    initial: Initial = field(default_factory=Initial)
    work: Work = field(default_factory=Work)
    note: str = ""
    diagnostics: dict[str, float] = field(default_factory=dict)

    def fall_back(self, k_hat: float, why: str) -> None:
        """Note that the starting points are plain draws, and why."""
        self.diagnostics = {"start_k_hat": k_hat, "start_fallback": 1.0}
        self.note = f"started from plain draws of the fit: {why}"


def _chosen(approximation: Approximation, target: Target, points: int, seed: int, start: Start) -> Matrix | None:
    """Draws (points, dim) chosen without replacement, by Pareto-smoothed weights p / q; None if these are no guide."""
    rng = np.random.default_rng([seed, 3])
    draws = approximation.sample(rng, max(CANDIDATES, CANDIDATES_A_POINT * points))
    ours = approximation.log_density(draws)
    if ours is None:
        start.fall_back(math.nan, "the fit has no density")
        return None
    with np.errstate(invalid="ignore"):
        ratios = log_densities(target, draws, start.work) - ours
    weights, k_hat = smooth(np.where(np.isnan(ratios), -np.inf, ratios))
    if not k_hat <= LARGEST_K:
        start.fall_back(k_hat, f"k-hat of the importance weights is {k_hat:.2f}, above {LARGEST_K}")
        return None
    effective = 1.0 / float(weights @ weights)
    if effective < points:
        start.fall_back(k_hat, f"importance weights leave {effective:.1f} draws for {points} starting points")
        return None
    start.diagnostics = {"start_k_hat": k_hat, "start_fallback": 0.0}
    return np.asarray(draws[rng.choice(len(draws), points, replace=False, p=weights)])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

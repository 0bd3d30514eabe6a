"""How a reference is made: which two samplers, how long, and when that suffices."""

from dataclasses import dataclass, field

from harness.references.whitened import NAME as WHITENED
from targets import reference
from targets.options import require
from targets.target import Target

LARGEST_R_HAT = 1.005
LEAST_ESS = 10_000.0  # of x and x^2: a mean is then known to 0.01 posterior standard deviations
GOAL_ESS = 40_000.0
CHECKING_ESS = 15_000.0  # of each of the two samplers that check a certificate
MAX_SECONDS = 1800.0
EXACT_SECONDS = 60.0  # for the sampler that accompanies exact draws in a check
SEED = 20_240_611
DENSE = 100  # dimensions up to which a whole covariance is cheap beside the gradient

TAGGED = {  # samplers by tag, where the usual pair of one mode and moderate tails does not do
    "multimodal": ("parallel_tempering", "smc"),
    "heavy-tailed": ("slice", "nuts[target_accept=0.95,max_tree_depth=12]"),
}
USUAL = ("nuts[metric=stan_dense,target_accept={accept}]", WHITENED)
MANY_DIMENSIONS = ("nuts[metric=nutpie_low_rank,target_accept={accept}]", "mams")
CURVED = {"curved", "hierarchical"}  # tags of targets in whose narrow places longer steps would diverge
ACCEPT, ACCEPT_CURVED = 0.9, 0.99
NO_GRADIENT = ("slice", "ensemble")


@dataclass(frozen=True)
class Plan:
    """What a reference, or the check of one, may take.

    Attributes:
        samplers: SPECs of two different ones, or none for those that fit the target.
        ess: effective sample size of x and x^2 that each sampler goes on for; below `LEAST_ESS` nothing is certified.
        max_seconds: for each sampler, warm-up apart.
        seed: 0 or more.
        threads: in how many the chains run.
    """

    samplers: tuple[str, ...] = field(default=())
    ess: float = GOAL_ESS
    max_seconds: float = MAX_SECONDS
    seed: int = SEED
    threads: int = 1

    def __post_init__(self) -> None:
        require(
            len(self.samplers) in (0, 2) and len(set(self.samplers)) == len(self.samplers),
            f"samplers {', '.join(self.samplers)} are not accepted; a reference takes two different ones (-m A -m B)",
        )
        require(self.ess >= LEAST_ESS, f"ess={self.ess:g} is not accepted; it takes {LEAST_ESS:,.0f} or more")
        require(self.max_seconds > 0, f"max-seconds={self.max_seconds:g} is not accepted; it takes more than 0")
        require(self.seed >= 0, f"seed={self.seed} is not accepted; it takes 0 or more")
        require(
            WHITENED not in self.samplers[:1],
            f"{WHITENED} cannot be the first sampler, from whose draws it takes its metric; it can be the second",
        )

    def for_target(self, target: Target) -> tuple[str, ...]:
        """The samplers asked for; or those of the target's certificate; or those that fit it."""
        if self.samplers:
            return self.samplers
        if target.place is not None and reference.exists(target.place):
            return tuple(run["sampler"] for run in reference.content(target.place)["details"]["runs"])
        return usual(target)


def usual(target: Target) -> tuple[str, ...]:
    """Two samplers that fit the target by its tags and dimension."""
    if not target.differentiable:
        return NO_GRADIENT
    symmetric = target.place is not None and bool(target.place.relabellings)  # then one labelling suffices
    for tag, pair in TAGGED.items():
        if tag in target.tags and not symmetric:
            return pair
    first, second = USUAL if target.dim <= DENSE else MANY_DIMENSIONS
    return first.format(accept=ACCEPT_CURVED if target.tags & CURVED else ACCEPT), second

"""The forward-KL optimum from the target's own truth: for figures and tests, never ranked or timed against others."""

from dataclasses import dataclass, field

import numpy as np

from targets.kernel import Matrix, Vector
from targets.options import require
from targets.protocols import Phase, Status, Work
from targets.target import Target
from variational.gaussian import Gaussian
from variational.method import Recipe


@dataclass
class OracleRun:
    """Knows the answer; `advance` does nothing but say so."""

    q: Gaussian
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def advance(self, work: int) -> None:
        if self.status is Status.RUNNING and work > 0:
            self.status, self.reason = Status.CONVERGED, "moments of the target's truth"

    def approximation(self) -> Gaussian:
        return self.q

    def diagnostics(self) -> dict[str, float]:
        return {}


def _refuse(target: Target) -> str | None:
    if target.truth is None:
        return "nothing is known of its moments"
    moments = target.truth.moments
    finite = np.all(np.isfinite(moments.mean)) and np.all(np.isfinite(moments.covariance))
    return None if finite else "it has no finite mean and covariance"


def forward_kl_oracle(*, family: str = "fullrank") -> Recipe:
    """The Gaussian of a `family`, 'fullrank' or 'meanfield', with the moments of the target's truth."""
    require(
        family in ("fullrank", "meanfield"),
        f"forward_kl_oracle: family={family!r} is not accepted; it takes 'fullrank' or 'meanfield'",
    )

    def begin(target: Target, _: int) -> OracleRun:
        refused = _refuse(target)
        require(refused is None, f"forward_kl_oracle: {target.name} is not accepted: {refused}")
        assert target.truth is not None  # noqa: S101
        moments = target.truth.moments
        spread: Vector | Matrix = moments.covariance if family == "fullrank" else moments.variance
        return OracleRun(Gaussian.from_moments(moments.mean, spread))

    return Recipe(begin, lambda _: None, _refuse)

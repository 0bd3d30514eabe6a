"""The posterior of a Gaussian mixture's parameters given simulated data, with its K! label symmetry."""

from targets.gmm_full import gmm_full
from targets.gmm_means import gmm_means
from targets.options import require
from targets.target import Target

WIDEST = 20.0  # separation; the prior on the means has a standard deviation of 5


def gmm_posterior(
    *, model: str = "means", components: int = 2, n: int = 100, separation: float = 5.0, seed: int = 0
) -> Target:
    """A posterior with K! modes of equal mass.

    Args:
        model: 'means', the two means in one dimension, known by quadrature; or 'full', weights, means and scales in the
            plane, certified for two components with the other options at their defaults.
        components: K; 'means' takes 2, 'full' 2 to 10.
        n: observations.
        separation: distance between neighbouring centres of the components, in their standard deviations.
        seed: of the observations.

    Raises:
        UsageError: an option is not accepted.
    """
    require(model in ("means", "full"), f"gmm_posterior: model={model!r} is not accepted; it takes 'means' or 'full'")
    require(
        0 <= separation <= WIDEST,
        f"gmm_posterior: separation={separation:g} is not accepted; it takes 0 to {WIDEST:g}",
    )
    if model == "means":
        require(components == 2, f"gmm_posterior: components={components} is not accepted; model='means' takes 2")
        return gmm_means(n, separation, seed)
    return gmm_full(components, n, separation, seed)

"""The list of VI methods. A new one is a file with a factory, and a line here."""

from dataclasses import replace
from typing import Any

from targets.catalogue import Catalogue, Entry
from targets.options import UsageError
from variational.method import Recipe

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

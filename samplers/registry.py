"""The list of samplers. A new one is a file with a factory, and a line here."""

from dataclasses import replace
from typing import Any

from samplers.method import MCMC
from targets.catalogue import Catalogue, Entry

METHODS = Catalogue(
    "sampler",
    {
        "random_walk": Entry(
            "samplers.random_walk:random_walk",
            "random-walk Metropolis with adapted scale and diagonal covariance",
            ("mcmc", "gradient-free"),
        ),
        "hmc": Entry(
            "samplers.hmc:hmc",
            "static Hamiltonian Monte Carlo: dual averaging, adapted diagonal metric and path length",
            ("mcmc",),
        ),
        "mala": Entry(
            "samplers.hmc:mala",
            "Metropolis-adjusted Langevin algorithm: HMC with one leapfrog step",
            ("mcmc",),
        ),
        "nuts": Entry(
            "samplers.nuts:nuts",
            "no-U-turn sampler: multinomial, dual averaging, metric from draws, or from draws and gradients",
            ("mcmc",),
        ),
        "sgld": Entry(
            "samplers.sgld:sgld",
            "stochastic-gradient Langevin dynamics: mini-batches of rows, control variates, scale found at the mode",
            ("mcmc", "unadjusted", "mini-batch"),
        ),
        "sghmc": Entry(
            "samplers.sgld:sghmc",
            "stochastic-gradient Hamiltonian Monte Carlo: the same with momentum and friction",
            ("mcmc", "unadjusted", "mini-batch"),
        ),
    },
)


def names() -> list[str]:
    """All names that `method` accepts."""
    return METHODS.names()


def method(name: str, **options: Any) -> MCMC:
    """Make a sampler by name: `method("hmc", target_accept=0.9)`.

    Raises:
        UsageError: the name or an option is not accepted; the message says what is.
    """
    made = METHODS.prepare(name, options)
    sampler: MCMC = made.factory(**made.options)
    tags = METHODS.entries[name].tags if name in METHODS.entries else ()
    return replace(sampler, name=name, options=made.options, changed=made.changed, tags=sampler.tags | set(tags))

"""The list of samplers. A new one is a file with a factory, and a line here."""

from dataclasses import replace
from typing import Any

from samplers.method import Sampler
from targets.catalogue import Catalogue, Entry

METHODS = Catalogue(
    "sampler",
    {
        "random_walk": Entry(
            "samplers.random_walk:random_walk",
            "random-walk Metropolis; adapted scale and diagonal covariance, or the whole by Haario's rule or RAM",
            ("mcmc", "gradient-free"),
        ),
        "slice": Entry(
            "samplers.slice:slice_sampler",
            "slice sampling with stepping out, along coordinates or the columns of a covariance's factor",
            ("mcmc", "gradient-free"),
        ),
        "elliptical_slice": Entry(
            "samplers.elliptical_slice:elliptical_slice",
            "elliptical slice sampling, under a Gaussian prior or one fitted in warm-up",
            ("mcmc", "gradient-free"),
        ),
        "ensemble": Entry(
            "samplers.ensemble:ensemble",
            "affine-invariant ensemble of walkers that make stretch moves, as in emcee",
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
        "parallel_tempering": Entry(
            "samplers.parallel_tempering:parallel_tempering",
            "non-reversible parallel tempering with an adapted ladder, for modes that lie apart",
            ("mcmc",),
        ),
        "mams": Entry(
            "samplers.mams:mams",
            "Metropolis-adjusted microcanonical sampler: trajectories of constant speed, path and metric as in hmc",
            ("mcmc",),
        ),
        "mclmc": Entry(
            "samplers.mclmc:mclmc",
            "microcanonical Langevin Monte Carlo, unadjusted: biased by its step size, which the energy error sets",
            ("mcmc", "unadjusted"),
        ),
        "smc": Entry(
            "samplers.smc:smc",
            "adaptive tempered sequential Monte Carlo, for several modes; estimates the log normaliser",
            ("mcmc", "smc"),
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
        "gibbs": Entry(
            "samplers.gibbs.method:gibbs",
            "Gibbs sampling, for targets that offer the conjugate model behind their density",
            ("mcmc", "gibbs", "gradient-free", "conjugate"),
        ),
    },
)


def names() -> list[str]:
    """All names that `method` accepts."""
    return METHODS.names()


def method(name: str, **options: Any) -> Sampler:
    """Make a sampler by name: `method("hmc", target_accept=0.9)`.

    Raises:
        UsageError: the name or an option is not accepted; the message says what is.
    """
    made = METHODS.prepare(name, options)
    sampler: Any = made.factory(**made.options)
    tags = METHODS.entries[name].tags if name in METHODS.entries else ()
    tags = sampler.tags | set(tags)
    found: Sampler = replace(sampler, name=name, options=made.options, changed=made.changed, tags=tags)
    return found

"""What no sampler may do: hang, or answer, where a density has no integral; or take options that no run could hold."""

import warnings

import numba
import numpy as np
import pytest

from samplers import SamplingError, method, names, sample
from samplers.registry import METHODS
from targets.options import UsageError, defaults


@numba.njit
def flat(x, gradient, data):  # type: ignore[no-untyped-def]
    gradient[:] = 0.0
    return 0.0


@numba.njit
def rising(x, gradient, data):  # type: ignore[no-untyped-def]
    gradient[:] = 1.0
    return x.sum()


@numba.njit
def towering(x, gradient, data):  # type: ignore[no-untyped-def]
    total = 1e300
    for i in range(x.shape[0]):
        gradient[i] = -x[i]
        total -= 0.5 * x[i] ** 2
    return total


SIZES = {"smc": {"num_particles": 100, "num_chains": 2}}
FITTED = {"elliptical_slice": {"gaussian": "fitted"}}
SINGLE = [name for name in names() if name not in ("sgld", "sghmc", "gibbs")]  # those that take a density without rows


@pytest.mark.parametrize("density", [flat, rising, towering], ids=["flat", "rising", "towering"])
@pytest.mark.parametrize("name", SINGLE)
def test_a_density_without_integral_ends_by_name_or_in_draws_that_disagree(name: str, density) -> None:  # type: ignore[no-untyped-def]
    """`towering` loses all digits of a Gaussian, and so is flat. Nothing warns, and no draw is NaN."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            draws = sample(density, name, dim=2, num_samples=100, seed=3, **SIZES.get(name, {}), **FITTED.get(name, {}))
    except SamplingError as error:
        assert "\n" not in str(error)
    else:
        assert np.all(np.isfinite(draws.values)) and np.max(np.abs(draws.values)) < 1e150


def test_what_runs_off_is_named() -> None:
    with pytest.raises(SamplingError, match=r"ran off to .* no finite integral"):
        sample(flat, "mala", dim=2, seed=3)
    with pytest.raises(SamplingError, match="temperatures led to beta"):
        sample(rising, "smc", dim=2, seed=3, **SIZES["smc"])


@pytest.mark.parametrize("name", names())
def test_no_option_is_infinite_or_without_bound(name: str) -> None:
    accepted = defaults(METHODS.factory(name))
    for option in accepted:
        with pytest.raises(UsageError, match="accepted"):
            method(name, **{option: np.inf})
    for option in {"num_chains", "num_warmup", "num_particles", "num_walkers"} & accepted.keys():
        with pytest.raises(UsageError, match="accepted"):
            method(name, **{option: 10**12})

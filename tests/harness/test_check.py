"""`crossover check` finds every target and method of the project right; planted errors have files of their own.

A false alarm comes about once in a million findings, whatever the seed.
"""

import pytest

import targets
from harness import check, registry
from targets.options import UsageError
from tests.loading import load
from tests.tiers import always, seldom

OPTIONS = {"elliptical_slice": ["", "[gaussian=fitted]"]}


SPECS = [name + each for name in registry.names() for each in OPTIONS.get(name, [""])]
SHORT = {
    "hmc",
    "nuts",
    "slice",
    "laplace",
    "cavi",
    "gibbs",
    "vbem",
    "advi_fullrank",
    "pathfinder",
    "mixture_vi",
    "msc",
    "svgd",
}


@pytest.mark.parametrize("spec", always(SPECS, SHORT))
def test_every_method_is_right(spec: str) -> None:
    ((_, findings),) = check.check(spec)
    assert {finding.what for finding in findings} >= {"repeats", "resumes", "counts", "mean", "fails by name"}
    assert [finding for finding in findings if not finding.ok] == []


# Their samplers are still warming up when their seconds are over, and say nothing; the rest is in laws/test_targets.py.
SLOW = ("item_response", "horseshoe")


RARE = {
    "gaussian_process_regression",
    "lotka_volterra",
    "radon",
    "gaussian_process_classification",
    "low_dim_gauss_mix-low_dim_gauss_mix",
    "gp_pois_regr-gp_regr",
    "stochastic_volatility",
    "diamonds-diamonds",
    "logistic_regression",
    "hidden_markov",
}


@pytest.mark.parametrize("name", seldom([name for name in targets.names() if name not in SLOW], RARE))
def test_every_target_is_right(name: str) -> None:
    """What the harness adds to `tests/laws/test_targets.py`."""
    load(name)
    ((_, findings),) = check.check(name, seed=3)
    assert [finding for finding in findings if not finding.ok] == []
    whats = {finding.what for finding in findings}
    assert {"another process gives the same bits", "speed", "nuts and slice agree with the truth"} <= whats


def test_a_method_that_fits_no_test_target_is_told_why() -> None:
    class Picky:
        def unfit(self, target: object) -> str:
            return "picky"

    (finding,) = check.check_method(Picky())  # type: ignore[arg-type]
    assert not finding.ok and finding.detail.count("is refused: picky") == 3


def test_a_name_that_is_nothing_is_refused() -> None:
    assert "nothing" not in registry.names()
    with pytest.raises(UsageError, match="no target or method"):
        list(check.check("nothing"))

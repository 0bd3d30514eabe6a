"""`crossover check` finds every sampler of the project right."""

import pytest

from harness import check, registry
from samplers import names
from targets.options import UsageError


@pytest.mark.parametrize("name", [*names(), "elliptical_slice[gaussian=fitted]"])
def test_every_sampler_is_right(name: str) -> None:
    ((_, findings),) = check.check(name)
    assert {finding.what for finding in findings} >= {"repeats", "resumes", "mean", "variance", "fails by name"}
    assert [finding for finding in findings if not finding.ok] == []


def test_a_method_that_fits_no_test_target_is_told_why() -> None:
    class Picky:
        def unfit(self, target: object) -> str:
            return "picky"

    (finding,) = check.check_method(Picky())  # type: ignore[arg-type]
    assert not finding.ok and finding.detail.count("is refused: picky") == 2


def test_a_name_that_is_nothing_is_refused() -> None:
    assert "nothing" not in registry.names()
    with pytest.raises(UsageError, match="no target or method"):
        list(check.check("nothing"))

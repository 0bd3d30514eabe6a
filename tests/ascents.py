"""What tests ask of ascents: that their bounds never fall, and that a fault in an update would be seen by that."""

import inspect
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.tiers import always

QUARTERS = always(range(4), (0,))  # of 200 data sets, for `parametrize`: fits that cost more than a second or two


def assert_rises(bounds: npt.ArrayLike, rounding: float = 0.0) -> None:
    """No sweep lowers the bound by more than 1e-9 of its size, and by as many nats as rounding takes from its terms."""
    values = np.asarray(bounds)
    assert np.isfinite(values).all()
    fall = -np.diff(values) - 1e-9 * np.abs(values[1:]) - rounding
    assert not (fall > 0).any(), f"the bound falls by {fall.max():.3g} nats more than rounding explains"


def plant(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, right: str, wrong: str) -> None:
    """Replace what stands once in the source of a method, or of a property."""
    method = vars(owner)[name]
    is_property = isinstance(method, property)
    source = textwrap.dedent(inspect.getsource(method.fget if is_property else method))
    assert source.count(right) == 1, right
    function = method.fget if is_property else method
    found: dict[str, Any] = {}
    exec(compile(source.replace(right, wrong), "<planted>", "exec"), function.__globals__, found)  # noqa: S102
    monkeypatch.setattr(owner, name, found[name])


def assert_caught(law: Callable[..., None], cases: Iterable[dict[str, Any]]) -> None:
    """A test of hypothesis, by its arguments, sees a bound fall in one of these cases."""
    with pytest.raises(AssertionError, match="the bound falls"):
        for case in cases:
            law.hypothesis.inner_test(**case)  # type: ignore[attr-defined]

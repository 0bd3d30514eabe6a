"""Which cases of a long test run always, and which under `--long` alone."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def always(cases: Iterable[Any], short: Collection[Any]) -> list[Any]:
    """Parameters for `parametrize`: those among `short` run always, the others are marked `long`."""
    return [case if case in short else pytest.param(case, marks=pytest.mark.long) for case in cases]


def seldom(cases: Iterable[Any], long: Collection[Any]) -> list[Any]:
    """As `always`, by those that are marked."""
    return [pytest.param(case, marks=pytest.mark.long) if case in long else case for case in cases]

"""How registry-wide tests load targets: those that need a folder which is not there are skipped with the reason."""

import os
from typing import Any

import pytest

import targets
from targets.options import UnavailableError
from targets.posteriordb import ENVIRONMENT


def load(name: str, **options: Any) -> targets.Target:
    """As `targets.load`; a skip where no folder of posteriordb is named. One that is named has to be whole."""
    try:
        return targets.load(name, **options)
    except UnavailableError as reason:
        if os.environ.get(ENVIRONMENT):
            raise
        pytest.skip(str(reason))

"""Another stream of random numbers for the whole suite, CROSSOVER_TEST_STREAM=7, and long tests, which `--long` adds.

Statistical tests have fixed seeds, so that what they say is repeatable. Whether they hold for other seeds too is asked
by running them on other streams: the number is mixed into every seed but those of the targets, whose data stay.
"""

import os
import signal
import sys
import threading
from typing import Any

import numpy as np
import pytest

STREAM = int(os.environ.get("CROSSOVER_TEST_STREAM", "0"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked `long` too: minutes each on one core")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item.get_closest_marker("long") is None]


def pytest_configure(config: pytest.Config) -> None:
    if threading.current_thread() is threading.main_thread():
        # a shell that starts the tests in the background has them, and all that they start, ignore interrupts
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if STREAM:
        plain_sequence, plain_generator = np.random.SeedSequence, np.random.default_rng

        def sequence(entropy: Any = None, **options: Any) -> np.random.SeedSequence:
            return plain_sequence(_with_stream(entropy) if _moves(entropy) else entropy, **options)

        def generator(seed: Any = None) -> np.random.Generator:
            return plain_generator(_with_stream(seed) if _moves(seed) else seed)

        np.random.SeedSequence, np.random.default_rng = sequence, generator  # type: ignore[assignment,misc]


def _moves(seed: Any) -> bool:
    """Whether the stream is mixed into a seed: asked by the function that a target, a sampler or a test has called."""
    caller = sys._getframe(2).f_globals.get("__name__", "")
    return isinstance(seed, int | np.integer | list | tuple) and not caller.startswith("targets.")


def _with_stream(entropy: Any) -> list[int]:
    return [*(entropy if isinstance(entropy, list | tuple) else [entropy]), STREAM]

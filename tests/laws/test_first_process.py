"""The process that compiles and those that load its code from the cache compute the same bits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
import numpy as np
import targets
from harness import registry

spec, *methods = sys.argv[1:]
target = registry.target(spec)
points = np.random.default_rng(0).standard_normal((100, target.dim))
values, gradients = target.evaluate(points)
print(values.tobytes().hex(), gradients.tobytes().hex())
for name in methods:
    method = registry.method(name)
    method.compile(target)
    run = method.start(target, 1)
    while run.status == "running" and run.work.total < 10_000:
        run.advance(10_000 - run.work.total)
    print(name, run.work.total, run.approximation().mean.tobytes().hex())
"""

METHODS = [
    "hmc[num_warmup=40]",
    "sghmc",
    "random_walk[num_warmup=40]",
    "advi_meanfield",
    "advi_fullrank",
    "forward_kl_fullrank",
]


@pytest.mark.parametrize(
    ("target", "methods"),
    [
        pytest.param(
            "logistic_regression", METHODS, marks=pytest.mark.long
        ),  # a kernel that calls a kernel, and helpers with sums
        ("gmm_posterior[model=full]", []),
        ("eight_schools", []),
        ("correlated_gaussian[structure=rotated,dim=50]", []),
    ],
)
def test_compiling_changes_no_bit(tmp_path: Path, target: str, methods: list[str]) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", PROGRAM, target, *methods]
    first, second = (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout for _ in range(2)
    )
    assert first == second
    assert len(first.splitlines()) == 1 + len(methods)

"""Result folders made up for the tests: what their curves show is known."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.records import METRICS, Folder, open_folder

TARGETS = {
    "correlated_gaussian[dim=10]": ("correlated_gaussian", 10, "exact gaussian"),
    "banana": ("banana", 2, "exact"),
    "funnel": ("funnel", 10, "exact"),
    "bimodal_mixture": ("bimodal_mixture", 1, "exact multimodal"),
    "gmm_posterior": ("gmm_posterior", 2, "multimodal"),
    "student_t": ("student_t", 5, "heavy-tailed"),
    "eight_schools": ("eight_schools", 10, ""),
    "logistic_regression": ("logistic_regression", 31, "real-data"),
    "logistic_regression[data=synthetic]": ("logistic_regression", 20, ""),
    "correlated_gaussian[dim=100]": ("correlated_gaussian", 100, "exact gaussian"),
}
METHODS = {
    "advi_meanfield": "vi",
    "advi_fullrank": "vi",
    "laplace": "vi",
    "cavi": "vi",
    "forward_kl": "vi",
    "forward_kl_oracle": "vi oracle",
    "rwm": "mcmc",
    "hmc": "mcmc",
    "hmc[warm_start=advi_meanfield,take=draws+metric]": "mcmc",
    "hmc[warm_start=laplace,take=mean]": "mcmc",
    "nuts": "mcmc",
    "nuts[target_accept=0.9]": "mcmc",
    "nuts[metric=stan]": "mcmc",
    "mclmc": "mcmc unadjusted",
}
FLOORS = dict(zip(METHODS, (0.12, 0.03, 0.2, 0.1, 0.05, 0.02), strict=False))


def fill(
    folder: Folder, targets: list[str], methods: list[str], seeds: int = 5, checkpoints: int = 25, **changes: Any
) -> Folder:
    """Write cells in which VI falls to `FLOORS` and sampling falls as 1/sqrt(evaluations)."""
    for i, target in enumerate(targets):
        for j, method in enumerate(methods):
            for seed in range(seeds):
                cell, curves = made(target, method, seed, checkpoints, np.random.default_rng([i, j, seed]))
                folder.write(cell | changes, curves if cell["status"] not in ("skipped", "failed") else {})
    return folder


def made(
    target: str, method: str, seed: int, checkpoints: int, rng: np.random.Generator
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One cell and its curves."""
    name, dim, tags = TARGETS[target]
    kind = METHODS[method]
    sweeps = method == "cavi"
    cell: dict[str, Any] = {
        "cell_id": f"{name}-{dim}-{list(METHODS).index(method)}-{seed}-{list(TARGETS).index(target)}",
        "target": target,
        "method": method,
        "target_name": name,
        "method_name": method.split("[", maxsplit=1)[0],
        "options": {"target": {"dim": dim}, "method": {}},
        "seed": seed,
        "status": "converged" if "mcmc" not in kind else "budget spent",
        "reason": "",
        "oracle": "oracle" in kind,
        "tags": tags,
        "method_tags": kind,
        "dim": dim,
        "compile_seconds": 0.4,
        "setup_seconds": 1e-3,
        "host": "machine",
        "machine": "a processor, 2 cores, 8 GB",
        "threads": 1,
        "jobs": 2,
        "versions": {"python": "3.11", "numpy": "2.3"},
        "commit": "0" * 40,
        "dirty": False,
        "started_at": "2026-01-01T00:00:00+00:00",
        "true_log_normaliser": 0.0,
    }
    if sweeps and "gaussian" not in tags:
        return cell | {"status": "skipped", "reason": "needs a Gaussian target"}, {}
    if method == "laplace" and target == "funnel":
        return cell | {"status": "failed", "reason": "<script>alert(1)</script> no mode & no end"}, {}
    speed = 1e-6 * dim * float(rng.uniform(0.9, 1.3))
    work = np.unique(np.geomspace(40, 2e5 if "mcmc" in kind else 2e4, checkpoints).astype(int))
    rows = len(work)
    warmup = 2000 if "mcmc" in kind else 0
    if "warm_start" in method:
        warmup = 900
    phase = np.where(work <= warmup, "warmup", "run")
    after = np.maximum(work - warmup, 1)
    noise = np.exp(np.cumsum(rng.normal(0, 0.08, rows)))
    if "mcmc" in kind:
        scale = {"rwm": 30.0, "hmc": 6.0}.get(method.split("[", maxsplit=1)[0], 4.0)
        error = np.where(phase == "run", scale / np.sqrt(after), 3.0) * noise
        stuck = "multimodal" in tags and not method.startswith("rwm")
        draws = np.maximum(after / 10, 2)
        cell |= {
            "r_hat": 1.8 if stuck else 1.003,
            "ess_min": 12.0 if stuck else 1800.0,
            "ess_square_min": 8.0 if stuck else 900.0,
            "e_bfmi": 0.2 if name == "funnel" else 0.9,
            "tree_depth": 3.4,
            "divergences": 14 if name == "funnel" else 0,
            "warmup_seconds": warmup * speed,
            "run_seconds": float(after[-1]) * speed,
        }
        if stuck:
            error = np.maximum(error, 0.6)
    else:
        floor = FLOORS[method]
        error = np.maximum(floor * (1 + 30 * np.exp(-work / 500)), floor) * (1 + 0.02 * rng.normal())
        draws = np.full(rows, np.inf)
        cell |= {
            "k_hat": 1.2 if "fullrank" not in method else 0.4,
            "run_seconds": float(work[-1]) * speed,
            "elbo": -1.2,
        }
    ratio = math.exp(-math.sqrt(error[-1]))
    masses = [0.7, 0.3] if "multimodal" in tags else None
    cell |= {
        "warmup_evaluations": warmup,
        "warmup_gradient_evaluations": warmup,
        "warmup_density_evaluations": 0,
        "run_evaluations": int(after[-1]),
        "gradient_evaluations": 0 if sweeps else int(work[-1]),
        "density_evaluations": 0,
        "sweeps": int(work[-1]) if sweeps else 0,
        "summary": {
            "coordinates": [f"x[{k}]" for k in range(dim)],
            "mean_z": [0.01] * dim,
            "sd_ratio": list(ratio * np.exp(rng.normal(0, 0.05, dim))),
            "mode_masses": masses and ([1.0, 0.0] if seed % 2 else [0.9, 0.1]),
            "true_mode_masses": masses,
        },
    }
    curves: dict[str, Any] = {
        "phase": phase.tolist(),
        "seconds": 1e-3 + work * speed,
        "gradient_evaluations": [0] * rows if sweeps else work,
        "density_evaluations": [0] * rows,
        "row_evaluations": [0] * rows,
        "sweeps": work if sweeps else [0] * rows,
        "work": work,
    }
    for metric in METRICS.values():
        value, sampling = error.copy(), np.where(np.isfinite(draws), 1 / np.sqrt(draws), 0.0)
        if metric.rate == -1.0:
            value, sampling = value**2, sampling**2
        if metric.perfect == 1.0:
            value = np.exp(-error)
        elif metric.perfect:
            value = metric.perfect * (1 - 0.5 * np.minimum(error, 1))
        elif metric.name in ("elbo", "eubo"):
            value = np.full(rows, np.nan) if "mcmc" in kind else error * (-5 if metric.name == "elbo" else 5)
        elif metric.name.startswith("kl_"):
            value = np.full(rows, np.nan) if "mcmc" in kind else error * (1 if metric.name == "kl_reverse" else 4)
        elif (metric.name == "mode_mass_error" and masses is None) or (metric.rate == -1.0 and name == "student_t"):
            value = np.full(rows, np.nan)
        if metric.final:
            value = np.where(np.arange(rows) == rows - 1, value, math.nan)
        curves[metric.name] = value
        curves[metric.reference_floor] = [0.0 if "exact" in tags else 0.004] * rows
        curves[metric.sampling_floor] = sampling
    return cell, curves


@pytest.fixture
def filled() -> Callable[..., Folder]:
    """`fill`, for tests that want a folder of their own."""
    return fill


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Three targets, six methods, three seeds. For reading only."""
    folder = open_folder(tmp_path_factory.mktemp("results") / "r", create=True)
    targets = ["correlated_gaussian[dim=10]", "funnel", "bimodal_mixture"]
    methods = [
        "advi_meanfield",
        "laplace",
        "cavi",
        "forward_kl_oracle",
        "rwm",
        "hmc",
        "hmc[warm_start=laplace,take=mean]",
    ]
    return fill(folder, targets, methods, seeds=3)


@pytest.fixture
def empty(tmp_path: Path) -> Folder:
    """A new folder."""
    return open_folder(tmp_path / "r", create=True)

"""The Bayesian Gaussian mixture beside scikit-learn's, on one core: seconds of a sweep, and components found.

    python -m benchmarks.peers_mixture [speed | components | size]

`speed` alternates both in one process and prints medians of the ratios; `components` fits 1 to 8 components to data
sets whose number is known and counts how often the highest bound has it; `size` times sweeps over 10^3 to 10^7 rows of
a memory map and prints the slope of their cost and the peak of memory.
"""

import pathlib
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import psutil
from threadpoolctl import threadpool_limits

from targets.kernel import Matrix
from variational import BayesianGaussianMixture
from variational.conjugate.blocks import blocks
from variational.conjugate.mixture_ascent import State

N, D, SIZE = 100_000, 5, 10
SEPARATIONS = {"overlapping": 1.0, "apart": 20.0}
REPEATS = 11
DATA_SETS, MOST = 20, 8
SETTINGS = {"weight_concentration_prior_type": "dirichlet_distribution", "weight_concentration_prior": 1.0}


def clusters(n: int, d: int, size: int, apart: float, rng: np.random.Generator) -> tuple[Matrix, np.ndarray]:
    """Rows (n, d) of `size` spherical clusters, whose centres have the sd `apart`, and the labels (n,)."""
    labels = rng.integers(size, size=n)
    return apart * rng.standard_normal((size, d))[labels] + rng.standard_normal((n, d)), labels


def sweeps(apart: float) -> tuple[Callable[[], object], Callable[[], object]]:
    """A sweep of ours and one of scikit-learn's, each with its bound, from the same q."""
    from sklearn.mixture import BayesianGaussianMixture as Peer

    rows, labels = clusters(N, D, SIZE, apart, np.random.default_rng(1))
    shares = np.eye(SIZE)[labels]
    ours = BayesianGaussianMixture(n_components=SIZE, init_params=shares, max_iter=1).fit(rows)
    peer = Peer(n_components=SIZE, max_iter=1, init_params="random_from_data", random_state=1).fit(rows)
    peer._initialize(rows, shares)
    data = blocks(rows, "rows")

    def theirs() -> object:
        norm, log_shares = peer._e_step(rows)
        peer._m_step(rows, log_shares)
        return peer._compute_lower_bound(log_shares, norm)

    state = State(ours.prior_, ours._moments_)
    return lambda: state.sweep(data), theirs


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()  # of the processor: other processes do not slow it down as much as the clock
    work()
    return time.process_time() - start


def speed(apart: float, repeats: int = REPEATS) -> tuple[float, float, float]:
    """Medians of seconds of a sweep, ours and scikit-learn's, and of the ratio of each pair."""
    ours, theirs = sweeps(apart)
    with threadpool_limits(1):
        pairs = [(seconds(ours), seconds(theirs)) for _ in range(repeats + 1)][1:]
    mine, other = zip(*pairs, strict=True)
    return statistics.median(mine), statistics.median(other), statistics.median(b / a for a, b in pairs)


def separate(size: int, rng: np.random.Generator) -> Matrix:
    """(size, 2) centres, uniform over a square of side 24, none closer than 6 to another."""
    centres = [rng.uniform(-12.0, 12.0, 2)]
    while len(centres) < size:
        here = rng.uniform(-12.0, 12.0, 2)
        if min(float(np.linalg.norm(here - other)) for other in centres) >= 6.0:
            centres.append(here)
    return np.array(centres)


COUNTED = ("bound", "bound with log K!", "scikit-learn", "scikit-learn in units of a cluster's sd")


def components() -> dict[str, int]:
    """How often each of COUNTED is highest at the true number of components.

    Clusters have the sd 1 in the plane, and the rows are then given in other units, 10^-2 to 10^2 of it. With K
    components scikit-learn's bound lacks K times the log normaliser of a precision's prior, which depends on the units;
    the last of COUNTED is its bound with that changed to the units in which clusters have the sd 1.
    """
    from sklearn.mixture import BayesianGaussianMixture as Peer

    right = dict.fromkeys(COUNTED, 0)
    for data_set in range(DATA_SETS):
        rng = np.random.default_rng([7, data_set])
        true = 2 + data_set % 5
        unit = 10.0 ** rng.uniform(-2.0, 2.0)
        rows = unit * (separate(true, rng)[rng.integers(true, size=500)] + rng.standard_normal((500, 2)))
        bounds = np.empty((len(COUNTED), MOST))
        for k in range(1, MOST + 1):
            same: dict[str, Any] = {
                "n_components": k, "n_init": 3, "max_iter": 200, "random_state": data_set, **SETTINGS
            }  # fmt: skip
            ours = BayesianGaussianMixture(tol=1e-3 / len(rows), **same).fit(rows)
            peer = Peer(tol=1e-3, reg_covar=0.0, init_params="kmeans", **same).fit(rows)
            other = peer.lower_bound_ + k * peer.degrees_of_freedom_prior_ * 2 * np.log(unit)
            bounds[:, k - 1] = ours.lower_bound_, ours.log_evidence_bound_, peer.lower_bound_, other
        found = dict(zip(COUNTED, (1 + bounds.argmax(1)).tolist(), strict=True))
        for name in COUNTED:
            right[name] += found[name] == true
        say(f"true {true}, unit {unit:.2g}: " + ", ".join(f"{name} {k}" for name, k in found.items()))
    return right


def size(largest: int = 7) -> tuple[float, float]:
    """The slope of log seconds in log rows from 10^4 rows on, and the peak of memory above the base, in bytes."""
    timed = []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "rows.npy"
        for power in range(3, largest + 1):
            write(path, 10**power)
            base = psutil.Process().memory_info().rss
            peak = Peak()
            mixture = BayesianGaussianMixture(n_components=SIZE, max_iter=1, random_state=1).fit(path)
            state, data = State(mixture.prior_, mixture._moments_), blocks(path, "rows")
            each = statistics.median(seconds(partial(state.sweep, data)) for _ in range(5))
            timed.append((10**power, each))
            above = peak.end() - base
            say(f"10^{power} rows: {each:.3g} s a sweep, {above / 2**20:.0f} MiB above the base")
    n, spent = np.log(np.array(timed[1:])).T
    return float(np.polyfit(n, spent, 1)[0]), above


class Peak:
    """The most memory that this process has held since: the system's own count, looked at as often as it can be."""

    def __init__(self) -> None:
        import threading

        self.process, self.most, self.going = psutil.Process(), 0, True
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while self.going:
            self.most = max(self.most, self.process.memory_info().rss)
            time.sleep(0.005)

    def end(self) -> int:
        self.going = False
        self.thread.join()
        return self.most


def write(path: pathlib.Path, n: int) -> None:
    """Rows (n, D) in a .npy file, a part at a time."""
    rng = np.random.default_rng(3)
    centres = 4.0 * rng.standard_normal((SIZE, D))
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=(n, D))
    for start in range(0, n, 100_000):
        m = min(100_000, n - start)
        rows[start : start + m] = centres[rng.integers(SIZE, size=m)] + rng.standard_normal((m, D))
    rows.flush()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(what: str) -> None:
    warnings.simplefilter("ignore")
    if what == "speed":
        for name, apart in SEPARATIONS.items():
            mine, other, ratio = speed(apart)
            say(f"{name}: {1e3 * mine:.1f} ms a sweep, scikit-learn {1e3 * other:.1f} ms, {ratio:.1f} times faster")
    elif what == "components":
        with threadpool_limits(1):
            right = components()
        say(f"right of {DATA_SETS}: " + ", ".join(f"{name} {k}" for name, k in right.items()))
    else:
        slope, above = size()
        say(f"slope {slope:.3f}, peak {above / 2**20:.0f} MiB above the base")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "speed")

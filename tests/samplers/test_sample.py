"""`samplers.sample` as people call it: what it takes, what it gives back, and what it refuses."""

import os
import pathlib
import pickle
import subprocess
import sys
import threading
import time
from typing import Any

import numba
import numpy as np
import pytest

import samplers
import targets
from samplers.draws import Draws
from samplers.sample import ALIASES
from samplers.variables import Variable, variables
from targets import UsageError
from targets.plain import from_python

SHORT = {"num_samples": 40, "num_warmup": 60, "num_chains": 2}


@numba.njit
def normal(x, gradient, data):
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] = (3.0 - x[i]) / 4.0
        total -= 0.125 * (x[i] - 3.0) ** 2
    return total


@numba.njit
def normal_alone(x):
    total = 0.0
    for i in range(x.shape[0]):
        total -= 0.125 * (x[i] - 3.0) ** 2
    return total


def plain(x: np.ndarray) -> tuple[float, np.ndarray]:
    return -0.125 * float((x - 3.0) @ (x - 3.0)), (3.0 - x) / 4.0


@pytest.mark.parametrize(
    ("function", "name", "gradient"),
    [
        (normal, "nuts", None),
        (normal_alone, "random_walk", None),
        (normal_alone, "nuts", "differences"),
        (plain, "nuts", None),
        (lambda x: plain(x)[0], "random_walk", None),
    ],
    ids=["compiled", "compiled density", "differences", "plain", "plain density"],
)
def test_a_density_of_ones_own_has_its_moments(function: Any, name: str, gradient: Any) -> None:
    """N(3, 2^2) in two dimensions, at five standard errors as the chains' ESS gives them: one false alarm in 1e6."""
    draws = samplers.sample(function, name, dim=2, gradient=gradient, num_samples=1500, num_warmup=300, seed=2)
    assert np.min(draws.ess_bulk) > 200
    assert np.all(np.abs(draws.mean - 3.0) < 5 * draws.mcse_mean)
    assert np.all(np.abs(np.sqrt(np.diag(draws.covariance)) - 2.0) < 5 * draws.mcse_sd)
    assert np.all(draws.r_hat < 1.05)


def test_data_reach_the_function() -> None:
    @numba.njit
    def shifted(x, data):
        return -0.5 * (x[0] - data[0, 0]) ** 2

    draws = samplers.sample(shifted, "random_walk", dim=1, data=[[50.0]], num_samples=500, seed=1)
    assert draws.mean[0] == pytest.approx(50.0, abs=0.5)


def test_a_name_a_target_and_the_same_density_of_ones_own_give_the_same_draws() -> None:
    by_name = samplers.sample("banana", **SHORT)
    loaded = targets.load("banana")
    assert np.array_equal(by_name.values, samplers.sample(loaded, **SHORT).values)
    assert by_name.coordinates == loaded.coordinates
    assert by_name.values.shape == (2, 40, 2)
    assert all(values.shape == (2, 40) for values in by_name.stats.values())
    assert by_name.warmup is not None
    assert by_name.warmup.values.shape == (2, 60, 2)
    assert by_name.about["tuning_steps"] == 60
    assert by_name.about["sampler"] == "nuts[num_warmup=60,num_chains=2]"


def test_pymc_names_mean_the_same() -> None:
    ours = samplers.sample("banana", **SHORT, seed=5, max_tree_depth=4, target_accept=0.9, num_threads=1)
    theirs = samplers.sample(
        "banana", draws=40, tune=60, chains=2, random_seed=5, max_treedepth=4, target_accept=0.9, cores=1
    )
    assert np.array_equal(ours.values, theirs.values)
    assert ours.about["sampler"] == theirs.about["sampler"]


@pytest.mark.parametrize(("alias", "name"), list(ALIASES.items()))
def test_two_names_of_one_option_are_refused(alias: str, name: str) -> None:
    with pytest.raises(UsageError, match="two names of one option"):
        samplers.sample("banana", **{alias: 1, name: 1})


def test_progress_changes_nothing_and_silence_is_usual(capfd: pytest.CaptureFixture[str]) -> None:
    quiet = samplers.sample("banana", **SHORT)
    assert capfd.readouterr() == ("", "")
    shown = samplers.sample("banana", **SHORT, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "100/100" in err
    assert np.array_equal(quiet.values, shown.values)


def test_chains_start_where_they_are_told() -> None:
    points = np.array([[1.0, 2.0], [-3.0, 0.5]])
    given = samplers.sample(normal, initial=points, **SHORT)
    assert np.array_equal(
        given.values, samplers.sample(normal, dim=2, initial=samplers.Initial(points), **SHORT).values
    )
    around = samplers.sample(normal, initial=[100.0, 100.0], num_samples=1, num_warmup=200, num_chains=3)
    assert around.warmup is not None
    assert np.abs(around.warmup.values[:, 0]).min() > 50.0  # the other side, after half a period
    registered = samplers.sample("banana", initial=np.zeros(2), **SHORT)
    assert registered.values.shape == (2, 40, 2)


def test_what_a_sampler_needs_is_said_before_it_starts() -> None:
    with pytest.raises(UsageError, match=r"nuts needs a gradient, and normal_alone has none; .*random_walk") as caught:
        samplers.sample(normal_alone, dim=2)
    assert "\n" not in str(caught.value)
    assert samplers.method("nuts").unfit(targets.from_function(normal_alone, 2)) == "nuts needs a gradient"
    assert samplers.method("random_walk").unfit(targets.from_function(normal_alone, 2)) is None


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [
        ("banana", {"num_samples": 0}, "num_samples=0 is not accepted"),
        ("banana", {"draws": 2.5}, "num_samples=2.5 is not accepted"),
        ("banana", {"num_samples": True}, "num_samples=True is not accepted"),
        ("banana", {"seed": -1}, "seed=-1 is not accepted"),
        ("banana", {"random_seed": None}, "seed=None is not accepted"),
        ("banana", {"cores": 0}, "num_threads=0 is not accepted"),
        ("banana", {"chains": 0}, "num_chains=0 is not accepted"),
        ("banana", {"tune": 3}, "num_warmup=3 is not accepted"),
        ("banana", {"target_acept": 0.9}, "nuts has no option 'target_acept'; did you mean target_accept?"),
        ("banana", {"num_sample": 10}, "did you mean num_samples?"),
        ("banana", {"max_tree_dept": 10}, "did you mean max_tree_depth?"),
        ("banana", {"zzz": 10}, "accepted: target_accept"),
        ("banana", {"target_accept": 2.0}, "target_accept=2 is not accepted"),
        ("banana", {"name": "nut"}, "did you mean nuts"),
        ("banana", {"name": 3}, "a sampler of type int is not accepted"),
        ("bananas", {}, "did you mean banana"),
        ("banana", {"dim": 3}, "dim= goes with a function of one's own"),
        ("banana", {"gradient": plain}, "gradient= goes with a function of one's own"),
        ("banana", {"initial": np.ones(3)}, r"initial of shape \(3,\) is not accepted; 2 coordinates"),
        ("banana", {"initial": np.ones((1, 2))}, "not accepted"),
        ("banana", {"initial": np.ones((4, 2, 1))}, "a point"),
        ("banana", {"initial": "zero"}, "initial of type str is not accepted"),
        (7, {}, "a target of type int is not accepted"),
        (plain, {}, "give dim="),
        (plain, {"dim": 3, "initial": np.ones((4, 2))}, "do not fit"),
        (plain, {"initial": np.array([1.0, np.nan])}, "finite numbers"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(target: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        samplers.sample(target, **options)
    assert "\n" not in str(caught.value)


def test_what_cannot_go_on_says_why() -> None:
    nowhere = from_python(lambda x: (np.nan, x), 2)
    with pytest.raises(samplers.SamplingError, match="nuts on plain: no finite log density"):
        samplers.sample(nowhere)
    with pytest.raises(samplers.SamplingError, match="at the starting point given for chain 0"):
        samplers.sample(lambda x: (float("nan") if x[0] == 0 else 0.0, x), initial=np.zeros((4, 1)))


def test_names_that_fill_an_array_are_one_variable() -> None:
    assert variables(["mu", "theta[1]", "theta[2]"]) == [Variable("mu", (0,)), Variable("theta", (1, 2), ((1, 2),))]
    assert variables(["w[b,2]", "w[b,1]"]) == [Variable("w", (0, 1), (("b",), (2, 1)))]
    grid = [f"m[{i},{j}]" for i in (0, 1) for j in (0, 1, 2)]
    assert variables(grid) == [Variable("m", tuple(range(6)), ((0, 1), (0, 1, 2)))]
    for alone in (["m[0,0]", "m[1,1]"], ["a", "a[1]"], ["a[1]", "a[1]"], ["a[1]", "a[1,1]"], ["v/scale", "[1]"]):
        assert [variable.name for variable in variables(alone)] == alone
    mixed = variables(["theta[1]", "mu", "theta[2]"])
    assert [(variable.name, variable.columns) for variable in mixed] == [("theta", (0, 2)), ("mu", (1,))]


@pytest.fixture(scope="module")
def schools() -> Draws:
    return samplers.sample("eight_schools", num_samples=500, num_chains=4, seed=1)


def test_quantities_are_found_by_name(schools: Draws) -> None:
    assert schools["theta"].shape == (4, 500, 8)
    assert np.array_equal(schools["theta[3]"], schools["theta"][..., 2])
    assert np.array_equal(schools["tau"], np.exp(schools["log_tau"]))
    assert np.allclose(schools["theta"], schools["mu"][..., None] + schools["tau"][..., None] * schools["raw"])
    with pytest.raises(KeyError, match="no quantity is called 'sigma'; there are mu, tau, theta, log_tau, raw"):
        schools["sigma"]


def test_the_table_says_what_the_arrays_say(schools: Draws) -> None:
    table = schools.summary()
    assert list(table.index) == ["mu", "tau", *(f"theta[{j}]" for j in range(1, 9))]
    assert list(table.columns) == [
        "mean", "sd", "mcse_mean", "mcse_sd", "q5", "q50", "q95", "ess_bulk", "ess_tail", "r_hat",
    ]  # fmt: skip
    tau = schools["tau"]
    assert table.loc["tau", "mean"] == pytest.approx(tau.mean())
    assert table.loc["tau", "sd"] == pytest.approx(tau.std(ddof=1))
    assert table.loc["tau", "q95"] == pytest.approx(np.quantile(tau, 0.95))
    assert table.loc["mu", "ess_bulk"] == pytest.approx(schools.ess_bulk[0])
    assert table.loc["tau", "ess_bulk"] == pytest.approx(Draws(tau[..., None]).ess_bulk[0])
    bare = schools.summary(unconstrained=True, probabilities=(0.25,))
    assert list(bare.index) == list(schools.coordinates)
    assert "q25" in bare
    with pytest.raises(UsageError, match="between 0 and 1"):
        schools.summary(probabilities=(2.0,))


def test_standard_errors_of_independent_draws_are_known() -> None:
    """sd / sqrt(n) for the mean, sd / sqrt(2 n) for the standard deviation of a Gaussian; ESS is good to 3 %."""
    draws = Draws(np.random.default_rng(1).standard_normal((4, 2500, 1)) * 3.0)
    assert draws.mcse_mean[0] == pytest.approx(0.03, rel=0.1)
    assert draws.mcse_sd[0] == pytest.approx(0.03 / np.sqrt(2), rel=0.1)
    assert list(draws.summary().index) == [0]
    assert np.isnan(Draws(np.zeros((2, 3, 1))).mcse_mean[0])


def test_draws_can_be_pickled_with_their_quantities() -> None:
    draws = samplers.sample("funnel", **SHORT)
    copy = pickle.loads(pickle.dumps(draws))
    assert np.array_equal(copy.named_values, draws.named_values)
    assert copy.summary().equals(draws.summary())


SLOW_PLAIN = """
import time, samplers
def slow(x):
    time.sleep(0.005)
    return -0.5 * float(x @ x), -x
target, options = slow, dict(dim=3)
"""
SLOW_COMPILED = """
import numba, samplers, math
@numba.njit
def slow(x, gradient, data):
    total = 0.0
    for i in range(100_000):
        total += math.sin(i + x[0])
    gradient[0] = -x[0]
    return -0.5 * x[0] ** 2 + 1e-12 * total
target, options = slow, dict(dim=1)
"""
INTERRUPTED = """
import os, signal, threading, time
def interrupt():
    time.sleep(1.5)
    global at
    at = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)
samplers.sample(target, "hmc", num_samples=3, num_warmup=20, num_chains=2, max_leapfrogs=10, **options)
threading.Thread(target=interrupt, daemon=True).start()
try:
    samplers.sample(target, "hmc", num_samples=10**7, num_chains=2, max_leapfrogs=10, num_threads=THREADS, **options)
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - at)
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("target", [SLOW_PLAIN, SLOW_COMPILED], ids=["plain", "compiled"])
def test_an_interrupt_gets_through(target: str, threads: int, tmp_path: pathlib.Path) -> None:
    """Within about a second on an idle machine; the bound leaves room for busy ones."""
    code = target + INTERRUPTED.replace("THREADS", str(threads))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    word, seconds = done.stdout.split()
    assert word == "interrupted", done.stderr
    assert float(seconds) < 5.0


def test_threads_are_as_many_as_cores_and_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    start = samplers.method("nuts").start.__func__  # type: ignore[attr-defined]

    def spy(self: Any, target: Any, seed: int, initial: Any = None, threads: int = 1) -> Any:
        seen.append(threads)
        return start(self, target, seed, initial, threads)

    monkeypatch.setattr(type(samplers.method("nuts")), "start", spy)
    for cores in (None, 1, 7):
        samplers.sample("banana", **SHORT, cores=cores)
    cores_here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    assert seen == [min(2, cores_here), 1, 2]


def test_threads_end_with_the_run() -> None:
    before = set(threading.enumerate())
    samplers.sample("banana", **SHORT, num_threads=2)
    deadline = time.monotonic() + 10.0
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before

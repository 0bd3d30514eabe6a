"""Making and verifying references: every planted fault is seen.

Samplers are replaced by draws whose law is known wherever it is not the samplers that are tested.
"""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import targets
from harness import registry
from harness.references import make as making
from harness.references import verify as verifying
from harness.references.agreement import Agreement
from harness.references.plan import Plan, usual
from harness.references.runs import Uncertified, start
from targets import reference
from targets.options import UsageError
from targets.registry import TARGETS
from tests.loading import load

CHAINS = 8


def quiet(line: str) -> None:
    pass


class Fake:
    """Independent draws of a standard Gaussian, and faults as they are asked for."""

    def __init__(self, label: str, seed: int, dim: int, shift: float = 0.0, stretch: float = 1.0, rho: float = 0.0,
                 apart: float = 0.0, divergences: int = 0) -> None:  # fmt: skip
        self.label, self.divergences, self.evaluations = label, divergences, 1
        self.rng, self.dim = np.random.default_rng([76, seed]), dim
        self.shift, self.stretch, self.rho, self.apart = shift, stretch, rho, apart

    def draws(self, n: int) -> np.ndarray:
        x = self.rng.standard_normal((CHAINS, n, self.dim)) * self.stretch
        for i in range(1, n if self.rho else 0):
            x[:, i] = self.rho * x[:, i - 1] + math.sqrt(1 - self.rho**2) * x[:, i]
        x[:, :, 0] += self.shift + self.apart * np.arange(CHAINS)[:, None]
        return x

    def shorten(self) -> bool:
        return False

    def said(self) -> dict[str, float]:
        return {}


@pytest.fixture
def target(tmp_path: Path) -> targets.Target:
    """A standard Gaussian whose certificate goes to a folder of the test."""
    known = targets.load("correlated_gaussian", dim=3, rho=0.0)
    return reference.attach(replace(known, truth=None), folder=tmp_path)


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Let the two samplers be fakes: `faked(seed, {...faults of the first}, {...faults of the second})`."""

    def install(seed: int, *faults: dict[str, float]) -> None:
        each = dict(zip(("nuts", "slice"), faults or ({}, {}), strict=True))

        def start(target, spec, _seed, _plan, _guide):  # type: ignore[no-untyped-def]
            return Fake(spec, 2 * seed + (spec == "slice"), target.dim, **each[spec])

        monkeypatch.setattr(making, "start", start)

    return install


PLAN = Plan(samplers=("nuts", "slice"), ess=20_000, max_seconds=30.0)


def certified(target: targets.Target) -> targets.Target:
    return replace(target, truth=reference.read(target))


def test_two_samplers_that_agree_certify(target, faked) -> None:  # type: ignore[no-untyped-def]
    faked(1)
    done = making.make(target, PLAN, tell=quiet)
    assert done.agreed.ok
    assert done.agreed.count == 3 * 10 + 2
    truth = certified(target).truth
    assert truth is not None and truth.reference_draws is not None
    assert np.abs(truth.moments.mean / truth.moments.mean_error).max() < 5
    assert truth.log_normaliser == pytest.approx(1.5 * math.log(2 * math.pi), abs=6 * truth.log_normaliser_error + 1e-6)
    assert truth.entropy == pytest.approx(1.5 * (1 + math.log(2 * math.pi)), abs=6 * truth.entropy_error)
    assert len(truth.reference_draws) == 4000
    assert [run["sampler"] for run in truth.certificate.details["runs"]] == ["nuts", "slice"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        (({}, {"shift": 0.08}), "disagree: (mean|second|.*quantile)"),
        (({}, {"stretch": 1.06}), "disagree: (variance|second moment|.*quantile|entropy)"),
        (({"rho": 0.999}, {}), "nuts has (ESS|R-hat)"),
        (({}, {"rho": 0.999}), "slice has (ESS|R-hat)"),
        (({"apart": 0.1}, {}), "nuts has R-hat 1.0.* at x"),
        (({"divergences": 2}, {}), r"nuts has divergent trajectories \(2\)"),
        (({}, {"divergences": 1}), r"slice has divergent trajectories \(1\)"),
    ],
    ids=str,
)
def test_what_does_not_suffice_or_agree_certifies_nothing(target, faked, faults, says) -> None:  # type: ignore[no-untyped-def]
    # a shift of 0.08 is 8 combined standard errors at ESS 20,000, a stretch by 6 % 12
    faked(2, *faults)
    with pytest.raises(Uncertified, match=says):
        making.make(target, replace(PLAN, max_seconds=0.5), tell=quiet)
    assert not reference.exists(target.place)


@pytest.mark.parametrize("seed", range(3))
def test_a_right_certificate_verifies(target, faked, seed) -> None:  # type: ignore[no-untyped-def]
    faked(10 + seed)
    making.make(target, PLAN, tell=quiet)
    faked(20 + seed)
    assert verifying.verify(certified(target), PLAN, quiet).ok


def moved(target: targets.Target, **changes: float) -> targets.Target:
    truth = certified(target).truth
    assert truth is not None
    moments = truth.moments
    if "mean" in changes:
        moments = replace(moments, mean=moments.mean + np.array([0.0, changes["mean"], 0.0]) * moments.sd)
    if "variance" in changes:
        moments = replace(moments, covariance=moments.covariance * (1 + changes["variance"]))
    truth = replace(truth, moments=moments, log_normaliser=truth.log_normaliser + changes.get("log_normaliser", 0.0))
    return replace(target, truth=truth)


def test_a_wrong_certificate_is_caught(target, faked) -> None:  # type: ignore[no-untyped-def]
    # certified at ESS 40,000 (0.005 sd), checked by two of 40,000 (0.0035): 0.05 sd is 8.2 standard errors of 4 allowed
    faked(3)
    making.make(target, replace(PLAN, ess=40_000), tell=quiet)
    faked(4)
    for changes, says in (
        ({"mean": 0.05}, "mean of x"),
        ({"mean": -0.05}, "mean of x"),
        ({"variance": 0.08}, "(variance|second moment) of x"),
        ({"log_normaliser": 0.1}, "log normaliser"),
    ):
        verdict = verifying.verify(moved(target, **changes), replace(PLAN, ess=40_000), quiet)
        assert not verdict.ok
        assert re.search(f"agree on another answer: {says}", verdict.line), changes


def test_another_density_under_the_same_data_is_caught(target, faked) -> None:  # type: ignore[no-untyped-def]
    faked(5)
    making.make(target, PLAN, tell=quiet)
    path = reference.file(target.place)
    said = json.loads(path.read_text())
    said["probe"]["log_density"] += 1e-3
    path.write_text(json.dumps(said))
    verdict = verifying.verify(certified(target), PLAN, quiet)
    assert not verdict.ok and "another density" in verdict.line


def test_a_wrong_exact_truth_is_caught(faked) -> None:  # type: ignore[no-untyped-def]
    known = targets.load("correlated_gaussian", dim=3, rho=0.0)
    assert known.truth is not None
    faked(6)
    assert verifying.verify(known, PLAN, quiet).ok
    wrong = replace(known.truth, log_normaliser=known.truth.log_normaliser + 0.05)
    faked(7)
    assert not verifying.verify(replace(known, truth=wrong), PLAN, quiet).ok
    shifted = replace(known.truth.moments, mean=np.array([0.05, 0.0, 0.0]))
    faked(8)
    assert not verifying.verify(replace(known, truth=replace(known.truth, moments=shifted)), PLAN, quiet).ok


def test_the_limit_keeps_false_alarms_rare() -> None:
    for count in (1, 10, 100, 10_000):
        agreed = Agreement(0.0, "", count)
        assert agreed.limit >= 4
        assert agreed.false_alarm <= 0.0101
    assert Agreement(0.0, "", 10_000).limit < 5.1


def test_bad_plans_are_refused() -> None:
    for options, says in (
        ({"samplers": ("nuts",)}, "two different ones"),
        ({"samplers": ("nuts", "nuts")}, "two different ones"),
        ({"samplers": ("whitened_hmc", "nuts")}, "cannot be the first"),
        ({"ess": 100.0}, "takes 10,000 or more"),
        ({"max_seconds": 0.0}, "more than 0"),
    ):
        with pytest.raises(UsageError, match=says):
            Plan(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", list(TARGETS.entries))
def test_every_target_has_two_samplers_that_can_run_on_it(name: str) -> None:
    target = load(name)
    for spec in usual(target):
        if spec != "whitened_hmc":
            assert registry.method(spec).unfit(target) is None, spec


PLUGIN = '''
"""Two logarithms of exponential variables: skewed, and with a normaliser of one."""
import math, pathlib
import numpy as np
import targets
from targets import reference

@targets.kernel
def log_density_and_gradient(x, gradient, data):
    total = 0.0
    for i in range(x.shape[0]):
        e = math.exp(x[i])
        total += data[0, i] + x[i] - e
        gradient[i] = 1.0 - e
    return total

def loggers(*, constant: float = 0.0) -> targets.Target:
    target = targets.Target(
        "loggers", 2, log_density_and_gradient, targets.data_matrix(np.full((1, 2), constant)),
        named=targets.Named(("rate[1]", "rate[2]"), np.exp),
    )
    return reference.attach(target, folder=pathlib.Path(__file__).parent)

TARGETS = {"loggers": loggers}
'''


def test_the_command_certifies_a_plug_in_beside_it_and_verifies_it(crossover, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / f"loggers_{tmp_path.name.replace('-', '_')}.py"
    name = f"loggers_{tmp_path.name}"
    file.write_text(PLUGIN.replace('"loggers": ', f'"{name}": '))
    ask = ["reference", name, "--plugin", file, "--threads", 1]
    code, out, _ = crossover(*ask, "--verify", "--ess", 10_000)
    assert code == 1 and "has no truth" in out
    code, out, err = crossover(*ask, "--ess", 20_000)
    assert code == 0 and "certified: ESS at least" in out, err
    (path,) = tmp_path.glob("*.json")
    truth = registry.target(name).truth
    assert truth is not None and truth.named is not None and truth.quantiles is not None
    assert np.abs((truth.moments.mean + 0.5772156649) / truth.moments.mean_error).max() < 5
    assert np.abs((truth.named.mean - 1) / truth.named.mean_error).max() < 5
    assert abs(truth.log_normaliser) < 6 * truth.log_normaliser_error + 1e-6
    code, out, err = crossover(*ask, "--verify", "--ess", 10_000, "--seed", 5)
    assert code == 0 and out.startswith("ok"), (out, err)
    said = json.loads(path.read_text())
    said["log_normaliser"]["value"] += 0.1
    path.write_text(json.dumps(said))
    code, out, _ = crossover(*ask, "--verify", "--ess", 10_000)
    assert code == 1 and "WRONG" in out and "log normaliser" in out


def test_what_cannot_be_certified_is_one_line(crossover, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for arguments, says in (
        ([], "name the targets, or say --all"),
        (["banana"], "is exact and needs no certificate"),
        (["logistic_regression[dataset=synthetic,n=20,dim=2]"], "has no place for a certificate"),
        (["logistic_regression", "-m", "nuts"], "two different ones"),
        (["logistic_regression", "-m", "advi_meanfield", "-m", "nuts"], "is not a sampler"),
        (["logistic_regression", "-m", "mclmc", "-m", "nuts"], "biased"),
    ):
        code, _, err = crossover("reference", *arguments)
        assert code == 2 and says in err and len(err.strip().splitlines()) == 1, (arguments, err)


def test_a_warm_up_without_end_is_told_when_the_time_is_over() -> None:
    with pytest.raises(Uncertified, match="hmc is still warming up after 1e-09 s"):
        start(targets.load("banana"), "hmc", 1, replace(PLAN, max_seconds=1e-9), None)

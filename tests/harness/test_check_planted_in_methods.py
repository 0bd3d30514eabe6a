"""Errors planted into the method that `crossover new` writes, each found by the finding that is there for it.

The statistical findings alarm falsely once in a million; what they have to find here lies far beyond their thresholds,
as other streams of random numbers show (CROSSOVER_TEST_STREAM).
"""

import importlib.util
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

import targets
from harness import scaffold
from harness.check import answers, bookkeeping, invariance, odd, optimum
from harness.check import method as checks
from targets.check import Finding


class Fault(NamedTuple):
    """What is replaced in the file, which part of the check looks for it, and which finding must be wrong."""

    name: str
    replaced: dict[str, str]
    part: str
    finding: str
    says: str = ""


GAUSSIAN = targets.load(*checks.GAUSSIAN[:1], **checks.GAUSSIAN[1])
FITTING = [GAUSSIAN, targets.load(*checks.BANANA[:1], **checks.BANANA[1])]
PARTS: dict[str, Callable[[Any], Iterator[Finding]]] = {
    "bookkeeping": lambda method: bookkeeping.findings(method, GAUSSIAN, 1),
    "answers": lambda method: answers.findings(method, GAUSSIAN, 1),
    "invariance": lambda method: invariance.findings(method, FITTING, 1),
    "optimum": lambda method: optimum.findings(method, GAUSSIAN, 1),
    "odd": lambda method: odd.findings(method, 1),
}
INVARIANT = "leaves correlated_gaussian[dim=3] invariant"
BENT = "leaves banana[dim=2] invariant"
ACCEPT = "if rng.random() < probability:"
SPAWN = "for child in np.random.SeedSequence(seed).spawn(num_chains)]"
ANSWER = "        return Draws(np.concatenate(self.kept, axis=1), self.target.coordinates) if self.kept else None\n"
SHARED_BUFFER = """
        if not self.kept:
            return None
        latest = np.concatenate(self.kept, axis=1)[:, -50:].copy()
        self.buffer = getattr(self, "buffer", latest)
        self.buffer[:, : latest.shape[1]] = latest[:, : self.buffer.shape[1]]
        return Draws(self.buffer, self.target.coordinates)
"""

MCMC = [
    Fault(
        "accept ratio upside down",
        {"there - state[LOG_DENSITY]": "state[LOG_DENSITY] - there"},
        "invariance",
        INVARIANT,
    ),
    Fault(
        "accept ratio without that of the proposals",
        {"(forth * forth - back * back)": "0.0 * (forth * forth - back * back)"},
        "invariance",
        INVARIANT,
    ),
    Fault(
        "proposals' ratio upside down",
        {"(forth * forth - back * back)": "(back * back - forth * forth)"},
        "invariance",
        INVARIANT,
    ),
    Fault("accept everything", {ACCEPT: "if True:"}, "invariance", INVARIANT),
    Fault("draws are proposals", {"draws[row, i] = x[i]": "draws[row, i] = y[i]"}, "invariance", INVARIANT),
    Fault("stale gradient", {"                gradient[i] = slope[i]\n": ""}, "invariance", BENT),
    Fault("stale log density", {"state[LOG_DENSITY] = there": "accepted += 0"}, "invariance", INVARIANT),
    Fault(
        "noise wider than its density",
        {"step * rng.standard_normal()": "1.2 * step * rng.standard_normal()"},
        "invariance",
        INVARIANT,
    ),
    Fault(
        "adaptation that never stops",
        {" / state[ADAPTED] ** 0.6": "", "self.goal if self.phase is Phase.WARMUP else 0.0": "self.goal"},
        "invariance",
        INVARIANT,
    ),
    Fault(
        "one coordinate never moves",
        {"for i in range(dim):\n                x[i] = y[i]": "for i in range(1, dim):\n                x[i] = y[i]"},
        "invariance",
        "mean",
    ),
    Fault(
        "one generator seeded alike for all chains",
        {SPAWN: "for child in [seed] * num_chains]"},
        "invariance",
        "chains are independent",
        "are the same",
    ),
    Fault("a seed that is ignored", {"SeedSequence(seed)": "SeedSequence(1)"}, "bookkeeping", "the seed matters"),
    Fault(
        "global random numbers",
        {"rng.standard_normal()": "np.random.standard_normal()"},
        "bookkeeping",
        "repeats",
    ),
    Fault(
        "generators that all runs share",
        {
            "self.rngs = [": "RNGS[:] = [",
            SPAWN + "\n": SPAWN + "\n        self.rngs = RNGS\n",
            "TRIES = 100": "RNGS = []\nTRIES = 100",
        },
        "bookkeeping",
        "two runs at once",
    ),
    Fault(
        "depends on slices",
        {
            "        self.work.gradient_evaluations += chains": "        self.state[:, LOG_STEP] += 0.01\n"
            "        self.work.gradient_evaluations += chains"
        },
        "bookkeeping",
        "does not depend on slices",
    ),
    Fault(
        "cannot be pickled",
        {"self.kept = []": "self.kept, self.hook = [], lambda: None"},
        "bookkeeping",
        "resumes",
        "cannot be pickled",
    ),
    Fault(
        "evaluations of all chains but one not counted",
        {"evaluations += chains * iterations": "evaluations += iterations"},
        "bookkeeping",
        "counts",
    ),
    Fault(
        "starting points not counted",
        {"            self.work.gradient_evaluations += 1\n": ""},
        "bookkeeping",
        "counts",
    ),
    Fault("a buffer shared by all answers", {ANSWER: SHARED_BUFFER}, "bookkeeping", "an answer stays what it was"),
    Fault("proposals never accepted", {ACCEPT: "if rng.random() < 0.0:"}, "answers", "ends well", "accepted nothing"),
    Fault(
        "not a number accepted",
        {"if math.isfinite(change) else 0.0": "if math.isfinite(change) else 1.0"},
        "odd",
        "survives a density that is not a number beyond an edge",
    ),
    Fault(
        "no starting point raises",
        {'self.fail(f"none of': 'raise ValueError(f"none of'},
        "odd",
        "fails by name",
        "raises ValueError",
    ),
    Fault(
        "stands still",
        {"if self.status is not Status.RUNNING:": "if self.phase is Phase.RUN:"},
        "odd",
        "survives a density that is flat",
        "did nothing",
    ),
]

IMPORT = "from variational.gaussian import Gaussian\n"
OTHER = "\n\nclass Other(Gaussian):\n    def {}(self, {}):\n        return {}\n"


def _other(method: str, arguments: str, result: str) -> dict[str, str]:
    return {IMPORT: IMPORT + OTHER.format(method, arguments, result), "return Gaussian(": "return Other("}


VI = [
    Fault(
        "bound without entropy",
        {"0.5 * (1.0 + sd * z[i]": "0.5 * (0.0 + sd * z[i]"},
        "optimum",
        "scales are those of its family",
    ),
    Fault(
        "variances given for standard deviations",
        {"np.exp(self.arrays[3])": "np.exp(2.0 * self.arrays[3])"},
        "optimum",
        "scales are those of its family",
    ),
    Fault("not the family that it says", {'"meanfield"})': '"fullrank"})'}, "optimum", "correlations"),
    Fault("wrong mean", {"self.arrays[2].copy()": "1.2 * self.arrays[2]"}, "optimum", "mean"),
    Fault(
        "a bound that is none",
        {'{"skipped"': '{"elbo": 9.0, "skipped"'},
        "optimum",
        "the ELBO that it reports is its own",
        "9.0000 reported",
    ),
    Fault(
        "density without its constant",
        _other("log_density", "x", "super().log_density(x) - 0.5 * self.dim"),
        "optimum",
        "the bound stays below the log normaliser",
    ),
    Fault(
        "density not normalised",
        _other("log_density", "x", "super().log_density(x) + 0.1"),
        "answers",
        "its density is normalised, and that of its draws",
    ),
    Fault(
        "mean not that of its draws",
        _other("sample", "rng, n", "super().sample(rng, n) + 0.1"),
        "answers",
        "its mean is that of its draws",
    ),
    Fault(
        "covariance not that of its draws",
        _other("sample", "rng, n", "self.mean + 1.1 * (super().sample(rng, n) - self.mean)"),
        "answers",
        "its covariance is that of its draws",
    ),
    Fault(
        "quantiles not those of its draws",
        _other("quantiles", "p", "super().quantiles(p) + 0.1"),
        "answers",
        "its quantiles are those of its draws",
    ),
    Fault(
        "draws that are always the same",
        _other("sample", "rng, n", "super().sample(np.random.default_rng(0), n)"),
        "answers",
        "draws anew",
    ),
    Fault(
        "converged, whatever the density",
        {
            "        self.made += work\n": "        self.made += work\n        self.status, self.reason = "
            'Status.CONVERGED, "it is enough"\n'
        },
        "odd",
        "survives a density that is flat",
        "converged, it is enough",
    ),
    Fault(
        "not a number swallowed",
        {"if fine:": "if True:"},
        "odd",
        "survives a density that is not a number beyond an edge",
    ),
]


def _planted(kind: str, fault: Fault, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The method of the scaffold, with the fault in it."""
    name = f"planted_{kind}_{fault.name.translate(str.maketrans(' ,', '__')).replace(chr(39), '')}"
    path = scaffold.write("method", name, kind, folder)
    text = path.read_text()
    for right, wrong in fault.replaced.items():
        assert text.count(right) == 1, right
        text = text.replace(right, wrong)
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module.METHODS[name]()


@pytest.mark.parametrize(
    ("kind", "fault"), [*(("mcmc", fault) for fault in MCMC), *(("vi", fault) for fault in VI)], ids=lambda v: v[0]
)
def test_a_planted_error_is_found(
    kind: str, fault: Fault, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = _planted(kind, fault, tmp_path, monkeypatch)
    found = next(finding for finding in PARTS[fault.part](method) if finding.what == fault.finding)
    assert not found.ok, found.detail
    assert fault.says in found.detail


@pytest.mark.parametrize("kind", ["mcmc", "vi"])
def test_without_an_error_nothing_is_found(kind: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole check, pictures apart, of what the errors are planted into."""
    method = _planted(kind, Fault("sound", {}, "", ""), tmp_path, monkeypatch)
    assert [finding for finding in checks.check_method(method, 2) if not finding.ok] == []

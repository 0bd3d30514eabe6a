"""Is this method right? The laws of every method, and then those of its kind."""

from collections.abc import Callable, Iterator

import targets
from harness import plugins
from harness.check import answers, bookkeeping, invariance, odd, optimum
from targets.check import Finding
from targets.protocols import Method
from targets.target import Target

GAUSSIAN = ("correlated_gaussian", {"dim": 3, "rho": 0.5, "mean": 1.0})
REGRESSION = ("logistic_regression", {"dataset": "synthetic", "n": 200, "dim": 3})
CONJUGATE = ("conjugate_mixture", {"data": "simulated", "components": 1, "n": 40})
MIXTURE = ("bimodal_mixture", {"dim": 2, "separation": 3.0, "weight": 0.3, "sd_ratio": 1.5})
BANANA = ("banana", {"dim": 2, "scale": 1.0, "curvature": 0.5})

Part = Callable[[], Iterator[Finding]]


def check_method(method: Method, seed: int = 1) -> list[Finding]:
    """Run a method on targets whose answer is known, and on densities that have none.

    The first target is a Gaussian; or a small regression, for methods that need a prior and a likelihood over rows of
    data; or a normal-Wishart posterior, for methods that need the conjugate model. What the author's method raises is a
    finding.
    """
    findings: list[Finding] = []
    try:
        first = _first(method)
    except Exception as error:  # whatever the author's method raises is the author's to read, in one line
        return [Finding(False, "runs", plugins.in_one_line(error))]
    if isinstance(first, Finding):
        return [first]
    for part in _parts(method, first, seed):
        try:
            findings.extend(part())
        except Exception as error:  # as above
            findings.append(Finding(False, "runs", plugins.in_one_line(error)))
            break
    return findings


def _first(method: Method) -> Target | Finding:
    refusals = []
    for name, options in (GAUSSIAN, REGRESSION, CONJUGATE):
        target = targets.load(name, **options)
        refused = method.unfit(target)
        if refused is None:
            return target
        refusals.append(f"{target.label} is refused: {refused}")
    return Finding(False, "fits a test target", "; ".join(refusals))


def _parts(method: Method, first: Target, seed: int) -> Iterator[Part]:
    yield lambda: bookkeeping.findings(method, first, seed)
    yield lambda: answers.findings(method, first, seed)
    others = [targets.load(name, **options) for name, options in (MIXTURE, BANANA)]
    fitting = [first, *(target for target in others if method.unfit(target) is None)]
    if "mcmc" in method.tags:
        yield lambda: invariance.findings(method, fitting, seed)
    elif "vi" in method.tags:
        yield lambda: optimum.findings(method, first, seed)
    yield lambda: odd.findings(method, seed)

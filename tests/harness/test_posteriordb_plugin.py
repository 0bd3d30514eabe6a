"""A posterior of posteriordb from outside the project, as the page says: checked, raced, compared; its faults found."""

import os
import pathlib
import re
from collections.abc import Iterator

import numpy as np
import pytest

import harness
import samplers
from harness import check, plugins, registry
from harness.agreement import compare
from targets.posteriordb import ENVIRONMENT, garch
from targets.registry import TARGETS

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "posteriordb.md"
NAME = "sblrc-blr"

pytestmark = pytest.mark.skipif(not os.environ.get(ENVIRONMENT), reason=f"{ENVIRONMENT} names no folder of posteriordb")

FAULTS = {
    "sign": ("gradient[j] += weight * residual", "gradient[j] -= weight * residual", "the gradient is that of"),
    "row": ("residual = data[i, 0]", "residual = data[(i + 1) % data.shape[0], 0]", "Stein"),
    "prior": ("value -= 0.5 * x[j] * x[j] / 100.0", "value -= 0.5 * x[j] * x[j] / 10.0", "the gradient is that of"),
    "constant": ("weight * squares + data.shape[0] * x[size]", "weight * squares + 90 * x[size]", "the gradient is"),
    "buffer": ("gradient[j] = -x[j] / 100.0", "gradient[j] -= x[j] / 100.0", "writes the whole gradient"),
}


# The same in a copy of the project's own file: faults that leave gradient and density consistent show in the draws.
CONSISTENT = {
    "a Jacobian left out": [("jacobian = x[1] + log_alpha1", "jacobian = log_alpha1"), ("* alpha0 + 1.0", "* alpha0")],
    "a bound forgotten": [("+ 2.0 * log_rest", "+ log_rest"), ("1.0 - 3.0 * alpha1", "1.0 - 2.0 * alpha1")],
    "a row off by one": [("data[0, t + 1]", "data[0, t]")],
}


def source() -> str:
    (body,) = re.findall(r"^```python regression\.py\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    return str(body)


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plug-ins of a test are not loaded by processes that later tests start: there nothing is taken out."""
    monkeypatch.setattr(plugins, "_loaded", dict(plugins._loaded))
    monkeypatch.setattr(plugins, "_digests", dict(plugins._digests))


@pytest.fixture
def taken_out(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The registry without `sblrc-blr`, and afterwards without the plug-in."""
    monkeypatch.delitem(TARGETS.entries, NAME)
    monkeypatch.setattr(TARGETS, "plugins", {})
    return


def test_one_that_was_taken_out_comes_back_as_a_plugin(taken_out: None, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "taken_out.py"
    file.write_text(source().replace('TARGETS = {"regression"', f'TARGETS = {{"{NAME}"'))
    ((subject, findings),) = check.check(str(file))
    assert subject == f"target {NAME}"
    wrong = [finding for finding in findings if not finding.ok]
    assert all("is taken" in finding.detail for finding in wrong), "in another process nobody has taken it out"
    assert {finding.what for finding in findings} >= {"Stein: E grad log p = 0", "the named moments: mean"}
    target = registry.target(NAME)
    raced = harness.race([target], ["nuts", "laplace"], seeds=1, max_gradients=20_000)
    ends = raced.curves.groupby("method").last()
    assert ends.mean_error["nuts"] < 0.15 and ends.named_mean_error["nuts"] < 0.15
    assert ends.mean_error["laplace"] < 0.4 and ends.sliced_wasserstein.notna().all()
    found = compare(target, samplers.sample(target, "nuts", num_samples=1000, seed=3))
    assert found.agrees and found.alarms == []  # within 4 errors in 12 comparisons: a false alarm in 1,300


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_caught(fault: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TARGETS, "plugins", {})
    right, wrong, what = FAULTS[fault]
    assert right in source()
    file = tmp_path / f"fault_{fault}.py"
    file.write_text(source().replace(right, wrong).replace('{"regression"', f'{{"{fault}"'))
    plugins.load(file)
    ((_, findings),) = check.check(str(file))
    assert any(what in finding.what for finding in findings if not finding.ok), findings


@pytest.mark.parametrize("fault", CONSISTENT)
def test_faults_that_no_difference_sees_are_caught(
    fault: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TARGETS, "plugins", {})
    text = pathlib.Path(garch.__file__).read_text() + f'\n\nTARGETS = {{"{fault.replace(" ", "_")}": garch_garch11}}\n'
    for right, wrong in CONSISTENT[fault]:
        assert right in text
        text = text.replace(right, wrong)
    file = tmp_path / f"{fault.replace(' ', '_')}.py"
    file.write_text(text)
    ((_, findings),) = check.check(str(file))
    wrong = [finding.what for finding in findings if not finding.ok]
    assert any(what.startswith("Stein") for what in wrong), findings
    assert all(what.startswith(("Stein", "the log normaliser")) for what in wrong), findings


def test_the_page_s_kernel_is_the_registered_one(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to constants, which the page leaves out."""
    monkeypatch.setattr(TARGETS, "plugins", {})
    file = tmp_path / "same_kernel.py"
    file.write_text(source())
    plugins.load(file)
    ours, theirs = registry.target(NAME), registry.target("regression")
    assert ours.truth is not None and ours.truth.reference_draws is not None
    x = ours.truth.reference_draws[::500]
    np.testing.assert_allclose(ours.evaluate(x)[1], theirs.evaluate(x)[1], rtol=1e-6, atol=1e-6)
    assert np.ptp(ours.log_densities(x) - theirs.log_densities(x)) < 1e-8

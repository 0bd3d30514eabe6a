"""The chapter's claims: each check comes to the verdict that docs/chapter.md shows, and could come to another."""

import json
import pathlib
import re

import numpy as np
import pytest
from click.testing import CliRunner

from harness import claims
from harness.claims import CLAIMS, Effort, Found, Verdict, mixture, monotone
from harness.cli import cli
from reports import claims as pages

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "chapter.md"


def documented() -> dict[str, str]:
    """Verdict by name, from the table of the page."""
    text = PAGE.read_text("utf-8").split("## Claim by claim")[1].split("## ")[0]
    return dict(re.findall(r"^\| `([\w-]+)` \|[^|]*\|[^|]*\| ([^|]*?) \|", text, flags=re.MULTILINE))


@pytest.fixture(scope="module")
def found() -> dict[str, Found]:
    return {claim.name: result for claim, result in claims.run(Effort(1, fast=True))}


def test_names_are_told_apart_and_every_claim_is_documented() -> None:
    names = [claim.name for claim in CLAIMS]
    assert len(set(names)) == len(names) and set(documented()) == set(names)


@pytest.mark.parametrize("name", [claim.name for claim in CLAIMS])
def test_a_claim_comes_to_the_verdict_that_the_page_shows(name: str, found: dict[str, Found]) -> None:
    result = found[name]
    assert documented()[name].startswith(str(result.verdict)), result
    if result.verdict is not Verdict.NOT_RUN:
        assert result.number
    if result.verdict is Verdict.ONLY_IF:
        assert result.detail[0].islower(), "the condition comes first"
    for line in result.lines.values():
        assert len(line) == len(result.at) and np.all(np.isfinite(line))


def test_all_places_of_the_chapter_are_there() -> None:
    places = " ".join(claim.place for claim in CLAIMS)
    for place in (
        *(f"E{k}" for k in range(1, 6)),
        *(f"Q{k}" for k in range(1, 7)),
        *(f"Figure {k}" for k in range(1, 8)),
    ):
        assert place in places
    for row in ("approach", "asymptotic", "cost", "diagnostics", "large data", "When to choose", "Implementation"):
        assert row in places


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_of_the_mixture_is_exact_for_one_component(seed: int) -> None:
    """With K = 1 q is the posterior, so that the bound is the evidence, known in closed form."""
    rng = np.random.default_rng(seed)
    x = mixture.draw(rng, 20)
    fitted = mixture.fit(x, 1, rng, sweeps=3)
    covariance = np.eye(20) + mixture.PRIOR_VARIANCE
    evidence = -0.5 * (x @ np.linalg.solve(covariance, x) + np.linalg.slogdet(2 * np.pi * covariance)[1])
    assert fitted.bounds[-1] == pytest.approx(evidence, abs=1e-9)


def test_its_bound_is_below_the_evidence_by_brute_force() -> None:
    """All assignments of six data to two components, each in closed form."""
    from itertools import product

    from scipy.special import gammaln, logsumexp

    rng = np.random.default_rng(1)
    x = mixture.draw(rng, 6, (-2.0, 2.0))
    terms = []
    for z in product(range(2), repeat=6):
        term = -gammaln(8)  # Dirichlet(1, 1): n_0! n_1! / (n + 1)!
        for k in range(2):
            part = x[np.array(z) == k]
            term += gammaln(len(part) + 1)
            if len(part):
                covariance = np.eye(len(part)) + mixture.PRIOR_VARIANCE
                term -= 0.5 * (part @ np.linalg.solve(covariance, part) + np.linalg.slogdet(2 * np.pi * covariance)[1])
        terms.append(term)
    evidence = float(logsumexp(terms))
    best = max(mixture.fit(x, 2, np.random.default_rng([2, k]), apart=True).bounds[-1] for k in range(10))
    assert evidence - 3.0 < best < evidence


def test_a_planted_mistake_changes_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    assert monotone.cavi_is_monotone(Effort(1, True)).verdict is Verdict.HOLDS
    plain = mixture.fit
    monkeypatch.setattr(mixture, "fit", lambda *a, **k: plain(*a, **{**k, "mistake": "sign"}))
    assert monotone.cavi_is_monotone(Effort(1, True)).verdict is Verdict.FAILS


def test_falls_sees_a_fall_and_no_rounding() -> None:
    assert monotone.falls(np.array([1.0, 2.0, 1.9])) == pytest.approx(0.1)
    assert monotone.falls(np.array([1e3, 1e3 - 1e-10])) == 0.0


def test_the_page_is_whole(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTML without anything from elsewhere, a table with a row a claim, numbers as JSON, and the same bytes again."""
    few = tuple(claim for claim in CLAIMS if claim.name in ("gap", "figure-5", "figure-7", "stale"))
    monkeypatch.setattr(claims, "CLAIMS", few)
    for folder in ("a", "b"):
        done = CliRunner().invoke(cli, ["claims", str(tmp_path / folder), "--fast", "--seed", "2"])
        assert done.exit_code == 0, done.output
    page = (tmp_path / "a" / "claims.html").read_text("utf-8")
    assert page == (tmp_path / "b" / "claims.html").read_text("utf-8")
    assert "http" not in re.sub(r"http-equiv", "", page) and "data:image/svg+xml" in page
    told = json.loads((tmp_path / "a" / "claims.json").read_text("utf-8"))
    assert [line["name"] for line in told] == [claim.name for claim in few]
    table = (tmp_path / "a" / "claims.md").read_text("utf-8")
    assert table.count("| Figure") == 2 and "4 claims: 2 hold, 1 hold under a condition, 1 do not hold" in table
    assert "--seed 2 --fast" in page


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(pages.RecordsError, match="cannot be written"):
        pages.write([], tmp_path / "file")

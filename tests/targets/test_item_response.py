"""Item response: the density from scipy, answer by answer."""

import numpy as np
import pytest
from scipy import stats

import targets
from targets import item_response


@pytest.mark.parametrize(("students", "questions"), [(1, 1), (7, 3), (5, 40), (400, 100)])
def test_the_density_answer_by_answer(students: int, questions: int) -> None:
    target = targets.load("item_response", students=students, questions=questions, seed=2)
    answers = item_response._answers(students, questions, 2)
    assert answers.shape == (students, questions)
    for x in np.random.default_rng(1).uniform(-3, 3, (3, target.dim)):
        odds = x[0] + x[1 : 1 + students, None] - x[1 + students :]
        expected = stats.norm.logpdf(x, np.append(0.75, np.zeros(target.dim - 1)), 1).sum()
        expected -= np.logaddexp(0, np.where(answers == 1, -odds, odds)).sum()
        assert target.log_densities(x[None])[0] == pytest.approx(expected, rel=1e-11)


def test_the_prior_is_declared() -> None:
    prior = targets.load("item_response").gaussian_prior
    assert prior is not None
    assert prior.mean[0] == 0.75
    assert not prior.mean[1:].any()
    assert (np.asarray(prior.scale) == 1).all()


def test_the_default_has_the_dimensions_of_the_literature() -> None:
    assert targets.load("item_response").dim == 501


@pytest.mark.parametrize("options", [{"students": 0}, {"questions": 0}, {"questions": 1001}])
def test_bad_options_get_one_line(options: dict[str, int]) -> None:
    with pytest.raises(targets.UsageError, match="is not accepted"):
        targets.load("item_response", **options)

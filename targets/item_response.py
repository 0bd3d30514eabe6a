"""Item response theory with one parameter a question (the Rasch model), as in Inference Gym: 501 dimensions.

    mean ~ N(0.75, 1)   ability_i ~ N(0, 1)   difficulty_j ~ N(0, 1)
    P(student i answers question j rightly) = 1 / (1 + exp(difficulty_j - ability_i - mean))

Each of 400 students answers each of 100 questions; the answers are simulated. The density keeps every constant: its log
normaliser is the log evidence.
"""

import math

import numpy as np

from targets import reference
from targets.exponential import exp_minus
from targets.kernel import Matrix, data_matrix, density, kernel
from targets.options import require
from targets.target import GaussianPrior, Generative, Target

MEAN = 0.75  # of the prior on the mean ability, and of the simulated students
MOST_STUDENTS = 100_000
MOST_QUESTIONS = 1_000  # a product of so many factors of at most 2 cannot overflow

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """One row: right answers of each student, and to each question; the likelihood needs no more of the answers.

    Coordinates: mean, abilities, difficulties. The second row holds the number of students.
    """
    students = int(data[1, 0])
    questions = x.shape[0] - 1 - students
    # views, since an index that adds a variable is not vectorised
    difficulty, slopes, right = x[1 + students :], gradient[1 + students :], data[0, students:]
    mean, squares = x[0], (x[0] - MEAN) ** 2
    value, linear, logs, total = 0.0, 0.0, 0.0, 0.0
    for j in range(questions):
        slopes[j] = -right[j] - difficulty[j]
        squares += difficulty[j] * difficulty[j]
        value -= right[j] * difficulty[j]
    for i in range(students):
        level, product, expected = mean + x[1 + i], 1.0, 0.0
        for j in range(questions):
            odds = level - difficulty[j]
            t = exp_minus(abs(odds))
            share = (1.0 if odds > 0.0 else t) / (1.0 + t)
            product *= 1.0 + t
            linear += odds + abs(odds)
            expected += share
            slopes[j] += share
        logs += math.log(product)
        value += data[0, i] * level
        slope = data[0, i] - expected
        total += slope
        gradient[1 + i] = slope - x[1 + i]
        squares += x[1 + i] * x[1 + i]
    gradient[0] = total - (mean - MEAN)
    return value - 0.5 * (linear + squares) - logs - x.shape[0] * _HALF_LOG_2PI


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`."""
    students = int(data[1, 0])
    questions = x.shape[0] - 1 - students
    difficulty, right = x[1 + students :], data[0, students:]
    squares, value, linear, logs = (x[0] - MEAN) ** 2, 0.0, 0.0, 0.0
    for j in range(questions):
        squares += difficulty[j] * difficulty[j]
        value -= right[j] * difficulty[j]
    for i in range(students):
        level, product = x[0] + x[1 + i], 1.0
        for j in range(questions):
            odds = level - difficulty[j]
            product *= 1.0 + exp_minus(abs(odds))
            linear += odds + abs(odds)
        logs += math.log(product)
        value += data[0, i] * level
        squares += x[1 + i] * x[1 + i]
    return value - 0.5 * (linear + squares) - logs - x.shape[0] * _HALF_LOG_2PI


def item_response(*, students: int = 400, questions: int = 100, seed: int = 0) -> Target:
    """The posterior of abilities and difficulties, with a certified truth where there is a certificate.

    Args:
        students: their number.
        questions: their number; all students answer all of them.
        seed: of the simulated answers.

    Raises:
        UsageError: an option is out of range.
    """
    for name, value, most in (("students", students, MOST_STUDENTS), ("questions", questions, MOST_QUESTIONS)):
        require(1 <= value <= most, f"item_response: {name}={value} is not accepted; it takes 1 to {most}")
    centre = np.zeros(1 + students + questions)
    centre[0] = MEAN
    target = Target(
        name="item_response",
        dim=1 + students + questions,
        log_density_and_gradient=posterior,
        log_density=posterior_density,
        data=data_matrix(_sums(_answers(students, questions, seed))),
        coordinates=(
            "mean",
            *(f"ability[{i}]" for i in range(1, students + 1)),
            *(f"difficulty[{j}]" for j in range(1, questions + 1)),
        ),
        gaussian_prior=GaussianPrior(centre, np.ones(len(centre))),
        generative=Generative(
            lambda rng: centre + rng.standard_normal(len(centre)),
            lambda rng, x: _sums(_drawn(rng, x[0] + x[1 : 1 + students, None] - x[1 + students :])),
        ),
        description=f"abilities of {students} students and difficulties of {questions} questions",
    )
    return reference.attach(target)


def _answers(students: int, questions: int, seed: int) -> Matrix:
    """(students, questions), 1 where the answer is right."""
    rng = np.random.default_rng(seed)
    return _drawn(rng, MEAN + rng.standard_normal(students)[:, None] - rng.standard_normal(questions))


def _drawn(rng: np.random.Generator, level: Matrix) -> Matrix:
    """The same at log odds (students, questions)."""
    return np.asarray(rng.logistic(size=level.shape) < level, dtype=np.float64)


def _sums(answers: Matrix) -> Matrix:
    """What the kernel takes."""
    data = np.zeros((2, sum(answers.shape)))
    data[0] = np.concatenate([answers.sum(axis=1), answers.sum(axis=0)])
    data[1, 0] = len(answers)
    return data

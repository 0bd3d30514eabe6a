"""SVGD: its field by the formula, its fixed point in few dimensions, and how it collapses in many."""

import numpy as np
import pytest

import targets
from targets.kernel import kernel
from targets.protocols import Approximation, Run, Status
from targets.target import Target
from variational import method
from variational.svgd import field_of


def fitted(target: Target, budget: int = 100_000, seed: int = 1, **options: object) -> tuple[Run, Approximation]:
    run = method("svgd", **options).start(target, seed)
    while run.status is Status.RUNNING and run.work.total < budget:
        run.advance(20_000)
    q = run.approximation()
    assert q is not None
    return run, q


def sd(q: Approximation) -> np.ndarray:
    return np.sqrt(np.diagonal(q.covariance))


def test_the_field_is_that_of_the_paper() -> None:
    rng = np.random.default_rng(1)
    x, slopes = rng.standard_normal((7, 3)), rng.standard_normal((7, 3))
    squares = ((x[:, None] - x[None]) ** 2).sum(axis=-1)
    pairs = np.sort(squares[np.tril_indices(7, -1)])
    h = pairs[len(pairs) // 2] / np.log(7)
    k = np.exp(-squares / h)
    # the derivative of k(x_j, x_i) by x_j
    repulsion = -2 / h * np.einsum("ji,jid->id", k, x[:, None] - x[None])
    phi, masses = field_of(x, slopes)
    np.testing.assert_allclose(phi, (k.T @ slopes + repulsion) / 7, rtol=1e-10)
    np.testing.assert_allclose(masses, k.mean(axis=0), rtol=1e-12)
    assert not np.allclose(phi, (k.T @ slopes - repulsion) / 7), "particles that attract each other"


@pytest.mark.parametrize(("dim", "shrinks"), [(1, 0.03), (2, 0.06)])
def test_in_few_dimensions_the_moments_of_a_gaussian_are_right(dim: int, shrinks: float) -> None:
    """The fixed point is deterministic up to rotations; measured shrinkage of an sd is 0.02 and 0.045."""
    target = targets.load("correlated_gaussian", dim=dim, rho=0.5, mean=3.0)
    run, q = fitted(target)
    assert run.status is Status.CONVERGED
    assert np.max(np.abs(q.mean - 3.0)) < 0.02
    assert np.all((sd(q) < 1.0) & (sd(q) > 1 - shrinks))
    assert q.log_density(np.zeros((1, dim))) is None


def test_in_many_dimensions_the_variance_collapses() -> None:
    """A known trap: at 20 dimensions with a hundred particles the sd is less than half the true one."""
    run, q = fitted(targets.load("correlated_gaussian", dim=20, rho=0.0))
    assert run.status is Status.CONVERGED and np.max(np.abs(q.mean)) < 0.02
    assert np.all(sd(q) < 0.5)


@kernel
def half(x, gradient, data):  # type: ignore[no-untyped-def]
    """A normal density that is not a number below -1."""
    gradient[0] = -x[0] * data[0, 0]
    return -0.5 * x[0] * x[0] if x[0] > -1.0 else np.nan


def test_no_particle_stays_where_the_density_is_not_a_number() -> None:
    target = Target("half", 1, half, targets.data_matrix([[1.0]]))
    run, q = fitted(target, 20_000)
    assert run.status is not Status.FAILED and run.diagnostics()["skipped"] > 0
    assert np.all(q.sample(np.random.default_rng(1), 1000) > -1.0)


def test_more_particles_are_better_and_too_few_are_refused() -> None:
    target = targets.load("correlated_gaussian", dim=2, rho=0.0)
    off = [np.abs(sd(fitted(target, particles=n)[1]) - 1).max() for n in (20, 200)]
    assert off[1] < off[0] / 2
    with pytest.raises(targets.UsageError, match=r"particles=2.*3 or more"):
        method("svgd", particles=2)
    assert "no covariance" in (method("svgd", particles=10).unfit(targets.load("correlated_gaussian", dim=10)) or "")

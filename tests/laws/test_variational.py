"""Laws that every VI method obeys: parametrised over the registry, so that a new one is tested by its line there."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

import targets
from targets.kernel import Vector, kernel
from targets.options import UsageError, defaults
from targets.plain import counting
from targets.protocols import Approximation, Run, Status
from targets.target import Target
from tests.tiers import always
from variational import METHODS, method
from variational.closed_form import forward_optimum, reverse_optimum
from variational.gaussian import Gaussian

# Those that take a conjugate model have laws of their own, in tests/variational/test_vbem.py.
NAMES = [name for name in METHODS.names() if "conjugate" not in METHODS.entries[name].tags]
COUNTED = [name for name in NAMES if name != "forward_kl_oracle"]
SEEDLESS = {
    "cavi",
    "laplace",
    "forward_kl_oracle",
    "forward_kl_meanfield",
    "forward_kl_fullrank",
    "ep",
}  # in few dimensions
GAUSSIAN = targets.load("correlated_gaussian", dim=3, rho=0.8)

CHOOSY = {"cavi", "forward_kl_oracle", "ep"}  # need more of a target than its kernel

# How near the optimum of a Gaussian target is reached, in its sd: the noise that methods with a stopping rule allow.
# Importance sampling stops at 0.02 sd: four standard errors of the worst of 12 moments, false alarms below 1e-3.
EXACTLY = 2e-3
# Chains stop at that by batch means, which are noisy. Pathfinder's five pairs leave out one direction of six;
# four thousand draws resampled have that noise too.
ACCURACY = {
    "forward_kl_meanfield": 0.08,
    "forward_kl_fullrank": 0.08,
    "adaptive_is": 0.08,
    "msc": 0.1,
    "jsa": 0.1,
    "pathfinder": 0.7,
    "multi_pathfinder": 0.1,
    "bbvi": 0.05,
    "alpha_vi": 0.05,
    "iwvi": 0.05,
}


def finish(run: Run, budget: int = 200_000, piece: int = 10_000) -> Run:
    while run.status is Status.RUNNING and run.work.total < budget:
        run.advance(piece)
    return run


def fitted(name: str, target: Target, seed: int, **options: object) -> tuple[Run, Approximation]:
    run = finish(method(name, **options).start(target, seed))
    return run, believed(run)


def believed(run: Run) -> Approximation:
    q = run.approximation()
    assert q is not None
    return q


def sd(q: Approximation) -> Vector:
    return np.sqrt(np.diagonal(q.covariance))


def same(a: Approximation, b: Approximation) -> bool:
    """Whether moments and draws agree to the bit."""
    draws = [q.sample(np.random.default_rng(1), 20) for q in (a, b)]
    pairs = ((a.mean, b.mean), (a.covariance, b.covariance), draws)
    return all(np.array_equal(first, second) for first, second in pairs)


@pytest.mark.parametrize("name", [n for n in NAMES if "particles" not in METHODS.entries[n].tags])
def test_the_closed_form_optimum_of_a_gaussian_is_reached(name: str) -> None:
    target = targets.load("correlated_gaussian", dim=6, rho=0.7)
    target = GAUSSIAN if method(name).unfit(target) else target  # grids take three dimensions
    assert target.gaussian is not None and target.truth is not None
    covariance = target.truth.moments.covariance
    run, q = fitted(name, target, seed=1)
    assert run.status is Status.CONVERGED
    meanfield = "meanfield" in method(name).tags
    if not meanfield:
        expected = Gaussian.from_moments(target.gaussian.mean, covariance)
    elif "forward-kl" in METHODS.entries[name].tags:
        expected = forward_optimum(target.gaussian.mean, covariance)
    else:
        expected = reverse_optimum(target.gaussian.mean, target.gaussian.precision)
    accuracy = ACCURACY.get(name, EXACTLY)
    assert np.max(np.abs(q.mean - expected.mean) / expected.sd) < accuracy
    assert np.max(np.abs(np.log(sd(q) / expected.sd))) < accuracy
    if meanfield:
        assert not np.any(q.covariance - np.diag(np.diagonal(q.covariance)))


DRAWS = 20_000


@pytest.mark.parametrize("name", NAMES)
def test_moments_quantiles_and_density_are_those_of_its_draws(name: str) -> None:
    """Of what a method believes of a banana, or of a Gaussian. Six standard errors: false alarms below 1e-6 in all.

    A density is held against its draws by E_q[r / q] = 1, for a Gaussian r about a dense point, a fifth as wide as q,
    with both sides taken where q is not negligible.
    """
    target = GAUSSIAN if name in CHOOSY else targets.load("banana", dim=2)
    run = finish(method(name).start(target, 6), budget=20_000)
    q = believed(run)
    draws = q.sample(np.random.default_rng([6, 1]), DRAWS)
    assert draws.shape == (DRAWS, target.dim)
    if q.log_density(draws[:2]) is None:
        assert np.isin(draws, q.sample(np.random.default_rng([6, 2]), DRAWS)).all(), "draws that are not resampled"
    scaled = (draws - q.mean) / sd(q)
    assert np.all(np.abs(scaled.mean(axis=0)) < 6 / np.sqrt(DRAWS))
    squares = scaled[:, :, None] * scaled[:, None, :]
    error = squares.std(axis=0) / np.sqrt(DRAWS)
    expected = q.covariance / np.outer(sd(q), sd(q))
    assert np.all(np.abs(squares.mean(axis=0) - expected) < 6 * error)
    for share in (0.05, 0.5, 0.9):
        below = (draws <= q.quantiles(np.array([share]))[0]).mean(axis=0)
        assert np.all(np.abs(below - share) < 6 * np.sqrt(share * (1 - share) / DRAWS) + _granularity(q, draws))
    density = q.log_density(draws)
    if density is not None:
        others = q.sample(np.random.default_rng([6, 2]), 1000)
        densest = others[int(np.argmax(q.log_density(others)))]
        narrow = Gaussian.from_moments(densest, 0.04 * q.covariance)
        low = density.max() - 8  # below it q may have ended, and ratios would be wild
        ratio = np.where(density > low, np.exp(narrow.log_density(draws) - density), 0.0)
        held = np.asarray(q.log_density(narrow.sample(np.random.default_rng([6, 3]), DRAWS))) > low
        assert abs(ratio.mean() - held.mean()) < 6 * np.hypot(ratio.std(), held.std()) / np.sqrt(DRAWS)
        assert held.mean() > 0.1 and ratio.std() / np.sqrt(DRAWS) < 0.1, "too few draws fall where it is asked"


def _granularity(q: Approximation, draws: Vector) -> float:
    """Half the mass of one particle, where q is a set of them."""
    return 0.0 if q.log_density(draws[:2]) is not None else 1.0 / len(np.unique(draws[:, 0]))


CUT = {
    "correlated_gaussian": {"dim": 10, "rho": 0.9},
    "logistic_regression": {},
    "eight_schools": {},
    "banana": {},
}


def seen(run: Run) -> tuple[object, ...]:
    """What a checkpoint keeps of a run, to the bit."""
    q = run.approximation()
    bits = None if q is None else (q.mean.tobytes(), q.covariance.tobytes())
    return bits, vars(run.work).copy(), run.status, run.reason, run.phase, run.diagnostics()


def checkpoints(name: str, target: Target, cuts: np.random.Generator | None) -> list[tuple[object, ...]]:
    """What is seen at growing goals, reached at once or in random pieces, with the run pickled now and then."""
    run, kept = method(name).start(target, 3), []
    for goal in (50, 333, 1000, 2047, 4500, 9001):
        while run.status is Status.RUNNING and run.work.total < goal:
            piece = goal - run.work.total
            if cuts is not None:
                piece = min(piece, int(np.exp(cuts.uniform(0, 7))))
                run = pickle.loads(pickle.dumps(run)) if cuts.random() < 0.1 else run
                run.approximation()
            run.advance(piece)
        kept.append(seen(run))
    return kept


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", always(CUT, {"correlated_gaussian", "eight_schools"}))
def test_results_are_the_same_bits_however_the_work_is_cut(name: str, target: str) -> None:
    loaded = targets.load(target, **CUT[target])
    if method(name).unfit(loaded):
        loaded = targets.load("correlated_gaussian", dim=3, rho=0.3 + 0.1 * list(CUT).index(target))
    whole = checkpoints(name, loaded, None)
    for seed in range(3):
        for cut, uncut in zip(checkpoints(name, loaded, np.random.default_rng(seed)), whole, strict=True):
            assert cut == uncut


@pytest.mark.parametrize("name", NAMES)
def test_a_method_can_be_pickled(name: str) -> None:
    numbers = {k: v for k, v in defaults(METHODS.factory(name)).items() if isinstance(v, float)}
    recipe = method(name, **{key: 2 * value for key, value in numbers.items()})
    copy = pickle.loads(pickle.dumps(recipe))
    assert (copy.name, copy.options, copy.changed) == (recipe.name, recipe.options, recipe.changed)
    assert (copy.label, copy.tags) == (recipe.label, recipe.tags)
    a, b = (finish(each.start(GAUSSIAN, 1), budget=2000) for each in (recipe, copy))
    assert seen(a) == seen(b)


def test_a_method_without_a_name_cannot_be_pickled() -> None:
    with pytest.raises(pickle.PicklingError, match="no name"):
        pickle.dumps(replace(method("laplace"), name=""))


@pytest.mark.parametrize("name", NAMES)
def test_a_pickled_run_goes_on_bit_for_bit(name: str) -> None:
    target = GAUSSIAN if name in CHOOSY else targets.load("banana", dim=3)
    first = method(name).start(target, 5)
    first.advance(500)
    second = pickle.loads(pickle.dumps(first))
    for run in (first, second):
        finish(run, budget=20_000, piece=1500)
    assert first.work == second.work and first.status is second.status
    assert same(believed(first), believed(second))


@pytest.mark.parametrize("name", COUNTED)
def test_work_is_counted_exactly(name: str) -> None:
    target, counter = counting(GAUSSIAN if name in CHOOSY else targets.load("banana", dim=3))
    run = method(name).start(target, 2)
    for _ in range(6):
        run.advance(700)
        assert (run.work.gradient_evaluations, run.work.density_evaluations) == (counter.gradients, counter.densities)


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_everything(name: str) -> None:
    target = GAUSSIAN if name in CHOOSY else targets.load("banana", dim=3)
    runs = [finish(method(name).start(target, seed), budget=2000) for seed in (1, 1, 2)]
    qs = [believed(run) for run in runs]
    assert same(qs[0], qs[1])
    if name not in SEEDLESS:
        assert not same(qs[0], qs[2])


@kernel
def lifted(x, gradient, data):  # type: ignore[no-untyped-def]
    """A standard Student t in each coordinate, with a constant added: data[0, 0]."""
    total = data[0, 0]
    for i in range(x.shape[0]):
        total -= 3.0 * np.log1p(x[i] * x[i] / 5.0)
        gradient[i] = -6.0 * x[i] / (5.0 + x[i] * x[i])
    return total


def lift(by: float, dim: int = 3) -> Target:
    return Target("lifted", dim, lifted, targets.data_matrix([[by]]))


@pytest.mark.parametrize("name", [n for n in COUNTED if n not in CHOOSY])
def test_a_constant_added_to_the_log_density_changes_nothing(name: str) -> None:
    runs = [finish(method(name).start(lift(by), 4), budget=20_000) for by in (0.0, 1024.0)]
    a, b = (believed(run) for run in runs)
    assert runs[0].work == runs[1].work and runs[0].status is runs[1].status
    np.testing.assert_allclose(a.mean, b.mean, atol=1e-6)
    np.testing.assert_allclose(sd(a), sd(b), rtol=1e-6)


@kernel
def nowhere(x, gradient, data):  # type: ignore[no-untyped-def]
    """A density that cannot be evaluated anywhere."""
    for i in range(x.shape[0]):
        gradient[i] = np.nan
    return data[0, 0] * np.nan


@pytest.mark.parametrize("name", [n for n in COUNTED if n not in CHOOSY])
def test_a_density_that_cannot_be_evaluated_is_a_named_failure(name: str) -> None:
    target = Target("nowhere", 3, nowhere, targets.data_matrix([[1.0]]))
    run = finish(method(name).start(target, 1))
    assert run.status is Status.FAILED
    assert "no starting point" in run.reason
    assert run.approximation() is None
    assert all(np.isfinite(value) for value in run.diagnostics().values())


@pytest.mark.parametrize("name", NAMES)
def test_an_ended_run_does_no_more_work(name: str) -> None:
    run, _ = fitted(name, GAUSSIAN, seed=1)
    before = run.work.total
    run.advance(1000)
    assert run.work.total == before


@pytest.mark.parametrize("name", NAMES)
def test_names_labels_and_tags(name: str) -> None:
    plain = method(name)
    assert plain.label == name and plain.name == name
    assert "vi" in plain.tags
    assert ("oracle" in plain.tags) == ("oracle" in name)
    numbers = {k: v for k, v in defaults(METHODS.factory(name)).items() if isinstance(v, float)}
    for option, value in numbers.items():
        assert method(name, **{option: 2 * value}).label == f"{name}[{option}={2 * value:g}]"
        with pytest.raises(UsageError, match=f"{name}: {option}=.*it takes a positive number"):
            method(name, **{option: -1.0})
    with pytest.raises(UsageError, match="has no option"):
        method(name, nonsense=1)


@pytest.mark.parametrize("name", NAMES)
def test_a_target_that_does_not_fit_is_refused_with_a_reason(name: str) -> None:
    bare = lift(0.0)
    reason = method(name).unfit(bare)
    if name in CHOOSY:
        assert reason
        with pytest.raises(UsageError):
            method(name).start(bare, 1)
    else:
        assert reason is None

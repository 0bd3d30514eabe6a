"""The autoencoder and amortised posteriors: gradients through their bounds, and what they reach."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import binom

from harness.amortisation import LINEAR, LOGISTIC, ROWS
from targets.digits import DOTS, load_digits
from targets.gradient_check import TOLERANCE, gradient_error
from targets.kernel import aligned, compiled, zeros
from targets.options import UsageError
from variational import AmortisedPosterior, VariationalAutoencoder, amortisation_gap
from variational.amortised import Model, train
from variational.autoencoder import epoch
from variational.closed_form import reverse_divergence
from variational.gaussian import Gaussian
from variational.grid import integrate
from variational.network import Network


def test_the_digits_are_those_of_the_source() -> None:
    images, digits = load_digits()
    assert images.shape == (1797, 64) and images.min() == 0 and images.max() == DOTS
    assert np.bincount(digits).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert images.sum() == 561_718


def test_the_gradient_of_the_autoencoder_is_that_of_finite_differences() -> None:
    rng = np.random.default_rng(1)
    latent, cells, batch, trials = 2, 5, 4, 3.0
    encoder, decoder = Network((cells, 4, 2 * latent)), Network((latent, 3, cells))
    parameters = np.concatenate([encoder.initial(rng), decoder.initial(rng)])
    parameters += 0.3 * rng.standard_normal(len(parameters))
    rows = aligned(rng.integers(0, 4, (batch, cells)))
    gradient = zeros(len(parameters))

    def bound(moved: np.ndarray) -> float:
        size = len(moved)
        moments = zeros(size), zeros(size), zeros(2), zeros(size)
        scratch = *(zeros(encoder.units, batch) for _ in range(2)), *(zeros(decoder.units, batch) for _ in range(2))
        shapes = encoder.sizes, decoder.sizes
        order, noise = np.arange(batch), zeros(latent, batch)
        draws = np.random.default_rng(2)
        fit = *shapes, aligned(moved), gradient, *moments, *scratch
        return float(epoch(rows, order, draws, *fit, noise, trials, 0.0)) / batch

    bound(parameters)
    found, step = gradient.copy(), 1e-6
    for unit, slope in zip(np.eye(len(parameters)), found, strict=True):
        difference = (bound(parameters + step * unit) - bound(parameters - step * unit)) / (2 * step)
        assert slope == pytest.approx(difference, rel=1e-6, abs=1e-7)


@pytest.fixture(scope="module")
def thin() -> tuple[VariationalAutoencoder, np.ndarray]:
    """One latent coordinate, so that the log mass of an image is an integral over a line; and images held out."""
    images, _ = load_digits()
    return VariationalAutoencoder(n_latent=1, n_hidden=32, max_iter=20, random_state=1).fit(images[:600]), images[
        600:700
    ]


def test_bounds_lie_in_their_order_below_the_log_mass(thin: tuple[VariationalAutoencoder, np.ndarray]) -> None:
    model, images = thin
    z = np.linspace(-7, 7, 4001)
    share = model.decode(z[:, None])
    prior = -0.5 * z**2 - 0.5 * np.log(2 * np.pi) + np.log(z[1] - z[0])
    each = [prior + np.sum(binom.logpmf(row, DOTS, share), axis=1) for row in images]
    exact = np.array([logsumexp(terms) for terms in each])
    bounds = [model.score_samples(images, draws, 400 // draws) for draws in (1, 4, 40)]
    means = [float(b.mean()) for b in (*bounds, exact)]
    assert means == sorted(means)
    assert means[3] - means[2] < 0.5 * (means[3] - means[0])
    again = [model.score_samples(images, 1, 100, seed).mean() for seed in range(5)]
    assert np.mean(again) == pytest.approx(means[0], abs=6 * np.std(again))  # an unbiased estimate, whatever the seed


def test_what_it_learns_is_more_than_cells_by_themselves() -> None:
    images, _ = load_digits()
    seen, unseen = images[:600], images[600:700]
    model = VariationalAutoencoder(n_latent=4, n_hidden=64, max_iter=40, random_state=1).fit(seen)
    alone = np.sum(binom.logpmf(unseen, DOTS, (seen.mean(axis=0) + 0.01) / (DOTS + 0.02)), axis=1).mean()
    assert model.score_samples(unseen).mean() > alone + 20
    assert model.lower_bounds_[-1] > model.lower_bounds_[0] + 50
    mean, sd = model.encode(unseen)
    assert mean.shape == sd.shape == (100, 4) and np.all(sd > 0)
    made = model.sample(500)
    assert made.shape == (500, 64) and made.min() >= 0 and made.max() <= DOTS
    assert np.corrcoef(made.mean(axis=0), seen.mean(axis=0))[0, 1] > 0.8


def test_the_same_seed_gives_the_same_autoencoder() -> None:
    images = load_digits()[0][:100]
    fits = [VariationalAutoencoder(max_iter=2, random_state=seed).fit(images).parameters_ for seed in (1, 1, 2)]
    np.testing.assert_array_equal(fits[0], fits[1])
    assert not np.array_equal(fits[0], fits[2])


def test_rows_that_are_no_counts_are_refused() -> None:
    with pytest.raises(UsageError, match="whole numbers from 0 to 16"):
        VariationalAutoencoder().fit(np.full((2, 3), 0.5))
    with pytest.raises(UsageError, match="n_latent=0"):
        VariationalAutoencoder(n_latent=0)


@pytest.mark.parametrize("model", [LINEAR, LOGISTIC], ids=lambda model: model.name)
def test_kernels_have_the_gradients_that_they_say(model: Model) -> None:
    rows = model.simulate(np.random.default_rng(1), 1)[0]
    assert gradient_error(model.target(rows), np.random.default_rng(2).standard_normal((5, model.dim))) < TOLERANCE


def test_the_posterior_of_the_linear_model_is_that_of_a_grid() -> None:
    assert LINEAR.posterior is not None
    for rows in LINEAR.simulate(np.random.default_rng(3), 3):
        structure, log_evidence = LINEAR.posterior(rows)
        grid = integrate(LINEAR.target(rows), structure.mean, np.ones(2))
        assert grid is not None
        assert log_evidence == pytest.approx(grid.log_normaliser, abs=1e-8)
        np.testing.assert_allclose(grid.covariance, np.linalg.inv(structure.precision), atol=1e-8)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_the_gradient_of_an_encoder_is_that_of_finite_differences(covariance: str) -> None:
    """Of the mean of log p - log q over antithetic draws, q in its second place held fixed."""
    dim, batch = LOGISTIC.dim, 3
    encoder = AmortisedPosterior(LOGISTIC, covariance=covariance, n_hidden=4, max_iter=1)
    sets = np.ascontiguousarray(LOGISTIC.simulate(np.random.default_rng(4), batch))
    sets.flags.writeable = False
    rower, header = encoder._networks(sets.shape[2])
    rng = np.random.default_rng(5)
    parameters = aligned(np.concatenate([rower.initial(rng), header.initial(rng)]))
    size = len(parameters)
    gradient = zeros(size)
    scratch = *(zeros(rower.units, batch * ROWS) for _ in range(2)), *(zeros(header.units, batch) for _ in range(2))
    train(
        compiled(LOGISTIC.log_density_and_gradient), sets, np.random.default_rng(6), rower.sizes, header.sizes,
        parameters.copy(), gradient, zeros(size), zeros(size), zeros(2), zeros(size), *scratch,
        zeros(dim, batch), zeros(dim, dim), *(zeros(dim) for _ in range(4)), int(covariance == "full"), 0.0, 1.0,
    )  # fmt: skip
    noise = np.random.default_rng(6).standard_normal((batch, dim))
    encoder.parameters_ = parameters
    fixed = [encoder.posterior(rows) for rows in sets]

    def objective(moved: np.ndarray) -> float:
        encoder.parameters_ = moved
        total = 0.0
        for rows, q, e in zip(sets, fixed, noise, strict=True):
            z = encoder.posterior(rows).colour(np.array([e, -e]))
            total += float(np.mean(LOGISTIC.target(rows).log_densities(z) - q.log_density(z)))
        return total / batch

    step = 1e-5
    for unit in np.random.default_rng(7).standard_normal((20, size)):
        slope = (objective(parameters + step * unit) - objective(parameters - step * unit)) / (2 * step)
        assert gradient @ unit == pytest.approx(slope, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_gaps_of_a_conjugate_model_are_exact_and_shrink_with_training(covariance: str) -> None:
    """The bound of the best q is known in closed form, so that nothing here is noise but the training."""
    sets = LINEAR.simulate(np.random.default_rng(8), 10)
    fits = [AmortisedPosterior(LINEAR, covariance=covariance, n_hidden=16, max_iter=n).fit() for n in (50, 600)]
    short, longer = (amortisation_gap(fit, sets) for fit in fits)
    assert np.all(short.amortisation > -1e-6) and np.all(longer.amortisation > -1e-6)
    assert longer.amortisation.mean() < 0.5 * short.amortisation.mean()
    assert LINEAR.posterior is not None
    lost = [0.0 if covariance == "full" else reverse_divergence(LINEAR.posterior(rows)[0].precision) for rows in sets]
    np.testing.assert_allclose(longer.approximation, lost, atol=1e-4)
    shape = fits[1].posterior(sets[0])
    assert isinstance(shape, Gaussian) and shape.diagonal == (covariance == "diagonal")


def test_rows_in_another_order_make_the_same_posterior() -> None:
    fit = AmortisedPosterior(LOGISTIC, n_hidden=4, max_iter=3).fit()
    rows = LOGISTIC.simulate(np.random.default_rng(9), 1)[0]
    a, b = fit.posterior(rows), fit.posterior(rows[::-1])
    np.testing.assert_allclose(a.mean, b.mean, atol=1e-12)
    np.testing.assert_allclose(a.factor, b.factor, atol=1e-12)


def test_a_covariance_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="it takes full, diagonal"):
        AmortisedPosterior(LINEAR, covariance="banded")

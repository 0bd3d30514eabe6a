"""The digits, by a variational autoencoder: bounds on images held out, reconstructions, and the latent plane."""

import math
from typing import Any

import numpy as np
from scipy.stats import binom

from targets.digits import DOTS, load_digits
from targets.kernel import Matrix
from variational.autoencoder import VariationalAutoencoder

HELD_OUT = 300  # images
LATENT = (2, 16)  # for a map, and for good reconstructions
DRAWS = (1, 5, 50)  # of the importance-weighted bounds
EVALUATED = 500  # draws of z behind each bound of an image
MAX_ITER = 300


def autoencoder(seed: int, max_iter: int = MAX_ITER, held_out: int = HELD_OUT) -> dict[str, Any]:
    """Two fits to the same images, with bounds on the others, and what the figure shows of them."""
    images, digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(images))
    test, train = order[:held_out], order[held_out:]
    fits, models = [], []
    for n_latent in LATENT:
        model = VariationalAutoencoder(n_latent=n_latent, max_iter=max_iter, random_state=seed).fit(images[train])
        scores = [model.score_samples(images[test], draws, max(EVALUATED // draws, 1), seed) for draws in DRAWS]
        fits.append(
            {
                "n_latent": n_latent,
                "draws": list(DRAWS),
                "bound": [float(score.mean()) for score in scores],
                "bound_error": [float(score.std(ddof=1)) / math.sqrt(held_out) for score in scores],
                "training_bound": float(model.score_samples(images[train], 1, 20, seed).mean()),
            }
        )
        models.append(model)
    plane, best = models
    shown = [int(test[np.flatnonzero(digits[test] == digit)[0]]) for digit in range(10) if digit in digits[test]]
    return {
        "fits": fits,
        "independent": _independent(images[train], images[test]),
        "n_latent": LATENT[-1],
        "held_out": held_out,
        "map": {"means": plane.encode(images[test])[0].tolist(), "digits": digits[test].tolist()},
        "images": (images[shown] / DOTS).tolist(),
        "reconstructions": best.decode(best.encode(images[shown])[0]).tolist(),
        "samples": best.decode(np.random.default_rng([seed, 1]).standard_normal((10, LATENT[-1]))).tolist(),
        "note": f"{len(train)} images to train on, {held_out} held out. A cell's count of 16 dots is binomial. Bars "
        "are 95 % intervals over images.",
    }


def _independent(train: Matrix, test: Matrix) -> float:
    """Mean log mass of held-out images where every cell is binomial by itself."""
    share = (train.sum(axis=0) + 0.5) / (DOTS * len(train) + 1)
    return float(binom.logpmf(test, DOTS, share).sum(axis=1).mean())

"""The classifier two-sample test (Lopez-Paz and Oquab 2017): how much better than a coin q and p can be told apart.

The classifier is Fisher's linear discriminant, with a ridge, on the standardised coordinates, their squares, and random
Fourier features (Rahimi and Recht 2007). It is trained on every other draw of q and of p and tested on those between:
a slow chain, whose neighbours resemble each other, is told from p where independent draws are not.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtrik

from harness.metrics.laws import LEVEL
from harness.metrics.standard import Standard, evenly
from targets.kernel import Matrix, Vector

MOST, LEAST = 1000, 4  # draws of each; those of p are picked by the seed from the reference's
WAVES = 64
FARTHEST = 6.0  # posterior sd: farther draws count as this far, so that one of them does not decide


@dataclass(frozen=True)
class Classifier:
    """The features, and those of the reference.

    Attributes:
        standard: the units of the coordinates.
        frequencies, phases: (dim, WAVES), (WAVES,) of the cosines.
        mean, sd: (features,) over the reference.
        points: (M, dim) reference draws in these units.
    """

    standard: Standard
    frequencies: Matrix
    phases: Vector
    mean: Vector
    sd: Vector
    points: Matrix

    @classmethod
    def of(cls, standard: Standard, draws: Matrix, width: float, rng: np.random.Generator) -> "Classifier":
        """From reference draws (n, dim); the waves are those of a Gaussian kernel of this width, in posterior sd."""
        dim = draws.shape[1]
        frequencies, phases = rng.standard_normal((dim, WAVES)) / width, rng.uniform(0.0, 2 * math.pi, WAVES)
        points = standard(draws)
        raw = _features(evenly(points, MOST), frequencies, phases)
        sd = raw.std(axis=0)
        return cls(standard, frequencies, phases, raw.mean(axis=0), np.where(sd > 0, sd, 1.0), points)

    def accuracy(self, draws: Matrix, seed: int) -> float:
        """The metric `classifier_two_sample` for draws (n, dim), n from `LEAST` on and at most M."""
        picked = np.random.default_rng(seed).permutation(len(self.points))[: len(draws)]
        q, p = self._features(self.standard(draws)), self._features(self.points[picked])
        learnt_q, learnt_p = q[::2], p[::2]
        mean_q, mean_p = learnt_q.mean(axis=0), learnt_p.mean(axis=0)
        spread = sum((part - mean).T @ (part - mean) for part, mean in ((learnt_q, mean_q), (learnt_p, mean_p)))
        count = len(learnt_q) + len(learnt_p)
        ridge = (1e-6 + q.shape[1] / count) * np.eye(q.shape[1])
        direction = np.linalg.solve(spread / count + ridge, mean_q - mean_p)
        middle = 0.5 * (mean_q + mean_p) @ direction
        right = np.mean(q[1::2] @ direction > middle), np.mean(p[1::2] @ direction <= middle)
        return 0.5 * float(sum(right)) - 0.5

    def _features(self, points: Matrix) -> Matrix:
        return (_features(points, self.frequencies, self.phases) - self.mean) / self.sd

    @staticmethod
    def sampling_floor(n: int) -> float:
        """The 95 % quantile for n draws of p itself: of the share of heads among the held-out draws of both."""
        held_out = 2 * (n // 2)
        return math.ceil(float(bdtrik(LEVEL, held_out, 0.5))) / held_out - 0.5

    @staticmethod
    def reference_floor(n: int) -> float:
        """Standard error of the accuracy on the held-out draws of the reference, which counts half."""
        return 0.25 / math.sqrt(n // 2)


def _features(x: Matrix, frequencies: Matrix, phases: Vector) -> Matrix:
    near = np.clip(x, -FARTHEST, FARTHEST)
    return np.hstack([near, near**2, np.cos(near @ frequencies + phases)])

"""How a mixture's q climbs: sweeps over all rows, stochastic steps, and pruning."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from targets.kernel import Matrix
from variational.conjugate.ascent import Ascent, ascend
from variational.conjugate.blocks import Blocks
from variational.conjugate.mixture_bound import Mixture, bound, divergence
from variational.conjugate.mixture_moments import Moments
from variational.conjugate.mixture_sweep import Pass, Sums


class State:
    """A prior, and the q that moments of the rows make of it."""

    def __init__(self, prior: Mixture, moments: Moments) -> None:
        self.prior = prior
        self.moments = moments
        self.q = prior.updated(moments)

    def _pass(self, data: Iterable[Matrix]) -> tuple[Moments, Sums]:
        over = Pass(self.q.components())
        for rows in data:
            over.add(rows)
        return Moments.of(over.components, over.sums), over.sums

    def _move(self, moments: Moments) -> None:
        self.moments = moments
        self.q = self.prior.updated(moments)

    def sweep(self, data: Blocks) -> float:
        """The best shares given q, and the best q given these; returns the bound of both, which never falls."""
        moments, sums = self._pass(data)
        self._move(moments)
        return bound(self.prior, self.q, data.shape[0], sums.entropy)

    def step(self, data: Iterable[Matrix], scale: float, rate: float) -> float:
        """A step of this rate along the natural gradient, as if the rows stood for `scale` times as many.

        Returns an estimate of the bound before it (Hoffman et al. 2013, section 2.4): natural parameters are linear in
        the moments, so that the step is one of these.
        """
        moments, sums = self._pass(data)
        level = scale * sums.log_evidence - divergence(self.prior, self.q, self.moments)
        self._move(self.moments.combined(moments, 1.0 - rate, rate * scale))
        return level

    def stochastic(self, batches: Iterable[Matrix], n: int, rates: Iterator[float]) -> float:
        """A step for each batch of n rows; returns the mean of the estimates of the bound."""
        return float(np.mean([self.step([rows], n / len(rows), next(rates)) for rows in batches]))

    def pruned(self, least: float) -> bool:
        """Whether components with fewer rows were there, which are then left out, but for the largest."""
        kept = self.moments.count >= least
        kept[np.argmax(self.moments.count)] = True
        if kept.all():
            return False
        self.prior = self.prior.resized(int(kept.sum()))
        self._move(self.moments.only(kept))
        return True


def climb(state: State, data: Blocks, options: Any, rng: np.random.Generator) -> Ascent:
    """To the top, as an estimator's parameters `tol`, `max_iter`, `prune`, `batch_size`, `kappa` and `tau0` ask for."""
    n = data.shape[0]
    ends = {"data": n, "tolerance": options.tol, "most": options.max_iter}
    if options.batch_size is not None:
        size, steps = min(options.batch_size, n), rates(options.kappa, options.tau0)
        ascent = ascend(lambda: state.stochastic(data.batches(rng, size), n, steps), **ends)
        return Ascent((*ascent.bounds, state.sweep(data)), ascent.converged)
    ascent = ascend(lambda: state.sweep(data), **ends)
    while options.prune is not None and state.pruned(options.prune):
        more = ascend(lambda: state.sweep(data), **ends)
        ascent = Ascent(ascent.bounds + more.bounds, more.converged)
    return ascent


def rates(kappa: float, tau0: float) -> Iterator[float]:
    """(t + tau0)^-kappa for t = 1, 2, ..."""
    t = 0
    while True:
        t += 1
        yield (t + tau0) ** -kappa


def generator(random_state: Any) -> np.random.Generator:
    """From a seed, None, a numpy Generator, which goes on, or a RandomState, which gives a seed."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31))
    return np.random.default_rng(random_state)

"""What a target offers beside its kernel must be the kernel's: density, rows, Gaussian structure, symmetry, names."""

from collections.abc import Iterator

import numpy as np

from targets.check.finding import Finding, agree
from targets.kernel import Matrix, compiled, empty
from targets.target import GaussianPrior, Named, Rows, Sites, Target

NARROW = 1e-12  # variance of a Gaussian that sees of a site its value alone


def claims(target: Target, points: Matrix) -> Iterator[Finding]:
    """A finding for each structure that the target claims."""
    if target.rows is not None:
        yield _rows(target, target.rows, points)
    if target.sites is not None and target.gaussian_prior is not None:
        yield _sites(target, target.sites, target.gaussian_prior, points)
    if target.gaussian is not None:
        slopes = -(points - target.gaussian.mean) @ target.gaussian.precision
        yield agree("the Gaussian structure is the kernel's", slopes, target.evaluate(points)[1])
    if target.relabellings:
        yield _symmetry(target, points)
    if target.named is not None:
        yield _named(target.named, points)


def density(target: Target, points: Matrix) -> Finding:
    """The density without gradient is that of the kernel."""
    position = empty(target.dim)
    values = np.empty(len(points))
    for i, point in enumerate(points):
        position[:] = point
        values[i] = target.density(position, target.data)
    return agree("the density without gradient is the kernel's", values, target.log_densities(points))


def _rows(target: Target, rows: Rows, points: Matrix) -> Finding:
    """In three unequal parts, one of them a single row: an end that is left out shows."""
    prior, likelihood = compiled(rows.prior), compiled(rows.likelihood)
    half = max(1, len(target.data) // 2)
    position, gradient = empty(target.dim), empty(target.dim)
    sums = np.zeros((len(points), target.dim + 1))
    cuts = (target.data[:1], target.data[1:half], target.data[half:])
    for total, point in zip(sums, points, strict=True):
        position[:] = point
        for kernel, data in ((prior, target.data), *((likelihood, cut) for cut in cuts)):
            total[0] += kernel(position, gradient, data)
            total[1:] += gradient
    whole = np.column_stack(target.evaluate(points))
    return agree("prior and likelihood of the rows add up to the kernel", sums, whole)


def _sites(target: Target, sites: Sites, prior: GaussianPrior, points: Matrix) -> Finding:
    """What each site makes of a Gaussian with hardly any width is the site's value there."""
    tilted = compiled(sites.tilted)
    count, width, dim = sites.projections.shape
    factor = np.diag(prior.scale) if prior.scale.ndim == 1 else prior.scale
    standard = np.linalg.solve(factor, (points - prior.mean).T)
    sums = -0.5 * (standard**2).sum(axis=0) - np.log(np.diagonal(factor)).sum() - 0.5 * dim * np.log(2 * np.pi)
    mean, covariance = np.empty(width), np.empty((width, width))
    for k, point in enumerate(points):
        seen = sites.projections @ point
        for i in range(count):
            sums[k] += tilted(seen[i], NARROW * np.eye(width), sites.parameters[i], mean, covariance)
    return agree("prior and sites make the kernel's density", sums, target.log_densities(points))


def _symmetry(target: Target, points: Matrix) -> Finding:
    what = "relabelling leaves the density unchanged"
    for order in target.relabellings:
        if sorted(order) != list(range(target.dim)):
            return Finding(False, what, f"{order} is no order of {target.dim} coordinates")
    values, gradients = target.evaluate(points)
    plain, moved = [], []
    for order in target.relabellings:
        at, slopes = target.evaluate(points[:, list(order)])
        moved.append(np.column_stack([at, slopes]))
        plain.append(np.column_stack([values, gradients[:, list(order)]]))
    return agree(what, np.vstack(moved), np.vstack(plain))


def _named(named: Named, points: Matrix) -> Finding:
    """As many quantities as names; each row from its own position, so that many at once and one by one agree."""
    what = "named quantities are a function of the position"
    kept = points.copy()
    values = np.asarray(named.values(points))
    if values.shape != (len(points), len(named.names)):
        return Finding(False, what, f"({len(points)}, {len(named.names)}) expected; shape {values.shape}")
    if not np.array_equal(kept, points):
        return Finding(False, what, "the positions were changed")
    one_by_one = np.vstack([named.values(point[None]) for point in points])
    return agree(what, values, one_by_one)

"""What the fork server loads once for all cells: every cell would wait for it otherwise.

numba fills its registries when it first loads a compiled function, which takes as long as a small cell; arviz-stats
imports half of scipy.
"""

import arviz_stats.base  # noqa: F401

from harness import work  # noqa: F401
from variational.evaluation import by_density

_ = by_density.compiled

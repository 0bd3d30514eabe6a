"""Orders of coordinates that leave a density as it is."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def all_from(some: Sequence[tuple[int, ...]], most: int | None = None) -> list[npt.NDArray[np.int64]]:
    """All orders that repeating some of them gives, the identity first; none from none, or where they exceed `most`."""
    found = {tuple(range(len(order))): None for order in some[:1]}
    for order in (fresh := list(found)):
        for generator in some:
            product = tuple(order[i] for i in generator)
            if product not in found:
                found[product] = None
                fresh.append(product)
        if most is not None and len(found) > most:
            return []
    return [np.array(order, dtype=np.int64) for order in found]

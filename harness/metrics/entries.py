"""A metric's three numbers, by column."""

from collections.abc import Iterable, Mapping

Entries = dict[str, float]


def entry(name: str, value: float, reference_floor: float, sampling_floor: float) -> Entries:
    """The columns of one metric."""
    return {
        name: value,
        f"{name}_reference_floor": reference_floor,
        f"{name}_sampling_floor": sampling_floor,
    }


def of_moments(
    prefix: str,
    names: Iterable[str],
    values: Mapping[str, float],
    implied: Mapping[str, float],
    floors: Mapping[str, float],
) -> Entries:
    """The columns of these errors of moments."""
    result: Entries = {}
    for name in names:
        result |= entry(prefix + name, values[name], implied[name], floors[name])
    return result

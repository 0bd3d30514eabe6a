"""What every VI method here is: a composition with its options fixed, which starts runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pickle import PicklingError

from targets.options import spec
from targets.protocols import Run
from targets.target import Target


def fits_all(_: Target) -> str | None:
    """A method that runs on every target."""
    return None


@dataclass(frozen=True)
class Recipe:
    """A method (see `targets.protocols.Method`).

    Attributes:
        begin: makes the run from a target and a seed.
        prepare: loads or compiles every loop and kernel that the run will call.
        refuse: why the method cannot run on a target, or None.
        name, options, changed: as the registry resolved them; `changed` names those that differ from their defaults.
    """

    begin: Callable[[Target, int], Run]
    prepare: Callable[[Target], None]
    refuse: Callable[[Target], str | None] = fits_all
    tags: frozenset[str] = frozenset({"vi"})
    name: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    changed: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name with the options that differ from their defaults, as `crossover run -m` takes it."""
        return spec(self.name, {key: self.options[key] for key in self.changed})

    def __reduce__(self) -> tuple[Callable[..., "Recipe"], tuple[()]]:
        """Pickle as name and options, from which the registry makes it anew: closures cannot be pickled."""
        from variational.registry import method

        if not self.name:
            raise PicklingError("a method that no registry made cannot be pickled: it has no name to make it by")
        return partial(method, self.name, **self.options), ()

    def unfit(self, target: Target) -> str | None:
        refused = self.refuse(target)
        if refused is None and not target.differentiable and "gradient-free" not in self.tags:
            return "it needs gradients"
        return refused

    def compile(self, target: Target) -> None:
        self.prepare(target)

    def start(self, target: Target, seed: int) -> Run:
        return self.begin(target, seed)

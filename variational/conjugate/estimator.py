"""What every estimator here shares: parameters by name, and checks of the rows that it is given.

The conventions are those of scikit-learn, which is not needed: keyword-only constructors that only store, `fit` that
returns the estimator, and learned attributes with a trailing underscore.
"""

import inspect
import sys
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from targets.kernel import Matrix


class NotFittedError(ValueError, AttributeError):
    """The estimator was asked for what only `fit` can tell."""


class Estimator:
    """Parameters are the arguments of the constructor, stored under their names."""

    n_features_in_: int

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002  (the convention's argument)
        """The parameters by name."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name.

        Raises:
            ValueError: there is none of that name.
        """
        known = self._names()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}; it takes {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        changed = [
            f"{name}={value!r}" for name, value in self.get_params().items() if value is not defaults[name].default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        """Called by scikit-learn alone."""
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False), input_tags=InputTags())

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")

    def _fitted(self) -> None:
        """Raise where `fit` has not been called yet: scikit-learn's own error where it is loaded."""
        if not self.__sklearn_is_fitted__():
            loaded = sys.modules.get("sklearn.exceptions")
            error = NotFittedError if loaded is None else loaded.NotFittedError
            raise error(f"this {type(self).__name__} is not fitted yet: call fit first")


def rows(X: npt.ArrayLike, name: str, *, features: int | None = None, least: int = 1) -> Matrix:
    """The rows (n, features) as C-contiguous float64, copied only where they are not so already.

    Raises:
        ValueError: they are not a finite real matrix, of `features` columns where that is given, with `least` rows.
        TypeError: they are sparse, or hold what is no number.
    """
    if hasattr(X, "toarray"):
        raise TypeError(f"{name}: sparse data are not accepted; it takes a dense matrix, as X.toarray() makes it")
    try:
        given = np.asarray(X)
        if np.iscomplexobj(given):
            raise ValueError(f"{name}: Complex data not supported; it takes real numbers")
        values = np.ascontiguousarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        if "Complex" in str(error):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError  # as scikit-learn does
        raise kind(f"{name}: the data are not a matrix of numbers ({error})") from None
    if values.ndim != 2:
        raise ValueError(
            f"{name}: Expected 2D array, got {values.ndim}D array instead; it takes (rows, features). "
            "Reshape your data: X.reshape(-1, 1) makes one feature of a vector"
        )
    if values.shape[1] == 0:
        raise ValueError(
            f"{name}: 0 feature(s) (shape={values.shape}) while a minimum of 1 is required; it takes (rows, features)"
        )
    if len(values) < least:
        raise ValueError(f"{name}: n_samples={len(values)} is not accepted; it takes {least} or more rows")
    if features is not None and values.shape[1] != features:
        raise ValueError(f"X has {values.shape[1]} features, but {name} is expecting {features} features as input")
    if not np.isfinite(values).all():
        found = "NaN" if np.isnan(values).any() else "infinity"
        raise ValueError(f"{name}: the data contain {found}; it takes finite numbers")
    return values

"""Labels of windows that are not from a data set: arrays of any type, of which some are missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from contrastive_har.signals.descriptions import UNLABELLED

_NO_LABEL = (str(UNLABELLED), str(float(UNLABELLED)))
_NUMBERS = ("integer", "floating", "mixed-integer-float", "boolean")


def as_array(labels: ArrayLike) -> NDArray[Any]:
    """Return labels as an array; texts among which some are missing keep that: an array of texts has 'nan' for it."""
    values = np.asarray(labels)
    if values.dtype.kind in "US" and not hasattr(labels, "dtype"):
        objects = np.array(labels, object)
        return objects if pd.isna(objects).any() else values
    return values


def are_labels(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which ``values`` (windows,) are labels: -1, '-1', None, NaN and NA mean that there is none."""
    missing: NDArray[np.bool_] = np.asarray(pd.isna(values), bool)
    if values.dtype.kind in "OUS":
        return ~missing & [str(value) not in _NO_LABEL for value in values]
    known: NDArray[np.bool_] = ~missing & (values != UNLABELLED)
    return known


def natural(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels (windows,), with the type of numbers if they are numbers among objects."""
    are_numbers = labels.dtype.kind == "O" and pd.api.types.infer_dtype(labels) in _NUMBERS
    return np.array(labels.tolist()) if are_numbers else labels

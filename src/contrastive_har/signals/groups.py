"""Groups by which windows are held out, such as subjects or sessions."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contrastive_har.signals.roles import SplitError
from contrastive_har.signals.windows import Windows


def natural_order(names: Sequence[str]) -> list[str]:
    """Sort names so that '10' comes after '9', and '03' between '2' and '4'."""

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = re.split(r"(\d+)", name)
        return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]

    return sorted(names, key=key)


def units_of_windows(windows: Windows, held_out: str, within: Sequence[str] = ()) -> NDArray[np.object_]:
    """Return the value of group ``held_out`` of each window (windows,), preceded by its values of ``within``.

    Raises:
        SplitError: if the data set does not have such a group.
    """
    groups = [*within, held_out]
    known = ["subject", *windows.description.groups]
    if unknown := [name for name in groups if name not in known]:
        raise SplitError(
            f"The data set '{windows.description.name}' has no groups {unknown}; it has {', '.join(known)}. Correct "
            "held_out or within of the split."
        )
    units = windows.table[groups[-1]].astype(str)
    for name in groups[-2::-1]:
        units = windows.table[name].astype(str) + " / " + units
    values: NDArray[np.object_] = units.to_numpy(object)
    return values

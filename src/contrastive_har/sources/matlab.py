"""Arrays of numbers in MATLAB files."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from contrastive_har.files.stamps import explain
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.archive import Member


def read_array(member: Member, key: str, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    """Read one array; nothing else in the file is looked at.

    Args:
        member: The ``.mat`` file.
        key: Name of the array in the file.
        shape: Its shape, with None for lengths that may differ.

    Raises:
        BadRecordingError: if the file cannot be read, lacks the array, or holds something else under its name.
    """
    from scipy.io import loadmat

    content = member.read()
    try:
        mat = loadmat(io.BytesIO(content), variable_names=[key])
    # The errors of damaged files are not documented.
    except Exception as error:
        raise BadRecordingError(
            f"{member.where}: not a readable .mat file ({explain(error)}). Download it again."
        ) from error
    if key not in mat:
        raise BadRecordingError(f"{member.where}: no '{key}'. The file is incomplete; download it again.")
    array = np.asarray(mat[key])
    if array.dtype.kind not in "iuf":
        raise BadRecordingError(f"{member.where}: '{key}' holds no real numbers. Download the file again.")
    fits = [wanted in (None, found) for wanted, found in zip(shape, array.shape, strict=False)]
    if array.ndim != len(shape) or not all(fits):
        expected = " x ".join("any" if wanted is None else str(wanted) for wanted in shape)
        found = " x ".join(map(str, array.shape))
        raise BadRecordingError(f"{member.where}: '{key}' is {found} instead of {expected}. Download the file again.")
    return array.astype(np.float64)

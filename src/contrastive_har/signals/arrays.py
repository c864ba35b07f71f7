"""Windows that come as arrays, one for all channels or one per modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contrastive_har.signals.sensors import DEFAULT_MODALITY, Channel, Layout

Signals = ArrayLike | Mapping[str, ArrayLike]
"""Windows (windows, time, channels), or one such array per modality."""


def stack_modalities(signals: Signals) -> tuple[NDArray[np.float32], dict[str, int]]:
    """Return windows as one array (windows, time, channels), and the number of channels by modality.

    Raises:
        ValueError: if an array does not have three dimensions or holds no numbers, if the modalities differ in their
            number of windows or samples, or if samples are not finite.
    """
    arrays = signals if isinstance(signals, Mapping) else {DEFAULT_MODALITY: signals}
    if not arrays:
        raise ValueError("X has no modality")
    parts: dict[str, NDArray[np.float32]] = {}
    for name, values in arrays.items():
        array = np.asarray(values)
        if array.ndim != 3 or array.dtype.kind not in "iufb":
            raise ValueError(
                f"X must be numbers in three dimensions (windows, time, channels); found {array.dtype} of shape "
                f"{array.shape}. Reshape your data, for example X[:, :, np.newaxis] for a single channel."
            )
        if 0 in array.shape:
            raise ValueError(f"X of shape {array.shape} holds no samples")
        with np.errstate(over="ignore"):
            parts[name] = np.ascontiguousarray(array, np.float32)
        if not (finite := np.isfinite(parts[name])).all():
            window, sample, channel = np.argwhere(~finite)[0]
            raise ValueError(
                f"X has a value that is not finite (NaN or infinity) in window {window}, sample {sample}, channel "
                f"{channel}; interpolate it, or leave the window out"
            )
    shapes = {name: part.shape[:2] for name, part in parts.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"all modalities need the same windows and samples; found {shapes}")
    stacked = np.concatenate(list(parts.values()), axis=2) if len(parts) > 1 else next(iter(parts.values()))
    return stacked, {name: part.shape[2] for name, part in parts.items()}


def channels_of_arrays(
    widths: Mapping[str, int],
    names: Sequence[str] | Mapping[str, Sequence[str]] | None,
    sensors: Sequence[str | None] | Mapping[str, Sequence[str | None]] | None,
) -> tuple[Channel, ...]:
    """Return the channels of windows.

    Args:
        widths: Number of channels by modality.
        names: Names of the channels, by modality where there are several; None numbers the channels.
        sensors: Sensor of each channel, by modality where there are several; None takes it from the names.

    Raises:
        ValueError: if there are too few or too many names or sensors, or some for an unknown modality.
    """
    channels = []
    for modality, width in widths.items():
        channel_names = _of(names, modality, widths, "channels")
        channel_sensors = _of(sensors, modality, widths, "sensors")
        prefix = "channel" if len(widths) == 1 else f"{modality}_channel"
        for index in range(width):
            facts: dict[str, Any] = {"unit": "", "modality": modality}
            facts["name"] = channel_names[index] if channel_names else f"{prefix}_{index}"
            if channel_sensors or not channel_names:
                facts["sensor"] = channel_sensors[index] if channel_sensors else None
            channels.append(Channel.model_validate(facts))
    return tuple(channels)


def _of(values: Any, modality: str, widths: Mapping[str, int], what: str) -> list[Any] | None:
    """Return the values given for one modality."""
    if values is None:
        return None
    if isinstance(values, Mapping):
        if unknown := [name for name in values if name not in widths]:
            raise ValueError(f"{what} names the modalities {unknown}, but X has {', '.join(widths)}")
        values = values.get(modality)
        if values is None:
            return None
    elif len(widths) > 1:
        raise ValueError(f"X has several modalities: give {what} as a mapping from modality to list")
    if len(values) != widths[modality]:
        raise ValueError(f"{what} has {len(values)} entries, but modality '{modality}' has {widths[modality]} channels")
    return list(values)


def edges(breaks: NDArray[np.bool_], count: int) -> list[int]:
    """Return the indices at which runs begin, and the end.

    Args:
        breaks: Between which neighbours a run ends (count - 1,).
        count: Number of items.
    """
    return [0, *(np.flatnonzero(breaks) + 1).tolist(), count]


def stack_like(signals: Signals, layout: Layout) -> NDArray[np.float32]:
    """Return windows as one array (windows, time, channels), with the modalities of a layout in its order.

    Raises:
        ValueError: if the modalities have other names, or other numbers of channels or samples.
    """
    if isinstance(signals, Mapping):
        if set(signals) != set(layout.modalities):
            raise ValueError(
                f"X has the modalities {', '.join(map(str, signals))}, but the model was trained on "
                f"{', '.join(layout.modalities)}"
            )
        signals = {name: signals[name] for name in layout.modalities}
    stacked, parts = stack_modalities(signals)
    widths = {name: layout.only([name]).width for name in layout.modalities}
    if isinstance(signals, Mapping) and parts != widths:
        raise ValueError(f"X has channels {parts}, but the model was trained on {widths}")
    if stacked.shape[1:] != (layout.length, layout.width):
        raise ValueError(
            f"X has windows of {stacked.shape[1]} samples and {stacked.shape[2]} channels, but the model was "
            f"trained on {layout.length} samples and {layout.width} channels"
        )
    return stacked

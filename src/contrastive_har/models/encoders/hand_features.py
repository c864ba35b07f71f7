"""Hand-made features of a window: moments, quantiles, differences, spectrum and correlations."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor

from contrastive_har.models.encoders.base import Sensors
from contrastive_har.models.encoders.computed import ComputedFeatures, ComputedFeaturesSettings

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_BANDS = 8
_PER_SIGNAL = 6 + (len(_QUANTILES) + 4) + 5 + (_BANDS + 4)
_SMALLEST = 1e-6


class HandFeaturesSettings(ComputedFeaturesSettings):
    """Nothing to set: the features are a fixed list.

    They follow what tsfresh (Christ et al. 2018, doi 10.1016/j.neucom.2018.03.067) and the feature list of UCI-HAR
    (Anguita et al. 2013) have in common, for each channel and for the magnitude of each sensor of three axes.
    """

    name: Literal["hand_features"] = "hand_features"

    @property
    def shortest_window(self) -> int:
        """Samples that give a spectrum of all bands."""
        return 2 * _BANDS

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> HandFeatures:
        """Return the features of windows (batch, ``length``, ``sensor_channels``)."""
        return HandFeatures(sensor_channels, sensors)


class HandFeatures(ComputedFeatures):
    """The features of raw windows.

    Args:
        sensor_channels: Channels of a window.
        sensors: Channel indices of each sensor; those of three axes have a magnitude.
    """

    raw: ClassVar[bool] = True

    def __init__(self, sensor_channels: int, sensors: Sensors) -> None:
        self.sensors = tuple(axes for axes in sensors if len(axes) == 3)
        signals = sensor_channels + len(self.sensors)
        super().__init__(signals * _PER_SIGNAL + sensor_channels * (sensor_channels - 1) // 2, 2 * _BANDS)

    def compute(self, windows: Tensor) -> Tensor:
        """Return the features (batch, features) of ``windows`` (batch, time, channels)."""
        magnitudes = [windows[..., list(axes)].square().sum(-1, keepdim=True).sqrt() for axes in self.sensors]
        signals = torch.cat([windows, *magnitudes], dim=-1)  # (batch, time, signals)
        parts = [_moments(signals), _quantiles(signals), _differences(signals), _spectrum(signals)]
        return torch.cat([part.flatten(1) for part in (*parts, _correlations(windows))], dim=1)


def _moments(signals: Tensor) -> Tensor:
    """Return mean, deviation, skewness, kurtosis, root mean square and mean absolute deviation (batch, 6, signals)."""
    mean = signals.mean(1)
    centred = signals - mean.unsqueeze(1)
    deviation = centred.square().mean(1).sqrt()
    scaled = centred / (deviation.unsqueeze(1) + _SMALLEST)
    return torch.stack(
        [
            mean,
            deviation,
            scaled.pow(3).mean(1),
            scaled.pow(4).mean(1),
            signals.square().mean(1).sqrt(),
            centred.abs().mean(1),
        ],
        dim=1,
    )


def _quantiles(signals: Tensor) -> Tensor:
    """Return minimum, quantiles, maximum and ranges (batch, 9, signals); quantiles are of the sorted samples."""
    ordered = signals.sort(dim=1).values
    last = signals.shape[1] - 1
    chosen = [ordered[:, round(share * last)] for share in (0.0, *_QUANTILES, 1.0)]
    return torch.stack([*chosen, chosen[-1] - chosen[0], chosen[4] - chosen[2]], dim=1)


def _differences(signals: Tensor) -> Tensor:
    """Return facts about the steps between samples (batch, 5, signals).

    Mean absolute and largest step, deviation of the steps, share of sign changes around the mean, and the correlation
    of each sample with the next.
    """
    steps = signals[:, 1:] - signals[:, :-1]
    centred = signals - signals.mean(1, keepdim=True)
    crossings = (centred[:, 1:] * centred[:, :-1] < 0).float().mean(1)
    following = (centred[:, 1:] * centred[:, :-1]).mean(1) / (centred.square().mean(1) + _SMALLEST)
    return torch.stack([steps.abs().mean(1), steps.abs().amax(1), steps.std(1), crossings, following], dim=1)


def _spectrum(signals: Tensor) -> Tensor:
    """Return the log-energy of frequency bands, the strongest frequency, its share, centroid and entropy of power.

    Shape (batch, bands + 4, signals); without the mean. The transform is a product with a fixed matrix, which exports.
    """
    time = signals.shape[1]
    centred = signals - signals.mean(1, keepdim=True)
    angles = 2 * torch.pi * torch.outer(torch.arange(1, time // 2 + 1), torch.arange(time)) / time
    cosines, sines = angles.cos().to(signals), angles.sin().to(signals)
    power = ((cosines @ centred).square() + (sines @ centred).square()) / time  # (batch, frequencies, signals)
    edges = torch.linspace(0, power.shape[1], _BANDS + 1).round().long().tolist()
    bands = [power[:, first:end].sum(1) for first, end in pairwise(edges)]
    share = power / (power.sum(1, keepdim=True) + _SMALLEST)
    frequencies = torch.arange(1, power.shape[1] + 1, device=signals.device, dtype=signals.dtype)[None, :, None]
    strongest, index = share.max(1)
    entropy = -(share * (share + _SMALLEST).log()).sum(1)
    logs = [(band + _SMALLEST).log() for band in bands]
    return torch.stack([*logs, index.to(signals.dtype), strongest, (share * frequencies).sum(1), entropy], dim=1)


def _correlations(windows: Tensor) -> Tensor:
    """Return the correlation of each pair of channels (batch, pairs)."""
    centred = windows - windows.mean(1, keepdim=True)
    scaled = centred / (centred.square().sum(1, keepdim=True).sqrt() + _SMALLEST)
    matrix = scaled.transpose(1, 2) @ scaled
    first, second = zip(*combinations(range(windows.shape[2]), 2), strict=True) if windows.shape[2] > 1 else ((), ())
    return matrix[:, list(first), list(second)]
